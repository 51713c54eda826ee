"""Where a tag stands among others by its name alone. One total order: of two tags one is always before the other."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from semantic_version import NpmSpec, Version

from gitops.images.policy import Pattern, Policy, Semver

_SEMVER = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")
_PARTS = re.compile(r"[0-9]+|[^0-9]+")
_DIGIT = re.compile(r"[0-9]")
_NUMBERS = re.compile(r"[0-9]+(\.[0-9]+)*")

# Keys of one policy compare with each other.
SortKey = tuple[Any, ...]

_spec = cache(NpmSpec)


def natural(tag: str) -> SortKey:
    """Where a tag stands whatever the policy: numbers by their size, 0.0.9 before 0.0.10.

    A tag without a number, such as `latest`, is one that CI moves: it stands before all others.
    """
    parts = tuple((1, int(part), "") if _DIGIT.match(part) else (0, 0, part) for part in _PARTS.findall(tag))
    return (bool(_DIGIT.search(tag)), parts, tag)


def version(tag: str) -> Version | None:
    """The whole semantic version that a tag is, or None."""
    match = _SEMVER.fullmatch(tag)
    try:
        return Version(match[1]) if match else None
    except ValueError:  # leading zeros
        return None


def in_range(way: Semver, number: Version) -> bool:
    """Whether a version is in the range. A pre-release counts as its release: 2.0.0-rc.1 is not in <2.0.0."""
    return bool(_spec(way.range).match(number.truncate()))


def is_major(policy: Policy, runs: str, tag: str) -> bool:
    """Whether `tag` is of a higher major version than `runs`. False where one of both names no version."""
    before, after = _named_version(policy, runs), _named_version(policy, tag)
    return before is not None and after is not None and after.major > before.major


def _named_version(policy: Policy, tag: str) -> Version | None:
    way = policy.select
    match = re.fullmatch(way.match, tag) if isinstance(way, Pattern) and way.order == "semver" else None
    return version((match[way.group] or "") if match and isinstance(way, Pattern) else tag)


def key(policy: Policy, tag: str) -> SortKey | None:
    """Where a tag stands; None where the policy gives it no place."""
    way = policy.select
    if isinstance(way, Semver):
        return _semver_key(way, tag)
    return _pattern_key(way, tag) if isinstance(way, Pattern) else None


def _semver_key(way: Semver, tag: str) -> SortKey | None:
    number = version(tag)
    if number is None or (number.prerelease and not way.prereleases):
        return None
    return (number,) if in_range(way, number) else None


def _pattern_key(way: Pattern, tag: str) -> SortKey | None:
    match = re.fullmatch(way.match, tag)
    text = match[way.group] if match else None
    if text is None:
        return None
    if way.order == "alphabetical":
        return (text,)
    if way.order == "numerical":
        return (tuple(int(part) for part in text.split(".")),) if _NUMBERS.fullmatch(text) else None
    number = version(text)
    return None if number is None else (number,)

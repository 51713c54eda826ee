"""Where a tag stands among others by its name alone. One total order: of two tags one is always before the other."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache, total_ordering
from typing import Any

from semantic_version import NpmSpec, Version

from gitops.images.policy import Pattern, Policy, Semver

_NUMBER = "(0|[1-9][0-9]*)"
_SEMVER = re.compile(rf"v?({_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?)")
_IDENTIFIER = re.compile(rf"{_NUMBER}|[0-9-]*[A-Za-z-][0-9A-Za-z-]*")
_PARTS = re.compile(r"[0-9]+|[^0-9]+")
_DIGIT = re.compile(r"[0-9]")
_NUMBERS = re.compile(r"[0-9]+(\.[0-9]+)*")

# Keys of one policy compare with each other.
SortKey = tuple[Any, ...]

# MAJOR, MINOR and PATCH.
Triple = tuple[int, int, int]


@total_ordering
class Natural:
    """Where a tag stands whatever the policy: numbers by their size, 0.0.9 before 0.0.10.

    A tag without a number, such as `latest`, is one that CI moves: it stands before all others. The tag is taken apart
    when it is compared with another one, which few of a large repository are.
    """

    __slots__ = ("tag",)

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def __eq__(self, right: object) -> bool:
        return isinstance(right, Natural) and self.tag == right.tag

    def __lt__(self, right: Natural) -> bool:
        return self._parts() < right._parts()

    def __hash__(self) -> int:
        return hash(self.tag)

    def _parts(self) -> SortKey:
        tag = self.tag
        parts = tuple((1, int(part), "") if _DIGIT.match(part) else (0, 0, part) for part in _PARTS.findall(tag))
        return (bool(_DIGIT.search(tag)), parts, tag)


def natural(tag: str) -> Natural:
    """Where a tag stands whatever the policy."""
    return Natural(tag)


def version(tag: str) -> Version | None:
    """The whole semantic version that a tag is, or None."""
    match = _SEMVER.fullmatch(tag)
    try:
        return Version(match[1]) if match else None
    except ValueError:  # leading zeros
        return None


class VersionRange:
    """A semver range, asked about many versions. A pre-release counts as its release: 2.0.0-rc.1 is not in <2.0.0.

    Between two versions that the range names its answer is the same for all: the library is asked once for each.
    """

    def __init__(self, text: str) -> None:
        self._spec = NpmSpec(text)
        self._named = sorted(set(_named(self._spec.clause)))
        self._answers: dict[tuple[int, bool], bool] = {}

    def has(self, triple: Triple) -> bool:
        """Whether the version MAJOR.MINOR.PATCH is in it."""
        place = bisect_left(self._named, triple)
        zone = place, place < len(self._named) and self._named[place] == triple
        answer = self._answers.get(zone)
        if answer is None:
            answer = self._answers[zone] = bool(self._spec.match(Version("{}.{}.{}".format(*triple))))
        return answer


def _named(clause: object) -> Iterator[Triple]:
    """The versions that a range names, of semantic_version's own tree of clauses."""
    if target := getattr(clause, "target", None):
        yield target.major, target.minor, target.patch
    for inner in getattr(clause, "clauses", ()):
        yield from _named(inner)


_range = cache(VersionRange)
_pattern = cache(re.compile)


def precedence(tag: str) -> SortKey | None:
    """Where the whole semantic version that a tag is stands among others (semver.org, 11); None where it is none.

    MAJOR, MINOR, PATCH, whether it is a release, and of a pre-release the identifiers.
    """
    match = _SEMVER.fullmatch(tag)
    if match is None:
        return None
    _, major, minor, patch, prerelease = match.groups()
    if prerelease is None:
        return (int(major), int(minor), int(patch), True)
    parts = prerelease.split(".")
    if not all(map(_IDENTIFIER.fullmatch, parts)):
        return None
    identifiers = tuple((False, int(part), "") if part.isdigit() else (True, 0, part) for part in parts)
    return (int(major), int(minor), int(patch), False, identifiers)


def is_prerelease(key: SortKey) -> bool:
    """Of what `precedence` gave."""
    return not key[3]


def in_range(way: Semver, key: SortKey) -> bool:
    """Whether what `precedence` gave is in the range."""
    return _range(way.range).has(key[:3])


def is_major(policy: Policy, runs: str, tag: str) -> bool:
    """Whether `tag` is of a higher major version than `runs`. False where one of both names no version."""
    before, after = named_version(policy, runs), named_version(policy, tag)
    return before is not None and after is not None and after.major > before.major


def named_version(policy: Policy, tag: str) -> Version | None:
    """The version that a tag is, or that the policy's pattern finds in it, or None."""
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
    key = precedence(tag)
    if key is None or (is_prerelease(key) and not way.prereleases):
        return None
    return key if in_range(way, key) else None


def _pattern_key(way: Pattern, tag: str) -> SortKey | None:
    match = _pattern(way.match).fullmatch(tag)
    text = match[way.group] if match else None
    if text is None:
        return None
    if way.order == "alphabetical":
        return (text,)
    if way.order == "numerical":
        return (tuple(int(part) for part in text.split(".")),) if _NUMBERS.fullmatch(text) else None
    return precedence(text)

"""Which tag of a repository an overlay should run, and why not each of the others. Pure: no registry, no clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from semantic_version import NpmSpec, Version

from gitops.clients.ecr import Candidate
from gitops.images.policy import Digest, Newest, Pattern, Policy, Semver

_SEMVER = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")
# What cosign attaches, by the tags that it gives: sha256-<digest>.sig and its kin.
_ATTACHED = re.compile(r".*\.(sig|att|sbom)")
_CACHE = re.compile(r"((.+[-_.])?(build)?cache)([-_.].+)?")
_IMAGES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
_CONFIGS = {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}


@dataclass(frozen=True)
class Verdict:
    """A candidate and why it is not taken; `why` is empty for those that may be."""

    candidate: Candidate
    why: str


@dataclass(frozen=True)
class Decision:
    """What to run. `ranked`: allowed candidates, best first; empty means no change, for the reason in `note`.

    `alert`: something that a person must hear even when nothing changes.
    """

    verdicts: tuple[Verdict, ...]
    ranked: tuple[Candidate, ...]
    note: str = ""
    alert: str = ""


Key = tuple[Any, ...]


def decide(
    policy: Policy, candidates: Sequence[Candidate], *, tag: str, digest: str, refused: Sequence[str] = ()
) -> Decision:
    """Rank what may run above what runs (`tag`, `digest`).

    `refused`: tags that a person took back or declined; nothing up to the highest of them is proposed again.
    An empty listing means no change. Never goes back to an older one, except from a tag that the policy itself does
    not allow any more.
    """
    if not candidates:
        return Decision((), (), note="the listing is empty: no change")
    keys: dict[Candidate, Key] = {}
    verdicts = []
    for candidate in candidates:
        why, key = _judge(policy, candidate)
        if key is not None:
            keys[candidate] = key
        verdicts.append(Verdict(candidate, why))
    running = next((each for each in candidates if each.tag == tag and each.digest == digest), None)
    alert = ""
    if not any(each.digest == digest for each in candidates):
        alert = f"the running image {tag}@{digest[:19]} is gone from the registry"
    elif running is None and not isinstance(policy.select, Digest):
        alert = f"the tag {tag} no longer names the running image"
    floors: list[tuple[Key, str]] = []
    if not isinstance(policy.select, Digest):
        held = [(each, f"held: a person took {each} back") for each in refused]
        for each, why in [(tag, f"not newer than {tag}, which runs"), *held]:
            known = next((keys[c] for c in keys if c.tag == each), None) or order(policy, each)
            if known is not None:
                floors.append((known, why))
    judged = tuple(Verdict(v.candidate, v.why or _below(keys[v.candidate], floors)) for v in verdicts)
    if isinstance(policy.select, Digest):
        judged = tuple(_tracked(v, digest, refused) for v in judged)
    allowed = [v.candidate for v in judged if not v.why]
    ranked = tuple(sorted(allowed, key=lambda c: (keys[c], c.pushed, c.tag), reverse=True))
    note = "" if ranked else "no candidate is newer than what runs"
    if not any(not v.why for v in verdicts):
        note = "no candidate fits the policy: no change"
    return Decision(judged, ranked, note, alert)


def _below(key: Key, floors: Sequence[tuple[Key, str]]) -> str:
    return next((why for floor, why in floors if key <= floor), "")


def _tracked(verdict: Verdict, digest: str, refused: Sequence[str]) -> Verdict:
    if verdict.why:
        return verdict
    if verdict.candidate.digest == digest:
        return Verdict(verdict.candidate, "runs already")
    if verdict.candidate.digest in refused:
        return Verdict(verdict.candidate, "held: a person took this digest back")
    return verdict


def _judge(policy: Policy, candidate: Candidate) -> tuple[str, Key | None]:
    tag = candidate.tag
    if not tag:
        return "untagged", None
    if _ATTACHED.fullmatch(tag):
        return "a signature, an attestation or an SBOM and no image", None
    if _CACHE.fullmatch(tag):
        return "a build cache and no image", None
    if candidate.media_type not in _IMAGES or (candidate.artifact_type and candidate.artifact_type not in _CONFIGS):
        return f"no container image ({candidate.artifact_type or candidate.media_type})", None
    if policy.allow and not any(re.fullmatch(each, tag) for each in policy.allow):
        return "in no allow list", None
    if by := next((each for each in policy.ignore if re.fullmatch(each, tag)), None):
        return f"ignored by {by!r}", None
    way = policy.select
    if isinstance(way, Newest):
        return "", (candidate.pushed,)
    if isinstance(way, Digest):
        return ("", (candidate.pushed,)) if tag == way.tag else (f"not the tag {way.tag!r}", None)
    if isinstance(way, Semver):
        return _judge_semver(way, tag)
    if isinstance(way, Pattern):
        key = order(policy, tag)
        if key is None and re.fullmatch(way.match, tag):
            return f"group {way.group!r} has no {way.order} order", None
        return ("", key) if key is not None else (f"does not match {way.match!r}", None)
    raise TypeError(f"{type(way).__name__} selects nothing by itself")


def _judge_semver(way: Semver, tag: str) -> tuple[str, Key | None]:
    version = _version(tag)
    if version is None:
        return "no whole semantic version (MAJOR.MINOR.PATCH)", None
    if version.prerelease and not way.prereleases:
        return "a pre-release, which the policy does not opt in to", None
    # For the range a pre-release counts as its release: 2.0.0-rc.1 is not in <2.0.0.
    if not _spec(way.range).match(version.truncate()):
        return f"outside of {way.range!r}", None
    return "", (version,)


def order(policy: Policy, tag: str) -> Key | None:
    """Where a tag stands among others by its name alone; None where the policy gives it no place."""
    way = policy.select
    if isinstance(way, Semver):
        version = _version(tag)
        return None if version is None or (version.prerelease and not way.prereleases) else _in_range(way, version)
    if not isinstance(way, Pattern):
        return None
    found = re.fullmatch(way.match, tag)
    text = found[way.group] if found else None
    if text is None:
        return None
    if way.order == "alphabetical":
        return (text,)
    if way.order == "numerical":
        return (tuple(int(part) for part in text.split(".")),) if re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) else None
    version = _version(text)
    return None if version is None else (version,)


def _in_range(way: Semver, version: Version) -> Key | None:
    return (version,) if _spec(way.range).match(version.truncate()) else None


_spec = cache(NpmSpec)


def _version(tag: str) -> Version | None:
    found = _SEMVER.fullmatch(tag)
    try:
        return Version(found[1]) if found else None
    except ValueError:  # leading zeros
        return None

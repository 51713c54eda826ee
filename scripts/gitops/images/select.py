"""Which tag of a repository an overlay should run, and why not each of the others. Pure: no registry, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gitops.clients.registries import MANIFESTS, ListedImage
from gitops.images import order
from gitops.images.hold import Declined
from gitops.images.order import SortKey
from gitops.images.policy import Digest, Newest, Pattern, Policy, Semver
from gitops.images.reasons import (
    Alert,
    EmptyListing,
    NoChange,
    NoneFits,
    NoneNewer,
    Rejection,
    RejectionReason,
    RunningImageGone,
    TagMoved,
)

# What is attached to an image, by the tags of cosign (sha256-<digest>.sig and its kin) and the OCI (sha256-<digest>).
_ATTACHED = re.compile(r".*\.(sig|att|sbom)|sha256-[0-9a-f]{64}")
_CACHE = re.compile(r"((.+[-_.])?(build)?cache)([-_.].+)?")
_CONFIGS = {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
# Where a registry tells no time, and none decides.
_UNKNOWN = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Assessment:
    """An image of the registry's listing, and why it is not taken (None for those that may be)."""

    image: ListedImage
    rejection: Rejection | None = None


@dataclass(frozen=True)
class Selection:
    """What to run. `ranked`: allowed images, best first; empty means no change, for the reason `no_change`."""

    assessments: tuple[Assessment, ...]
    ranked: tuple[ListedImage, ...]
    no_change: NoChange | None = None
    alert: Alert | None = None


def select(
    policy: Policy,
    listing: Sequence[ListedImage],
    *,
    tag: str,
    digest: str,
    declined: Sequence[Declined] = (),
    brought: datetime | None = None,
) -> Selection:
    """Rank what may run above what runs (`tag`, `digest`, which main has since `brought`).

    Of `declined` nothing is proposed again, nor what stands below one of them and was there when it was declined. An
    empty listing means no change. Never goes back to an older one, except from a tag that the policy itself gives no
    place any more; by the time of the push there is always a place.
    """
    if not listing:
        return Selection((), (), EmptyListing())
    keys: dict[ListedImage, SortKey] = {}
    fitting: list[Assessment] = []
    for image in listing:
        judged = _judge(policy, image)
        if not isinstance(judged, Rejection):
            keys[image] = judged
        fitting.append(Assessment(image, judged if isinstance(judged, Rejection) else None))
    if isinstance(policy.select, Digest):
        assessments = [_follow(assessment, digest, declined) for assessment in fitting]
    else:
        runs = _Running(tag, digest, _running_key(policy, listing, tag, digest, brought))
        refusals = [_refusal(policy, listing, image) for image in declined]
        assessments = [_above(policy, assessment, keys, runs, refusals) for assessment in fitting]
    allowed = [assessment.image for assessment in assessments if assessment.rejection is None]
    ranked = tuple(sorted(allowed, key=lambda c: (keys[c], c.pushed or _UNKNOWN, order.natural(c.tag)), reverse=True))
    no_change: NoChange | None = None if ranked else NoneNewer() if keys else NoneFits()
    return Selection(tuple(assessments), ranked, no_change, _alert(policy, listing, tag, digest))


def _alert(policy: Policy, listing: Sequence[ListedImage], tag: str, digest: str) -> Alert | None:
    tags = {image.tag for image in listing if image.digest == digest}
    if not tags:
        return RunningImageGone(tag, digest)
    return TagMoved(tag) if tag not in tags and not isinstance(policy.select, Digest) else None


@dataclass(frozen=True)
class _Running:
    """What runs, and its place; None where the policy gives it none."""

    tag: str
    digest: str
    key: SortKey | None


@dataclass(frozen=True)
class _Refusal:
    """An image that a person declined: its place, and when it was pushed, where that is known."""

    image: Declined
    key: SortKey | None
    pushed: datetime | None


def _running_key(
    policy: Policy, listing: Sequence[ListedImage], tag: str, digest: str, brought: datetime | None
) -> SortKey | None:
    # By its digest: its tag may name another one now, or be outside of what the policy allows.
    pushed = next((image.pushed for image in listing if image.digest == digest), brought)
    return _key(policy, tag, pushed)


def _refusal(policy: Policy, listing: Sequence[ListedImage], declined: Declined) -> _Refusal:
    listed = next((image for image in listing if image.digest == declined.digest), None)
    listed = listed or next((image for image in listing if image.tag == declined.tag), None)
    pushed = listed.pushed if listed else None
    return _Refusal(declined, _key(policy, declined.tag, pushed), pushed)


def _key(policy: Policy, tag: str, pushed: datetime | None) -> SortKey | None:
    """Where an image stands by its name or, for the newest, by its push; None where that is not known."""
    if isinstance(policy.select, Newest):
        return _newest_key(pushed, tag) if pushed else None
    return order.key(policy, tag)


def _newest_key(pushed: datetime, tag: str) -> SortKey:
    return (pushed, order.natural(tag))


def _above(
    policy: Policy,
    assessment: Assessment,
    keys: Mapping[ListedImage, SortKey],
    runs: _Running,
    refusals: Sequence[_Refusal],
) -> Assessment:
    if assessment.rejection:
        return assessment
    image, key = assessment.image, keys[assessment.image]
    if isinstance(policy.select, Newest):
        # Another tag of the same digest is nothing new, and without a place nothing is known to be.
        newer = image.digest != runs.digest and runs.key is not None and key > runs.key
    else:
        newer = runs.key is None or key > runs.key
    if not newer or (image.tag, image.digest) == (runs.tag, runs.digest):
        return replace(assessment, rejection=Rejection(RejectionReason.NOT_NEWER, runs.tag))
    if policy.majors == "never" and order.is_major(policy, runs.tag, image.tag):
        return replace(assessment, rejection=Rejection(RejectionReason.MAJOR, runs.tag))
    for refusal in refusals:
        if _refused(image, key, refusal):
            return replace(assessment, rejection=Rejection(RejectionReason.DECLINED, refusal.image.tag))
    return assessment


def _refused(image: ListedImage, key: SortKey, refusal: _Refusal) -> bool:
    """Whether it is what a person declined, or stands below it and was there to be taken instead."""
    if refusal.image.tag == image.tag or (image.digest and refusal.image.digest == image.digest):
        return True
    # A version by mistake (30.1.0) must not hold back all that is pushed after it.
    below = refusal.key is not None and key <= refusal.key
    return below and (refusal.pushed is None or image.pushed is None or image.pushed <= refusal.pushed)


def _follow(assessment: Assessment, digest: str, declined: Sequence[Declined]) -> Assessment:
    """For a mutable tag that is followed by its digest."""
    if assessment.rejection:
        return assessment
    if assessment.image.digest == digest:
        return replace(assessment, rejection=Rejection(RejectionReason.RUNS_ALREADY))
    if any(assessment.image.digest == image.digest for image in declined):
        return replace(assessment, rejection=Rejection(RejectionReason.DECLINED_DIGEST))
    return assessment


def fits(policy: Policy, image: ListedImage) -> bool:
    """Whether an image passes what needs no order: it is one, and the policy lists it."""
    return not (no_image(image) or _not_listed(policy, image.tag))


def _judge(policy: Policy, image: ListedImage) -> SortKey | Rejection:
    """An image's place among those that fit the policy, or why it does not."""
    return no_image(image) or _not_listed(policy, image.tag) or _place(policy, image)


def no_image(image: ListedImage) -> Rejection | None:
    """Why what a tag names is no image that can run; None where it is one."""
    tag, artifact_type = image.tag, image.artifact_type
    if not tag:
        return Rejection(RejectionReason.UNTAGGED)
    if _ATTACHED.fullmatch(tag):
        return Rejection(RejectionReason.ATTACHMENT)
    if _CACHE.fullmatch(tag):
        return Rejection(RejectionReason.BUILD_CACHE)
    if image.media_type not in MANIFESTS or (artifact_type and artifact_type not in _CONFIGS):
        return Rejection(RejectionReason.NO_IMAGE, artifact_type or image.media_type)
    return None


def _not_listed(policy: Policy, tag: str) -> Rejection | None:
    if policy.allow and not any(re.fullmatch(pattern, tag) for pattern in policy.allow):
        return Rejection(RejectionReason.NOT_ALLOWED)
    ignored = next((pattern for pattern in policy.ignore if re.fullmatch(pattern, tag)), None)
    return Rejection(RejectionReason.IGNORED, ignored) if ignored is not None else None


def _place(policy: Policy, image: ListedImage) -> SortKey | Rejection:
    way, tag = policy.select, image.tag
    if isinstance(way, Newest):
        return _newest_key(image.pushed, tag) if image.pushed else Rejection(RejectionReason.NO_TIME)
    if isinstance(way, Digest):
        return (way.tag,) if tag == way.tag else Rejection(RejectionReason.OTHER_TAG, way.tag)
    if isinstance(way, Semver):
        return _semver_place(way, tag)
    if isinstance(way, Pattern):
        key = order.key(policy, tag)
        if key is not None:
            return key
        if re.fullmatch(way.match, tag):
            return Rejection(RejectionReason.NO_ORDER, f"group {way.group!r} has no {way.order} order")
        return Rejection(RejectionReason.NO_MATCH, way.match)
    raise TypeError(f"{type(way).__name__} selects nothing by itself")


def _semver_place(way: Semver, tag: str) -> SortKey | Rejection:
    version = order.version(tag)
    if version is None:
        return Rejection(RejectionReason.NO_VERSION)
    if version.prerelease and not way.prereleases:
        return Rejection(RejectionReason.PRERELEASE)
    return (version,) if order.in_range(way, version) else Rejection(RejectionReason.OUT_OF_RANGE, way.range)

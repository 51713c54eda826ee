"""Which tag of a repository an overlay should run, and why not each of the others. Pure: no registry, no clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial

from gitops.clients.registries import MANIFESTS, ListedImage
from gitops.images import order
from gitops.images.memory import Declined
from gitops.images.order import SortKey
from gitops.images.policy import Digest, Newest, Pattern, Policy, Select, Semver
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
_ATTACHED = (".sig", ".att", ".sbom")
_REFERRERS = re.compile("sha256-[0-9a-f]{64}")
_CACHE = re.compile(r"((.+[-_.])?(build)?cache)([-_.].+)?")
_CONFIGS = {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
# Where a registry tells no time, and none decides.
_UNKNOWN = datetime.min.replace(tzinfo=UTC)

_pattern = cache(re.compile)
_FIRST = order.natural("")


@dataclass(frozen=True, slots=True)
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
    way = policy.select
    judged = [_judge(policy, way, image) for image in listing]
    refuse: Callable[[ListedImage, SortKey], Rejection | None]
    if isinstance(way, Digest):
        refuse = partial(_follow, digest, declined)
    else:
        own = _running_key(policy, listing, tag, digest, brought)
        runs = _Running(tag, digest, own, Rejection(RejectionReason.NOT_NEWER, tag))
        refusals = [_refusal(policy, listing, image) for image in declined]
        refuse = partial(_above, policy, isinstance(way, Newest), runs, refusals)
    assessments = [
        Assessment(image, place if isinstance(place, Rejection) else refuse(image, place))
        for image, place in zip(listing, judged, strict=True)
    ]
    ranked = _ranked(assessments, judged)
    one_fits = any(not isinstance(place, Rejection) for place in judged)
    no_change: NoChange | None = None if ranked else NoneNewer() if one_fits else NoneFits()
    return Selection(tuple(assessments), ranked, no_change, _alert(policy, listing, tag, digest))


def _ranked(assessments: Sequence[Assessment], places: Sequence[SortKey | Rejection]) -> tuple[ListedImage, ...]:
    """The allowed ones, best first: by their places, of equal ones the last push, of equal ones their tags."""
    allowed = [index for index, assessment in enumerate(assessments) if assessment.rejection is None]
    times = Counter(places[index] for index in allowed)

    def tag(index: int) -> order.Natural:
        return order.natural(assessments[index].image.tag) if times[places[index]] > 1 else _FIRST

    # From the last criterion on, as a sort keeps what is equal. Only the tags of equal places are taken apart.
    if len(times) < len(allowed):
        allowed.sort(key=tag, reverse=True)
        allowed.sort(key=lambda index: assessments[index].image.pushed or _UNKNOWN, reverse=True)
    allowed.sort(key=lambda index: places[index], reverse=True)  # type: ignore[arg-type,return-value] # no rejection
    return tuple(assessments[index].image for index in allowed)


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
    not_newer: Rejection


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
    pushed = next((image.pushed for image in listing if image.digest == digest and image.pushed), brought)
    return _key(policy, tag, pushed)


def _refusal(policy: Policy, listing: Sequence[ListedImage], declined: Declined) -> _Refusal:
    listed = next((image for image in listing if image.digest and image.digest == declined.digest), None)
    listed = listed or next((image for image in listing if image.tag == declined.tag), None)
    pushed = listed.pushed if listed else None
    key = _key(policy, declined.tag, pushed)
    if listed and isinstance(policy.select, Newest) and isinstance(_judge(policy, policy.select, listed), Rejection):
        key = None  # what the policy does not take has no place among what it takes
    return _Refusal(declined, key, pushed)


def _key(policy: Policy, tag: str, pushed: datetime | None) -> SortKey | None:
    """Where an image stands by its name or, for the newest, by its push; None where that is not known."""
    if isinstance(policy.select, Newest):
        return _newest_key(pushed, tag) if pushed else None
    return order.key(policy, tag)


def _newest_key(pushed: datetime, tag: str) -> SortKey:
    return (pushed, order.natural(tag))


def _above(
    policy: Policy, by_push: bool, runs: _Running, refusals: Sequence[_Refusal], image: ListedImage, key: SortKey
) -> Rejection | None:
    """Why an image that fits is not above what runs. `by_push`: whether the push alone gives the places."""
    if by_push:
        # Another tag of the same digest is nothing new, and without a place nothing is known to be.
        newer = image.digest != runs.digest and runs.key is not None and key > runs.key
    else:
        newer = runs.key is None or key > runs.key
    if not newer or (image.digest == runs.digest and image.tag == runs.tag):
        return runs.not_newer
    if policy.majors == "never" and order.is_major(policy, runs.tag, image.tag):
        return Rejection(RejectionReason.MAJOR, runs.tag)
    for refusal in refusals:
        if _refused(image, key, refusal):
            return Rejection(RejectionReason.DECLINED, refusal.image.tag, refusal.image.by)
    return None


def _refused(image: ListedImage, key: SortKey, refusal: _Refusal) -> bool:
    """Whether it is what a person declined, or stands below it and was there to be taken instead."""
    if refusal.image.tag == image.tag or (image.digest and refusal.image.digest == image.digest):
        return True
    # A version by mistake (30.1.0) must not hold back all that is pushed after it.
    below = refusal.key is not None and key <= refusal.key
    return below and (refusal.pushed is None or image.pushed is None or image.pushed <= refusal.pushed)


def _follow(digest: str, declined: Sequence[Declined], image: ListedImage, key: SortKey) -> Rejection | None:
    """For a mutable tag that is followed by its digest."""
    if image.digest == digest:
        return Rejection(RejectionReason.RUNS_ALREADY)
    for refused in declined:
        if image.digest == refused.digest:
            return Rejection(RejectionReason.DECLINED_DIGEST, by=refused.by)
    return None


def fits(policy: Policy, image: ListedImage) -> bool:
    """Whether an image passes what needs no order: it is one, and the policy lists it."""
    return not (no_image(image) or _not_listed(policy, image.tag))


def _judge(policy: Policy, way: Select, image: ListedImage) -> SortKey | Rejection:
    """An image's place among those that fit the policy, or why it does not."""
    return no_image(image) or _not_listed(policy, image.tag) or _place(policy, way, image)


def no_image(image: ListedImage) -> Rejection | None:
    """Why what a tag names is no image that can run; None where it is one."""
    tag, artifact_type = image.tag, image.artifact_type
    if not tag:
        return Rejection(RejectionReason.UNTAGGED)
    if tag.endswith(_ATTACHED) or (tag.startswith("sha256-") and _REFERRERS.fullmatch(tag)):
        return Rejection(RejectionReason.ATTACHMENT)
    if "cache" in tag and _CACHE.fullmatch(tag):
        return Rejection(RejectionReason.BUILD_CACHE)
    if image.media_type not in MANIFESTS or (artifact_type and artifact_type not in _CONFIGS):
        return Rejection(RejectionReason.NO_IMAGE, artifact_type or image.media_type)
    return None


def _not_listed(policy: Policy, tag: str) -> Rejection | None:
    if policy.allow and not any(_pattern(pattern).fullmatch(tag) for pattern in policy.allow):
        return Rejection(RejectionReason.NOT_ALLOWED)
    if not policy.ignore:
        return None
    ignored = next((pattern for pattern in policy.ignore if _pattern(pattern).fullmatch(tag)), None)
    return Rejection(RejectionReason.IGNORED, ignored) if ignored is not None else None


def _place(policy: Policy, way: Select, image: ListedImage) -> SortKey | Rejection:
    tag = image.tag
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
    key = order.precedence(tag)
    if key is None:
        return Rejection(RejectionReason.NO_VERSION)
    if order.is_prerelease(key) and not way.prereleases:
        return Rejection(RejectionReason.PRERELEASE)
    return key if order.in_range(way, key) else Rejection(RejectionReason.OUT_OF_RANGE, way.range)

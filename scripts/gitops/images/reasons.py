"""Why an image is not taken, and why nothing is to change: facts, on which code decides. `wording` makes sentences.

Rejection   of one image
NoChange    of a whole overlay: why its image stays. `certain`: an open pull request has lost its reason
Alert       something that a person must hear, even when nothing changes
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from gitops.clients.github import Health
from gitops.images.hold import Hold
from gitops.manifests.overlay import Overlay


class RejectionReason(StrEnum):
    """Why an image is not taken. The comment says what a rejection's `value` is."""

    UNTAGGED = "untagged"
    ATTACHMENT = "attachment"
    BUILD_CACHE = "build-cache"
    NO_IMAGE = "no-image"  # its media type
    NOT_ALLOWED = "not-allowed"
    IGNORED = "ignored"  # the pattern
    OTHER_TAG = "other-tag"  # the tag that is followed
    NO_VERSION = "no-version"
    PRERELEASE = "prerelease"
    OUT_OF_RANGE = "out-of-range"  # the range
    NO_MATCH = "no-match"  # the pattern
    NO_ORDER = "no-order"  # group and order of the pattern
    NO_TIME = "no-time"
    NOT_NEWER = "not-newer"  # the tag that runs
    RUNS_ALREADY = "runs-already"
    MAJOR = "major"  # the tag that runs
    TOO_YOUNG = "too-young"  # until when
    DECLINED = "declined"  # the tag that a person took back or declined
    DECLINED_DIGEST = "declined-digest"
    NO_MANIFEST = "no-manifest"
    PLATFORM = "platform"  # the platforms that it lacks
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad-signature"  # why each signature is none


# What has a place in the policy's order, above what runs, is not rejected for one of these.
UNFIT = frozenset(
    {
        RejectionReason.UNTAGGED,
        RejectionReason.ATTACHMENT,
        RejectionReason.BUILD_CACHE,
        RejectionReason.NO_IMAGE,
        RejectionReason.NOT_ALLOWED,
        RejectionReason.IGNORED,
        RejectionReason.OTHER_TAG,
        RejectionReason.NO_VERSION,
        RejectionReason.PRERELEASE,
        RejectionReason.OUT_OF_RANGE,
        RejectionReason.NO_MATCH,
        RejectionReason.NO_ORDER,
        RejectionReason.NOT_NEWER,
        RejectionReason.RUNS_ALREADY,
    }
)


@dataclass(frozen=True)
class Rejection:
    """Why an image is not taken. `by`: the commit or pull request in which a person did so."""

    reason: RejectionReason
    value: str = ""
    by: str = ""


@dataclass(frozen=True)
class NoChange:
    """Why an overlay's image stays. `certain`: an answer, so that an open pull request has lost its reason."""

    certain: ClassVar[bool] = True


@dataclass(frozen=True)
class EmptyListing(NoChange):
    """The registry shows nothing at all, which is more likely a fault than a fact."""

    certain: ClassVar[bool] = False


@dataclass(frozen=True)
class NoneFits(NoChange):
    """No image fits the policy, not even what runs: nor does what an older policy had proposed."""


@dataclass(frozen=True)
class NoPolicy(NoChange):
    """Main has no policy any more by which this was proposed."""


@dataclass(frozen=True)
class NotGrouped(NoChange):
    """No image is proposed in this group any more: by itself, in another group or not at all."""


@dataclass(frozen=True)
class NoneNewer(NoChange):
    """What fits is not newer than what runs, or was declined."""


@dataclass(frozen=True)
class NonePasses(NoChange):
    """There are newer ones, and none is built and signed as it must be."""


@dataclass(frozen=True)
class TooYoung(NoChange):
    """The best of the newer ones was pushed too short a time ago for the policy: it waits until then."""

    tag: str
    until: datetime


@dataclass(frozen=True)
class OnHold(NoChange):
    """A person holds the overlay on a tag."""

    hold: Hold


@dataclass(frozen=True)
class NotSoaked(NoChange):
    """What the other environment runs has not run there for long enough. `tag`: None where nothing ever has.

    `until`: when it will have; None where it runs there no more.
    """

    environment: str
    soak: timedelta
    tag: str | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class TakenBack(NoChange):
    """A person took back what the other environment ran. `by`: the commit."""

    environment: str
    tag: str
    by: str = ""


@dataclass(frozen=True)
class PromotedAlready(NoChange):
    """It runs what was promoted last, or even a newer one. `waits`: why the newest is not promoted yet."""

    newer: bool
    waits: NoChange | None = None


@dataclass(frozen=True)
class PrereleaseStays(NoChange):
    """The other environment tries a pre-release, and the policy takes none on from there."""

    environment: str
    tag: str


@dataclass(frozen=True)
class RunsNewer(NoChange):
    """It runs a newer version than what the other environment ran: a hotfix that did not go that way."""

    runs: str
    tag: str


@dataclass(frozen=True)
class MajorStays(NoChange):
    """The other environment runs a new major version, of which the policy takes none."""

    environment: str
    tag: str


@dataclass(frozen=True)
class DeclinedPromotion(NoChange):
    """A person declined the pull request with this tag. `by`: which one."""

    tag: str
    by: str = ""


@dataclass(frozen=True)
class NotHealthy(NoChange):
    """The other environment is Degraded with it, or was so when it stopped to run it. `since`: from when on."""

    overlay: Overlay
    tag: str
    health: Health
    since: datetime


@dataclass(frozen=True)
class NotHealthyYet(NoChange):
    """The other environment is starting its pods, for it or for another change. Not certain: that passes.

    `since`: from when on it is not Healthy.
    """

    overlay: Overlay
    tag: str
    since: datetime
    certain: ClassVar[bool] = False


@dataclass(frozen=True)
class NeverHealthy(NoChange):
    """The other environment is starting its pods for longer than that takes. `since`: from when on."""

    overlay: Overlay
    tag: str
    since: datetime


@dataclass(frozen=True)
class NotHealthyLong(NoChange):
    """The other environment ran it for the soak time, but was not Healthy for so long.

    `until`: when it will have been, if it stays Healthy; None where it is not Healthy now, or runs there no more.
    """

    overlay: Overlay
    tag: str
    soak: timedelta
    healthy: timedelta
    until: datetime | None = None


@dataclass(frozen=True)
class HealthUnknown(NoChange):
    """Nothing tells whether the other environment was ever Healthy with it. Not certain: Argo CD may be late."""

    overlay: Overlay
    tag: str
    certain: ClassVar[bool] = False


@dataclass(frozen=True)
class PromotionRejected(NoChange):
    """What would be promoted must not run. Not certain: the registry may be mended."""

    tag: str
    rejection: Rejection
    certain: ClassVar[bool] = False


@dataclass(frozen=True)
class EditedMarker:
    """A declined pull request in which the bot's marker cannot be read.

    `tag`: what it proposed all the same, by its commit or its title, which stays declined; empty where nothing tells.
    """

    number: int
    tag: str


@dataclass(frozen=True)
class Alert:
    """Something that a person must hear."""


@dataclass(frozen=True)
class RunningImageGone(Alert):
    """The registry does not have the digest that runs."""

    tag: str
    digest: str


@dataclass(frozen=True)
class TagMoved(Alert):
    """The tag that runs names another digest now."""

    tag: str


@dataclass(frozen=True)
class HoldIgnored(Alert):
    """Another tag than the held one runs."""

    held: str
    running: str


@dataclass(frozen=True)
class RunsUnfit(Alert):
    """The other environment ran what must not run."""

    environment: str
    tag: str
    rejection: Rejection

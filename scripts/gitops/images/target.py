"""What a run of the bot works on: the overlays with a policy, what is asked about them, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gitops.clients.github import HealthChange
from gitops.clients.registries import Registry
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError
from gitops.images import edit, entry, hold, memory, order
from gitops.images.memory import Declined
from gitops.images.policy import Policy
from gitops.images.reasons import Alert, EditedMarker, NoChange
from gitops.images.select import Assessment
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository.history import History

HealthOf = Callable[[str, datetime], Sequence[HealthChange]]


@dataclass(frozen=True)
class FollowedOverlay:
    """One image of an overlay with a policy, as main has it."""

    overlay: Overlay
    policy: Policy
    pin: edit.Pin
    hold: hold.Hold | None

    @property
    def branch(self) -> str:
        """The one branch of its pull request."""
        return entry.branch("bump", self.overlay, self.pin.entry)

    @property
    def label(self) -> str:
        """What a person calls it."""
        return entry.label(self.overlay, self.pin.entry)

    @property
    def hold_file(self) -> str:
        """The path of the file that holds it."""
        return entry.hold_file(self.overlay, self.pin.entry)

    def merges_itself(self, image: Image) -> bool:
        """Whether the policy lets the bot merge this image: with `majors: by-hand` no new major version."""
        major = order.is_major(self.policy, self.pin.image.tag, image.tag)
        return self.policy.auto_merge and not (major and self.policy.majors == "by-hand")

    @property
    def path(self) -> str:
        """The file that pins its image."""
        return self.overlay.kustomization


@dataclass(frozen=True)
class ImagePlan:
    """What was found for one image. `winner` is None where nothing is to change, for the reason `no_change`.

    `pushed`: when the winner was; `runs_since`: since when the other environment runs it; `since`: since when main has
    what runs. `waits`: why a promotion takes no newer one; `held`: what would be the winner without the hold.
    `edited`: what was declined in a pull request whose marker cannot be read.
    """

    overlay: Overlay
    target: FollowedOverlay | None = None
    assessments: tuple[Assessment, ...] = ()
    winner: Image | None = None
    pushed: datetime | None = None
    runs_since: datetime | None = None
    since: datetime | None = None
    no_change: NoChange | None = None
    waits: NoChange | None = None
    held: Image | None = None
    edited: tuple[EditedMarker, ...] = ()
    alert: Alert | None = None
    error: GitopsError | None = None

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.target.label if self.target else str(self.overlay)


@dataclass(frozen=True)
class Declines:
    """What people declined of one image by closing pull requests; and those of them whose marker cannot be read."""

    images: tuple[Declined, ...] = ()
    edited: tuple[EditedMarker, ...] = ()


ClosedPulls = Callable[[FollowedOverlay], Declines]


@dataclass(frozen=True)
class Sources:
    """What plans are made from.

    `closed`: what a person declined of an image. `health`: how an Application was from a moment on, oldest first.
    """

    base: Checkout
    history: History
    registry: Registry
    now: datetime
    closed: ClosedPulls
    health: HealthOf
    _past: dict[tuple[str, str], list[memory.PastImage]] = field(default_factory=dict, repr=False)

    def past_images(self, target: FollowedOverlay) -> list[memory.PastImage]:
        """What an overlay ran on main, newest first; its history is read once."""
        key = (target.path, target.pin.entry)
        if key not in self._past:
            self._past[key] = memory.past_images(self.history, *key)
        return self._past[key]

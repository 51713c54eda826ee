"""The gates of a promotion, in their order: each gives the reason why not, or None to go on to the next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gitops.clients import argocd
from gitops.images import edit, hold
from gitops.images.hold import Declined, PastImage
from gitops.images.policy import Promote
from gitops.images.reasons import (
    DeclinedPromotion,
    NoChange,
    NotHealthy,
    NotRunning,
    NotSoaked,
    PromotedAlready,
    TakenBack,
)
from gitops.images.target import FollowedOverlay, Sources
from gitops.manifests.image import Image
from gitops.repository.history import History


@dataclass(frozen=True)
class Soak:
    """The newest image that `source` ran for the whole soak time: `ran[index]`.

    `waits`: why a newer one of `ran` is not it.
    """

    target: FollowedOverlay
    source: FollowedOverlay
    ran: Sequence[PastImage]
    index: int
    waits: NoChange | None = None

    @property
    def run(self) -> PastImage:
        """What is promoted."""
        return self.ran[self.index]


def soaked(sources: Sources, target: FollowedOverlay, source: FollowedOverlay, way: Promote) -> Soak | NoChange:
    """What may be promoted by time alone, and that nobody took back; or why nothing may."""
    ran = hold.past_images(sources.history, source.path, source.pin.entry)
    own = hold.past_images(sources.history, target.path, target.pin.entry)
    refused = [*hold.downgraded(source.policy, ran), *hold.downgraded(source.policy, own)]
    waits: NoChange = NotSoaked(way.from_, way.soak)
    until = sources.now
    for index, run in enumerate(ran):
        when, image = run.version.when, run.image
        if _is_declined(image, refused):
            waits = TakenBack(way.from_, image.tag)
        elif until - when >= way.soak:
            newest = None if index == 0 else NotSoaked(way.from_, way.soak, ran[0].image.tag)
            return Soak(target, source, ran, index, newest)
        until = when
    return waits


def _is_declined(image: Image, declined: Collection[Declined]) -> bool:
    return any(image.tag == pull.tag or image.digest == pull.digest for pull in declined)


def already_promoted(sources: Sources, soak: Soak) -> NoChange | None:
    """Whether the target runs it, or a newer one of those that the source ran."""
    digest = soak.target.pin.image.digest
    current = next((index for index, run in enumerate(soak.ran) if run.image.digest == digest), None)
    if current is None or current > soak.index:
        return None
    return PromotedAlready(current < soak.index, soak.waits)


def declined(sources: Sources, soak: Soak) -> NoChange | None:
    """Whether a person closed the pull request with it."""
    image = soak.run.image
    return DeclinedPromotion(image.tag) if _is_declined(image, sources.closed(soak.target.branch)) else None


def vouched_for(sources: Sources, soak: Soak) -> NoChange | None:
    """Whether Argo CD vouches for it, where it is what the source runs now."""
    return argo_objection(sources.history, soak.source, soak.run.image) if soak.index == 0 else None


def argo_objection(history: History, source: FollowedOverlay, image: Image) -> NoChange | None:
    """Why Argo CD does not vouch for what an overlay runs; None where it does, or where no Argo CD is to be asked.

    Raises ExternalError.
    """
    answer = argocd.ask(source.overlay.application)
    if answer is None:
        return None
    if (answer.sync, answer.health) != ("Synced", "Healthy"):
        return NotHealthy(source.overlay, answer.sync, answer.health)
    # Synced means that the cluster is what this commit says.
    with history.lock:
        content = history.content(answer.revision, source.path)
    if content is None or edit.read(content, source.path, source.pin.entry).image != image:
        return NotRunning(source.overlay, image)
    return None

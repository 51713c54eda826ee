"""The gates of a promotion, in their order: each gives the reason why not, or None to go on to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gitops.clients.github import Health
from gitops.ground.errors import GitopsError
from gitops.images import edit, memory, order
from gitops.images.memory import Declined, PastImage
from gitops.images.policy import Promote
from gitops.images.reasons import (
    DeclinedPromotion,
    HealthUnknown,
    MajorStays,
    NeverHealthy,
    NoChange,
    NotHealthy,
    NotHealthyLong,
    NotHealthyYet,
    NotSoaked,
    PrereleaseStays,
    PromotedAlready,
    RunsNewer,
    TakenBack,
)
from gitops.images.target import FollowedOverlay, Sources
from gitops.manifests.image import Image
from gitops.repository.history import History

# What a Deployment has for new pods where it says nothing (progressDeadlineSeconds; base/workload has half of it): what
# starts for longer is stuck. New pods have no metrics at first, which Argo CD calls Degraded: so long that is none.
ROLLOUT = timedelta(minutes=10)


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


def soaked(
    sources: Sources, target: FollowedOverlay, stages: Sequence[FollowedOverlay], way: Promote
) -> Soak | NoChange:
    """The newest that ran and was Healthy for the soak time, and that nobody took back; or why nothing did.

    `stages`: what its images come through, beginning with the one that it promotes from. The policy of the first of all
    tells older from newer, and what was taken back in one of them goes no further.
    What the target runs already is not asked for its health. Raises ExternalError.
    """
    source, first = stages[0], stages[-1].policy
    taken = {
        stage.overlay.environment: memory.downgraded(first, sources.past_images(stage)) for stage in (*stages, target)
    }
    ran = memory.by_digest(sources.past_images(source))
    waits: NoChange | None = None  # why not the newest
    until = sources.now
    for index, run in enumerate(ran):
        when, image = run.version.when, run.image
        doubt: NoChange | None = None
        if back := _taken_back(image, taken):
            doubt = back
        elif image.digest != target.pin.image.digest and (stays := _stays(target, image, way)):
            doubt = stays
        elif until - when < way.soak:
            doubt = NotSoaked(way.from_, way.soak, image.tag, when + way.soak if index == 0 else None)
        elif image.digest != target.pin.image.digest:
            doubt = _doubt(sources, source, run, way, index == 0)
        if doubt is None:
            return Soak(target, source, ran, index, waits)
        waits = waits or doubt
        until = when
    return waits or NotSoaked(way.from_, way.soak)


def _stays(target: FollowedOverlay, image: Image, way: Promote) -> NoChange | None:
    """Why an image is none for the target, by the names of both: a pre-release, older than what runs, a new major."""
    version, runs = order.version(image.tag), order.version(target.pin.image.tag)
    if version and version.prerelease and not way.prereleases:
        return PrereleaseStays(way.from_, image.tag)
    if version and runs and version < runs:
        return RunsNewer(target.pin.image.tag, image.tag)
    if target.policy.majors == "never" and order.is_major(target.policy, target.pin.image.tag, image.tag):
        return MajorStays(way.from_, image.tag)
    return None


def _doubt(
    sources: Sources, source: FollowedOverlay, run: PastImage, way: Promote, is_current: bool
) -> NoChange | None:
    """Why an image that an overlay ran for long enough is not known to be good: what Argo CD said of its health."""
    overlay, image = source.overlay, run.image
    changes = sources.health(overlay.application, run.version.when)
    ends = [*(change.when for change in changes[1:]), sources.now]
    healthy, last, ill = timedelta(), None, None
    for change, end in zip(changes, ends, strict=False):
        synced = _image_of(sources.history, source, change.commit)
        if synced and (synced.name, synced.digest) == (image.name, image.digest):
            last = change
            is_well = change.health is Health.HEALTHY
            healthy += end - change.when if is_well else timedelta()
            # What crashes again and again goes to and fro between Degraded and starting: it is one illness.
            ill = None if is_well else ill or change.when
    if last is None:
        return HealthUnknown(overlay, image.tag) if way.health == "required" else None
    if is_current and ill and last.health is not Health.FAILED:
        if sources.now - ill < ROLLOUT:
            return NotHealthyYet(overlay, image.tag, ill)
        if last.health is Health.PROGRESSING:
            return NeverHealthy(overlay, image.tag, ill)
    if last.health in (Health.DEGRADED, Health.FAILED):
        return NotHealthy(overlay, image.tag, last.health, last.when)
    if healthy >= way.soak:
        return None
    grows = is_current and last.health is Health.HEALTHY
    return NotHealthyLong(overlay, image.tag, way.soak, healthy, sources.now + way.soak - healthy if grows else None)


def _image_of(history: History, source: FollowedOverlay, commit: str) -> Image | None:
    """What an overlay says at a commit; None where it says nothing that can be read."""
    with history.lock:  # one git process answers all threads
        content = history.content(commit, source.path)
    try:
        return edit.read(content, source.path, source.pin.entry).image if content else None
    except GitopsError:
        return None


def _declined(image: Image, declined: Iterable[Declined]) -> Declined | None:
    return next((pull for pull in declined if pull.tag == image.tag or pull.digest == image.digest), None)


def _taken_back(image: Image, taken: Mapping[str, Sequence[Declined]]) -> TakenBack | None:
    """In which stage a person took it back, of those in each."""
    for environment, declined in taken.items():
        if pull := _declined(image, declined):
            return TakenBack(environment, image.tag, pull.by)
    return None


def already_promoted(soak: Soak) -> NoChange | None:
    """Whether the target runs it, or a newer one of those that the source ran."""
    digest = soak.target.pin.image.digest
    current = next((index for index, run in enumerate(soak.ran) if run.image.digest == digest), None)
    if current is None or current > soak.index:
        return None
    if current == soak.index and soak.run.image.tag != soak.target.pin.image.tag:
        return None  # the pre-release that it runs became a release: the same image by its new name
    return PromotedAlready(current < soak.index, soak.waits)


def declined(soak: Soak, closed: Iterable[Declined]) -> NoChange | None:
    """Whether a person closed the pull request with it."""
    image = soak.run.image
    pull = _declined(image, closed)
    return DeclinedPromotion(image.tag, pull.by) if pull else None

"""What each overlay should run next: read from main, the registry and history. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from gitops.clients import ecr
from gitops.clients.ecr import CredentialsError, ListedImage, Repository
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError, UnexpectedError
from gitops.images import cosign, edit, hold, policy, promotion
from gitops.images.policy import Policy, Promote
from gitops.images.reasons import (
    HoldIgnored,
    NoChange,
    NonePasses,
    OnHold,
    PromotionRejected,
    Rejection,
    RejectionReason,
    RunningImageGone,
    RunsUnfit,
    TooYoung,
)
from gitops.images.select import Assessment, Selection, select
from gitops.images.target import FollowedOverlay, ImagePlan, Sources
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository import services as model

PARALLEL = 8
# What stands for every overlay of a service whose policies cannot be read.
EVERY_ENVIRONMENT = "*"
T = TypeVar("T")
R = TypeVar("R")


class RejectedError(GitopsError):
    """An image must not run, by its own manifest or signature."""

    def __init__(self, rejection: Rejection) -> None:
        self.rejection = rejection
        super().__init__(rejection.reason.value)


def targets(base: Checkout, names: Sequence[str]) -> tuple[list[FollowedOverlay], list[ImagePlan]]:
    """Every overlay with a policy, and those whose files cannot be used. Raises InputError for an unknown service."""
    known, unreadable = model.readable(base)
    services = {service.name: service for service in known}
    if unknown := [name for name in names if name not in services and name not in unreadable]:
        expected = f"one of {', '.join(sorted(services))}"
        raise InputError(f"service {unknown[0]!r}: does not exist", expected=expected)
    readable: list[FollowedOverlay] = []
    broken: list[ImagePlan] = []
    for name in names or sorted(services.keys() | unreadable.keys()):
        if name in unreadable:
            broken.append(ImagePlan(Overlay(name, EVERY_ENVIRONMENT), error=unreadable[name]))
            continue
        try:
            policies = policy.read(base, services[name].folder)
        except InputError as error:
            broken.append(ImagePlan(Overlay(name, EVERY_ENVIRONMENT), error=error))
            continue
        for environment, own in policies.items():
            overlay = Overlay(name, environment)
            try:
                readable.append(_target(base, overlay, own))
            except InputError as error:
                broken.append(ImagePlan(overlay, error=error))
    return readable, broken


def _target(base: Checkout, overlay: Overlay, own: Policy) -> FollowedOverlay:
    content = (base.root / overlay.kustomization).read_bytes()
    return FollowedOverlay(
        overlay, own, edit.read(content, overlay.kustomization), hold.read(base, base.root / overlay.path)
    )


def make(sources: Sources, targets: Sequence[FollowedOverlay]) -> list[ImagePlan]:
    """The plan of every target. Raises CredentialsError."""
    selecting = [target for target in targets if not target.policy.promote]
    repositories = {target.pin.image.name: _guarded(Repository.parse, target.pin.image.name) for target in selecting}
    readable = [repository for repository in repositories.values() if isinstance(repository, Repository)]
    listings = dict(zip(readable, _in_parallel(sources.registry.listing, readable), strict=True))
    by_overlay = {target.overlay: target for target in targets}

    def plan(target: FollowedOverlay) -> ImagePlan:
        if target.policy.promote:
            made = _promotion(sources, target, target.policy.promote, by_overlay)
            return made if made.alert else replace(made, alert=_gone(target, repositories, listings))
        repository = _or_raise(repositories[target.pin.image.name])
        return _selection(sources, target, repository, _or_raise(listings[repository]))

    plans = _in_parallel(plan, targets)
    return [
        _held(ImagePlan(target.overlay, target, error=made) if isinstance(made, GitopsError) else made, sources.now)
        for target, made in zip(targets, plans, strict=True)
    ]


def _gone(
    target: FollowedOverlay,
    repositories: Mapping[str, Repository | GitopsError],
    listings: Mapping[Repository, Sequence[ListedImage] | GitopsError],
) -> RunningImageGone | None:
    """Whether the registry lost what a promotion's target runs, by the listing that was read for another overlay."""
    image = target.pin.image
    repository = repositories.get(image.name)
    listing = listings[repository] if isinstance(repository, Repository) else None
    if not listing or isinstance(listing, GitopsError) or image.digest in {listed.digest for listed in listing}:
        return None
    return RunningImageGone(image.tag, image.digest)


def _guarded(call: Callable[[T], R], argument: T) -> R | GitopsError:
    """The answer, or what went wrong for this one alone. Raises CredentialsError, which stops all."""
    try:
        return call(argument)
    except CredentialsError:
        raise
    except Exception as error:  # of whatever type: it is this one's
        return UnexpectedError.of(error)


def _in_parallel(call: Callable[[T], R], arguments: Sequence[T]) -> list[R | GitopsError]:
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(lambda argument: _guarded(call, argument), arguments))


def _or_raise(value: R | GitopsError) -> R:
    if isinstance(value, GitopsError):
        raise value
    return value


def _held(plan: ImagePlan, now: datetime) -> ImagePlan:
    target = plan.target
    if plan.error or target is None or target.hold is None or now >= target.hold.until:
        return plan
    running = target.pin.image.tag
    alert = plan.alert if target.hold.tag == running else HoldIgnored(target.hold.tag, running)
    return replace(plan, winner=None, no_change=OnHold(target.hold), alert=alert)


def _selection(
    sources: Sources, target: FollowedOverlay, repository: Repository, listing: Sequence[ListedImage]
) -> ImagePlan:
    pin = target.pin
    ran = hold.past_images(sources.history, target.path, pin.entry)
    pushed = {image.digest: image.pushed for image in listing}
    declined = hold.downgraded(target.policy, ran, pushed)
    brought = hold.by_digest(ran)[0].version.when if ran else None

    def choose() -> Selection:
        running = pin.image
        return select(
            target.policy, listing, tag=running.tag, digest=running.digest, declined=declined, brought=brought
        )

    selection = choose()
    if selection.ranked:
        # Asked of GitHub only where there is something to propose.
        declined += sources.closed(target.branch)
        selection = choose()
    plan = ImagePlan(target.overlay, target, alert=selection.alert)
    rejected: dict[ListedImage, Rejection] = {}
    young: TooYoung | None = None
    for image in selection.ranked:
        if waits := _too_young(target.policy, image, sources.now):
            rejected[image] = Rejection(RejectionReason.TOO_YOUNG, waits.until.isoformat(timespec="minutes"))
            young = young or waits
            continue
        try:
            check_image(sources, target, repository, image.digest)
        except RejectedError as error:
            rejected[image] = error.rejection
            continue
        winner = Image(pin.image.name, image.tag, image.digest)
        return replace(plan, assessments=_assessments(selection, rejected), winner=winner, pushed=image.pushed)
    no_change = selection.no_change or young or NonePasses()
    return replace(plan, assessments=_assessments(selection, rejected), no_change=no_change)


def _too_young(policy: Policy, image: ListedImage, now: datetime) -> TooYoung | None:
    if policy.minimum_release_age is None:
        return None
    until = image.pushed + policy.minimum_release_age
    return TooYoung(image.tag, until) if until > now else None


def _assessments(selection: Selection, rejected: Mapping[ListedImage, Rejection]) -> tuple[Assessment, ...]:
    """Those of the policy, with what the images themselves were rejected for."""
    return tuple(
        replace(assessment, rejection=assessment.rejection or rejected.get(assessment.image))
        for assessment in selection.assessments
    )


def check_image(sources: Sources, target: FollowedOverlay, repository: Repository, digest: str) -> None:
    """Return where an image may run, by its own manifest and signature.

    Raises RejectedError where it must not, InputError for a key that cannot be read, CredentialsError, ExternalError.
    """
    details = sources.registry.details(repository, digest)
    if details is None:
        raise RejectedError(Rejection(RejectionReason.NO_MANIFEST))
    built = {ecr.normal_platform(platform) for platform in details.platforms}
    if missing := [own for own in target.policy.platforms if ecr.normal_platform(own) not in built]:
        raise RejectedError(Rejection(RejectionReason.PLATFORM, ", ".join(missing)))
    if target.policy.cosign_key is None:
        return
    file = sources.base.overlays / target.overlay.service / target.policy.cosign_key
    key = cosign.load_key(file, sources.base.relative(file))
    try:
        cosign.verify(sources.registry, repository, digest, key)
    except cosign.UnsignedError:
        raise RejectedError(Rejection(RejectionReason.UNSIGNED)) from None
    except cosign.SignatureError:
        raise RejectedError(Rejection(RejectionReason.BAD_SIGNATURE)) from None


def _promotion(
    sources: Sources, target: FollowedOverlay, way: Promote, targets: Mapping[Overlay, FollowedOverlay]
) -> ImagePlan:
    """What another overlay has run for long enough. Raises InputError, CredentialsError, ExternalError."""
    plan = ImagePlan(target.overlay, target)
    soak = promotion.soaked(sources, target, _stages(target, way, targets), way)
    if isinstance(soak, NoChange):
        return replace(plan, no_change=soak)
    for gate in (promotion.already_promoted, promotion.declined):
        if reason := gate(sources, soak):
            return replace(plan, no_change=reason)
    winner = soak.run.image
    try:
        check_image(sources, target, Repository.parse(winner.name), winner.digest)
    except RejectedError as error:
        reason = PromotionRejected(winner.tag, error.rejection)
        return replace(plan, no_change=reason, alert=RunsUnfit(way.from_, winner.tag, error.rejection))
    return replace(plan, winner=winner, runs_since=soak.run.version.when)


def _stages(
    target: FollowedOverlay, way: Promote | None, targets: Mapping[Overlay, FollowedOverlay]
) -> list[FollowedOverlay]:
    """What a promotion's images come through, the last stage first. Raises InputError."""
    stages: list[FollowedOverlay] = []
    while way:
        target = _source(target, way, targets)
        stages.append(target)
        way = target.policy.promote
    return stages


def _source(target: FollowedOverlay, way: Promote, targets: Mapping[Overlay, FollowedOverlay]) -> FollowedOverlay:
    source = targets.get(Overlay(target.overlay.service, way.from_))
    if source is None:
        raise InputError(f"{target.overlay}: {way.from_}, which it promotes from, cannot be read")
    if source.pin.image.name != target.pin.image.name:
        raise InputError(
            "runs another repository than what it promotes from",
            path=target.path,
            line=target.pin.line,
            expected=f"{source.pin.image.name}, as in {source.path}",
            found=target.pin.image.name,
        )
    return source

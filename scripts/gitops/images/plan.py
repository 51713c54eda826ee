"""What each overlay should run next: read from main, the registry and history. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from gitops.clients import registries
from gitops.clients.registries import CredentialsError, ListedImage
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError, UnexpectedError
from gitops.ground.suggest import unknown
from gitops.images import cosign, edit, hold, keyless, lookup, memory, policy, promotion, wide
from gitops.images.policy import EnvironmentPolicy, Policy, Promote
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
from gitops.images.select import Assessment, Selection, no_image, select
from gitops.images.target import Declines, FollowedOverlay, ImagePlan, Sources
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
    known_names = services.keys() | unreadable.keys()
    if missing := [name for name in names if name not in known_names]:
        raise unknown("service", missing[0], known_names)
    readable: list[FollowedOverlay] = []
    broken: list[ImagePlan] = []
    for name in names or sorted(known_names):
        if name in unreadable:
            broken.append(ImagePlan(Overlay(name, EVERY_ENVIRONMENT), error=unreadable[name]))
            continue
        policies = _guarded(partial(policy.read, base), services[name].folder)
        if isinstance(policies, GitopsError):
            broken.append(ImagePlan(Overlay(name, EVERY_ENVIRONMENT), error=policies))
            continue
        for environment, own in policies.items():
            overlay = Overlay(name, environment)
            if overlay in services[name].broken:
                broken.append(ImagePlan(overlay, error=services[name].broken[overlay]))
                continue
            for made in _followed(base, overlay, own):
                if isinstance(made, FollowedOverlay):
                    readable.append(made)
                else:
                    broken.append(ImagePlan(overlay, error=made))
    return readable, broken


def _followed(base: Checkout, overlay: Overlay, own: EnvironmentPolicy) -> Iterator[FollowedOverlay | GitopsError]:
    """Each image of an overlay that has a policy, or why it cannot be followed."""
    path = overlay.kustomization
    content = _guarded(Path.read_bytes, base.root / path)
    holds = _guarded(partial(hold.read_all, base, overlay), own.entries)
    for unreadable in (content, holds):
        if isinstance(unreadable, GitopsError):
            yield unreadable
            return
    content, holds = _or_raise(content), _or_raise(holds)
    for entry, policy_of_one in own.entries.items():
        pin = _guarded(partial(edit.read, content, path), entry)
        yield pin if isinstance(pin, GitopsError) else FollowedOverlay(overlay, policy_of_one, pin, holds.get(entry))


def make(sources: Sources, targets: Sequence[FollowedOverlay]) -> list[ImagePlan]:
    """The plan of every target. Raises CredentialsError."""
    selecting = [target for target in targets if not target.policy.promote]
    names = list(dict.fromkeys(target.pin.image.name for target in selecting))
    listings = dict(zip(names, _in_parallel(sources.registry.listing, names), strict=True))
    by_entry = {(target.overlay, target.pin.entry): target for target in targets}
    sources.history.read_ahead([wide.FILE, *(target.path for target in targets)])

    def plan(target: FollowedOverlay) -> ImagePlan:
        return replace(decided(target), since=_since(sources, target))

    def decided(target: FollowedOverlay) -> ImagePlan:
        if target.policy.promote:
            made = _promotion(sources, target, target.policy.promote, by_entry)
            return made if made.alert else replace(made, alert=_gone(sources, target, listings))
        return _selection(sources, target, _or_raise(listings[target.pin.image.name]))

    plans = _in_parallel(plan, targets)
    return [
        _held(ImagePlan(target.overlay, target, error=made) if isinstance(made, GitopsError) else made, sources.now)
        for target, made in zip(targets, plans, strict=True)
    ]


def _since(sources: Sources, target: FollowedOverlay) -> datetime | None:
    """When main got what runs; None where its history does not say."""
    ran = memory.by_digest(sources.past_images(target))
    return ran[0].version.when if ran else None


def _gone(
    sources: Sources, target: FollowedOverlay, listings: Mapping[str, Sequence[ListedImage] | GitopsError]
) -> RunningImageGone | None:
    """Whether the registry lost what a promotion's target runs, by the listing that was read for another overlay."""
    image = target.pin.image
    listing = listings.get(image.name)
    if not listing or isinstance(listing, GitopsError):
        return None
    if all(listed.digest for listed in listing):
        has_it = image.digest in {listed.digest for listed in listing}
    else:
        has_it = sources.registry.look(image.name, digest=image.digest) is not None
    return None if has_it else RunningImageGone(image.tag, image.digest)


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
    return replace(plan, winner=None, held=plan.winner, no_change=OnHold(target.hold), alert=alert)


def _selection(sources: Sources, target: FollowedOverlay, listing: Sequence[ListedImage]) -> ImagePlan:
    pin = target.pin
    listing = lookup.with_facts(sources.registry, target.policy, pin.image, listing)
    ran = sources.past_images(target)
    declined = memory.downgraded(target.policy, ran, lookup.times(sources.registry, pin.image.name, listing))
    brought = memory.by_digest(ran)[0].version.when if ran else None

    def choose() -> Selection:
        running = pin.image
        known = lookup.with_times(sources.registry, target.policy, running, listing, declined)
        return select(target.policy, known, tag=running.tag, digest=running.digest, declined=declined, brought=brought)

    selection = choose()
    closed = Declines()
    if selection.ranked:
        # Asked of GitHub only where there is something to propose.
        closed = sources.closed(target)
        declined += closed.images
        selection = choose()
    plan = ImagePlan(target.overlay, target, alert=selection.alert, edited=closed.edited)
    checked: dict[ListedImage, Assessment] = {}
    young: TooYoung | None = None
    for listed in selection.ranked:
        checked[listed] = _checked(sources, target, listed, declined)
        image, rejection = checked[listed].image, checked[listed].rejection
        if rejection is None:
            winner = Image(pin.image.name, image.tag, image.digest)
            return replace(plan, assessments=_assessments(selection, checked), winner=winner, pushed=image.pushed)
        young = young or _too_young(target.policy, image, sources.now)
    no_change = selection.no_change or young or NonePasses()
    return replace(plan, assessments=_assessments(selection, checked), no_change=no_change)


def _too_young(policy: Policy, image: ListedImage, now: datetime) -> TooYoung | None:
    if policy.minimum_release_age is None or image.pushed is None:
        return None
    until = image.pushed + policy.minimum_release_age
    return TooYoung(image.tag, until) if until > now else None


def _assessments(selection: Selection, checked: Mapping[ListedImage, Assessment]) -> tuple[Assessment, ...]:
    """Those of the policy, with what the images themselves were rejected for."""
    if not checked:
        return selection.assessments
    return tuple(checked.get(assessment.image, assessment) for assessment in selection.assessments)


def _checked(
    sources: Sources, target: FollowedOverlay, listed: ListedImage, declined: Sequence[memory.Declined]
) -> Assessment:
    """What was chosen by the listing, held against what the registry says of the image itself."""
    image: ListedImage | None = listed
    aged = target.policy.minimum_release_age is not None
    if not listed.digest:
        image = sources.registry.look(target.pin.image.name, tag=listed.tag, dated=aged)
    if image is None:
        return Assessment(listed, Rejection(RejectionReason.NO_MANIFEST))
    if refusal := next((refusal for refusal in declined if refusal.digest == image.digest), None):
        return Assessment(image, Rejection(RejectionReason.DECLINED, refusal.tag))
    if rejection := no_image(image):
        return Assessment(image, rejection)
    if aged and image.pushed is None:
        return Assessment(image, Rejection(RejectionReason.NO_TIME))
    if waits := _too_young(target.policy, image, sources.now):
        return Assessment(image, Rejection(RejectionReason.TOO_YOUNG, waits.until.isoformat(timespec="minutes")))
    try:
        check_image(sources, target, target.pin.image.name, image.digest)
    except RejectedError as error:
        return Assessment(image, error.rejection)
    return Assessment(image)


def check_image(sources: Sources, target: FollowedOverlay, name: str, digest: str) -> None:
    """Return where an image may run, by its own manifest and signature.

    Raises RejectedError where it must not, InputError for a key that cannot be read, CredentialsError, ExternalError.
    """
    details = registries.details(sources.registry, name, digest)
    if details is None:
        raise RejectedError(Rejection(RejectionReason.NO_MANIFEST))
    built = {registries.normal_platform(platform) for platform in details.platforms}
    if missing := [own for own in target.policy.platforms if registries.normal_platform(own) not in built]:
        raise RejectedError(Rejection(RejectionReason.PLATFORM, ", ".join(missing)))
    try:
        _check_signature(sources, target, name, digest)
    except cosign.UnsignedError:
        raise RejectedError(Rejection(RejectionReason.UNSIGNED)) from None
    except cosign.InvalidSignatureError as error:
        raise RejectedError(Rejection(RejectionReason.BAD_SIGNATURE, "; ".join(error.reasons))) from None


def _check_signature(sources: Sources, target: FollowedOverlay, name: str, digest: str) -> None:
    """Return where an image is signed as its policy asks. Raises what `check_image` does, and SignatureError."""
    folder, policy = sources.base.overlays / target.overlay.service, target.policy
    if policy.cosign_key:
        file = folder / policy.cosign_key
        cosign.verify(sources.registry, name, digest, cosign.load_key(file, sources.base.relative(file)))
    elif way := policy.cosign_keyless:
        file = folder / way.trust_root
        root = keyless.TrustRoot.load(file, sources.base.relative(file))
        signer = keyless.Signer(way.identity, way.issuer)
        check = partial(keyless.verify, digest=digest, signer=signer, root=root)
        cosign.verify_bundles(sources.registry, name, digest, check)


def _promotion(
    sources: Sources, target: FollowedOverlay, way: Promote, targets: Mapping[tuple[Overlay, str], FollowedOverlay]
) -> ImagePlan:
    """What another overlay has run for long enough. Raises InputError, CredentialsError, ExternalError."""
    plan = ImagePlan(target.overlay, target)
    soak = promotion.soaked(sources, target, stages(target, way, targets), way)
    if isinstance(soak, NoChange):
        return replace(plan, no_change=soak)
    if promoted := promotion.already_promoted(soak):
        return replace(plan, no_change=promoted)
    closed = sources.closed(target)
    plan = replace(plan, edited=closed.edited)
    if refused := promotion.declined(soak, closed.images):
        return replace(plan, no_change=refused)
    winner = soak.run.image
    try:
        check_image(sources, target, winner.name, winner.digest)
    except RejectedError as error:
        reason = PromotionRejected(winner.tag, error.rejection)
        return replace(plan, no_change=reason, alert=RunsUnfit(way.from_, winner.tag, error.rejection))
    return replace(plan, winner=winner, runs_since=soak.run.version.when, waits=soak.waits)


def stages(
    target: FollowedOverlay, way: Promote | None, targets: Mapping[tuple[Overlay, str], FollowedOverlay]
) -> list[FollowedOverlay]:
    """What a promotion's images come through, the last stage first. Raises InputError."""
    passed: list[FollowedOverlay] = []
    while way:
        target = _source(target, way, targets)
        passed.append(target)
        way = target.policy.promote
    return passed


def _source(
    target: FollowedOverlay, way: Promote, targets: Mapping[tuple[Overlay, str], FollowedOverlay]
) -> FollowedOverlay:
    source = targets.get((Overlay(target.overlay.service, way.from_), target.pin.entry))
    if source is None:
        raise InputError(f"{target.label}: {way.from_}, which it promotes from, cannot be read")
    if source.pin.image.name != target.pin.image.name:
        raise InputError(
            "runs another repository than what it promotes from",
            path=target.path,
            line=target.pin.line,
            expected=f"{source.pin.image.name}, as in {source.path}",
            found=target.pin.image.name,
        )
    return source

"""What a person asks for by a pull request: that an image stays, that the bot goes on, that one is promoted now."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from github.PullRequest import PullRequest

from gitops.clients.github import Hub, health_changes
from gitops.clients.registries import Registry
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError
from gitops.ground.printable import code, fence
from gitops.images import body, bump, entry, group, plan, promotion, wide, wording
from gitops.images import hold as holds
from gitops.images.proposal import LABELS, ProposedImage, files_of
from gitops.images.reasons import NoChange
from gitops.images.target import FollowedOverlay, ImagePlan, Sources
from gitops.images.way_back import goes_back
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository import reconcile
from gitops.repository.pulls import WITHDRAWN, Outcome, Proposal, propose


def hold(
    checkout: Checkout, hub: Hub, overlay: Overlay, *, tag: str | None, reason: str, until: datetime
) -> tuple[Outcome, str]:
    """Open the pull request by which an overlay stays on what it runs, and say the tag.

    Raises InputError where it runs another than `tag`, RaceError, ExternalError.
    """
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        target = _followed(main, overlay)
        running = target.pin.image.tag
        if tag not in (None, running):
            fix = f"gitops images rollback {overlay.service} --environment {overlay.environment} --to {tag} goes there"
            raise InputError("--tag", path=target.path, expected=f"{running}, which runs", found=tag, fix=fix)
        kept = holds.Hold(tag=running, reason=reason, until=until)
        if target.hold == kept:
            raise InputError("is held so already", path=target.hold_file)
        text = f"Stays on {code(running)} until {until.isoformat(timespec='minutes')}.\n\n{code(reason)}"
        title = f"{target.label}: hold {running}"
        return _propose(main, hub, target, "hold", title, text, {target.hold_file: holds.write(kept)}), running


def unhold(checkout: Checkout, hub: Hub, overlay: Overlay) -> tuple[Outcome, holds.Hold]:
    """Open the pull request that ends an overlay's hold, and give the hold. Raises as `hold` does."""
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        target = _followed(main, overlay)
        if target.hold is None:
            raise InputError("there is no hold on main to end", path=target.hold_file)
        text = f"The bot may change {code(target.hold.tag)} again. It was held: {code(target.hold.reason)}"
        outcome = _propose(main, hub, target, "hold", f"{target.label}: end the hold", text, {target.hold_file: None})
        return outcome, target.hold


@dataclass(frozen=True)
class Undeclined:
    """What may be proposed again of one overlay, by its tags; and what was taken back on main, which stays so."""

    overlay: Overlay
    tags: tuple[str, ...]
    taken_back: tuple[str, ...]


def undecline(checkout: Checkout, hub: Hub, service: str, environment: str | None) -> list[Undeclined]:
    """Let the bot propose again what people declined by closing its pull requests. Raises InputError, ExternalError."""
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        targets, broken = plan.targets(main.files, [service])
        chosen = [target for target in targets if environment in (None, target.overlay.environment)]
        if not chosen:
            raise next((own.error for own in broken if own.error), _no_policy(service, environment))
        grouping = group.Grouping(main, wide.read(main.files).group)
        # A group's pull request declines all of it, so it is read for each before it is marked for all.
        closed = {target.branch: _declined_pulls(hub, grouping.asked(target.branch), target) for target in chosen}
        together = itertools.chain.from_iterable(closed.values())
        for number in sorted({pull.number for pull in together}):
            hub.call("POST", f"/issues/{number}/labels", {"labels": [WITHDRAWN]})
        return [_undeclined(main, target, closed[target.branch]) for target in chosen]


def _declined_pulls(hub: Hub, branches: Sequence[str], target: FollowedOverlay) -> list[PullRequest]:
    pulls: list[PullRequest] = []
    for branch in branches:
        pulls += [pull for pull in group.declined_pulls(hub, branch) if group.declined(pull, target.branch)]
    return pulls


def _undeclined(main: reconcile.Main, target: FollowedOverlay, closed: Sequence[PullRequest]) -> Undeclined:
    tags: list[str] = []
    for pull in closed:
        tags += [declined.tag for declined in group.declined(pull, target.branch)]
    ran = holds.past_images(main.history, target.path, target.pin.entry)
    taken_back = tuple(declined.tag for declined in holds.downgraded(target.policy, ran))
    return Undeclined(target.overlay, tuple(tags), taken_back)


@dataclass(frozen=True)
class Promotion:
    """What was proposed. `skipped`: which gate a person passes over; `asked`: whether the registry could be asked."""

    outcome: Outcome
    image: Image
    skipped: str
    asked: bool


def promote(
    checkout: Checkout, hub: Hub, registry: Registry, service: str, *, source: str, target: str, now: datetime
) -> Promotion:
    """Open the pull request that takes what the environment `source` runs to `target` now, soaked or not.

    What must not run there (its platforms, its signature) is refused all the same. Raises InputError, RaceError,
    ExternalError.
    """
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        giving, taking = (_followed(main, Overlay(service, name)) for name in (source, target))
        image, running = giving.pin.image, taking.pin.image
        _check_promotable(giving, taking, now)
        sources = Sources(main.files, main.history, registry, now, lambda _: (), partial(health_changes, hub))
        asked = _check_image(sources, taking, image)
        skipped = _skipped(sources, giving, taking, plan.targets(main.files, [service])[0])
        own = ImagePlan(taking.overlay, taking, winner=image)
        edited = bump.make_edit(main.files, own)
        if edited is None:
            raise InputError("nothing to change", path=taking.path)
        lines = [f"{code(running.tag)} -> {code(image.tag)} ({code(image.digest)}), as {giving.overlay} runs it."]
        lines += ["", f"Asked for by hand; without that it would wait: {code(skipped)}"] if skipped else []
        lines += ["", *fence(edited.diff.split("\n"), "diff")]
        files = files_of([ProposedImage(own, taking, image, edited)])
        outcome = _propose(main, hub, taking, "promote", body.title(own, image, running), "\n".join(lines), files)
        return Promotion(outcome, image, skipped, asked)


def _check_promotable(giving: FollowedOverlay, taking: FollowedOverlay, now: datetime) -> None:
    image, running = giving.pin.image, taking.pin.image
    if image.name != running.name:
        expected = f"{image.name}, as in {giving.path}"
        raise InputError("runs another repository", path=taking.path, expected=expected, found=running.name)
    if image == running:
        raise InputError(f"runs {image.tag} already", path=taking.path)
    if taking.hold and now < taking.hold.until:
        words = f"{taking.overlay.service} --environment {taking.overlay.environment}"
        raise InputError(
            f"held on {taking.hold.tag}", path=taking.hold_file, fix=f"gitops images unhold {words} ends that"
        )


def _check_image(sources: Sources, target: FollowedOverlay, image: Image) -> bool:
    """Whether the registry could be asked for it. Raises InputError for what must not run."""
    try:
        plan.check_image(sources, target, image.name, image.digest)
    except plan.RejectedError as error:
        raise InputError(f"{image.tag}: {wording.rejection(error.rejection)}", path=target.path) from None
    except GitopsError:
        return False
    return True


def _skipped(
    sources: Sources, giving: FollowedOverlay, taking: FollowedOverlay, targets: Sequence[FollowedOverlay]
) -> str:
    """Why the policy would not promote it now; empty where it would."""
    way = taking.policy.promote
    if way is None or way.from_ != giving.overlay.environment:
        return f"the policy of {taking.overlay} does not promote from {giving.overlay.environment}"
    by_entry = {(target.overlay, target.pin.entry): target for target in targets}
    soak = promotion.soaked(sources, taking, plan.stages(taking, way, by_entry), way)
    if isinstance(soak, NoChange):
        return wording.no_change(soak)
    return wording.no_change(soak.waits) if soak.run.image.digest != giving.pin.image.digest else ""


def _followed(main: reconcile.Main, overlay: Overlay) -> FollowedOverlay:
    """An overlay's main image with its policy, as main has it. Raises InputError."""
    targets, broken = plan.targets(main.files, [overlay.service])
    for target in targets:
        if (target.overlay, target.pin.entry) == (overlay, entry.MAIN):
            return target
    raise next((own.error for own in broken if own.error), _no_policy(overlay.service, overlay.environment))


def _no_policy(service: str, environment: str | None) -> InputError:
    what = f"no policy for {environment}" if environment else "no policy"
    return InputError(what, path=f"overlays/{service}/images.yaml", fix="without one the bot changes no image there")


def _propose(
    main: reconcile.Main,
    hub: Hub,
    target: FollowedOverlay,
    kind: str,
    title: str,
    text: str,
    files: dict[str, bytes | None],
) -> Outcome:
    branch = entry.branch(kind, target.overlay, target.pin.entry)
    labels = (*LABELS, target.overlay.environment)
    proposal = Proposal(branch, main.history.main(), title, text, files, labels, goes_back=goes_back)
    return propose(hub, main.history, main.pulls.get(branch), proposal)

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
from gitops.images import body, bump, declines, entry, group, memory, plan, promotion, wide, wording
from gitops.images import hold as holds
from gitops.images.proposal import LABELS, ProposedImage, files_of
from gitops.images.reasons import NoChange
from gitops.images.target import Declines, FollowedOverlay, ImagePlan, Sources
from gitops.images.way_back import goes_back
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository import reconcile
from gitops.repository.pulls import WITHDRAWN, Outcome, Proposal, propose


def hold(
    checkout: Checkout,
    hub: Hub,
    overlay: Overlay,
    *,
    name: str | None = None,
    tag: str | None,
    reason: str,
    until: datetime,
) -> tuple[Outcome, FollowedOverlay]:
    """Open the pull request by which an overlay stays on what it runs, and say what that is.

    `name`: which of its images, by its entry in `images:`; where it has one, that. Raises InputError where it has
    several, or runs another than `tag`, RaceError, ExternalError.
    """
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        target = _followed(main, overlay, name)
        running = target.pin.image.tag
        if tag not in (None, running):
            fix = f"gitops images rollback {_words(target)} --to {tag} goes there"
            raise InputError("--tag", path=target.path, expected=f"{running}, which runs", found=tag, fix=fix)
        kept = holds.Hold(tag=running, reason=reason, until=until)
        if target.hold == kept:
            raise InputError("is held so already", path=target.hold_file)
        text = f"Stays on {code(running)} until {until.isoformat(timespec='minutes')}.\n\n{code(reason)}"
        title = f"{target.label}: hold {running}"
        return _propose(main, hub, target, "hold", title, text, {target.hold_file: holds.write(kept)}), target


def unhold(
    checkout: Checkout, hub: Hub, overlay: Overlay, name: str | None = None
) -> tuple[Outcome, FollowedOverlay, holds.Hold]:
    """Open the pull request that ends an overlay's hold, and give the hold. `name` and what it raises: as `hold`."""
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        target = _followed(main, overlay, name)
        if target.hold is None:
            raise InputError("there is no hold on main to end", path=target.hold_file)
        text = f"The bot may change {code(target.hold.tag)} again. It was held: {code(target.hold.reason)}"
        outcome = _propose(main, hub, target, "hold", f"{target.label}: end the hold", text, {target.hold_file: None})
        return outcome, target, target.hold


@dataclass(frozen=True)
class Undeclined:
    """What may be proposed again of one image, by its tags; and what was taken back on main, which stays so.

    `words`: how a command names the image.
    """

    label: str
    words: str
    tags: tuple[str, ...]
    taken_back: tuple[str, ...]


def undecline(
    checkout: Checkout, hub: Hub, service: str, environment: str | None, name: str | None = None
) -> list[Undeclined]:
    """Let the bot propose again what people declined by closing its pull requests.

    `name`: of which image, by its entry. Raises InputError, where that is not said and several were declined too,
    ExternalError.
    """
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        targets, broken = plan.targets(main.files, [service])
        there = [target for target in targets if environment in (None, target.overlay.environment)]
        if not there:
            raise next((own.error for own in broken if own.error), _no_policy(service, environment))
        chosen = [target for target in there if name in (None, target.pin.entry)]
        if not chosen:
            raise _no_such_image(there, name)
        grouping = group.Grouping(main, wide.read(main.files).group)
        # A group's pull request declines all of it, so it is read for each before it is marked for all.
        closed = {target.branch: _declined_pulls(main, hub, grouping.asked(target.branch), target) for target in chosen}
        if len({target.pin.entry for target in chosen if closed[target.branch]}) > 1:
            raise _ambiguous([target for target in chosen if closed[target.branch]])
        together = itertools.chain.from_iterable(closed.values())
        for number in sorted({pull.number for pull in together}):
            hub.call("POST", f"/issues/{number}/labels", {"labels": [WITHDRAWN]})
        return [_undeclined(main, target, closed[target.branch]) for target in chosen]


def _declined_pulls(
    main: reconcile.Main, hub: Hub, branches: Sequence[str], target: FollowedOverlay
) -> list[PullRequest]:
    pulls: list[PullRequest] = []
    for branch in branches:
        pulls += group.declined_pulls(hub, branch)
    return [pull for pull in pulls if declines.of(main.history, [pull], target) != Declines()]


def _undeclined(main: reconcile.Main, target: FollowedOverlay, closed: Sequence[PullRequest]) -> Undeclined:
    known = declines.of(main.history, closed, target)
    unknown = [f"what #{marker.number} proposed" for marker in known.edited if not marker.tag]
    tags = [*(declined.tag for declined in known.images), *unknown]
    ran = memory.past_images(main.history, target.path, target.pin.entry)
    taken_back = tuple(declined.tag for declined in memory.downgraded(target.policy, ran))
    return Undeclined(target.label, _words(target), tuple(tags), taken_back)


@dataclass(frozen=True)
class Promotion:
    """What was proposed. `skipped`: which gate a person passes over; `asked`: whether the registry could be asked."""

    outcome: Outcome
    label: str
    image: Image
    skipped: str
    asked: bool


def promote(
    checkout: Checkout,
    hub: Hub,
    registry: Registry,
    service: str,
    *,
    name: str | None = None,
    source: str,
    target: str,
    now: datetime,
) -> Promotion:
    """Open the pull request that takes what the environment `source` runs to `target` now, soaked or not.

    `name`: which of its images, by its entry in `images:`; where it has one, that. What must not run there (its
    platforms, its signature) is refused all the same. Raises InputError, RaceError, ExternalError.
    """
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        taking = _followed(main, Overlay(service, target), name)
        giving = _followed(main, Overlay(service, source), taking.pin.entry)
        image, running = giving.pin.image, taking.pin.image
        _check_promotable(giving, taking, now)
        sources = Sources(main.files, main.history, registry, now, lambda _: Declines(), partial(health_changes, hub))
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
        return Promotion(outcome, taking.label, image, skipped, asked)


def _check_promotable(giving: FollowedOverlay, taking: FollowedOverlay, now: datetime) -> None:
    image, running = giving.pin.image, taking.pin.image
    if image.name != running.name:
        expected = f"{image.name}, as in {giving.path}"
        raise InputError("runs another repository", path=taking.path, expected=expected, found=running.name)
    if image == running:
        raise InputError(f"runs {image.tag} already", path=taking.path)
    if taking.hold and now < taking.hold.until:
        fix = f"gitops images unhold {_words(taking)} ends that"
        raise InputError(f"held on {taking.hold.tag}", path=taking.hold_file, fix=fix)


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


def _followed(main: reconcile.Main, overlay: Overlay, name: str | None) -> FollowedOverlay:
    """An overlay's image with its policy, as main has it: by its entry's name, or the only one. Raises InputError."""
    targets, broken = plan.targets(main.files, [overlay.service])
    there = [target for target in targets if target.overlay == overlay]
    chosen = [target for target in there if name in (None, target.pin.entry)]
    if not there:
        raise next((own.error for own in broken if own.error), _no_policy(overlay.service, overlay.environment))
    if not chosen:
        raise _no_such_image(there, name)
    if len(chosen) > 1:
        raise _ambiguous(chosen)
    return chosen[0]


def _words(target: FollowedOverlay) -> str:
    """How a command names an image."""
    option = f" --image {target.pin.entry}" if target.pin.entry != entry.MAIN else ""
    return f"{target.overlay.service} --environment {target.overlay.environment}{option}"


def _entries(targets: Sequence[FollowedOverlay]) -> str:
    return f"one of {', '.join(dict.fromkeys(target.pin.entry for target in targets))}"


def _no_such_image(there: Sequence[FollowedOverlay], name: str | None) -> InputError:
    what = f"--image {name}: no policy for it in {there[0].overlay}"
    return InputError(what, path=f"overlays/{there[0].overlay.service}/images.yaml", expected=_entries(there))


def _ambiguous(chosen: Sequence[FollowedOverlay]) -> InputError:
    names = " and ".join(dict.fromkeys(target.pin.entry for target in chosen))
    what = f"{chosen[0].overlay} has more than one image that this may mean: {names}"
    return InputError(what, path=chosen[0].path, fix=f"say which: --image {chosen[0].pin.entry}")


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

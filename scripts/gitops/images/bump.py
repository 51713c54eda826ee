"""`gitops images bump`: from the plan to one pull request for each overlay."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from pydantic import SecretStr

from gitops.clients import registries
from gitops.clients.github import HealthChange, Hub, decisions, health_changes
from gitops.clients.registries import Details, Registry
from gitops.ground.budget import Budget
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, UnexpectedError
from gitops.images import beside, body, edit, freeze, hold, plan, wide, wording
from gitops.images.notes import ReleaseNotes
from gitops.images.reasons import NoChange
from gitops.images.target import FollowedOverlay, ImagePlan, Sources
from gitops.manifests import kustomize
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository import contents, reconcile
from gitops.repository.pulls import Outcome, Proposal, PullAction, leave, propose_or_retry, withdraw

LABELS = ("images",)
# What a run has, in a job of 30 minutes: one request may take GitHub's own pauses and some tries.
SECONDS = 20 * 60.0
# Renders at once: kustomize is a process that computes, so not more than a small machine has cores.
_RENDERS = 2


@dataclass(frozen=True)
class Edited:
    """The file that a plan asks for, checked by its render. `diff`: of the render."""

    content: bytes
    diff: str


@dataclass(frozen=True, kw_only=True)
class BumpReport(reconcile.Report):
    """What was found for one overlay and what was done about it.

    `pull`: its open pull request. `frozen`: why nothing is proposed now, where a freeze is on.
    """

    plan: ImagePlan
    edited: Edited | None = None
    pull: int | None = None
    frozen: str = ""


def run(
    checkout: Checkout,
    hub: Hub | None,
    registry: Registry,
    *,
    names: Sequence[str],
    now: datetime,
    token: SecretStr | None,
    dry_run: bool = False,
) -> list[BumpReport]:
    """Look at every overlay with a policy (or those of `names`), and make its pull request what it should be.

    Without a `hub` nothing is asked of GitHub, and with `dry_run` nothing is written there. What goes wrong for one
    overlay is in its report and stops no other. Raises CredentialsError, InputError, ExternalError for what stops all.
    """
    windows: list[freeze.Freeze] = []
    room, budget = _Room(), Budget(SECONDS)
    notes = ReleaseNotes(hub) if hub else None
    places: dict[tuple[Overlay, str], int] = {}
    by_hand: list[beside.OpenByHand] = []

    def look(main: reconcile.Main) -> list[BumpReport]:
        windows.extend(freeze.read(main.files))
        frozen = _frozen(freeze.current(windows, now))
        by_hand.append(beside.OpenByHand(main))
        room.limit = wide.read(main.files).open_pull_requests_limit
        room.open = {branch for branch in main.pulls if branch.startswith("bump/")}
        reports = _look(main, registry, names, now, budget)
        places.update((_key(report), place) for place, report in enumerate(reports))
        reports = [replace(report, pull=_pull(main, report.plan), frozen=frozen) for report in reports]
        return sorted(reports, key=lambda report: _turn(report.plan, room.open, now))

    def act(main: reconcile.Main, report: BumpReport) -> BumpReport:
        if main.hub is None or dry_run:
            return report
        if report.plan.target is None:
            branch = report.overlay.branch("bump")
            return replace(report, outcome=_withdraw(main, main.hub, branch, report.plan.no_change))
        if report.plan.winner and (why := by_hand[0].why_wait(report.plan.target)):
            pull = main.pulls.get(report.plan.target.branch)
            if pull:
                main.hub.disarm(pull)
            return replace(report, outcome=leave(pull, why))
        outcome = _act(main, main.hub, registry, report.plan.target, report, room, notes)
        room.note(report.plan.target.branch, outcome.action)
        freeze.judge_made(main.hub, main.history, freeze.current(windows, now, freeze.AHEAD), outcome)
        is_open = outcome.action not in (PullAction.MERGED, PullAction.WITHDRAWN)
        return replace(report, outcome=outcome, pull=outcome.number if is_open else None)

    return sorted(reconcile.run(checkout, hub, token, look, act, budget), key=lambda report: places[_key(report)])


def _key(report: BumpReport) -> tuple[Overlay, str]:
    return report.overlay, report.plan.label


def _frozen(window: freeze.Freeze | None) -> str:
    return f"frozen: {window.name} until {window.end} {window.zone}" if window else ""


def _pull(main: reconcile.Main, own: ImagePlan) -> int | None:
    pull = main.pulls.get(own.target.branch) if own.target else None
    return pull.number if pull else None


@dataclass
class _Room:
    """The branches whose pull requests are open, and how many may be (None: any number)."""

    open: set[str] = field(default_factory=set)
    limit: int | None = None

    @property
    def why_not(self) -> str:
        """Why no more is opened now; nothing where one may be."""
        if self.limit is None or len(self.open) < self.limit:
            return ""
        return f"waits for its turn: {len(self.open)} pull requests are open, {self.limit} may be ({wide.FILE})"

    def note(self, branch: str, action: PullAction) -> None:
        """What was done about one."""
        if action is PullAction.OPENED:
            self.open.add(branch)
        elif action in (PullAction.MERGED, PullAction.WITHDRAWN):
            self.open.discard(branch)


def _turn(own: ImagePlan, opened: Collection[str], now: datetime) -> tuple[bool, datetime]:
    """Whose turn it is: first those with a pull request, which may end, then those that have waited longest."""
    is_open = own.target is not None and own.target.branch in opened
    return not is_open, own.runs_since or own.pushed or now


def _look(
    main: reconcile.Main, registry: Registry, names: Sequence[str], now: datetime, budget: Budget
) -> list[BumpReport]:
    """A plan for each overlay, and its edit."""

    @cache
    def closed(branch: str) -> tuple[hold.Declined, ...]:
        if main.hub is None:
            return ()
        with reconcile.within(budget):
            pulls = [pull for pull in main.hub.closed_pulls(branch) if hold.MARKER.declined([pull])]
            by_the_way = decisions.closed_by_the_way(main.hub, branch) if pulls else set()
            return tuple(hold.declined([pull for pull in pulls if pull.number not in by_the_way]))

    def health(application: str, since: datetime) -> list[HealthChange]:
        if main.hub is None:
            return []
        with reconcile.within(budget):
            return health_changes(main.hub, application, since)

    targets, broken = plan.targets(main.files, names)
    sources = Sources(main.files, main.history, registry, now, closed, health)
    plans = [*broken, *plan.make(sources, targets), *beside.without_policy(main, names, targets, broken)]
    # Images of one overlay stand in one file, which each edit writes for its render.
    locks = {own.overlay: threading.Lock() for own in plans}
    with ThreadPoolExecutor(_RENDERS) as pool:
        return list(pool.map(lambda own: _report(main.files, own, locks[own.overlay]), plans))


def _report(base: Checkout, own: ImagePlan, lock: threading.Lock) -> BumpReport:
    report = BumpReport(overlay=own.overlay, plan=own, error=own.error)
    try:
        if own.error:
            return report
        with lock:
            return replace(report, edited=make_edit(base, own))
    except Exception as error:  # of whatever type: it is this one's
        return replace(report, error=UnexpectedError.of(error))


def make_edit(base: Checkout, own: ImagePlan, *, with_diff: bool = True) -> Edited | None:
    """Edit the overlay's file and check its render; without a winner there is nothing to edit.

    `base` is afterwards as it was. Raises InputError.
    """
    if own.winner is None or own.target is None:
        return None
    pin, path = own.target.pin, own.target.path
    file = base.root / path
    content = edit.replace(file.read_bytes(), path, own.winner, pin.entry)
    before = kustomize.build(base, file.parent) if with_diff else []
    with contents.temporarily_written(base, {path: content}):
        after = edit.check_render(base, file.parent, path, pin, own.winner)
    return Edited(content, body.diff(before, after) if with_diff else "")


def _act(
    main: reconcile.Main,
    hub: Hub,
    registry: Registry,
    target: FollowedOverlay,
    report: BumpReport,
    room: _Room,
    notes: ReleaseNotes | None,
) -> Outcome:
    own, edited, pull = report.plan, report.edited, main.pulls.get(target.branch)
    if edited is None or own.winner is None:
        return _withdraw(main, hub, target.branch, own.no_change)
    if report.frozen:
        return leave(pull, report.frozen)
    if pull is None and room.why_not:
        return leave(pull, room.why_not)
    proposal = _proposal(main, registry, own, target, own.winner, edited, notes)
    return propose_or_retry(hub, main.history, pull, lambda: proposal)


def _withdraw(main: reconcile.Main, hub: Hub, branch: str, reason: NoChange | None) -> Outcome:
    """Withdraw the pull request of a branch where it is certain that its reason is gone."""
    pull, why = main.pulls.get(branch), wording.no_change(reason)
    if reason is None or not reason.certain:
        return leave(pull, why)
    return withdraw(hub, main.history, pull, branch, why)


def _proposal(
    main: reconcile.Main,
    registry: Registry,
    own: ImagePlan,
    target: FollowedOverlay,
    winner: Image,
    edited: Edited,
    notes: ReleaseNotes | None,
) -> Proposal:
    running = target.pin.image
    files: dict[str, bytes | None] = {target.path: edited.content}
    if target.hold:
        files[target.hold_file] = None
    was, now = _details(registry, running), _details(registry, winner)
    said = notes.lines(target.policy, now.source if now else "", running, winner) if notes else []
    return Proposal(
        branch=target.branch,
        base=main.history.main(),
        title=body.title(own, winner, running),
        body=body.text(own, winner, running, edited.diff, was, now, said),
        files=files,
        labels=(*LABELS, target.overlay.environment),
        auto_merge=target.merges_itself(winner),
    )


def _details(registry: Registry, image: Image) -> Details | None:
    """For the compare link alone: an image that cannot be read has none."""
    try:
        return registries.details(registry, image.name, image.digest, labels=True)
    except GitopsError:
        return None

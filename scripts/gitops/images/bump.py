"""`gitops images bump`: from the plan to one pull request for each overlay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial

from github.PullRequest import PullRequest
from pydantic import SecretStr

from gitops.clients.github import HealthChange, Hub, decisions, health_changes
from gitops.clients.registries import Registry
from gitops.ground.budget import Budget
from gitops.ground.checkout import Checkout
from gitops.ground.errors import UnexpectedError
from gitops.ground.printable import counted
from gitops.images import beside, body, declines, edit, group, plan, wide, wording
from gitops.images.group import Grouping
from gitops.images.proposal import Proposals, ProposedImage
from gitops.images.reasons import NoChange, NotGrouped
from gitops.images.report import BumpReport, Edited
from gitops.images.target import Declines, FollowedOverlay, ImagePlan, Sources
from gitops.manifests import kustomize
from gitops.manifests.overlay import Overlay
from gitops.repository import contents, freeze, reconcile
from gitops.repository.pulls import Outcome, Proposal, PullAction, leave, propose_or_retry, withdraw

_Key = tuple[Overlay, str]
# What a run has, in a job of 30 minutes: one request may take GitHub's own pauses and some tries.
SECONDS = 20 * 60.0
# Renders at once: kustomize is a process that computes, so not more than a small machine has cores.
_RENDERS = 2


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
    budget = Budget(SECONDS)
    runs: list[_Run] = []

    def look(main: reconcile.Main) -> list[BumpReport]:
        runs.append(_Run(main, registry, now))
        return runs[0].look(names, budget)

    def act(main: reconcile.Main, report: BumpReport) -> BumpReport:
        return report if main.hub is None or dry_run else runs[0].act(main.hub, report)

    reports = reconcile.run(checkout, hub, token, look, act, budget)
    told = [report for report in reports if not _is_at_rest(report)]
    return sorted(told, key=lambda report: runs[0].places[_key(report)])


def _is_at_rest(report: BumpReport) -> bool:
    """Whether it is a group's branch, kept for who may reopen its declined pull request, of which nobody need hear."""
    is_done = report.outcome is None or report.outcome.action is PullAction.NOTHING
    return isinstance(report.plan.no_change, NotGrouped) and is_done and not report.error


class _Run:
    """What one run knows, from its look at main on."""

    def __init__(self, main: reconcile.Main, registry: Registry, now: datetime) -> None:
        self._main, self._registry, self._now = main, registry, now
        self._windows = freeze.read(main.files)
        self._by_hand = beside.OpenByHand(main)
        limits = wide.read(main.files)
        opened = {branch for branch in main.pulls if branch.startswith("bump/")}
        self._room = _Room(opened, limits.open_pull_requests_limit)
        self._grouping = Grouping(main, limits.group)
        self._proposals = Proposals(main, registry)
        self._groups: dict[str, list[BumpReport]] = {}
        self._of_members: dict[_Key, Outcome | Exception] = {}
        self.places: dict[_Key, int] = {}

    def look(self, names: Sequence[str], budget: Budget) -> list[BumpReport]:
        """A report for each overlay, in the order in which they have their turn."""
        main = self._main
        frozen = _frozen(freeze.current(self._windows, self._now))
        names = self._grouping.with_mates(names)
        reports = _look(main, self._registry, names, self._now, budget, self._grouping)
        reports = [replace(report, pull=self._pull(report), frozen=frozen) for report in reports]
        for report in sorted(reports, key=_key):  # whatever services were asked for: the same text
            if branch := self._grouping.branch(report):
                self._groups.setdefault(branch, []).append(report)
        ended = self._grouping.ended(reports, names)
        reports += [BumpReport(overlay=own.overlay, plan=own) for own in ended]
        self.places = {_key(report): place for place, report in enumerate(reports)}
        return sorted(reports, key=self._turn)

    def _pull(self, report: BumpReport) -> int | None:
        target, branch = report.plan.target, self._grouping.branch(report)
        if target is None:
            return None
        together = self._main.pulls.get(branch) if branch else None
        pull = together if group.has(together, target.branch) else self._main.pulls.get(target.branch)
        return pull.number if pull else None

    def _turn(self, report: BumpReport) -> tuple[bool, datetime]:
        """Whose turn it is: first those with a pull request, which may end, then those that have waited longest."""
        own = report.plan
        branch = self._grouping.branch(report) or (own.target.branch if own.target else None)
        return branch is not None and branch not in self._room.open, own.runs_since or own.pushed or self._now

    def act(self, hub: Hub, report: BumpReport) -> BumpReport:
        """Make an overlay's pull request what it should be, or its group's. Raises RaceError, ExternalError."""
        plan, target = report.plan, report.plan.target
        pull = self._main.pulls.get(target.branch) if target else None
        if target is None:
            outcome = self._withdraw(hub, report.overlay.branch("bump"), plan.no_change)
        elif branch := self._grouping.branch(report):
            outcome = self._act_together(hub, branch, report)
        elif plan.winner and (why := self._by_hand.why_wait(target)):
            if pull:
                hub.disarm(pull)
            outcome = leave(pull, why)
        elif change := _change(report):
            make = partial(self._proposals.of_one, change)
            outcome = self._propose(hub, target.branch, report.frozen, make)
        else:
            outcome = self._withdraw(hub, target.branch, plan.no_change)
        is_open = outcome.action not in (PullAction.MERGED, PullAction.WITHDRAWN)
        return replace(report, outcome=outcome, pull=outcome.number if is_open else None)

    def _propose(self, hub: Hub, branch: str, frozen: str, make: Callable[[], Proposal]) -> Outcome:
        pull = self._main.pulls.get(branch)
        if frozen:
            return leave(pull, frozen)
        if pull is None and self._room.why_not:
            return leave(pull, self._room.why_not)
        proposal = make()
        outcome = propose_or_retry(hub, self._main.history, pull, lambda: proposal)
        self._room.note(branch, outcome.action)
        return outcome

    def _withdraw(self, hub: Hub, branch: str, reason: NoChange | None) -> Outcome:
        """Withdraw the pull request of a branch where it is certain that its reason is gone."""
        pull, why = self._main.pulls.get(branch), wording.no_change(reason)
        if reason is None or not reason.certain:
            return leave(pull, why)
        outcome = withdraw(hub, self._main.history, pull, branch, why)
        self._room.note(branch, outcome.action)
        return outcome

    def _act_together(self, hub: Hub, branch: str, report: BumpReport) -> Outcome:
        """Act on a whole group at the turn of its first member, and say to each what that came to."""
        members = self._groups[branch]
        if _key(report) not in self._of_members:
            try:
                self._of_members |= self._propose_together(hub, branch, members)
            except Exception as error:  # of whatever type: it is each member's
                self._of_members |= {_key(member): error for member in members}
        outcome = self._of_members[_key(report)]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _propose_together(self, hub: Hub, branch: str, members: Sequence[BumpReport]) -> dict[_Key, Outcome]:
        outcomes: dict[_Key, Outcome] = {}
        changes: list[ProposedImage] = []
        for member in members:
            change = _change(member)
            if left := self._left_out(hub, member):
                outcomes[_key(member)] = left
            elif change:
                changes.append(change)
        pull = self._main.pulls.get(branch)
        if changes:
            outcome = self._propose(hub, branch, members[0].frozen, partial(self._proposals.of_group, branch, changes))
        else:
            if pull:
                hub.disarm(pull)
            outcome = leave(pull, "all of its images wait")
        return {_key(member): outcome for member in members} | outcomes

    def _left_out(self, hub: Hub, member: BumpReport) -> Outcome | None:
        """Why a member is none of its group now: a person has the say. Its own pull request is withdrawn else."""
        target = member.plan.target
        if target is None or member.frozen:
            return None
        pull = self._main.pulls.get(target.branch)
        why = self._by_hand.why_wait(target)
        if pull and not why and (objection := decisions.objection(hub, pull.number)):
            why = f"left to people: {objection}"
        if why:
            return leave(pull, why)
        outcome = withdraw(hub, self._main.history, pull, target.branch, "it is proposed together with others")
        self._room.note(target.branch, outcome.action)
        return outcome if outcome.action is PullAction.STOPPED else None


def _key(report: BumpReport) -> _Key:
    return report.overlay, report.plan.label


def _change(report: BumpReport) -> ProposedImage | None:
    plan = report.plan
    if plan.target is None or plan.winner is None or report.edited is None:
        return None
    return ProposedImage(plan, plan.target, plan.winner, report.edited)


def _frozen(window: freeze.Freeze | None) -> str:
    return f"frozen: {window.name} until {window.end} {window.zone}" if window else ""


@dataclass
class _Room:
    """The branches whose pull requests are open, and how many may be (None: any number)."""

    open: set[str]
    limit: int | None

    @property
    def why_not(self) -> str:
        """Why no more is opened now; nothing where one may be."""
        if self.limit is None or len(self.open) < self.limit:
            return ""
        there = counted(len(self.open), "pull request is open", "pull requests are open")
        return f"waits for its turn: {there}, {self.limit} may be ({wide.FILE})"

    def note(self, branch: str, action: PullAction) -> None:
        """What was done about one."""
        if action is PullAction.OPENED:
            self.open.add(branch)
        elif action in (PullAction.MERGED, PullAction.WITHDRAWN):
            self.open.discard(branch)


def _look(
    main: reconcile.Main, registry: Registry, names: Sequence[str], now: datetime, budget: Budget, grouping: Grouping
) -> list[BumpReport]:
    """A plan for each overlay, and its edit."""

    @cache
    def closed_pulls(hub: Hub, branch: str) -> list[PullRequest]:
        with reconcile.within(budget):
            return group.declined_pulls(hub, branch)

    def closed(target: FollowedOverlay) -> Declines:
        pulls: list[PullRequest] = []
        for asked in grouping.asked(target.branch) if main.hub else ():
            pulls += closed_pulls(main.hub, asked)
        with main.history.lock:  # one git process answers all threads
            return declines.of(main.history, pulls, target)

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

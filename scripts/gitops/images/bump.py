"""`gitops images bump`: from the plan to one pull request for each overlay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from github.PullRequest import PullRequest

from gitops.clients.ecr import Details, Registry, Repository
from gitops.clients.github import Hub
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError
from gitops.images import body, edit, hold, plan
from gitops.images.plan import Plan
from gitops.manifests import kustomize
from gitops.manifests.image import Image
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from gitops.repository.pulls import Outcome, Proposal, bring, withdraw

T = TypeVar("T")
LABELS = ("images",)
# Renders at once: kustomize is a process that computes, so not more than a small machine has cores.
_RENDERS = 2


@dataclass(frozen=True)
class Report:
    """What was found for one overlay and what was done about it. `diff` is of the render."""

    plan: Plan
    outcome: Outcome | None = None
    diff: str = ""
    error: GitopsError | None = None


@dataclass(frozen=True)
class Edited:
    """The file that a plan wants, checked by its render."""

    plan: Plan
    content: bytes
    diff: str


def run(
    checkout: Checkout,
    hub: Hub | None,
    registry: Registry,
    *,
    names: Sequence[str],
    now: datetime,
    token: str | None,
    dry_run: bool = False,
) -> list[Report]:
    """Look at every overlay with a policy (or those of `names`), and bring its pull request to what it should be.

    Without a `hub` nothing is asked of GitHub, and with `dry_run` nothing is written there. What goes wrong for one
    overlay is in its report and stops no other. Raises CredentialsError, InputError, ExternalError for what stops all.
    """
    history = History(checkout.root)
    history.fetch(token)
    with main_files(checkout, history) as base:
        wanted, broken = plan.targets(base, names)
        pulls = hub.open_pulls() if hub else {}
        closed = cache(lambda branch: tuple(hold.declined(hub.closed_pulls(branch))) if hub else ())
        plans = [*broken, *plan.make(base, history, registry, wanted, now, closed)]
        window = hold.frozen(hold.freezes(base), now)
        with ThreadPoolExecutor(_RENDERS) as pool:
            edited = list(pool.map(lambda each: _guarded(partial(make_edit, base, each)), plans))
        reports = []
        for each, change in zip(plans, edited, strict=True):
            if failed := each.error or (change if isinstance(change, GitopsError) else None):
                reports.append(Report(each, error=failed))
                continue
            assert not isinstance(change, GitopsError)  # noqa: S101 - for the type checker
            if hub is None or dry_run:
                reports.append(Report(each, diff=change.diff if change else ""))
            else:
                done = _guarded(partial(_bring, hub, history, registry, pulls, each, change, window))
                if isinstance(done, GitopsError):
                    reports.append(Report(each, diff=change.diff if change else "", error=done))
                else:
                    reports.append(Report(each, done, change.diff if change else ""))
    return reports


def _guarded(call: Callable[[], T]) -> T | GitopsError:
    try:
        return call()
    except GitopsError as error:
        return error


def make_edit(base: Checkout, wanted: Plan, *, with_diff: bool = True) -> Edited | None:
    """Edit the overlay's file in `base` and check its render; without a winner there is nothing to edit.

    Raises InputError, and then the file is as it was.
    """
    if wanted.winner is None or wanted.target is None:
        return None
    pin, path = wanted.target.pin, wanted.target.path
    file = base.root / path
    old = file.read_bytes()
    new = edit.replace(old, path, wanted.winner, pin.entry)
    before = kustomize.build(base, file.parent) if with_diff else []
    file.write_bytes(new)
    try:
        after = edit.check_render(base, file.parent, path, pin, wanted.winner)
    except GitopsError:
        file.write_bytes(old)
        raise
    return Edited(wanted, new, body.diff(before, after) if with_diff else "")


def _bring(
    hub: Hub,
    history: History,
    registry: Registry,
    pulls: dict[str, PullRequest],
    wanted: Plan,
    change: Edited | None,
    window: hold.Freeze | None,
) -> Outcome:
    target = wanted.target
    if target is None:
        return Outcome("nothing")
    pull = pulls.get(target.branch)
    if change is None or wanted.winner is None:
        if not wanted.sure:
            return Outcome("unchanged" if pull else "nothing", pull.number if pull else None, why=wanted.note)
        return withdraw(hub, history, pull, target.branch, wanted.note)
    if window:
        why = f"frozen: {window.name} until {window.end} {window.zone}"
        return Outcome("unchanged" if pull else "nothing", pull.number if pull else None, why=why)
    old = target.pin.image
    files: dict[str, bytes | None] = {target.path: change.content}
    if target.hold:
        files[str(Path(target.path).with_name(hold.FILE))] = None
    was, now = (_details(registry, image) for image in (old, wanted.winner))
    proposal = Proposal(
        branch=target.branch,
        base=history.main(),
        title=body.title(wanted, wanted.winner, old),
        body=body.text(wanted, old, change.diff, was, now),
        files=files,
        labels=(*LABELS, target.environment),
        auto_merge=target.policy.auto_merge,
    )
    return bring(hub, history, pull, lambda: proposal)


def _details(registry: Registry, image: Image) -> Details | None:
    """For the compare link alone: an image that cannot be read has none."""
    try:
        return registry.details(Repository.parse(image.name), image.digest, labels=True)
    except GitopsError:
        return None

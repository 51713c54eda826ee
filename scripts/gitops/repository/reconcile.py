"""The loop of every bot: look at main, and bring each overlay's pull request to what it should be.

A bot says what its targets are (`look`) and what is done about one (`act`). What goes wrong for one overlay is in its
report and stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from github.PullRequest import PullRequest
from pydantic import SecretStr

from gitops.clients.github import Hub, QuotaError
from gitops.ground.budget import Budget
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, UnexpectedError, combined
from gitops.manifests.overlay import Overlay
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from gitops.repository.pulls import Outcome


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was done about one overlay's pull request, or why nothing could be. Bots add what they saw."""

    overlay: Overlay
    outcome: Outcome | None = None
    error: GitopsError | None = None


@dataclass(frozen=True)
class Main:
    """What one run works on: the files of main, its history, and GitHub with the open pull requests by branch.

    Without a `hub` nothing is asked of GitHub.
    """

    files: Checkout
    history: History
    hub: Hub | None
    pulls: Mapping[str, PullRequest]


R = TypeVar("R", bound=Report)


@contextmanager
def main_of(checkout: Checkout, hub: Hub | None, token: SecretStr | None) -> Iterator[Main]:
    """Fetch, and have main's files in a folder of their own. Raises InputError, ExternalError."""
    history = History(checkout.root)
    history.fetch(token)
    with main_files(checkout, history) as files:
        yield Main(files, history, hub, hub.open_pulls() if hub else {})


def run(
    checkout: Checkout,
    hub: Hub | None,
    token: SecretStr | None,
    look: Callable[[Main], Sequence[R]],
    act: Callable[[Main, R], R],
    budget: Budget | None = None,
) -> list[R]:
    """Look once, then act on each report that has no error yet, in the order of `look`, while the budget lasts.

    Whatever goes wrong for one is its error and no end of the others, but where GitHub takes no more requests of this
    token for a while: that ends the budget. Raises InputError, ExternalError for what stops all.
    """
    with main_of(checkout, hub, token) as main:
        return [_guarded(main, act, report, budget) for report in look(main)]


@contextmanager
def within(budget: Budget | None) -> Iterator[None]:
    """Do what the budget has time for. Raises NotReachedError without it, and ends the budget on a QuotaError."""
    if budget:
        budget.check()
    try:
        yield
    except QuotaError:
        if budget:
            budget.end("GitHub takes no more requests of this token for now")
        raise


def _guarded(main: Main, act: Callable[[Main, R], R], report: R, budget: Budget | None) -> R:
    if report.error:
        return report
    try:
        with within(budget):
            return act(main, report)
    except Exception as error:  # of whatever type: the others' secrets end too
        return replace(report, error=UnexpectedError.of(error))


def check(reports: Sequence[R], failure: Callable[[R], GitopsError | None], *others: GitopsError) -> None:
    """Raise what a person must see, one line each, with the exit code of the worst. `others`: of no report."""
    failures = [*(error for error in map(failure, reports) if error), *others]
    if failures:
        raise combined(failures)

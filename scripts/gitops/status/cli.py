"""`gitops` alone and `gitops status`: parses and prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, NotHealthyError
from gitops.ground.groups import Command
from gitops.ground.options import cluster_option, output_option
from gitops.ground.output import print_table, say, say_json
from gitops.ground.printable import counted
from gitops.ground.progress import Progress

if TYPE_CHECKING:
    from pydantic import SecretStr

    from gitops.status.changes import CheckedChanges
    from gitops.status.full import Full
    from gitops.status.overview import EnvironmentOverview, Glance

# Seconds for what others say: an interpreter and this checkout's files have the rest of one second.
GLANCE = 0.55
# And for the check of a change, which begins before all else.
CHECK = 1.0
# The same where a person asked for all.
PATIENCE = 30.0
_MOST = 8


def glance() -> None:
    """What needs a person today, within a second: what `gitops` alone prints. Raises InputError."""
    from gitops.status import changes

    checkout, now = Checkout.find(), datetime.now(UTC)
    begun = changes.begin(checkout, CHECK)
    # Behind what takes longest: this takes a moment to load.
    from gitops.status import overview

    told = overview.look(checkout, None, now, begun, everybody=False, seconds=GLANCE, thorough=False)
    _show(told, now, most=_MOST)
    say("", "in full: gitops status; every command: gitops --help")


@click.command(cls=Command)
@click.option("--team", metavar="TEAM", shell_complete=complete.teams, help="That team's services (GITOPS_TEAM).")
@click.option("--all", "everybody", is_flag=True, help="Every team's services.")
@cluster_option
@output_option
@click.pass_obj
def status(taken: Mapping[str, SecretStr], team: str | None, everybody: bool, cluster: str, output: str) -> None:
    """Everything of your services: what runs, what is open or newer, and what needs a person.

    Yours are those of --team or GITOPS_TEAM, else of the team that is git's github.user, else of your teams on GitHub,
    else those that your last commits changed. Exit code 1: something needs a person.

    Example: gitops status --team community
    """
    from gitops.status import changes, full, overview

    checkout, now, progress = Checkout.find(), datetime.now(UTC), Progress()
    with progress.step("what is open, and what runs"):
        begun = changes.begin(checkout, None)
        told = overview.look(checkout, team, now, begun, everybody=everybody, seconds=PATIENCE, thorough=True)
    more = full.look(checkout, told.mine.services, taken, progress, cluster)
    findings = tuple(dict.fromkeys((*told.findings, *more.findings)))
    unasked = (*told.unasked, *more.unasked)
    if output == "json":
        document = told.as_dict(now) | more.as_dict()
        say_json(document | {"findings": [vars(fault) for fault in findings], "unasked": list(unasked)})
    else:
        _show(told, now, more=more)
    if findings:
        raise NotHealthyError.several(findings)


def _show(told: Glance, now: datetime, *, more: Full | None = None, most: int | None = None) -> None:
    """The tables. `most`: how many lines of each list; without `more` the findings are among them."""
    say(f"{counted(len(told.mine.services), 'service')}: {told.mine.why}")
    if told.word:
        say(f"what runs: {told.word}")
    head = ["service", "environment", "image", "runs", "42's secret", "open"]
    say("")
    print_table(head, [_row(own, now) for own in told.environments])
    if more and more.images:
        _show_newer(more)
    if more and more.known_rotations:
        say("")
        rows = [list(map(str, own.values())) for own in more.known_rotations]
        print_table(["42's secret of", "state", "next"], rows)
    if told.pulls:
        say("", "open pull requests:")
        lines = [f"  #{pull.number} {pull.title}: waits for {pull.waits}   {pull.url}" for pull in told.pulls]
        _say_some(lines, most)
    if more is None and told.findings:
        say("", "needs a person:")
        _say_some([f"  {_on_one_line(fault)}" for fault in told.findings], most)
    if told.changes:
        _show_changes(told.changes, more.checked if more else told.checked, most)
    unasked = (*told.unasked, *(more.unasked if more else ()))
    if unasked:
        say("", "not asked:", *(f"  {who}" for who in unasked))


def _show_changes(words: str, checked: CheckedChanges | None, most: int | None) -> None:
    """What main has not. In full its findings stand among all others."""
    if checked is None:
        say("", f"here: {words}; what they do: gitops preview, gitops check")
        return
    say("", f"here: {words}; what they do: gitops preview")
    say(f"the check without an API server: {checked.sentence}; with one: gitops check")
    if most is not None:
        _say_some([f"  {_on_one_line(fault)}" for fault in checked.findings], most)


def _row(own: EnvironmentOverview, now: datetime) -> list[str]:
    overlay, numbers = own.files.overlay, " ".join(f"#{pull.number}" for pull in own.pulls)
    return [overlay.service, overlay.environment, own.files.image, own.runs or "?", own.rotation(now), numbers or "-"]


def _show_newer(more: Full) -> None:
    rows: list[list[str]] = []
    for own in more.images:
        rows += [[own.label, waiting.tag or "?", waiting.why] for waiting in own.waiting]
    if rows:
        say("")
        print_table(["image of", "newer", "waits for"], rows)


def _say_some(lines: list[str], most: int | None) -> None:
    say(*lines[:most])
    if most is not None and len(lines) > most:
        say(f"  and {len(lines) - most} more")


def _on_one_line(fault: Fault) -> str:
    return " ".join(str(fault).split())


def is_here() -> bool:
    """Whether the current folder lies in a checkout: elsewhere `gitops` alone has nothing to show."""
    try:
        Checkout.find()
    except InputError:
        return False
    return True

"""`gitops github`: parses and prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, NotHealthyError, combined
from gitops.ground.groups import Group
from gitops.ground.options import output_option
from gitops.ground.output import Table, present, say, summarise
from gitops.ground.printable import counted

if TYPE_CHECKING:
    from pydantic import SecretStr

    from gitops.github.apply import AppliedChange, ChangeState
    from gitops.github.plan import SettingChange, SettingsPlan


@click.group(cls=Group)
def github() -> None:
    """GitHub's own settings as files: who may merge what, and main's verdict on a change.

    Example: gitops github plan
    """


@github.command()
@output_option
def plan(output: str) -> None:
    """Say what `apply` would change on GitHub, field by field.

    GITHUB_REPOSITORY and GITHUB_TOKEN say where and who (an administrator sees all of it), BOT_APP_ID the bot's App.
    Exit codes: 0 said; 2 a file is wrong; 4 GitHub could not be asked.

    Example: gitops github plan
    """
    from gitops.github import run

    made = run.compare(Checkout.find()).plan
    _print(made, output)


@github.command()
@click.option("--prune", is_flag=True, help="Delete rulesets that are not declared, too.")
@output_option
def apply(prune: bool, output: str) -> None:
    """Set GitHub as declared in .github/rulesets, .github/environments and .github/settings.json.

    Needs an administrator's token. A second run changes nothing. Exit codes: 0 all is as declared; 1 an undeclared
    ruleset was left (--prune), or a person has to set something by hand; 2 a file is wrong; 4 GitHub refused a change:
    what was done before it stays, and both are said.

    Example: gitops github apply
    """
    from gitops.github import apply as applying
    from gitops.github import run

    steps = run.apply(Checkout.find(), prune=prune)
    present(output, _steps(steps), [_as_dict(step.change) | {"state": step.state} for step in steps])
    failed = [step for step in steps if step.error]
    if failed:
        raise ExternalError(
            f"{failed[0].change.kind} {failed[0].change.name}: not set ({failed[0].error})",
            found=f"{len(applying.unfinished(steps))} of {counted(len(steps), 'change')} not made",
            fix="what is marked done stays; mend the reason and run it again",
        )
    errors = []
    if left := _names(steps, applying.ChangeState.LEFT):
        fix = "declare it in .github/rulesets, or use --prune"
        errors.append(NotHealthyError(f"not declared and left: {left}", fix=fix))
    if by_hand := _names(steps, applying.ChangeState.BY_HAND):
        fix = "set it on GitHub's pages, or declare it: docs/runbooks/github.md"
        errors.append(NotHealthyError(f"a person has to set by hand: {by_hand}", fix=fix))
    if errors:
        raise combined(errors)
    say("GitHub is set as declared", err=True)


@github.command()
@click.option("--tell", is_flag=True, help="Tell Slack of drift (SLACK_TOKEN).")
@output_option
@click.pass_obj
def verify(taken: Mapping[str, SecretStr], tell: bool, output: str) -> None:
    """Fail where GitHub is not set as declared.

    Exit codes: 0 as declared, as far as this token is shown (what it is not shown is said, and which ruleset was edited
    there since the last scheduled run); 1 drift; 2 a file is wrong; 4 GitHub or Slack could not be asked.

    Example: gitops github verify
    """
    from gitops.github import run

    verdict = run.verify(Checkout.find(), taken, tell=tell)
    _print(verdict.plan, output)
    for phrase in verdict.edited:
        say(phrase, err=True)
    if verdict.drift:
        raise NotHealthyError(
            f"GitHub is not set as declared: {'; '.join(verdict.drift)}",
            fix="gitops github plan says each field; an administrator runs gitops github apply, or the files follow",
        )


@github.command()
@click.argument("commit", shell_complete=complete.revisions)
@click.argument("result")
@click.option("--patience", type=click.IntRange(min=0), default=0, help="Seconds to ask again where GitHub fails.")
def gate(commit: str, result: str, patience: int) -> None:
    """Set the status `main-gate` of COMMIT to what the gate of main's own code said of it.

    RESULT: `success`, or anything else for a failure. Exit codes: 0 set; 2 no commit; 4 GitHub refused.

    Example: gitops github gate 0123456789abcdef0123456789abcdef01234567 success
    """
    from gitops.github import verdict

    say("written" if verdict.report(commit, result, patience=patience) else "nothing changed")


@github.command()
@click.argument("run", type=click.IntRange(min=1))
@click.pass_obj
def main(taken: Mapping[str, SecretStr], run: int) -> None:
    """Tell Slack where RUN, a finished run of check.yaml on main, did not succeed.

    RUN: its number, the last part of its address. Exit codes: 0 it succeeded, or is none of main's; 1 it did not and
    Slack was told; 4 GitHub or Slack could not be asked.

    Example: gitops github main 1234567
    """
    from gitops.github import verdict

    if text := verdict.main_is_red(taken, run):
        raise NotHealthyError(text)


def _print(made: SettingsPlan, output: str) -> None:
    rows = _rows(made.changes)
    present(output, rows, [_as_dict(change) for change in made.changes])
    if rows.rows:
        summarise(*rows)
    for name in made.unseen:
        say(f"not shown to this token: {name}", err=True)


def _rows(changes: Sequence[SettingChange]) -> Table:
    rows = []
    for change in changes:
        lines = [[d.field, json.dumps(d.declared), json.dumps(d.actual)] for d in change.differences]
        rows += [[change.kind, change.name, change.verb, *line] for line in lines or [["-", "-", "-"]]]
    return Table(["what", "name", "do", "field", "declared", "on GitHub"], rows)


def _steps(steps: Sequence[AppliedChange]) -> Table:
    rows = [[step.change.kind, step.change.name, step.change.verb, step.state] for step in steps]
    return Table(["what", "name", "do", "state"], rows)


def _names(steps: Sequence[AppliedChange], state: ChangeState) -> str:
    return ", ".join(f"{step.change.kind} {step.change.name}" for step in steps if step.state is state)


def _as_dict(change: SettingChange) -> dict[str, Any]:
    fields = [{"field": d.field, "declared": d.declared, "actual": d.actual} for d in change.differences]
    return {"kind": change.kind, "name": change.name, "do": change.verb, "differences": fields}

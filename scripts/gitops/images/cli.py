"""`gitops images`: parses and prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.groups import Group
from gitops.ground.options import output_option
from gitops.ground.output import Table, present, say, summarise
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.images import cli_by_hand, cli_here
from gitops.service.cli_edit import say_written

if TYPE_CHECKING:
    from pydantic import SecretStr

    from gitops.images.report import BumpReport
    from gitops.images.select import Assessment
    from gitops.images.status import OverlayStatus
    from gitops.images.target import ImagePlan


@click.group(cls=Group)
def images() -> None:
    """Image updates: from the registry to a pull request; back to what ran; the freeze.

    Example: gitops images status mogle
    """


@images.command()
@click.argument("services", nargs=-1, shell_complete=complete.services)
@click.option("--dry-run", is_flag=True, help="Say every image listed, why each is not taken, and the diff.")
@output_option
@click.pass_context
def bump(context: click.Context, services: tuple[str, ...], dry_run: bool, output: str) -> None:
    """Open or update one pull request for each overlay whose image should change (SERVICES: only these).

    GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL say where; a dry run does without. SLACK_TOKEN says who tells a
    person once what one must see, such as a running image that is gone from the registry (exit code 1).

    Example: gitops images bump --dry-run mogle
    """
    from gitops.clients.github import Hub
    from gitops.clients.registries import Registries
    from gitops.ground import settings
    from gitops.images import alerts, dashboard, status
    from gitops.images import bump as bumps
    from gitops.repository import reconcile
    from gitops.tools.build import ensure

    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    token = settings.read().github_token
    hub = None if dry_run and not token else Hub.from_environment()
    listener = hub if not services and not dry_run else None
    now = datetime.now(UTC)
    with alerts.stopped(listener, context.obj, now):
        reports = bumps.run(
            checkout, hub, Registries(context.obj), names=services, now=now, token=token, dry_run=dry_run
        )
    if dry_run and output == "text":
        for report in reports:
            _explain(report)
    else:
        present(output, _table(reports), [_as_dict(report) for report in reports])
    summarise(*_table(reports))
    for report in reports:
        say(*(f"warning: {report.plan.label}: {text}" for text in _warnings(report.plan)), err=True)
    unwritten = dashboard.keep(listener, [status.of(report) for report in reports])
    alerts.tell(listener, context.obj, alerts.causes(reports), now)
    reconcile.check(reports, alerts.failure, *unwritten)


@images.command("status")
@click.argument("services", nargs=-1, shell_complete=complete.services)
@output_option
@click.pass_obj
def show_status(taken: Mapping[str, SecretStr], services: tuple[str, ...], output: str) -> None:
    """What each overlay runs, since when, what is newer, and what that waits for (SERVICES: only these).

    GITHUB_REPOSITORY and GITHUB_TOKEN say where pull requests and Argo CD's word are; without them that is left out.
    Writes nothing. Exit codes: 1 something that a person must see; 2 a file of main cannot be read, 4 a registry cannot
    be asked, and all else is shown.

    Example: gitops images status mogle
    """
    from gitops.clients.github import Hub
    from gitops.clients.registries import Registries
    from gitops.ground import settings
    from gitops.images import alerts, status
    from gitops.images import bump as bumps
    from gitops.repository import reconcile
    from gitops.tools.build import ensure

    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    token = settings.read().github_token
    hub = Hub.from_environment() if token else None
    now = datetime.now(UTC)
    reports = bumps.run(checkout, hub, Registries(taken), names=services, now=now, token=token, dry_run=True)
    statuses = [status.of(report) for report in reports]
    present(output, _status_table(statuses), [own.as_dict() for own in statuses])
    reconcile.check(reports, alerts.failure)


@images.command()
@click.argument("services", nargs=-1, shell_complete=complete.services)
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.pass_obj
def adopt(taken: Mapping[str, SecretStr], services: tuple[str, ...], dry_run: bool) -> None:
    """Give every entry of `images:` its newName, newTag and digest (SERVICES: only these).

    For overlays that pin a tag alone or a digest alone. The registry is asked for the other half; comments and every
    other byte stay. All files are written, or none.

    Example: gitops images adopt --dry-run mogle
    """
    from gitops.clients.registries import Registries
    from gitops.images import adopt as adopting
    from gitops.tools.build import ensure

    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    adoptions = adopting.adopt(checkout, Registries(taken), services, dry_run=dry_run)
    for adoption in adoptions:
        say(f"{adoption.path}:{adoption.line}: {adoption.entry} is {adoption.image}")
    paths = sorted({checkout.root / adoption.path for adoption in adoptions})
    if not adoptions:
        say("all entries are whole")
    elif dry_run:
        say(f"would change {counted(len(paths), 'file')}")
    else:
        say_written(checkout, paths, "images-adopt", "Pin each image by tag and digest")


@images.command()
def freeze() -> None:
    """Set the commit status `freeze` on all that waits to be merged to what holds now.

    In a window only a change that does nothing but go back to images that main ran before passes.

    Example: gitops images freeze
    """
    from gitops.clients.github import Hub
    from gitops.images import way_back

    written = way_back.set_all(Checkout.find(), Hub.from_environment(), datetime.now(UTC))
    for name, text in written.items():
        say(f"{name}: {text}")
    if not written:
        say("nothing changed")


def _note(plan: ImagePlan) -> str:
    """Why nothing is to change or, for a promotion, since when the other environment runs it."""
    from gitops.images import wording

    if plan.winner and plan.runs_since and plan.target and plan.target.policy.promote:
        return f"ran in {plan.target.policy.promote.from_} since {plan.runs_since.isoformat()}"
    return wording.no_change(plan.no_change)


def _action(report: BumpReport) -> str:
    from gitops.repository.pulls import PullAction

    outcome = report.outcome
    if report.error:
        return "failed"
    if outcome is None or (outcome.action is PullAction.NOTHING and outcome.number is None):
        return "-"
    return f"{outcome.action} #{outcome.number}" if outcome.number else outcome.action


def _why(report: BumpReport) -> str:
    from gitops.images import wording

    failed = str(report.error).splitlines()[0] if report.error else ""
    outcome = report.outcome.why if report.outcome else ""
    texts = [failed, wording.alert(report.plan.alert), *_warnings(report.plan), outcome, _note(report.plan)]
    return "; ".join(dict.fromkeys(filter(None, texts))) or "-"


def _warnings(plan: ImagePlan) -> list[str]:
    from gitops.images import wording

    return [wording.edited(marker) for marker in plan.edited]


def _table(reports: Sequence[BumpReport]) -> Table:
    rows = []
    for report in reports:
        plan = report.plan
        runs = plan.target.pin.image.tag if plan.target else "?"
        winner = plan.winner.tag if plan.winner else "-"
        rows.append([plan.label, runs, winner, _action(report), _why(report)])
    return Table(["overlay", "runs", "proposed", "pull request", "why"], rows)


def _status_table(statuses: Sequence[OverlayStatus]) -> Table:
    from gitops.images import status

    rows = []
    for own in statuses:
        texts = [own.trouble, *(f"{waiting.tag} {waiting.why}".strip() for waiting in own.waiting)]
        runs = own.runs.tag if own.runs else "?"
        since = status.when(own.since) if own.since else "-"
        pull = f"#{own.pull}" if own.pull else "-"
        rows.append([own.label, runs, since, pull, "; ".join(filter(None, texts)) or "-"])
    return Table(["overlay", "runs", "since", "pull request", "what is newer, and what it waits for"], rows)


def _explain(report: BumpReport) -> None:
    from gitops.images import wording

    plan = report.plan
    runs = f" runs {plan.target.pin.image.tag}" if plan.target else ""
    say(f"{plan.label}{runs}: {plan.winner.tag if plan.winner else 'no change'}")
    warned = "; ".join(_warnings(plan))
    texts = {
        "error": str(report.error or ""),
        "alert": wording.alert(plan.alert),
        "warning": warned,
        "note": _note(plan),
    }
    for name, text in texts.items():
        if text:
            say(*f"  {name}: {text}".split("\n"))
    for assessment in plan.assessments:
        image = assessment.image
        if image.tag:
            won = plan.winner and (image.tag, image.digest) == (plan.winner.tag, plan.winner.digest)
            why = "winner" if won else wording.rejection(assessment.rejection) or "older than the winner"
            say(f"  {image.tag}  {image.digest[:19]}  {why}")
    if untagged := sum(not assessment.image.tag for assessment in plan.assessments):
        say(f"  ({untagged} untagged)")
    if report.edited and report.edited.diff:
        say(*(f"  {line}" for line in report.edited.diff.split("\n")))


def _as_dict(report: BumpReport) -> dict[str, Any]:
    from gitops.images import wording

    plan, outcome = report.plan, report.outcome
    return {
        "service": report.overlay.service,
        "environment": report.overlay.environment,
        "image": plan.target.pin.entry if plan.target else None,
        "runs": str(plan.target.pin.image) if plan.target else None,
        "winner": str(plan.winner) if plan.winner else None,
        "note": _note(plan),
        "alert": wording.alert(plan.alert),
        "warnings": _warnings(plan),
        "error": str(report.error) if report.error else None,
        "candidates": [_assessment(assessment) for assessment in plan.assessments],
        "diff": report.edited.diff if report.edited else "",
        "action": outcome.action if outcome else None,
        "pull_request": outcome.number if outcome else None,
        "url": outcome.url if outcome else None,
        "why": outcome.why if outcome else None,
    }


def _assessment(assessment: Assessment) -> dict[str, Any]:
    from gitops.images import wording

    image, rejection = assessment.image, assessment.rejection
    return {
        "tag": image.tag,
        "digest": image.digest,
        "pushed": image.pushed.isoformat() if image.pushed else None,
        "reason": rejection.reason if rejection else None,
        "why_not": wording.rejection(rejection),
    }


for command in (*cli_by_hand.COMMANDS, *cli_here.COMMANDS):
    images.add_command(command)

"""`gitops images`: parses and prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from gitops.clients.ecr import Registry
from gitops.clients.github import Hub
from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError, NotHealthyError, combined
from gitops.ground.options import output_option
from gitops.ground.output import print_table, summarise
from gitops.ground.progress import Progress
from gitops.images import bump as bumps
from gitops.images import policy
from gitops.images import rollback as rollbacks
from gitops.images.bump import Report
from gitops.tools.build import ensure


@click.group()
def images() -> None:
    """Image updates: from the registry to a pull request; back to what ran; the freeze."""


@images.command()
@click.argument("services", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Say every candidate, why not each other, and the diff.")
@output_option
def bump(services: tuple[str, ...], dry_run: bool, output: str) -> None:
    """Open or update one pull request for each overlay whose image should change (SERVICES: only these).

    GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL say where; a dry run does without. Exit code 1: something that a
    person must see, such as a running image that is gone from the registry.
    """
    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    secret = settings.read().github_token
    token = secret.get_secret_value() if secret else None
    hub = None if dry_run and not token else Hub.from_environment()
    reports = bumps.run(
        checkout,
        hub,
        Registry(),
        names=services,
        now=datetime.now(UTC),
        token=token,
        dry_run=dry_run,
    )
    if output == "json":
        click.echo(json.dumps([_as_dict(report) for report in reports], indent=2))
    elif dry_run:
        for report in reports:
            _explain(report)
    else:
        print_table(*_table(reports))
    summarise(*_table(reports))
    errors = [report.error for report in reports if report.error]
    if errors:
        raise combined(errors)
    if alerts := [f"{_name(report)}: {report.plan.alert}" for report in reports if report.plan.alert]:
        raise NotHealthyError("\n".join(alerts))


@images.command()
@click.argument("service")
@click.option("--environment", default="prod", show_default=True)
@click.option("--to", metavar="TAG", help="What it ran once; without it: what it ran before this one.")
@click.option("--reason", required=True, help="Why; it stands in the pull request and in the hold.")
@click.option("--for", "span", default="7d", show_default=True, help="How long the bot keeps its hands off.")
def rollback(service: str, environment: str, to: str | None, reason: str, span: str) -> None:
    """Open the pull request that goes back to an image that SERVICE ran, and hold it there."""
    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    try:
        until = datetime.now(UTC).replace(microsecond=0) + policy.duration(span)
    except ValueError as error:
        raise InputError(f"--for {span!r}: {error}") from None
    outcome, image = rollbacks.rollback(
        checkout, Hub.from_environment(), service=service, environment=environment, to=to, reason=reason, until=until
    )
    click.echo(f"{outcome.action}: {service}/{environment} back to {image.tag} {outcome.url} {outcome.why}".rstrip())


@images.command()
def freeze() -> None:
    """Set the commit status `freeze` on every open pull request to what holds now."""
    written = rollbacks.set_freeze(Checkout.find(), Hub.from_environment(), datetime.now(UTC))
    for number, text in written.items():
        click.echo(f"#{number}: {text}")
    if not written:
        click.echo("nothing changed")


def _name(report: Report) -> str:
    return f"{report.plan.service}/{report.plan.environment}"


def _said(report: Report) -> str:
    if report.error:
        return "failed"
    if report.outcome and report.outcome.number:
        return f"{report.outcome.action} #{report.outcome.number}"
    return report.outcome.action if report.outcome and report.outcome.action != "nothing" else "-"


def _why(report: Report) -> str:
    failed = str(report.error).splitlines()[0] if report.error else ""
    texts = [failed, report.plan.alert, report.outcome.why if report.outcome else "", report.plan.note]
    return "; ".join(dict.fromkeys(filter(None, texts))) or "-"


def _table(reports: list[Report]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for report in reports:
        plan = report.plan
        runs = plan.target.pin.image.tag if plan.target else "?"
        rows.append([_name(report), runs, plan.winner.tag if plan.winner else "-", _said(report), _why(report)])
    return ["overlay", "runs", "proposed", "pull request", "why"], rows


def _explain(report: Report) -> None:
    plan = report.plan
    runs = f" runs {plan.target.pin.image.tag}" if plan.target else ""
    click.echo(f"{_name(report)}{runs}: {plan.winner.tag if plan.winner else 'no change'}")
    for what, text in (("error", str(report.error or "")), ("alert", plan.alert), ("note", plan.note)):
        if text:
            click.echo(f"  {what}: {text}")
    for verdict in plan.verdicts:
        tag = verdict.candidate.tag
        if tag:
            won = plan.winner and (tag, verdict.candidate.digest) == (plan.winner.tag, plan.winner.digest)
            why = "winner" if won else verdict.why or "older than the winner"
            click.echo(f"  {tag}  {verdict.candidate.digest[:19]}  {why}")
    if untagged := sum(not verdict.candidate.tag for verdict in plan.verdicts):
        click.echo(f"  ({untagged} untagged)")
    if report.diff:
        click.echo("\n".join(f"  {line}" for line in report.diff.splitlines()))


def _as_dict(report: Report) -> dict[str, Any]:
    plan, outcome = report.plan, report.outcome
    return {
        "service": plan.service,
        "environment": plan.environment,
        "runs": str(plan.target.pin.image) if plan.target else None,
        "winner": str(plan.winner) if plan.winner else None,
        "note": plan.note,
        "alert": plan.alert,
        "error": str(report.error) if report.error else None,
        "candidates": [
            {
                "tag": verdict.candidate.tag,
                "digest": verdict.candidate.digest,
                "pushed": verdict.candidate.pushed.isoformat(),
                "why_not": verdict.why,
            }
            for verdict in plan.verdicts
        ],
        "diff": report.diff,
        "action": outcome.action if outcome else None,
        "pull_request": outcome.number if outcome else None,
        "url": outcome.url if outcome else None,
        "why": outcome.why if outcome else None,
    }

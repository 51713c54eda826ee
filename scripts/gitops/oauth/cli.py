"""`gitops oauth`: parses and prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from gitops.clients.github import Hub
from gitops.clients.intra42 import Api
from gitops.clients.slack import Slack
from gitops.ground import credentials as hidden
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError, NotHealthyError, combined
from gitops.ground.options import cluster_option, output_option
from gitops.ground.output import print_table, summarise
from gitops.ground.progress import Progress
from gitops.oauth import alerts
from gitops.oauth import provide as provides
from gitops.oauth import rotate as rotations
from gitops.oauth.login import Credentials, Session
from gitops.oauth.observe import utc_now
from gitops.oauth.rotate import Report
from gitops.oauth.sources import IntraPage, Person, Source
from gitops.tools.build import ensure

# The workflow whose runs are watched: .github/workflows/oauth.yaml.
WORKFLOW = "oauth.yaml"


@click.group()
def oauth() -> None:
    """42's OAuth secrets: what each is at, and rotating them by pull requests."""


@oauth.command()
@click.argument("services", nargs=-1)
@click.option("--output", type=click.Choice(["text", "json", "openmetrics"]), default="text", show_default=True)
def status(services: tuple[str, ...], output: str) -> None:
    """Every application's generation, validity and state (SERVICES: only these). Writes nothing.

    42 is asked where INTRA42_LOGIN and INTRA42_PASSWORD are set, GitHub where GITHUB_TOKEN is; otherwise git's own
    memory is shown. Exit code 1: something is BLOCKED, AT_RISK or EXPIRED.
    """
    reports, _ = _run(services)
    if output == "json":
        click.echo(json.dumps([_as_dict(report) for report in reports], indent=2))
    elif output == "openmetrics":
        click.echo(alerts.metrics(reports, utc_now()), nl=False)
    else:
        print_table(*_table(reports))
    _fail(reports)


@oauth.command()
@click.argument("services", nargs=-1)
@cluster_option
@click.option("--metrics", type=click.Path(path_type=Path, dir_okay=False), help="Write OpenMetrics text here too.")
@output_option
def rotate(services: tuple[str, ...], cluster: str, metrics: Path | None, output: str) -> None:
    """Bring each application's pull request to what it should be (SERVICES: only these), and tell Slack who must act.

    GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL say where; INTRA42_LOGIN, INTRA42_PASSWORD and, with one-time
    codes, INTRA42_TOTP_SEED who reads 42's pages; SLACK_TOKEN who tells. Exit code 1: something needs a person.
    """
    reports, tell = _run(services, cluster)
    if output == "json":
        click.echo(json.dumps([_as_dict(report) for report in reports], indent=2))
    else:
        print_table(*_table(reports))
    summarise(*_table(reports))
    if metrics:
        metrics.write_text(alerts.metrics(reports, utc_now()))
    tell()
    _fail(reports)


@oauth.command()
@click.argument("service")
@click.option("--environment", default="prod", show_default=True)
@cluster_option
def provide(service: str, environment: str, cluster: str) -> None:
    """Seal a secret of 42 that you type or pipe in: the break-glass, when 42's page cannot be read.

    It is tried at 42, sealed as SERVICE's next generation, and its files are written into this working copy.
    """
    hidden.no_traces()
    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    paths = provides.provide(checkout, Person(), Api(), service=service, environment=environment, cluster=cluster)
    for path in paths:
        click.echo(f"wrote {checkout.relative(path)}")
    click.echo(f"\nnext: commit these files and open a pull request; merged, Argo CD starts {service}'s new pods")


def _run(services: Sequence[str], cluster: str | None = None) -> tuple[list[Report], Callable[[], None]]:
    """Look at every application and, with a `cluster` to seal for, act. Returns what tells Slack, too."""
    hidden.no_traces()
    write = cluster is not None
    taken = click.get_current_context().obj
    credentials, slack = Credentials.of(taken), Slack.of(taken)
    token = hidden.take("GITHUB_TOKEN")
    if write and credentials is None:
        raise InputError("not set: INTRA42_LOGIN, INTRA42_PASSWORD; in Actions the workflow sets them, see the runbook")
    if write and slack is None:
        raise InputError("not set: SLACK_TOKEN; without it nobody would hear of a secret that ends")
    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    hub = Hub.from_environment(token) if write or token else None
    source: Source | None = IntraPage(Session(credentials)) if credentials else None
    progress = Progress()
    with progress.step("42's applications"):
        reports = rotations.run(
            checkout, hub, source, cluster=cluster, names=services, now=utc_now(),
            token=token.get_secret_value() if token else None,
        )  # fmt: skip

    def tell() -> None:
        if slack and hub and (text := alerts.message(reports, hub.last_success(WORKFLOW))):
            slack.post(text)

    return reports, tell


def _fail(reports: Sequence[Report]) -> None:
    """Raise what needs a person, one line for each application."""
    needs = [report for report in reports if report.needs_a_person]
    if needs:
        raise combined([_failure(report) for report in needs])


def _failure(report: Report) -> GitopsError:
    return report.error or NotHealthyError(f"{report.name}: {report.state}: {alerts.explain(report)}")


def _table(reports: Sequence[Report]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for report in reports:
        found = report.observation
        if found is None:
            rows.append([report.name, "?", "?", "?", "?", report.state, alerts.explain(report)])
            continue
        facts = found.facts
        until = facts.until.strftime("%Y-%m-%d %H:%M UTC") if facts.until else "?"
        bound = ">= " if facts.ahead else ""
        rows.append(
            [
                report.name,
                found.application.id,
                f"g{found.application.deployed.number}",
                f"{bound}{until}",
                f"{bound}{alerts.days(facts.left)}",
                report.state if report.known else "?",
                alerts.explain(report),
            ]
        )
    return ["overlay", "application", "generation", "valid until", "days left", "state", "next"], rows


def _as_dict(report: Report) -> dict[str, Any]:
    found, outcome = report.observation, report.outcome
    service, environment = report.name.split("/")
    known = {
        "service": service,
        "environment": environment,
        "state": report.state.value if report.known else None,
        "next": alerts.explain(report),
    }
    if found is None:
        return known | {"error": str(report.error)}
    facts, record = found.facts, found.application.deployed.record
    return known | {
        "application": found.application.id,
        "uid": found.application.uid,
        "generation": found.application.deployed.number,
        "rotation": facts.deployed,
        "certificate": record.certificate if record else None,
        "valid_until": facts.until.isoformat() if facts.until else None,
        "at_least": facts.ahead,
        "days_left": round(facts.left.total_seconds() / 86400, 2) if facts.left else None,
        "blocked": facts.blocked.value if facts.blocked else None,
        "needs_a_person": report.needs_a_person,
        "pull_request": outcome.number if outcome else (found.pull.number if found.pull else None),
        "action": outcome.action if outcome else None,
        "trace": [each.value for each in report.trace],
    }

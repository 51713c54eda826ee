"""`gitops oauth`: parses and prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops.ground import complete, credentials
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import cluster_option, environment_option, output_option
from gitops.ground.output import Table, present, say, summarise, write
from gitops.ground.progress import Progress
from gitops.manifests.overlay import Overlay
from gitops.secrets.cli import controller_option
from gitops.service.cli_edit import say_written

if TYPE_CHECKING:
    from gitops.oauth.rotate import RotationReport


@click.group(cls=Group)
def oauth() -> None:
    """42's OAuth secrets: what each is at, and rotating them by pull requests.

    Example: gitops oauth status
    """
    credentials.harden()


@oauth.command()
@click.argument("services", nargs=-1, shell_complete=complete.services)
@click.option("--output", type=click.Choice(["text", "json", "openmetrics"]), default="text", show_default=True)
@click.pass_context
def status(context: click.Context, services: tuple[str, ...], output: str) -> None:
    """Every application's generation, validity and state (SERVICES: only these). Writes nothing.

    42 is asked where INTRA42_LOGIN and INTRA42_PASSWORD are set, GitHub where GITHUB_TOKEN is (with ARGOCD_APP, whose
    word on the cluster counts); otherwise git's own memory is shown. Exit codes: 1 something is BLOCKED, STUCK, AT_RISK
    or EXPIRED; 2 a file of main cannot be read, and all else is shown.

    Example: gitops oauth status mogle
    """
    from gitops.oauth import alerts
    from gitops.oauth import run as runs
    from gitops.oauth.observe import utc_now
    from gitops.repository import reconcile

    reports = runs.look(context.obj, services).reports
    if output == "openmetrics":
        say(*alerts.metrics(reports, utc_now()).splitlines())
    else:
        present(output, _table(reports), [_as_dict(report) for report in reports])
    reconcile.check(reports, alerts.failure)


@oauth.command()
@click.argument("services", nargs=-1, shell_complete=complete.services)
@cluster_option
@click.option("--metrics", type=click.Path(path_type=Path, dir_okay=False), help="Write OpenMetrics text here too.")
@output_option
@click.pass_context
def rotate(context: click.Context, services: tuple[str, ...], cluster: str, metrics: Path | None, output: str) -> None:
    """Bring each application's pull request to what it should be (SERVICES: only these), and tell Slack who must act.

    GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL say where; INTRA42_LOGIN, INTRA42_PASSWORD and, with one-time
    codes, INTRA42_TOTP_SEED who reads 42's pages; SLACK_TOKEN who tells. Exit code 1: something needs a person.

    Example: gitops oauth rotate mogle
    """
    from gitops.oauth import alerts
    from gitops.oauth import run as runs
    from gitops.oauth.observe import utc_now
    from gitops.repository import reconcile

    run = runs.rotate(context.obj, services, cluster)
    present(output, _table(run.reports), [_as_dict(report) for report in run.reports])
    summarise(*_table(run.reports))
    if metrics:
        write(metrics, alerts.metrics(run.reports, utc_now()))
    run.tell()
    reconcile.check(run.reports, alerts.failure)


@oauth.command()
@click.argument("services", nargs=-1, shell_complete=complete.services)
@output_option
@click.pass_context
def deliver(context: click.Context, services: tuple[str, ...], output: str) -> None:
    """Merge rotations whose checks passed, and follow what is merged to the pods (SERVICES: only these).

    42 is not asked. GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL say where, ARGOCD_APP whose word on the cluster
    counts, SLACK_TOKEN who tells the owners. Exit code 1: something was not merged or not delivered in time.

    Example: gitops oauth deliver mogle
    """
    from gitops.oauth import alerts
    from gitops.oauth import run as runs
    from gitops.repository import reconcile

    run = runs.deliver(context.obj, services)
    present(output, _table(run.reports), [_as_dict(report) for report in run.reports])
    summarise(*_table(run.reports))
    run.tell()
    reconcile.check(run.reports, alerts.failure)


@oauth.command()
@click.argument("service", shell_complete=complete.services)
@environment_option
@cluster_option
def provide(service: str, environment: str, cluster: str) -> None:
    """Seal a secret of 42 that you type or pipe in: the break-glass, when 42's page cannot be read.

    It is tried at 42, sealed as SERVICE's next generation, and its files are written into this working copy.

    Example: gitops oauth provide mogle --environment staging
    """
    from gitops.clients.intra42 import Api
    from gitops.oauth import provide as provides
    from gitops.oauth.sources import Person
    from gitops.tools.build import ensure

    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    overlay = Overlay(service, environment)
    paths = provides.provide(checkout, Person(), Api(), overlay, cluster=cluster)
    then = f"and open a pull request; once it is merged, Argo CD starts {service}'s new pods"
    say_written(checkout, paths, f"{service}-oauth", f"{overlay}: 42's secret by hand", then=then)


@oauth.command()
@click.argument("application", shell_complete=complete.applications)
@click.pass_context
def layout(context: click.Context, application: str) -> None:
    """Record 42's page of APPLICATION (its number) as the known layout, with every value and name replaced.

    It writes one file into this working copy: a test's fixture, and what a page that cannot be read is compared with.
    INTRA42_LOGIN and INTRA42_PASSWORD say who reads it; nothing on it is pressed. Exit code 1: it cannot be read yet.

    Example: gitops oauth layout 41002
    """
    from gitops.oauth import run as runs

    recorded = runs.record(context.obj, application)
    say(f"layout {recorded.fingerprint}", *(recorded.difference or ("the same layout as before",)))
    note, then = "read the file first, that nothing of yours is in it", "and open a pull request"
    say_written(Checkout.find(), [recorded.file], "oauth-layout", "Record the layout of 42's page", note, then=then)
    if recorded.refusal:
        fix = "teach scripts/gitops/oauth/blocks.py or dates.py what it shows, in the same pull request"
        raise NotHealthyError(recorded.refusal, fix=fix)


@oauth.command()
@click.argument("services", nargs=-1, shell_complete=complete.services)
@cluster_option
@controller_option
@output_option
@click.pass_context
def doctor(context: click.Context, services: tuple[str, ...], cluster: str, url: str, output: str) -> None:
    """Try all that a rotation needs: 42's login, pages and tokens, clocks, Slack, GitHub, the certificate.

    Says what works, what does not and what to do (SERVICES: only these applications). Writes nothing. What has no
    credential in the environment is not tried. Exit code 1: something does not work.

    Example: gitops oauth doctor mogle
    """
    from gitops.oauth import run as runs
    from gitops.oauth.doctor import Examined

    checks = runs.examine(context.obj, services, cluster, url)
    rows = [[check.name, check.verdict, check.says, check.fix] for check in checks]
    present(output, Table(("what", "verdict", "found", "fix"), rows), [asdict(check) for check in checks])
    if bad := [check for check in checks if check.verdict is Examined.FAILS]:
        raise NotHealthyError.several(Fault(f"{check.name}: {check.says}", fix=check.fix or None) for check in bad)


def _table(reports: Sequence[RotationReport]) -> Table:
    head = ("overlay", "application", "generation", "valid until", "days left", "state", "next")
    return Table(head, [_row(report) for report in reports])


def _row(report: RotationReport) -> list[str]:
    from gitops.oauth import alerts

    observation = report.observation
    if observation is None:
        return [str(report.overlay), "?", "?", "?", "?", report.state, alerts.explain(report)]
    facts, application = observation.facts, observation.application
    until = facts.until.strftime("%Y-%m-%d %H:%M UTC") if facts.until else "?"
    bound = ">= " if facts.at_least else ""
    return [
        str(report.overlay),
        application.id,
        f"g{application.deployed.number}",
        f"{bound}{until}",
        f"{bound}{alerts.days(facts.left)}",
        report.state if report.known else "?",
        alerts.explain(report),
    ]


def _as_dict(report: RotationReport) -> dict[str, Any]:
    from gitops.oauth import alerts

    observation, outcome = report.observation, report.outcome
    document = {
        "service": report.overlay.service,
        "environment": report.overlay.environment,
        "state": report.state.value if report.known else None,
        "next": alerts.explain(report),
    }
    if observation is None:
        return document | {"error": str(report.error)}
    facts, application, pull = observation.facts, observation.application, observation.pull
    record = application.deployed.record
    return document | {
        "application": application.id,
        "uid": application.uid,
        "generation": application.deployed.number,
        "rotation": facts.deployed,
        "certificate": record.certificate if record else None,
        "valid_until": facts.until.isoformat() if facts.until else None,
        "at_least": facts.at_least,
        "days_left": round(facts.left.total_seconds() / 86400, 2) if facts.left else None,
        "blocked": facts.blocked.value if facts.blocked else None,
        "cluster": facts.sync.value,
        "undelivered_seconds": int(facts.undelivered.total_seconds()) if facts.undelivered is not None else None,
        "needs_a_person": report.needs_a_person,
        "pull_request": outcome.number if outcome else (pull.number if pull else None),
        "action": outcome.action if outcome else None,
        "trace": [state.value for state in report.trace],
    }

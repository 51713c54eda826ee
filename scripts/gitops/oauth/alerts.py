"""Who is told what: one message to Slack for a run that needs a person, and numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Enum, Gauge
from prometheus_client.openmetrics.exposition import generate_latest

from gitops.ground.errors import GitopsError, NotHealthyError
from gitops.oauth.rotate import RotationReport
from gitops.oauth.state import TABLE, Stage, crossed

RUNBOOK = "docs/runbooks/oauth.md"


def message(reports: Sequence[RotationReport], since: datetime | None) -> list[str]:
    """The lines for Slack: what needs a person, and what went below 7, 3 or 1 days since the last run; or none."""
    lines = []
    for report in reports:
        observation = report.observation
        span = crossed(observation.facts, since) if observation else None
        if report.needs_a_person or span:
            what = f"less than {span.days} days left. " if span else ""
            lines.append(f"{_sign(report)} {report.overlay}: {report.state} {what}{explain(report)}")
    return [*lines, f"Runbook: {RUNBOOK}"] if lines else []


def explain(report: RotationReport) -> str:
    """Why it is so and what comes next, in one line."""
    if report.error:
        return str(report.error).splitlines()[0]
    if report.observation is None:
        return ""
    observation, outcome = report.observation, report.outcome
    blocked = observation.facts.blocked
    reason = f"({blocked}) {observation.why}" if blocked else observation.why
    where = f"#{outcome.number} {outcome.action}" if outcome and outcome.number else ""
    then = next(row.then for row in TABLE if row.state is report.state) if report.known else ""
    return "; ".join(filter(None, [reason, where, then]))


def failure(report: RotationReport) -> GitopsError | None:
    """What the run fails for: an error, or an application that needs a person."""
    if report.error or not report.needs_a_person:
        return report.error
    return NotHealthyError(f"{report.overlay}: {report.state}: {explain(report)}")


def _sign(report: RotationReport) -> str:
    return {Stage.EXPIRED: ":rotating_light:", Stage.AT_RISK: ":rotating_light:"}.get(report.state, ":warning:")


def days(left: timedelta | None) -> str:
    """Days left with one decimal, for a table."""
    return "?" if left is None else f"{left / timedelta(days=1):.1f}"


def metrics(reports: Sequence[RotationReport], now: datetime) -> str:
    """OpenMetrics text (1.0.0): each application's end, generation and state, and when this was looked at."""
    registry = CollectorRegistry()
    labels = ["service", "environment"]
    until = Gauge(
        "gitops_oauth_valid_until_timestamp_seconds",
        "When 42 stops accepting the deployed secret (a lower bound where the next one is deployed).",
        labels,
        registry=registry,
    )
    generation = Gauge("gitops_oauth_generation", "The generation that main deploys.", labels, registry=registry)
    state = Enum(
        "gitops_oauth_state",
        "Where the rotation is.",
        labels,
        states=[state.value for state in Stage],
        registry=registry,
    )
    looked = Gauge("gitops_oauth_last_look_timestamp_seconds", "When this was looked at.", registry=registry)
    looked.set(now.timestamp())
    for report in reports:
        names = (report.overlay.service, report.overlay.environment)
        if report.known:
            state.labels(*names).state(report.state.value)
        if report.observation:
            generation.labels(*names).set(report.observation.application.deployed.number)
            if report.observation.facts.until:
                until.labels(*names).set(report.observation.facts.until.timestamp())
    return bytes(generate_latest(registry)).decode()  # type: ignore[no-untyped-call]

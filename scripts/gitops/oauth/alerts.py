"""Who is told what: one message to Slack for a run that needs a person, and numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Enum, Gauge
from prometheus_client.openmetrics.exposition import generate_latest

from gitops.oauth.rotate import Report
from gitops.oauth.state import TABLE, State, crossed

RUNBOOK = "docs/runbooks/oauth.md"


def message(reports: Sequence[Report], since: datetime | None) -> str:
    """What Slack is told: what needs a person, and what went below 7, 3 or 1 days since the last run; or nothing."""
    lines = []
    for report in reports:
        found = report.observation
        span = crossed(found.facts, since) if found else None
        if report.needs_a_person or span:
            what = f"less than {span.days} days left. " if span else ""
            lines.append(f"{_sign(report)} {report.name}: {report.state} {what}{explain(report)}")
    return "\n".join([*lines, f"Runbook: {RUNBOOK}"]) if lines else ""


def explain(report: Report) -> str:
    """Why it is so and what comes next, in one line."""
    if report.error:
        return str(report.error).splitlines()[0]
    if report.observation is None:
        return ""
    found, pull = report.observation, report.outcome
    reason = f"({found.facts.blocked}) {found.why}" if found.facts.blocked else found.why
    where = f"#{pull.number} {pull.action}" if pull and pull.number else ""
    then = next(row.then for row in TABLE if row.state is report.state) if report.known else ""
    return "; ".join(filter(None, [reason, where, then]))


def _sign(report: Report) -> str:
    return {State.EXPIRED: ":rotating_light:", State.AT_RISK: ":rotating_light:"}.get(report.state, ":warning:")


def days(left: timedelta | None) -> str:
    """Days left with one decimal, for a table."""
    return "?" if left is None else f"{left / timedelta(days=1):.1f}"


def metrics(reports: Sequence[Report], now: datetime) -> str:
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
        "gitops_oauth_state", "Where the rotation is.", labels, states=[each.value for each in State], registry=registry
    )
    looked = Gauge("gitops_oauth_last_look_timestamp_seconds", "When this was looked at.", registry=registry)
    looked.set(now.timestamp())
    for report in reports:
        names = report.name.split("/")
        if report.known:
            state.labels(*names).state(report.state.value)
        if report.observation:
            generation.labels(*names).set(report.observation.application.deployed.number)
            if report.observation.facts.until:
                until.labels(*names).set(report.observation.facts.until.timestamp())
    return bytes(generate_latest(registry)).decode()  # type: ignore[no-untyped-call]

"""Who is told what: the platform and each owner by Slack, and numbers for Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Enum, Gauge
from prometheus_client.openmetrics.exposition import generate_latest

from gitops.clients.slack import Slack
from gitops.ground.errors import ExternalError, GitopsError, NotHealthyError, combined
from gitops.ground.printable import counted
from gitops.oauth.rotate import RotationReport
from gitops.oauth.state import TABLE, Obstacle, Stage, crossed
from gitops.repository.pulls import PullAction

RUNBOOK = "docs/runbooks/oauth.md"


# What its owner can mend, or has to know: the rest is the platform's.
_OWNERS = (Stage.STUCK, Stage.AT_RISK, Stage.EXPIRED)
_CHANNEL = re.compile(r"#[\w-]+")


def message(reports: Sequence[RotationReport], since: datetime | None) -> list[str]:
    """The platform's lines: what needs a person, and what went below 7, 3 or 1 days since the last run; or none."""
    lines = [line for report in reports if (line := _alert(report, since))]
    return [*lines, f"Runbook: {RUNBOOK}"] if lines else []


def to_owners(reports: Sequence[RotationReport], since: datetime | None) -> dict[str, list[str]]:
    """The lines of each owner's contact that is a channel of Slack: what was opened, merged and delivered, and what
    keeps a secret from its pods.
    """
    by_channel: dict[str, list[str]] = {}
    for report in reports:
        contact = report.application.owner.contact if report.application else ""
        lines = [*_news(report), *filter(None, [_alert(report, since) if _concerns_owner(report) else ""])]
        if lines and _CHANNEL.fullmatch(contact):
            by_channel.setdefault(contact, []).extend(lines)
    return by_channel


def tell(slack: Slack, owners: Mapping[str, Sequence[str]], platform: Sequence[str]) -> None:
    """Send each channel its lines. What an owner could not be told the platform is. Raises ExternalError."""
    lines, failures = list(platform), []
    for channel, own in owners.items():
        try:
            slack.to(channel).post(*own)
        except ExternalError as error:
            failures.append(error)
            lines += [f":warning: {channel} could not be told:", *own]
    if lines:
        slack.post(*lines)
    if failures:
        raise combined(failures)


def _alert(report: RotationReport, since: datetime | None) -> str:
    span = crossed(report.observation.facts, since) if report.observation else None
    if not report.needs_a_person and not span:
        return ""
    what = f"less than {counted(span.days, 'day')} left. " if span else ""
    return f"{_sign(report)} {report.overlay}: {report.state} {what}{explain(report)}"


def _concerns_owner(report: RotationReport) -> bool:
    facts = report.observation.facts if report.observation else None
    declined = facts is not None and (facts.blocked is Obstacle.PERSON or facts.held)
    return report.state in _OWNERS or declined


def _news(report: RotationReport) -> list[str]:
    """What was done in this run that the owner hears of, though nothing is to be done."""
    application, outcome, lines = report.application, report.outcome, []
    if application and outcome and outcome.action is PullAction.OPENED:
        who = "it merges once its checks passed" if application.owner.merges_by_itself else "please merge it"
        lines.append(f"{report.overlay}: 42's new secret is in #{outcome.number}, {who}. {outcome.url}")
    if outcome and outcome.action is PullAction.MERGED:
        lines.append(f"{report.overlay}: #{outcome.number} is merged; new pods start with 42's new secret")
    if application and report.arrived:
        lines.append(f"{report.overlay}: delivered: every pod holds generation {application.deployed.number}")
    return lines


def explain(report: RotationReport) -> str:
    """Why it is so and what comes next, in one line."""
    if report.error:
        return str(report.error).splitlines()[0]
    if report.observation is None:
        return ""
    observation, outcome = report.observation, report.outcome
    blocked = observation.facts.blocked
    reason = f"({blocked}) {observation.why}" if blocked else "; ".join(filter(None, [observation.why, *_late(report)]))
    where = f"#{outcome.number} {outcome.action}" if outcome and outcome.number else ""
    return "; ".join(filter(None, [reason, where, _then(report)]))


def _then(report: RotationReport) -> str:
    """What comes next, by the row of TABLE that fits: of a state that was reached in this run the first one."""
    if not report.known or report.observation is None:
        return ""
    rows = [row for row in TABLE if row.state is report.state]
    facts = report.observation.facts
    return next((row.then for row in rows if row.when(facts)), rows[0].then)


def _late(report: RotationReport) -> list[str]:
    """What of a merge or a delivery takes longer than it may."""
    facts = report.observation.facts if report.observation else None
    if facts is None:
        return []
    late = []
    if facts.undeliverable and facts.undelivered is not None:
        late.append(f"merged and not delivered for {_hours(facts.undelivered)}: {facts.sync}")
    if facts.unmerged and facts.waiting is not None:
        late.append(f"not merged for {_hours(facts.waiting)}: its checks have not passed")
    return late


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):.0f} h"


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

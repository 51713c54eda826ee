"""One look at all exceptions, whatever changes: the gate fails a change for its own alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from gitops.exceptions import files
from gitops.ground.checkout import Checkout
from gitops.manifests import kustomize
from gitops.manifests.objects import name
from gitops.repository import services
from gitops.service import scale

if TYPE_CHECKING:
    from pydantic import SecretStr

RUNBOOK = "docs/runbooks/gate.md"


@dataclass(frozen=True)
class ExceptionState:
    """One exception today. `word`: what it is; `is_over`: it no longer covers anything, by its day or its faults."""

    file: str
    owner: str
    until: date | None
    word: str
    is_over: bool

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        until = self.until.isoformat() if self.until else None
        return {"file": self.file, "owner": self.owner, "until": until, "state": self.word, "over": self.is_over}


def look(checkout: Checkout) -> list[ExceptionState]:
    """Every exception, by file. Raises InputError."""
    objects = kustomize.build(checkout, checkout.root / "policies")
    policies = {name(item) for item in objects if item["kind"] == "ValidatingAdmissionPolicy"}
    today = datetime.now(UTC).date()
    made = files.read(checkout, policies, today)
    states = [
        ExceptionState(one.place.file, one.owner, one.until, _word(one.until, today), False) for one in made.allowed
    ]
    states += [ExceptionState(one.place.file, one.owner, one.until, "ended", True) for one in made.lapsed]
    wrong = [finding for finding in made.findings if finding.rule == "exception"]
    states += [ExceptionState(finding.place.file, "?", None, f"wrong: {finding.problem}", True) for finding in wrong]
    states += _opening_days(checkout)
    return sorted(states, key=lambda state: (state.file, state.word))


def _opening_days(checkout: Checkout) -> list[ExceptionState]:
    """What was scaled for a day, and is to be taken away after it."""
    now, (known, _) = datetime.now(UTC), services.readable(checkout)
    teams = {service.name: service.owner.team for service in known}
    return [
        ExceptionState(
            day.path,
            teams.get(day.overlay.service, "?"),
            day.until.date(),
            "ended" if day.until < now else "holds",
            day.until < now,
        )
        for day in scale.openings(checkout)
    ]


def _word(until: date, today: date) -> str:
    return "ends soon" if until - today <= files.SOON else "holds"


def tell(states: Sequence[ExceptionState], credentials: Mapping[str, SecretStr]) -> None:
    """Say to Slack what needs its owner, if anything does. Raises InputError, ExternalError."""
    from gitops.clients.slack import Slack

    slack = Slack.needed(credentials, "of an exception that has ended")
    due = [state for state in states if state.word != "holds"]
    if due:
        lines = [f":warning: {state.file} ({state.owner}): {state.word}, until {state.until or '?'}" for state in due]
        slack.post(*lines, f"Runbook: {RUNBOOK}")

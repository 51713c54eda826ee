"""What takes longer than a glance: registries, 42's rotations, the seals, and the check of what main has not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from gitops.check import draft, quick, report
from gitops.clients.github import Hub, person
from gitops.clients.registries import Registries
from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, GitopsError, InputError
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.images import bump, status
from gitops.images.status import OverlayStatus
from gitops.oauth import alerts, model
from gitops.oauth import run as rotations
from gitops.secrets import status as secrets
from gitops.status import changes
from gitops.status.changes import CheckedChanges
from gitops.tools.build import ensure

# The state of a rotation of which nobody was asked.
UNKNOWN = "?"


@dataclass
class Full:
    """Lines for a person under each head, and what needs one; `unasked`: what could not be told, and why.

    `checked`: what the check says of what main has not; None where that is nothing, or where it could not be made.
    """

    images: list[OverlayStatus] = field(default_factory=list)
    rotations: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Fault] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    checked: CheckedChanges | None = None

    @property
    def known_rotations(self) -> list[dict[str, Any]]:
        """Those of which more is known than their generation."""
        return [own for own in self.rotations if own["state"] != UNKNOWN]

    def as_dict(self) -> dict[str, Any]:
        """For JSON, of what `Glance` has not."""
        checked = asdict(self.checked) if self.checked else None
        return {"images": [own.as_dict() for own in self.images], "rotations": self.rotations, "check": checked}


def look(
    checkout: Checkout, names: Sequence[str], taken: Mapping[str, SecretStr], progress: Progress, cluster: str
) -> Full:
    """Ask everybody about some services; what fails of one stops not the others. `taken`: the credentials."""
    full, hub = Full(), _hub(checkout)
    parts: dict[str, Callable[[], None]] = {}
    if names:
        parts["images"] = lambda: _images(full, checkout, names, taken, hub)
        parts["42's secrets"] = lambda: _rotations(full, checkout, names, taken)
        parts["sealed secrets"] = lambda: _secrets(full, checkout, names, hub, cluster)
    if changes.words(checkout):
        parts["the check"] = lambda: _check(full, checkout)
    if parts:
        ensure(checkout, progress, draft.TOOLS)
    for what, part in parts.items():
        with progress.step(what):
            try:
                part()
            except GitopsError as error:
                full.unasked.append(f"{what}: {str(error.fault).splitlines()[0]}")
    return full


def _hub(checkout: Checkout) -> Hub | None:
    try:
        return person.hub_of(checkout.root)
    except InputError:  # the overview says it
        return None


def _images(
    full: Full, checkout: Checkout, names: Sequence[str], taken: Mapping[str, SecretStr], hub: Hub | None
) -> None:
    token = hub.settings.token if hub else settings.read().github_token
    reports = bump.run(checkout, hub, Registries(taken), names=names, now=datetime.now(UTC), token=token, dry_run=True)
    full.unasked += dict.fromkeys(f"images: {own.error.fault.what.splitlines()[0]}" for own in reports if own.error)
    full.images = [status.of(own) for own in reports if not own.error]
    full.findings += [Fault(f"{own.label}: {own.trouble}") for own in full.images if own.trouble]


def _rotations(full: Full, checkout: Checkout, names: Sequence[str], taken: Mapping[str, SecretStr]) -> None:
    having = model.having(checkout, names)
    if not having:
        return
    for own in rotations.look(taken, having).reports:
        then = alerts.explain(own)
        full.rotations.append(
            {"overlay": str(own.overlay), "state": own.state.value if own.known else UNKNOWN, "next": then}
        )
        if not own.known:
            full.unasked = list(dict.fromkeys((*full.unasked, f"42's secrets: {then}")))
        if own.needs_a_person:
            full.findings.append(Fault(f"{own.overlay}: 42's secret is {own.state}: {then}"))


def _secrets(full: Full, checkout: Checkout, names: Sequence[str], hub: Hub | None, cluster: str) -> None:
    statuses, faults = secrets.read(checkout, cluster, hub, names)
    full.findings += [*faults, *secrets.due(statuses, datetime.now(UTC))]


def _check(full: Full, checkout: Checkout) -> None:
    checked = quick.look(checkout)
    full.checked = CheckedChanges.of(checked.sentence, [report.as_dict(finding) for finding in checked.new])
    full.findings += full.checked.findings
    if checked.new:
        words = counted(len(checked.new), "finding", "findings")
        full.unasked.append(f"an API server of the {words} above: gitops check does")

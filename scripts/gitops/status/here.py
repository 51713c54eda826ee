"""What this checkout says of services by itself: images, ends and exceptions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from gitops.exceptions import run as exceptions
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, GitopsError, InputError, faults_of
from gitops.manifests import sealedsecret
from gitops.manifests.overlay import Overlay
from gitops.oauth import model
from gitops.oauth.state import RISK
from gitops.repository import services
from gitops.secrets import status as secrets


@dataclass(frozen=True)
class EnvironmentFiles:
    """What the files of an overlay say. `until`: when 42 stops accepting its secret, as far as git knows."""

    overlay: Overlay
    image: str
    generation: int | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Here:
    """`unread`: what could not be told, and why."""

    environments: tuple[EnvironmentFiles, ...]
    findings: tuple[Fault, ...]
    unread: tuple[str, ...]


def look(checkout: Checkout, names: Collection[str], teams: Collection[str], now: datetime) -> Here:
    """What the files say of the services `names`, and of their `teams`."""
    known, broken = services.readable(checkout, names)
    findings = faults_of(broken.values())
    applications = _applications(checkout, names, findings)
    environments: list[EnvironmentFiles] = []
    for service in known:
        findings += faults_of(service.broken.values())
        for summary in service.overlays:
            image = ", ".join(entry.short for entry in summary.images)
            application = applications.get(summary.overlay)
            record = application.deployed.record if application else None
            until = (record.ends or record.valid_until) if record else None
            number = application.deployed.number if application else None
            environments.append(EnvironmentFiles(summary.overlay, image, number, until))
            if until is not None and until - now <= RISK:
                findings.append(_ends(summary.overlay, until, now))
    unread: list[str] = []
    try:
        findings += [*_secrets(checkout, names, now), *_exceptions(checkout, names, teams)]
    except GitopsError as error:
        unread.append(f"exceptions and secrets: {error.fault}")
    return Here(tuple(environments), tuple(dict.fromkeys(findings)), tuple(unread))


def _applications(
    checkout: Checkout, names: Collection[str], findings: list[Fault]
) -> dict[Overlay, model.OAuthApplication]:
    """The applications of 42, by overlay; what cannot be read is a finding."""
    having = model.having(checkout, names)
    if not having:
        return {}
    readable, broken = model.applications(checkout, having)
    findings += faults_of(error for _, error in broken)
    return {application.overlay: application for application in readable}


def _ends(overlay: Overlay, until: datetime, now: datetime) -> Fault:
    word = "ended" if until <= now else "ends"
    what = f"{overlay}: 42's secret {word} on {until:%Y-%m-%d}, as far as git knows"
    return Fault(what, fix=f"what waits: gitops oauth status {overlay.service}")


def _secrets(checkout: Checkout, names: Collection[str], now: datetime) -> list[Fault]:
    """Declared ends that are near or over, and what cannot be read."""
    readable, faults = sealedsecret.readable(checkout, names)
    statuses: list[secrets.SecretStatus] = []
    for sealed in readable:
        unasked = (secrets.Against.UNKNOWN, secrets.Delivery.UNKNOWN)
        try:
            statuses.append(secrets.SecretStatus(sealed, "", "its owner", None, secrets.declared_end(sealed), *unasked))
        except InputError as error:
            faults += error.faults
    return [*faults, *secrets.due(statuses, now)]


def _exceptions(checkout: Checkout, names: Collection[str], teams: Collection[str]) -> Iterator[Fault]:
    """Those of the teams or the services that are over, end soon or are wrong."""
    for state in exceptions.look(checkout):
        overlay = Overlay.of_path(state.file)
        concerns = state.owner in teams or (overlay is not None and overlay.service in names)
        if concerns and state.word != "holds":
            until = f", until {state.until}" if state.until else ""
            yield Fault(f"an exception: {state.word}{until}", path=state.file, fix=f"see {exceptions.RUNBOOK}")

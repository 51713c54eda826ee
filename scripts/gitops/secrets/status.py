"""What is known of each sealed secret without knowing it: its age, its end, which key opens it, whether it runs."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, GitopsError, InputError, faults_of
from gitops.ground.suggest import unknown
from gitops.manifests import sealedsecret, secret
from gitops.manifests.sealedsecret import CERTIFICATE, ENDS, VALID_UNTIL, Sealed
from gitops.repository import services
from gitops.repository.versions import Version
from gitops.secrets import certificate

if TYPE_CHECKING:
    from gitops.clients.github import Health, Hub
    from gitops.repository.history import History

# Days before a declared end in which a person hears of it.
SOON = 14
# Versions of a file that are read at first: where all of them are the same values, as many times more.
_VERSIONS = 100


class Against(StrEnum):
    """Which key opens it."""

    PINNED = "pinned"  # the one that is sealed against now
    OLDER = "older"  # another, which the controller has as long as nobody loses it
    UNKNOWN = "unknown"  # the file does not say


class Delivery(StrEnum):
    """Whether what the file has runs, by Argo CD's word on GitHub."""

    DELIVERED = "delivered"  # synced, and the Application is Healthy
    ROLLING = "rolling"  # synced, and not Healthy yet
    WAITING = "waiting"  # the cluster has another version of the file
    UNKNOWN = "unknown"  # GitHub was not asked, or Argo CD has said nothing


@dataclass(frozen=True)
class SecretStatus:
    """One SealedSecret. `given`: when its values came into main, as far as git knows; `until`: its declared end."""

    sealed: Sealed
    team: str
    contact: str
    given: datetime | None
    until: date | None
    against: Against
    delivery: Delivery

    def days(self, now: datetime) -> int | None:
        """Its age in whole days."""
        return (now - self.given).days if self.given else None

    def ends(self, now: datetime) -> bool:
        """Whether its end is near or over."""
        return self.until is not None and (self.until - now.date()).days <= SOON

    def as_dict(self, now: datetime) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": self.sealed.path,
            "namespace": self.sealed.namespace,
            "name": self.sealed.name,
            "type": self.sealed.kind,
            "keys": sorted(self.sealed.encrypted),
            "team": self.team,
            "contact": self.contact,
            "age_days": self.days(now),
            "valid_until": self.until.isoformat() if self.until else None,
            "certificate": self.sealed.annotations.get(CERTIFICATE),
            "against": self.against.value,
            "delivery": self.delivery.value,
        }


def read(
    checkout: Checkout, cluster: str, hub: Hub | None, names: Sequence[str] = ()
) -> tuple[list[SecretStatus], list[Fault]]:
    """Every SealedSecret of the checkout, or those of some services, and why the others cannot be read.

    `hub`: who is asked what runs, if anybody is. Raises InputError for a service that does not exist, ExternalError.
    """
    readable, broken = services.readable(checkout)
    known = {service.name: service.owner for service in readable}
    if missing := [name for name in names if name not in known and name not in broken]:
        raise unknown("service", missing[0], known)
    faults = faults_of(broken.values())
    pin = certificate.ever_pinned(checkout, cluster)
    # Who asks for declared ends alone does without git's history.
    from gitops.repository.history import History

    history = History(checkout.root)
    said = _Said(hub, history)
    every, strange = sealedsecret.readable(checkout)
    statuses = []
    for sealed in every:
        owner = known.get(sealed.overlay.service)
        if names and sealed.overlay.service not in names:
            continue
        try:
            status = SecretStatus(
                sealed,
                owner.team if owner else "",
                owner.contact if owner else "",
                _given(history, sealed),
                declared_end(sealed),
                _against(sealed, pin.fingerprint if pin else None),
                said.delivery(checkout, sealed),
            )
        except InputError as error:
            strange += error.faults
        else:
            statuses.append(status)
    asked = [f"{checkout.relative(checkout.overlays)}/{name}/" for name in names]
    return statuses, [fault for fault in [*faults, *strange] if not names or str(fault.path).startswith(tuple(asked))]


def _against(sealed: Sealed, pin: str | None) -> Against:
    named = sealed.annotations.get(CERTIFICATE)
    if named is None or pin is None:
        return Against.UNKNOWN
    return Against.PINNED if named == pin else Against.OLDER


def declared_end(sealed: Sealed) -> date | None:
    """The day that a person declared, or the moment that 42 named. Raises InputError where it is neither."""
    text = sealed.annotations.get(ENDS) or sealed.annotations.get(VALID_UNTIL)
    if not text:
        return None
    try:
        return datetime.fromisoformat(str(text)).date()
    except ValueError:
        raise InputError(VALID_UNTIL, path=sealed.path, expected="a day, as 2027-01-31", found=repr(text)) from None


def _given(history: History, sealed: Sealed) -> datetime | None:
    """When the values came: a version that names another certificate than the one before it has the same ones."""
    for limit in itertools.accumulate(itertools.repeat(_VERSIONS), operator.mul):
        try:
            versions = list(history.versions(sealed.path, limit=limit))
        except GitopsError:  # no origin, or nothing of it yet
            return None
        read = [(version, _sealed(version, sealed.path)) for version in versions]
        for (version, new), (_, old) in itertools.pairwise(read):
            if old is None or new is None or _values_differ(new, old):
                return version.when
        if len(versions) < limit:
            break
    return versions[-1].when if versions else None


def _sealed(version: Version, path: str) -> Sealed | None:
    try:
        return sealedsecret.read(version.content, path)
    except InputError:
        return None


def _values_differ(new: Sealed, old: Sealed) -> bool:
    resealed = new.annotations.get(CERTIFICATE) != old.annotations.get(CERTIFICATE)
    return new.encrypted.keys() != old.encrypted.keys() or (new.encrypted != old.encrypted and not resealed)


class _Said:
    """What Argo CD said last of each Application, each asked once."""

    def __init__(self, hub: Hub | None, history: History) -> None:
        self._hub, self._history = hub, history
        self._last: dict[str, tuple[Health, str] | None] = {}

    def delivery(self, checkout: Checkout, sealed: Sealed) -> Delivery:
        last = self._of(sealed.overlay.application)
        if last is None:
            return Delivery.UNKNOWN
        from gitops.clients.github import Health

        health, commit = last
        if self._history.content(commit, sealed.path) != (checkout.root / sealed.path).read_bytes():
            return Delivery.WAITING
        return Delivery.DELIVERED if health is Health.HEALTHY else Delivery.ROLLING

    def _of(self, application: str) -> tuple[Health, str] | None:
        if application not in self._last:
            from gitops.clients.github import health_changes

            changes = health_changes(self._hub, application, None) if self._hub else []
            self._last[application] = (changes[-1].health, changes[-1].commit) if changes else None
        return self._last[application]


def due(statuses: Iterable[SecretStatus], now: datetime) -> list[Fault]:
    """What a person must do something about: what 42 gave the bot renews."""
    return [
        Fault(
            f"{'ended' if entry.until < now.date() else 'ends'} on {entry.until}",
            path=entry.sealed.path,
            fix=f"seal the next one (gitops secrets seal); it belongs to {entry.contact or entry.team}",
        )
        for entry in statuses
        if entry.until and entry.ends(now) and not secret.is_generation(entry.sealed.name)
    ]

"""What Argo CD says of an Application's health, as GitHub keeps it: a deployment for each commit that was synced, and a
status for each change of its health.

Argo CD's notifications write it (apps/argocd/argocd-notifications-cm.yaml), so that a bot asks what runs without a way
into the cluster. GitHub lets everyone with write access add a status: what another than Argo CD's own App said is left
out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from gitops.clients.github.hub import Hub
from gitops.clients.github.lists import entries
from gitops.ground import settings

# So far back is looked for what ran last: each is a request.
_MOST_DEPLOYMENTS = 30


class Health(StrEnum):
    """The states of a deployment that Argo CD sets. GitHub itself adds `inactive` to what another one replaced."""

    HEALTHY = "success"
    PROGRESSING = "in_progress"
    DEGRADED = "failure"
    FAILED = "error"  # its sync failed


@dataclass(frozen=True)
class HealthChange:
    """From `when` on an Application that was synced to `commit` had this health."""

    health: Health
    commit: str
    when: datetime


def health_changes(hub: Hub, application: str, since: datetime | None) -> list[HealthChange]:
    """What Argo CD said of an Application, oldest first: all of its deployments from `since` on, and the one before.

    Without `since`: of the newest alone. Empty where no App of Argo CD's is named (ARGOCD_APP). Raises ExternalError.
    """
    changes: list[HealthChange] = []
    for created, said in _by_deployment(hub, application):
        changes += said
        if since is None and changes:
            break
        if since is not None and created < since:
            break
    return _in_order(changes)


def last_words(hub: Hub, application: str) -> list[HealthChange]:
    """What Argo CD said last of an Application, oldest first: from the last time on at which it was Healthy.

    All that is known where it never was. Empty where no App of Argo CD's is named (ARGOCD_APP). Raises ExternalError.
    """
    changes: list[HealthChange] = []
    for _, said in itertools.islice(_by_deployment(hub, application), _MOST_DEPLOYMENTS):
        changes += said
        if any(change.health is Health.HEALTHY for change in said):
            break
    changes = _in_order(changes)
    healthy = [number for number, change in enumerate(changes) if change.health is Health.HEALTHY]
    return changes[healthy[-1] :] if healthy else changes


def _by_deployment(hub: Hub, application: str) -> Iterator[tuple[datetime, list[HealthChange]]]:
    """Each deployment of an Application, and what Argo CD said of it, the newest first. With when it was made."""
    app = settings.read().argocd_app
    if app is None:
        return
    for deployment in entries(hub, f"/deployments?environment={quote(application, safe='')}"):
        # A deployment of a branch would say nothing of the commit that it moved to.
        of_commit = deployment["ref"] == deployment["sha"]
        said = list(_of_deployment(hub, deployment, f"{app}[bot]")) if of_commit else []
        yield datetime.fromisoformat(deployment["created_at"]), said


def _in_order(changes: list[HealthChange]) -> list[HealthChange]:
    """Oldest first. GitHub lists the newest first and counts whole seconds: of two in one the later stays the later."""
    oldest_first = changes[::-1]
    return sorted(oldest_first, key=lambda change: change.when)


def _of_deployment(hub: Hub, deployment: dict[str, Any], login: str) -> Iterator[HealthChange]:
    states = {health.value for health in Health}
    for status in entries(hub, f"/deployments/{deployment['id']}/statuses"):
        if status["state"] in states and (status["creator"] or {}).get("login") == login:
            when = datetime.fromisoformat(status["created_at"])
            yield HealthChange(Health(status["state"]), deployment["sha"], when)

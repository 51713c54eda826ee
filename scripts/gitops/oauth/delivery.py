"""Whether what main deploys is what the pods hold, by what Argo CD told GitHub (ADR 11).

Healthy, of the commit that names a generation, is all of it: the SealedSecret was opened (argocd-cm.yaml asks for its
observedGeneration), every pod of the Deployment is of the newest template and ready, and none of those could have
started without the Secret that it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gitops.clients.github import Health, HealthChange, Hub, last_words
from gitops.ground.errors import InputError
from gitops.manifests import sealedsecret
from gitops.oauth import model
from gitops.oauth.model import OAuthApplication
from gitops.oauth.state import SyncStatus
from gitops.repository.history import History
from gitops.repository.rotation import Record, generation_of


@dataclass(frozen=True)
class Arrival:
    """How far what main deploys has come.

    `running`: the rotation that the cluster ran when it was Healthy last, None where that is what main has, or where
    nobody knows. `undelivered`: for how long main has had what no Healthy pods are known to hold; None where they do.
    """

    sync: SyncStatus
    running: str | None = None
    undelivered: timedelta | None = None


def look(hub: Hub, history: History, application: OAuthApplication, since: datetime | None, now: datetime) -> Arrival:
    """Ask what the cluster runs. `since`: when main began to deploy what it has. Raises ExternalError."""
    deployed = application.deployed
    changes = last_words(hub, application.overlay.application)
    generations = [_generation(history, application, change.commit) for change in changes]
    running = generations[0] if changes and changes[0].health is Health.HEALTHY else None
    sync = _sync(changes[-1], generations[-1] == deployed.number) if changes else SyncStatus.SILENT
    if sync is SyncStatus.HEALTHY:
        return Arrival(sync)
    if running == deployed.number:
        # It was delivered, and its pods are well no more.
        since = max(filter(None, [since, changes[1].when]))
    undelivered = now - since if since else timedelta()
    if running == deployed.number:
        return Arrival(sync, None, undelivered)
    if running is None and application.older:
        # The more careful of what is possible: nothing says that the newer one ever ran.
        running = application.older[-1].number
    return Arrival(sync, _rotation(history, application, running, changes), undelivered)


def _sync(last: HealthChange, of_deployed: bool) -> SyncStatus:
    if last.health is Health.FAILED or not of_deployed:
        return SyncStatus.BEHIND
    return SyncStatus.HEALTHY if last.health is Health.HEALTHY else SyncStatus.SYNCED


def _generation(history: History, application: OAuthApplication, commit: str) -> int | None:
    """The generation that an overlay deploys at a commit; None where that cannot be read."""
    path = application.reference
    content = history.content(commit, path)
    try:
        return (
            generation_of(model.deployed_secret(content, path), application.overlay.service, path) if content else None
        )
    except InputError:
        return None


def _rotation(
    history: History, application: OAuthApplication, generation: int | None, changes: list[HealthChange]
) -> str | None:
    """The rotation of a generation: by main, or by the commit at which it was Healthy."""
    if generation is None:
        return None
    record = next((older.record for older in application.older if older.number == generation), None)
    if record is None and changes:
        path = application.sealed_path(generation)
        content = history.content(changes[0].commit, path)
        try:
            record = Record.of(sealedsecret.read(content, path)) if content else None
        except InputError:
            return None
    return record.rotation if record else None

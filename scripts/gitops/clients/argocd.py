"""Argo CD's Applications, as the API server shows them or, to a bot outside of the cluster, Argo CD's own API."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass

import requests

from gitops.clients.kubernetes import Cluster
from gitops.ground import settings
from gitops.ground.errors import ExternalError, NotHealthyError

APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"


@dataclass(frozen=True)
class AppStatus:
    """What an operator looks at first. `revision` is the commit that the Application is compared with."""

    name: str
    project: str
    sync: str
    health: str
    revision: str
    message: str

    @property
    def good(self) -> bool:
        """Synced and Healthy."""
        return self.sync == "Synced" and self.health == "Healthy"

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def applications(cluster: Cluster) -> list[AppStatus]:
    """Every Application, by name."""
    found = []
    for item in cluster.items(APPLICATIONS):
        status = item.get("status", {})
        operation = status.get("operationState", {})
        problems = [c["message"] for c in status.get("conditions", []) if c["type"].endswith("Error")]
        if operation.get("phase") in ("Failed", "Error") or (
            operation.get("phase") == "Running" and operation.get("retryCount")
        ):
            problems.append(operation.get("message", ""))
        problems += [
            f"{r['kind']} {r['name']}: {r['health'].get('message') or r['health']['status']}"
            for r in status.get("resources", [])
            if r.get("health", {}).get("status") in ("Degraded", "Missing")
        ]
        found.append(
            AppStatus(
                name=item["metadata"]["name"],
                project=item["spec"]["project"],
                sync=status.get("sync", {}).get("status", "Unknown"),
                health=status.get("health", {}).get("status", "Missing"),
                revision=status.get("sync", {}).get("revision", ""),
                message="; ".join(dict.fromkeys(filter(None, problems))),
            )
        )
    return sorted(found, key=lambda app: app.name)


def wait_for(
    cluster: Cluster,
    expected: Collection[str],
    *,
    seconds: float,
    revision: str | None = None,
    alive: Callable[[], None] | None = None,
) -> float:
    """Wait until every expected Application is Synced and Healthy, at `revision` where one is given.

    Returns the seconds that it took. Raises NotHealthyError that names each one that is not, and why.
    """
    began = time.monotonic()
    while True:
        by_name = {app.name: app for app in applications(cluster)}
        late = [
            name
            for name in expected
            if not ((app := by_name.get(name)) and app.good and (revision is None or app.revision == revision))
        ]
        if not late:
            return time.monotonic() - began
        if alive:
            alive()
        if time.monotonic() - began > seconds:
            lines = []
            for name in late:
                found = by_name.get(name)
                lines.append(f"  {name}: {describe(found, revision)}" if found else f"  {name}: no such Application")
            raise NotHealthyError(f"not Synced and Healthy within {seconds:g} s:\n" + "\n".join(lines))
        time.sleep(0.25)


def describe(app: AppStatus, revision: str | None = None) -> str:
    """One line on an Application that is not as it should be."""
    behind = f", at {app.revision[:8]} and not at {revision[:8]}" if revision and app.revision != revision else ""
    return f"{app.sync}, {app.health}{behind}{': ' + app.message if app.message else ''}"


@dataclass(frozen=True)
class Answer:
    """What Argo CD's own API says of one Application; `revision` is the commit that the cluster was compared with."""

    sync: str
    health: str
    revision: str


def ask(application: str) -> Answer | None:
    """Ask the Argo CD of ARGOCD_SERVER (with scheme) with ARGOCD_AUTH_TOKEN; None where none is named.

    Raises ExternalError.
    """
    own = settings.read()
    server, token = own.argocd_server, own.argocd_token.get_secret_value() if own.argocd_token else ""
    if not server:
        return None
    try:
        answer = requests.get(
            f"{server}/api/v1/applications/{application}", headers={"Authorization": f"Bearer {token}"}, timeout=20
        )
        answer.raise_for_status()
        status = answer.json()["status"]
        return Answer(status["sync"]["status"], status["health"]["status"], status["sync"]["revision"])
    except (requests.RequestException, KeyError, ValueError) as error:
        raise ExternalError(f"Argo CD at {server}: {application} cannot be read ({type(error).__name__})") from None

"""What a service's pods are at in a cluster, what happened to them and what they printed: read, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from gitops.clients import argocd, workloads
from gitops.clients.argocd import AppStatus
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class PodStatus:
    """One pod. `says`: why it is not as it should be, in its own words; empty where it is."""

    name: str
    ready: str
    restarts: int
    since: str
    images: str
    says: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PodEvent:
    """What happened to an object of a namespace, the last time at `when`."""

    when: datetime
    kind: str
    about: str
    reason: str
    message: str
    count: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "when": self.when.isoformat()}


@dataclass(frozen=True)
class ContainerLog:
    """The end of what a container printed; `why` says where there is nothing to be had."""

    pod: str
    container: str
    lines: tuple[str, ...]
    why: str = ""


def application(cluster: Cluster, overlay: Overlay) -> AppStatus | None:
    """The Application of an overlay, with its pods' own words; None where there is none. Raises ClusterError."""
    own = [app for app in argocd.applications(cluster) if app.name == overlay.application]
    return next(iter(argocd.explained(cluster, own)), None)


def pods(cluster: Cluster, overlay: Overlay) -> list[PodStatus]:
    """Every pod of an overlay's namespace, by name. Raises ClusterError."""
    return [_pod(item, says) for item, says in workloads.pods_with_reasons(cluster, overlay.namespace)]


def by_images(pods: Iterable[PodStatus]) -> dict[str, list[str]]:
    """The names of the pods that run each image, or the same images."""
    names: dict[str, list[str]] = {}
    for pod in pods:
        names.setdefault(pod.images, []).append(pod.name)
    return names


def _pod(item: Object, says: list[str]) -> PodStatus:
    statuses = item.get("status", {}).get("containerStatuses") or []
    containers = item["spec"].get("containers") or []
    return PodStatus(
        item["metadata"]["name"],
        f"{sum(bool(status.get('ready')) for status in statuses)}/{len(containers)}",
        sum(int(status.get("restartCount", 0)) for status in statuses),
        str(item["metadata"].get("creationTimestamp", "")),
        ", ".join(str(container.get("image", "")) for container in containers),
        "; ".join(says),
    )


def events(cluster: Cluster, overlay: Overlay) -> list[PodEvent]:
    """What happened in an overlay's namespace, the newest last. Raises ClusterError."""
    items = cluster.items(f"/api/v1/namespaces/{overlay.namespace}/events")
    return sorted(map(_event, items), key=lambda event: event.when)


def _event(item: Object) -> PodEvent:
    # An event of the newer API has eventTime, and a series where it came more than once.
    series = item.get("series") or {}
    moments = (series.get("lastObservedTime"), item.get("lastTimestamp"), item.get("eventTime"))
    text = next(filter(None, (*moments, item["metadata"].get("creationTimestamp"))), None)
    about = item.get("involvedObject") or {}
    return PodEvent(
        datetime.fromisoformat(text) if text else _LONG_AGO,
        str(item.get("type", "")),
        f"{about.get('kind', '')} {about.get('name', '')}".strip(),
        str(item.get("reason", "")),
        " ".join(str(item.get("message", "")).split()),
        int(series.get("count") or item.get("count") or 1),
    )


def logs(cluster: Cluster, overlay: Overlay, *, lines: int, previous: bool) -> Iterator[ContainerLog]:
    """The end of what each container of each pod printed. `previous`: before it was started again.

    Raises ClusterError where the pods cannot be listed; what a pod has not is said in its place.
    """
    query = {"tailLines": str(lines), "previous": str(previous).lower()}
    for item, says in workloads.pods_with_reasons(cluster, overlay.namespace):
        pod = str(item["metadata"]["name"])
        for container in item["spec"].get("containers") or []:
            path = f"/api/v1/namespaces/{overlay.namespace}/pods/{pod}/log"
            try:
                text = cluster.text(path, container=container["name"], **query)
            except ClusterError as error:
                why = "; ".join(says) or error.reason or str(error)
                yield ContainerLog(pod, container["name"], (), why)
            else:
                yield ContainerLog(pod, container["name"], tuple(text.splitlines()))

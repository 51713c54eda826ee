"""A zone that is lost: what the lab's test asserts and its bench measures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gitops.clients.kubernetes import Cluster
from gitops.lab.bootstrap import NODE_DOWN
from gitops.lab.process import wait_until

ZONE = "topology.kubernetes.io/zone"
# How long a pod tolerates a lost node (base/web).
TOLERATION_SECONDS = 30.0


def living_pods(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    """Pods that are not on their way out."""
    pods = cluster.items(f"/api/v1/namespaces/{namespace}/pods")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _evicts(node: dict[str, Any]) -> bool:
    return any(taint["effect"] == "NoExecute" for taint in node["spec"].get("taints", []))


@dataclass(frozen=True)
class LostZone:
    """The nodes that were lost, and the seconds from when that was noticed until their pods ran elsewhere."""

    nodes: list[str]
    seconds: float


@contextmanager
def lose_zone(cluster: Cluster, namespace: str) -> Iterator[LostZone]:
    """Take away the nodes of a whole zone that the namespace has a pod in; they come back at the end.

    Raises NotHealthyError where not as many pods of the namespace as before are ready in other zones within minutes.
    """
    before = living_pods(cluster, namespace)
    zone = cluster.get(f"/api/v1/nodes/{before[0]['spec']['nodeName']}")["metadata"]["labels"][ZONE]
    selector = f"{ZONE}={zone}"
    lost = [node["metadata"]["name"] for node in cluster.items("/api/v1/nodes", labelSelector=selector)]

    def all_tainted() -> bool:
        nodes = cluster.items("/api/v1/nodes", labelSelector=selector)
        return all(_evicts(node) for node in nodes)

    def run_elsewhere() -> bool:
        pods = living_pods(cluster, namespace)
        return sum(is_ready(pod) and pod["spec"].get("nodeName") not in lost for pod in pods) >= len(before)

    try:
        for node in lost:
            cluster.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {NODE_DOWN: "true"}}})
        wait_until("every lost node is tainted", all_tainted, seconds=60)
        began = time.monotonic()
        wait_until(f"{namespace} runs elsewhere", run_elsewhere, seconds=120)
        yield LostZone(lost, time.monotonic() - began)
    finally:
        for node in lost:
            cluster.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {NODE_DOWN: None}}})

"""Why what an Application runs is not as it should be, in the words of its own objects: its pods first."""

from __future__ import annotations

from collections.abc import Iterator

from gitops.clients.kubernetes import Cluster
from gitops.manifests.objects import Object

# What a person must know of a cluster whose nodes are kwok's before anything else.
SIMULATED = "its pods are simulated, so no image was run and there are no logs; its Secrets have values of its own"
_CONTROLLERS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
}
# What a condition says of a fault, by its type and status (k8s.io/api, apps, batch and autoscaling).
_FAULTS = {("ReplicaFailure", "True"), ("Failed", "True"), ("ScalingActive", "False"), ("AbleToScale", "False")}
_EXPLAINS_ITSELF = ("PodInitializing", "ContainerCreating", "ScalingDisabled")


def faults(cluster: Cluster, namespace: str) -> list[str]:
    """What the pods of a namespace and what controls them say, each cause once with the number of pods that have it.

    Raises ClusterError.
    """
    told: dict[str, list[str]] = {}
    for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods"):
        for reason in _of_pod(pod):
            told.setdefault(reason, []).append(pod["metadata"]["name"])
    lines = [f"{_pods(names)}: {reason}" for reason, names in told.items()]
    for kind, path in _CONTROLLERS.items():
        for item in cluster.items(path.format(namespace)):
            lines += _of_controller(kind, item)
    return lines


def _pods(names: list[str]) -> str:
    return f"pod {names[0]}" if len(names) == 1 else f"pod {names[0]} and {len(names) - 1} more"


def _of_pod(pod: Object) -> Iterator[str]:
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Succeeded":
        return
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        yield f"{scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', 'no node takes it')}"
    known = False
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        for reason in _of_container(container):
            known = True
            yield f"{container['name']}: {reason}"
    ready = conditions.get("Ready", {})
    if not known and scheduled.get("status") == "True" and ready.get("status") == "False":
        yield ready.get("message") or ready.get("reason") or "not ready"


def _of_container(status: Object) -> Iterator[str]:
    waiting = status.get("state", {}).get("waiting", {})
    ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated") or {}
    if waiting.get("reason") and waiting["reason"] not in _EXPLAINS_ITSELF:
        yield ": ".join(filter(None, (waiting["reason"], waiting.get("message"))))
    if ended.get("exitCode"):
        yield f"{ended.get('reason', 'ended')}, exit code {ended['exitCode']}"


def _of_controller(kind: str, item: Object) -> Iterator[str]:
    name = f"{kind} {item['metadata']['name']}"
    status = item.get("status", {})
    for condition in status.get("conditions", []):
        failed = (condition["type"], condition["status"]) in _FAULTS
        if failed and condition.get("reason") not in _EXPLAINS_ITSELF:
            yield f"{name}: {condition.get('message') or condition.get('reason') or condition['type']}"
    if status.get("phase") in ("Pending", "Lost"):
        yield f"{name}: {status['phase']}, no volume yet"

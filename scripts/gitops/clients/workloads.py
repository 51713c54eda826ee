"""Why what an Application runs is not as it should be, in the words of its own objects: its pods first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.manifests.objects import Object, name

# What a person must know of a cluster whose nodes are kwok's before anything else.
SIMULATED = "its pods are simulated, so no image was run and there are no logs; its Secrets have values of its own"
# kwok's own mark on a node of its (sigs.k8s.io/kwok, kustomize/stage).
_KWOK = "kwok.x-k8s.io/node"
_CONTROLLERS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
}
# What a condition says of a fault, by its type and status (k8s.io/api, apps, batch and autoscaling).
_FAULTS = {("ReplicaFailure", "True"), ("Failed", "True"), ("ScalingActive", "False"), ("AbleToScale", "False")}
_EXPLAINS_ITSELF = ("PodInitializing", "ContainerCreating")
# Why a container waits that no further try changes: what it names is not there, or is no image (k8s.io/kubernetes,
# pkg/kubelet/kuberuntime and images). What cannot be pulled may come, and a program that crashes may get through.
_LASTING = ("CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull")
# What admission refuses for what it is: a policy (k8s.io/apiserver, admission/plugin/policy/validating; it fails to
# configure while its parameters are not there), a webhook (the same, plugin/webhook/errors), Pod Security
# (k8s.io/pod-security-admission).
DENIALS = (r"denied request: (?!failed to configure)", r"denied the request:", r"violates PodSecurity")
_DENIED = re.compile("|".join(DENIALS))
# Why an autoscaler scales nothing, whoever measures (k8s.io/kubernetes, pkg/controller/podautoscaler).
_SCALES_NOTHING = ("InvalidSelector", "ScalingDisabled")


class Lasts(IntEnum):
    """Whether a cause ends by itself: it may; it does where others make room; it does not, without a change."""

    MAYBE = 0
    FOR_ROOM = 1
    FOR_GOOD = 2


@dataclass(frozen=True)
class Reason:
    """One cause, whole, and whether it ends by itself."""

    text: str
    lasts: Lasts = Lasts.MAYBE


def reasons(cluster: Cluster, namespace: str) -> list[Reason]:
    """What the pods of a namespace and what controls them say, each cause once with the number of pods that have it.

    Where an object does not say it itself (a probe that fails, pods that a policy refuses), its newest warning does.
    Raises ClusterError.
    """
    warnings = _warnings(cluster, namespace)
    pods: dict[Reason, list[str]] = {}
    for pod, its in _pods_of(cluster, namespace, warnings):
        for reason in its:
            pods.setdefault(reason, []).append(pod["metadata"]["name"])
    told = list(_of_namespace(cluster, namespace))
    told += [Reason(f"{_pods(names)}: {reason.text}", reason.lasts) for reason, names in pods.items()]
    for kind, path in _CONTROLLERS.items():
        for item in cluster.items(path.format(namespace)):
            told += _of_controller(kind, item, warnings)
    return told


def _of_namespace(cluster: Cluster, namespace: str) -> Iterator[Reason]:
    """Whether it goes, with all that is in it, and what it waits for."""
    try:
        its = cluster.find(f"/api/v1/namespaces/{namespace}") or {}
    except ClusterError as error:
        if error.status == 403:  # of a person who may look into it alone
            return
        raise
    status = its.get("status", {})
    if status.get("phase") == "Terminating":
        conditions = status.get("conditions", [])
        waits = [condition.get("message", "") for condition in conditions if condition.get("status") == "True"]
        yield Reason(": ".join([f"Namespace {namespace}: it is being terminated", *waits[-1:]]), Lasts.FOR_ROOM)


def pods_with_reasons(cluster: Cluster, namespace: str) -> list[tuple[Object, list[str]]]:
    """Every pod of a namespace, by name, and why it is not as it should be. Raises ClusterError."""
    told: list[tuple[Object, list[str]]] = []
    for pod, its in _pods_of(cluster, namespace, _warnings(cluster, namespace)):
        told.append((pod, [reason.text for reason in its]))
    return sorted(told, key=lambda own: name(own[0]))


def _pods_of(
    cluster: Cluster, namespace: str, warnings: Mapping[tuple[str, str], str]
) -> list[tuple[Object, list[Reason]]]:
    items = cluster.items(f"/api/v1/namespaces/{namespace}/pods")
    return [(pod, list(_of_pod(pod, warnings))) for pod in items]


def are_simulated(cluster: Cluster) -> bool:
    """Whether no image is run in a cluster: its nodes are kwok's. Raises ClusterError."""
    try:
        nodes = cluster.items("/api/v1/nodes", limit="1")
    except ClusterError as error:
        if error.status == 403:  # whoever may not look at nodes is in no lab
            return False
        raise
    return any(_KWOK in (node["metadata"].get("annotations") or {}) for node in nodes)


def faults(cluster: Cluster, namespace: str) -> list[str]:
    """The texts of its reasons. Raises ClusterError."""
    return [reason.text for reason in reasons(cluster, namespace)]


def _warnings(cluster: Cluster, namespace: str) -> dict[tuple[str, str], str]:
    """The newest warning about each object, by its kind and name."""
    events = cluster.items(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
    events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return {_about(event["involvedObject"]): _said(event) for event in events}


def _about(reference: Object) -> tuple[str, str]:
    return str(reference.get("kind")), str(reference.get("name"))


def _said(event: Object) -> str:
    return ": ".join(filter(None, (event.get("reason"), (event.get("message") or "").strip())))


def _pods(names: list[str]) -> str:
    return f"pod {names[0]}" if len(names) == 1 else f"pod {names[0]} and {len(names) - 1} more"


def _of_pod(pod: Object, warnings: Mapping[tuple[str, str], str]) -> Iterator[Reason]:
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Succeeded":
        return
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        words = f"{scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', 'no node takes it')}"
        yield Reason(words, Lasts.FOR_ROOM)
    known = False
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        for reason in _of_container(container):
            known = True
            yield reason
    ready = conditions.get("Ready", {})
    if not known and scheduled.get("status") == "True" and ready.get("status") == "False":
        warning = warnings.get(("Pod", pod["metadata"]["name"]))
        yield Reason(warning or ready.get("message") or ready.get("reason") or "not ready")


def _of_container(status: Object) -> Iterator[Reason]:
    waiting = status.get("state", {}).get("waiting", {})
    ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated") or {}
    why = waiting.get("reason")
    if why and why not in _EXPLAINS_ITSELF:
        words = ": ".join(filter(None, (status["name"], why, waiting.get("message"))))
        yield Reason(words, Lasts.FOR_GOOD if why in _LASTING else Lasts.MAYBE)
    if ended.get("exitCode"):
        yield Reason(f"{status['name']}: {ended.get('reason', 'ended')}, exit code {ended['exitCode']}")


def _of_controller(kind: str, item: Object, warnings: Mapping[tuple[str, str], str]) -> Iterator[Reason]:
    name = f"{kind} {item['metadata']['name']}"
    status = item.get("status", {})
    told = kind == "Deployment" and bool(item.get("spec", {}).get("paused"))
    if told:
        yield Reason(f"{name}: it is paused: no new pods start", Lasts.FOR_GOOD)
    for condition in status.get("conditions", []):
        failed = (condition["type"], condition["status"]) in _FAULTS
        if failed and condition.get("reason") not in _EXPLAINS_ITSELF:
            told = True
            words = condition.get("message") or condition.get("reason") or condition["type"]
            yield Reason(f"{name}: {words}", _lasts(condition))
    if told or not _lacks(kind, item):
        return
    if warning := warnings.get((kind, item["metadata"]["name"])):
        yield Reason(f"{name}: {warning}")
    elif kind == "PersistentVolumeClaim":
        yield Reason(f"{name}: {status.get('phase', 'new')}, no volume yet")
    elif kind == "Ingress":
        served = item.get("spec", {}).get("ingressClassName", "none")
        yield Reason(f"{name}: no load balancer has taken it yet (its class: {served})")


def _lasts(condition: Object) -> Lasts:
    """Whether what a controller's condition says ends by itself."""
    message = condition.get("message") or ""
    if condition["type"] == "ReplicaFailure":
        return Lasts.FOR_GOOD if _DENIED.search(message) else Lasts.FOR_ROOM
    missing = condition.get("reason") == "FailedGetScale" and "not found" in message
    return Lasts.FOR_GOOD if missing or condition.get("reason") in _SCALES_NOTHING else Lasts.MAYBE


def _lacks(kind: str, item: Object) -> bool:
    """Whether an object has not what it asks for, and its conditions do not say so."""
    spec, status = item.get("spec", {}), item.get("status", {})
    if kind == "StatefulSet":
        return int(status.get("readyReplicas", 0)) < int(spec.get("replicas", 1))
    if kind == "DaemonSet":
        return int(status.get("numberReady", 0)) < int(status.get("desiredNumberScheduled", 0))
    if kind == "Job":
        return not status.get("active") and not status.get("succeeded")
    if kind == "PersistentVolumeClaim":
        return bool(status.get("phase") != "Bound")
    return kind == "Ingress" and "ingress" not in (status.get("loadBalancer") or {})

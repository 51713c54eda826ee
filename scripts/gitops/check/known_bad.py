"""For every policy an object that it must refuse, and that nothing else would.

Whatever was done to a policy, its binding or what lists it: while its object is refused, it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay

# Where they are asked for: an environment that nobody thought of, as the policies are bound by a label's presence.
PLACE = Overlay("gitops", "check")
DIGEST = "sha256:" + "a" * 64
IMAGE = f"ghcr.io/ft-platform/app:1.0@{DIGEST}"
_SELECTOR = {"matchLabels": {"app": "test"}}
# Every kind that makes pods: its API, and what its spec has beside the template.
WORKLOADS: dict[str, tuple[str, Object]] = {
    "Pod": ("v1", {}),
    "PodTemplate": ("v1", {}),
    "ReplicationController": ("v1", {"selector": {"app": "test"}}),
    "Deployment": ("apps/v1", {"selector": _SELECTOR}),
    "ReplicaSet": ("apps/v1", {"selector": _SELECTOR}),
    "StatefulSet": ("apps/v1", {"selector": _SELECTOR, "serviceName": "test"}),
    "DaemonSet": ("apps/v1", {"selector": _SELECTOR}),
    "Job": ("batch/v1", {}),
    "CronJob": ("batch/v1", {"schedule": "0 * * * *"}),
}
# Those that the policy `kinds` keeps out of a service, whatever is in them.
_KEPT_OUT = ("DaemonSet", "PodTemplate", "ReplicationController", "StatefulSet")


@dataclass(frozen=True)
class KnownBad:
    """An object, and the policy that must refuse it."""

    policy: str
    item: Object

    @property
    def what(self) -> str:
        """What it is, in two words."""
        return f"a bad {self.item['kind']}"


def pod() -> Object:
    """A pod that every policy takes."""
    container = {
        "name": "app",
        "image": IMAGE,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "initContainers": [{**deepcopy(container), "name": "first"}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "test"}, "spec": spec}


def workload(kind: str, made: Object) -> Object:
    """The object of a kind that makes a pod."""
    api, spec = WORKLOADS[kind]
    item: Object = {"apiVersion": api, "kind": kind, "metadata": {"name": "test"}}
    annotations = made["metadata"].get("annotations") or {}
    template = {"metadata": {"labels": {"app": "test"}, "annotations": annotations}, "spec": deepcopy(made["spec"])}
    if kind in ("Job", "CronJob"):
        template["spec"]["restartPolicy"] = "Never"
    if kind == "Pod":
        return made
    if kind == "PodTemplate":
        return {**item, "template": template}
    if kind == "CronJob":
        return {**item, "spec": {**spec, "jobTemplate": {"spec": {"template": template}}}}
    return {**item, "spec": {**spec, "template": template}}


# What is done to a pod that every policy takes, by the policy that must refuse it then.
BAD_PODS: dict[str, Callable[[Object], object]] = {
    "image-digest": lambda spec: spec["containers"][0].update(image="ghcr.io/ft-platform/app:1.0"),
    "image-latest": lambda spec: spec["containers"][0].update(image=f"ghcr.io/ft-platform/app:latest@{DIGEST}"),
    "image-registry": lambda spec: spec["containers"][0].update(image=f"ghcr.io/stranger/app:1.0@{DIGEST}"),
    "no-host": lambda spec: spec.update(hostNetwork=True),
    "no-privileged": lambda spec: spec["containers"][0]["securityContext"].update(capabilities={"add": ["NET_ADMIN"]}),
    "no-token": lambda spec: spec.update(automountServiceAccountToken=True),
    "resources-set": lambda spec: spec["containers"][0].pop("resources"),
    "scheduling": lambda spec: spec.update(tolerations=[{"operator": "Exists"}]),
    "volumes": lambda spec: spec.update(volumes=[{"name": "x", "nfs": {"server": "10.0.0.1", "path": "/"}}]),
}
_BACKEND = {"service": {"name": "web", "port": {"name": "http"}}}
_RULE = {"host": "test.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": _BACKEND}]}}
_DISK = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_ROLE = "arn:aws:iam::111122223333:role/other"
_LABELS = {"service": "gitops", "environment": "prod"}
# The API, the kind, and what an object of another policy has beside them.
_OTHERS: tuple[tuple[str, str, str, Object], ...] = (
    ("disruption-budget", "policy/v1", "PodDisruptionBudget", {"spec": {"minAvailable": 1, "selector": _SELECTOR}}),
    ("ingress-class", "networking.k8s.io/v1", "Ingress", {"spec": {"ingressClassName": "other", "rules": [_RULE]}}),
    ("kinds", "rbac.authorization.k8s.io/v1", "Role", {"rules": []}),
    ("kinds", "discovery.k8s.io/v1", "EndpointSlice", {"addressType": "IPv4", "endpoints": []}),
    ("kinds", "v1", "Endpoints", {}),
    (
        "namespace-labels",
        "v1",
        "Namespace",
        {"metadata": {"name": "gitops-prod", "labels": {**_LABELS, "pod-security.kubernetes.io/enforce": "baseline"}}},
    ),
    (
        "service-account",
        "v1",
        "ServiceAccount",
        {
            "metadata": {"name": "test", "annotations": {"eks.amazonaws.com/role-arn": _ROLE}},
            "automountServiceAccountToken": False,
        },
    ),
    (
        "service-inside",
        "v1",
        "Service",
        {"spec": {"type": "NodePort", "selector": {"app": "a"}, "ports": [{"port": 80}]}},
    ),
    ("volume-claim", "v1", "PersistentVolumeClaim", {"spec": {**_DISK, "storageClassName": "retained"}}),
)


def known_bad() -> Iterator[KnownBad]:
    """All of them, each for `PLACE`."""
    for policy, change in BAD_PODS.items():
        for kind in WORKLOADS.keys() - set(_KEPT_OUT):
            made = pod()
            change(made["spec"])
            yield KnownBad(policy, _placed(workload(kind, made)))
    for kind in _KEPT_OUT:
        yield KnownBad("kinds", _placed(workload(kind, pod())))
    for policy, api, kind, body in _OTHERS:
        yield KnownBad(policy, _placed({"apiVersion": api, "kind": kind, "metadata": {"name": "test"}, **body}))


def _placed(item: Object) -> Object:
    if item["kind"] == "Namespace":
        return item
    return {**item, "metadata": {**item["metadata"], "namespace": PLACE.namespace}}

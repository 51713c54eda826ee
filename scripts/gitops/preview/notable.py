"""What a reviewer must not overlook, in the order of its weight."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gitops.manifests.differences import differences
from gitops.manifests.forms import of
from gitops.manifests.objects import Object, label
from gitops.manifests.pods import template

Pairs = Sequence[tuple[Object | None, Object | None]]
# What the API server refuses to change on an object that exists, by kind (k8s.io/kubernetes, pkg/apis/*/validation):
# fields of its spec.
_IMMUTABLE = {
    "Deployment": ("selector",),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
    "DaemonSet": ("selector",),
    "Job": ("template", "selector", "completionMode"),
    "Service": ("clusterIP", "ipFamilyPolicy"),
    "PersistentVolumeClaim": ("accessModes", "storageClassName", "volumeName", "selector"),
    "IngressClass": ("controller",),
}
_CONTENT = ("data", "stringData", "binaryData")
_RUNS_PODS = {"Deployment", "StatefulSet", "DaemonSet", "Rollout"}


@dataclass(frozen=True, order=True)
class NetworkPath:
    """A peer and a port that a policy opens. `direction`: ingress or egress."""

    direction: str
    peer: str
    port: str

    def __str__(self) -> str:
        return f"{'from' if self.direction == 'ingress' else 'to'} {self.peer}, {self.port}"


def notable(pairs: Pairs) -> tuple[str, ...]:
    """One line each; empty where a change does nothing of the kind."""
    return tuple(dict.fromkeys(itertools.chain.from_iterable(itertools.starmap(_lines, pairs))))


def _lines(old: Object | None, new: Object | None) -> Iterator[str]:
    if old is not None and new is not None:
        yield from _changed(old, new)
    elif old is not None:
        yield from _removed(old)
    elif new is not None and new["kind"] == "NetworkPolicy":
        yield from _opened(new, _paths(new))


def _removed(item: Object) -> Iterator[str]:
    yield f"deletes {label(item)}: Argo CD prunes it"
    yield from (f"removes host {host}" for host in sorted(_hosts(item)))
    if item["kind"] == "NetworkPolicy" and _closes(item):
        yield f"opens a network path: {label(item)}, which closed it, goes"
    elif item["kind"] == "NetworkPolicy":
        yield f"closes a network path: {label(item)} goes"


def _changed(old: Object, new: Object) -> Iterator[str]:
    kind, changes = str(new["kind"]), list(differences(old, new, of(new)))
    for field in sorted(_IMMUTABLE.get(kind, ())):
        if any(change.within("spec", field) for change in changes):
            word = "selector" if field == "selector" else "immutable field"
            yield f"changes the {word} spec.{field} of {label(new)}: the API server refuses that on what runs"
    if kind == "Service" and any(change.within("spec", "selector") for change in changes):
        yield f"changes the selector of {label(new)}: it may answer from other pods, or none"
    content = any(change.within(field) for change, field in itertools.product(changes, _CONTENT))
    if old.get("immutable") is True and content:
        yield f"changes {label(new)}, which is immutable"
    pods = template(new)
    if kind in _RUNS_PODS and pods and any(change.within(*pods.path) for change in changes):
        yield f"restarts the pods of {label(new)}"
    yield from (f"removes host {host}" for host in sorted(_hosts(old) - _hosts(new)))
    yield from _lowered(old, new)
    if kind == "NetworkPolicy":
        yield from _opened(new, _paths(new) - _paths(old))
        if _closes(old) and not _closes(new):
            yield f"opens a network path: {label(new)} no longer closes everything"


_LEAST = {"HorizontalPodAutoscaler": "minReplicas", "Deployment": "replicas", "StatefulSet": "replicas"}


def _lowered(old: Object, new: Object) -> Iterator[str]:
    """How many pods there are at least."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if field := _LEAST.get(str(new["kind"])):
        least, most = after.get(field, 1), before.get(field, 1)
        if isinstance(most, int) and isinstance(least, int) and least < most:
            yield f"lowers the replica floor of {label(new)} from {most} to {least}"
    if new["kind"] == "PodDisruptionBudget":
        fields = ("maxUnavailable", "minAvailable")
        if any(before.get(field) != after.get(field) for field in fields):
            yield f"changes how many pods {label(new)} lets go at once"


def _hosts(item: Object) -> set[str]:
    if item.get("kind") != "Ingress":
        return set()
    return {str(rule["host"]) for rule in (item.get("spec") or {}).get("rules") or [] if rule.get("host")}


def _closes(item: Object) -> bool:
    """A policy without rules for a direction closes it."""
    spec = item.get("spec") or {}
    return any(not spec.get(direction.lower()) for direction in spec.get("policyTypes") or [])


def _paths(item: Object) -> set[NetworkPath]:
    """Every pair of a peer and a port that a policy opens."""
    spec = item.get("spec") or {}
    paths = set[NetworkPath]()
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction) or []:
            peers, ports = rule.get(side) or ["anyone"], rule.get("ports") or ["any port"]
            paths |= {
                NetworkPath(direction, _peer(peer), _port(port)) for peer, port in itertools.product(peers, ports)
            }
    return paths


def _peer(peer: object) -> str:
    if not isinstance(peer, dict):
        return str(peer)
    if block := peer.get("ipBlock"):
        excepted = f" except {', '.join(block['except'])}" if block.get("except") else ""
        return f"{block.get('cidr')}{excepted}"
    texts = []
    for selector, word in (("namespaceSelector", "namespaces"), ("podSelector", "pods")):
        if selector in peer:
            labels = (peer[selector] or {}).get("matchLabels") or {}
            pairs = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
            texts.append(f"{word} {pairs or 'of any label'}")
    return " with ".join(texts) or "anyone"


def _port(port: object) -> str:
    return f"{port.get('protocol', 'TCP')} {port.get('port', 'any')}" if isinstance(port, dict) else str(port)


def _opened(item: Object, paths: Iterable[NetworkPath]) -> Iterator[str]:
    for path in sorted(paths):
        yield f"opens a network path: {label(item)}: {path}"

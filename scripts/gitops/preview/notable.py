"""What a reviewer must not overlook, in the order of its weight."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from gitops.manifests.objects import Object, label
from gitops.manifests.pods import template
from gitops.preview.diff import differences

Pairs = Sequence[tuple[Object | None, Object | None]]
# What the API server refuses to change on an object that exists, by kind (k8s.io/kubernetes, pkg/apis/*/validation).
_IMMUTABLE = {
    "Deployment": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    "DaemonSet": ("spec.selector",),
    "Job": ("spec.template", "spec.selector", "spec.completionMode"),
    "Service": ("spec.clusterIP", "spec.ipFamilyPolicy"),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.storageClassName", "spec.volumeName", "spec.selector"),
    "IngressClass": ("spec.controller",),
}
_RUNS_PODS = {"Deployment", "StatefulSet", "DaemonSet", "Rollout"}


def notable(pairs: Pairs) -> tuple[str, ...]:
    """One line each; empty where a change does nothing of the kind."""
    found = [line for old, new in pairs for line in _lines(old, new)]
    return tuple(dict.fromkeys(found))


def _lines(old: Object | None, new: Object | None) -> Iterator[str]:
    if old is not None and new is None:
        yield f"deletes {label(old)}: Argo CD prunes it"
        yield from (f"removes host {host}" for host in sorted(_hosts(old)))
        if old["kind"] == "NetworkPolicy":
            yield (
                f"opens a network path: {label(old)}, which closed it, goes"
                if _closes(old)
                else f"closes a network path: {label(old)} goes"
            )
    if new is not None and old is None and new["kind"] == "NetworkPolicy":
        yield from _opened(new, _paths(new))
    if old is None or new is None:
        return
    changed = [path for path, _, _ in differences(old, new)]
    kind = str(new["kind"])
    for path in sorted(
        {p for p in _IMMUTABLE.get(kind, ()) if any(c == p or c.startswith((f"{p}.", f"{p}[")) for c in changed)}
    ):
        word = "selector" if path.endswith("selector") else "immutable field"
        yield f"changes the {word} {path} of {label(new)}: the API server refuses that on what runs"
    if kind == "Service" and any(path.startswith("spec.selector") for path in changed):
        yield f"changes the selector of {label(new)}: it may answer from other pods, or none"
    if (old.get("immutable") is True) and any(
        path.startswith(("data", "stringData", "binaryData")) for path in changed
    ):
        yield f"changes {label(new)}, which is immutable"
    each = template(new)
    if kind in _RUNS_PODS and each and any(path.startswith(".".join(each.path)) for path in changed):
        yield f"restarts the pods of {label(new)}"
    yield from (f"removes host {host}" for host in sorted(_hosts(old) - _hosts(new)))
    yield from _floors(old, new)
    if kind == "NetworkPolicy":
        yield from _opened(new, _paths(new) - _paths(old))
        if not _closes(new) and _closes(old):
            yield f"opens a network path: {label(new)} no longer closes everything"


def _floors(old: Object, new: Object) -> Iterator[str]:
    for kind, field, default in (
        ("HorizontalPodAutoscaler", "minReplicas", 1),
        ("Deployment", "replicas", 1),
        ("StatefulSet", "replicas", 1),
    ):
        if new["kind"] == kind:
            before, after = ((side.get("spec") or {}).get(field, default) for side in (old, new))
            if isinstance(before, int) and isinstance(after, int) and after < before:
                yield f"lowers the replica floor of {label(new)} from {before} to {after}"
    if new["kind"] == "PodDisruptionBudget":
        sides = [(side.get("spec") or {}) for side in (old, new)]
        if sides[0].get("maxUnavailable") != sides[1].get("maxUnavailable") or sides[0].get("minAvailable") != sides[
            1
        ].get("minAvailable"):
            yield f"changes how many pods {label(new)} lets go at once"


def _hosts(item: Object) -> set[str]:
    if item.get("kind") != "Ingress":
        return set()
    return {str(rule["host"]) for rule in (item.get("spec") or {}).get("rules") or [] if rule.get("host")}


def _closes(item: Object) -> bool:
    """A policy without rules for a direction closes it."""
    spec = item.get("spec") or {}
    return any(not spec.get(direction.lower()) for direction in spec.get("policyTypes") or [])


def _paths(item: Object) -> set[str]:
    """Every pair of a peer and a port that a policy opens, as text."""
    spec, found = item.get("spec") or {}, set()
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction) or []:
            for peer in rule.get(side) or ["anyone"]:
                for port in rule.get("ports") or ["any port"]:
                    found.add(f"{direction} {side} {_peer(peer)}, {_port(port)}")
    return found


def _peer(peer: object) -> str:
    if not isinstance(peer, dict):
        return str(peer)
    if block := peer.get("ipBlock"):
        out = f" except {', '.join(block['except'])}" if block.get("except") else ""
        return f"{block.get('cidr')}{out}"
    texts = []
    for key, word in (("namespaceSelector", "namespaces"), ("podSelector", "pods")):
        if key in peer:
            pairs = ", ".join(f"{k}={v}" for k, v in sorted(((peer[key] or {}).get("matchLabels") or {}).items()))
            texts.append(f"{word} {pairs or 'of any label'}")
    return " with ".join(texts) or "anyone"


def _port(port: object) -> str:
    return f"{port.get('protocol', 'TCP')} {port.get('port', 'any')}" if isinstance(port, dict) else str(port)


def _opened(item: Object, paths: Iterable[str]) -> Iterator[str]:
    for path in sorted(paths):
        yield f"opens a network path: {label(item)}: {re.sub(r'^(ingress|egress) ', '', path)}"

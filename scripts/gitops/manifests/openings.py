"""Whom the NetworkPolicies of a namespace let to which port of a pod.

Source: the API reference of networking.k8s.io/v1 (NetworkPolicySpec, NetworkPolicyIngressRule, NetworkPolicyPort).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gitops.manifests.objects import Object, selects, spec_of
from gitops.manifests.pods import Template

# Whether an entry of `from` is whom it is asked of.
Peer = Callable[[Object], bool]


def by_range(peer: Object) -> bool:
    """By an address, as the load balancer comes."""
    return bool(peer.get("ipBlock"))


def by_label(peer: Object) -> bool:
    """By labels of pods or of their namespaces, as the cluster's own pods come."""
    return not peer.get("ipBlock")


def opens(policies: Iterable[Object], pods: Template, port: int, peer: Peer) -> bool:
    """Whether one policy lets such a `peer` to a port. Where none is about what comes in, everybody is let in."""
    specs = [spec_of(policy) for policy in policies]
    held = [
        spec
        for spec in specs
        if "Ingress" in (spec.get("policyTypes") or ["Ingress"]) and selects(spec.get("podSelector"), pods.labels)
    ]
    rules: list[Object] = []
    for spec in held:
        rules += spec.get("ingress") or []
    return not held or any(_lets(rule, pods, port, peer) for rule in rules)


def _lets(rule: Object, pods: Template, port: int, peer: Peer) -> bool:
    peers, ports = rule.get("from") or [], rule.get("ports") or []
    return (not peers or any(map(peer, peers))) and (not ports or any(_has(entry, pods, port) for entry in ports))


def _has(entry: Object, pods: Template, port: int) -> bool:
    if entry.get("protocol", "TCP") != "TCP":
        return False
    first = entry.get("port")
    if first is None:
        return True
    if not isinstance(first, int):
        return pods.ports().get(str(first)) == port
    last = entry.get("endPort", first)
    return first <= port <= (last if isinstance(last, int) else first)

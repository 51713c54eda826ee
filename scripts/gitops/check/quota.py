"""Whether what an overlay renders has room in its own ResourceQuota and LimitRange.

The check's API server runs no quota controller and sees each pod alone, so this says what the cluster would.
Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/ and .../limit-range/
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object
from gitops.manifests.pods import Template
from gitops.manifests.quantity import number

RULE = "quota-room"
# What a quota may count by a name of its own, beside count/<plural>.<group>.
_COUNTED = {
    "ConfigMap": "configmaps",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "ReplicationController": "replicationcontrollers",
    "ResourceQuota": "resourcequotas",
    # The controller makes a Secret of it.
    "SealedSecret": "secrets",
    "Secret": "secrets",
    "Service": "services",
}


@dataclass(frozen=True)
class Scale:
    """A workload at its largest: how many pods, and where that number is written."""

    pods: Template
    most: int
    item: Object
    path: FieldPath

    @property
    def with_surge(self) -> int:
        """The most pods at once: while a Deployment brings new ones, one more."""
        return self.most + (1 if self.pods.item.get("kind") == "Deployment" else 0)


def check(unit: Unit, scales: Sequence[Scale]) -> Iterator[Finding]:
    """What the quota would refuse once all workloads are at their largest, and what the LimitRange would."""
    limits = _container_limits(unit)
    for quota in unit.kind("ResourceQuota"):
        hard = (quota.get("spec") or {}).get("hard") or {}
        yield from _pods(unit, hard, scales, limits)
        yield from _objects(unit, hard)
    for scale in scales:
        yield from _ranges(unit, scale.pods, limits)


def _container_limits(unit: Unit) -> dict[str, Any]:
    """What the LimitRange says of each container: default, defaultRequest, min, max."""
    limits: dict[str, Any] = {}
    for item in unit.kind("LimitRange"):
        for entry in (item.get("spec") or {}).get("limits") or []:
            if entry.get("type") == "Container":
                limits |= entry
    return limits


def _resources(container: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A container's requests and limits as the API server completes them."""
    own = container.get("resources") or {}
    most = own.get("limits") or {}
    given = limits.get("default") or {}
    asked = {**given, **(limits.get("defaultRequest") or {}), **most, **(own.get("requests") or {})}
    return {"requests": asked, "limits": {**given, **most}}


# -- pods


def _pods(unit: Unit, hard: Mapping[str, Any], scales: Sequence[Scale], limits: Mapping[str, Any]) -> Iterator[Finding]:
    """All workloads count together; the one that needs most is named."""
    needs = [(scale, _needs(scale, limits)) for scale in scales]
    for resource, given in hard.items():
        asking = [(needed[resource], scale) for scale, needed in needs if resource in needed]
        total = sum((amount for amount, _ in asking), Decimal(0))
        if total <= number(given):
            continue
        amount, scale = max(asking, key=lambda one: one[0])
        beside = f" beside the others' {total - amount:g}" if total > amount else ""
        problem = f"needs {amount:g} {resource} at its largest scale and a surge{beside}; the quota gives {given}"
        yield unit.finding(RULE, *_written(scale, resource), problem, "ask for less, or scale to fewer")


def _needs(scale: Scale, limits: Mapping[str, Any]) -> dict[str, Decimal]:
    """What all pods of a workload need of each resource that a quota can name."""
    needs: dict[str, Decimal] = {"pods": Decimal(scale.with_surge), "count/pods": Decimal(scale.with_surge)}
    for _, container in scale.pods.containers():
        for side, values in _resources(container, limits).items():
            for resource, value in values.items():
                key, amount = f"{side}.{resource}", scale.with_surge * number(value)
                needs[key] = needs.get(key, Decimal(0)) + amount
                if side == "requests":  # a quota may say `cpu` for `requests.cpu`
                    needs[resource] = needs[key]
    return needs


def _written(scale: Scale, resource: str) -> tuple[Object, FieldPath]:
    """Where what a workload asks for is written: the number of pods, or the first container's resource."""
    side, _, part = resource.partition(".")
    first = next(scale.pods.containers(), None)
    if part and first and part in ((first[1].get("resources") or {}).get(side) or {}):
        return scale.pods.item, (*first[0], "resources", side, part)
    return scale.item, scale.path


def _ranges(unit: Unit, pods: Template, limits: Mapping[str, Any]) -> Iterator[Finding]:
    for path, container in pods.containers():
        completed = _resources(container, limits)
        for side, (bound, exceeds) in itertools.product(completed, (("max", 1), ("min", -1))):
            for resource, edge in (limits.get(bound) or {}).items():
                value = completed[side].get(resource)
                if value is None or (number(value) - number(edge)) * exceeds <= 0:
                    continue
                problem = f"{side}.{resource} is {value}; the LimitRange gives a container at {bound} {edge}"
                yield unit.finding(RULE, pods.item, (*path, "resources", side, resource), problem, f"{edge}")


# -- objects


def _objects(unit: Unit, hard: Mapping[str, Any]) -> Iterator[Finding]:
    """The first object that is one too many is named."""
    total: Counter[str] = Counter()
    passed = set[str]()
    for item in unit.objects:
        for resource, (amount, path) in _counts(item).items():
            total[resource] += amount
            if resource in hard and resource not in passed and total[resource] > number(hard[resource]):
                passed.add(resource)
                problem = f"makes {total[resource]} {resource}; the quota gives {hard[resource]}"
                yield unit.finding(RULE, item, path, problem, "leave it out: a service's namespace has no more")


def _counts(item: Object) -> dict[str, tuple[int, FieldPath]]:
    """What an object takes of each count that a quota can name, and where that is written."""
    kind, group = str(item.get("kind")), str(item.get("apiVersion", "")).rpartition("/")[0]
    counts: dict[str, tuple[int, FieldPath]] = {f"count/{_plural(kind)}{'.' if group else ''}{group}": (1, ("kind",))}
    if kind == "SealedSecret":
        counts["count/secrets"] = (1, ("kind",))
    if kind in _COUNTED:
        counts[_COUNTED[kind]] = (1, ("kind",))
    spec = item.get("spec") or {}
    if kind == "Service":
        balanced = spec.get("type") == "LoadBalancer"
        if balanced:
            counts["services.loadbalancers"] = (1, ("spec", "type"))
        if spec.get("type") == "NodePort" or (balanced and spec.get("allocateLoadBalancerNodePorts", True)):
            counts["services.nodeports"] = (len(spec.get("ports") or []), ("spec", "type"))
    if kind == "StatefulSet" and spec.get("volumeClaimTemplates"):
        claims = len(spec["volumeClaimTemplates"]) * int(spec.get("replicas", 1))
        counts["persistentvolumeclaims"] = (claims, ("spec", "volumeClaimTemplates"))
    return counts


def _plural(kind: str) -> str:
    """The resource of a kind, as Kubernetes names its own."""
    word = kind.lower()
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith("s") else f"{word}s"

"""Amounts that Kubernetes takes and nobody means: bytes in thousandths, a pod that no node has room for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gitops.check import quota
from gitops.check.references import workloads
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object, name, spec_of, value_at
from gitops.manifests.pods import Template
from gitops.manifests.quantity import is_quantity, number

# What is counted in bytes, and cannot be had in parts.
_BYTES = ("memory", "ephemeral-storage", "storage", "hugepages-")
# What such amounts stand under.
_LISTS = {"requests", "limits", "hard", "default", "defaultRequest", "max", "min", "capacity"}
# Below this no container starts: its first process alone takes more (runc refuses fewer than 4 MiB or so).
_LEAST = 4 * 2**20
_CPUS = "eks.amazonaws.com/instance-cpu"
# Of an instance of Auto Mode's widest category (r), for each core.
_BYTES_FOR_A_CORE = 8 * 2**30
# What the kubelet keeps for itself of the first cores, in thousandths of one: 6 %, 1 %, twice 0.5 %, then 0.25 %.
_KEPT = (60, 10, 5, 5)
_KEPT_FURTHER = Decimal("2.5")
_SHORT = {"cpu": "cores", "memory": "bytes"}


def check(unit: Unit, pools: Sequence[Pool]) -> Iterator[Finding]:
    """What of a unit is too little to be anything, and which of its pods wait for ever.

    `pools`: those of one cluster; none where nothing is known of its nodes.
    """
    for item in unit.objects:
        for path, resource, value in _amounts(item):
            if problem := _too_little(path, resource, value):
                text = str(value)
                meant = f"{text[:-1]}Mi" if text[-1:] in "mk" and text[:-1].isdigit() else "a value such as 128Mi"
                yield unit.finding("quantity", item, path, f"{resource}: {text} {problem}", f"write {meant}")
    if pools:
        ranges = list(quota.ranges(unit))
        for pods in workloads(unit):
            yield from _room(unit, pods, pools, ranges)


# -- bytes


def _amounts(item: Object) -> Iterator[tuple[FieldPath, str, Any]]:
    """Every amount of bytes of an object: its path, the resource, and the value as it stands."""
    waiting: list[tuple[FieldPath, Any]] = [((), item)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, key), child) for key, child in value.items()]
            around = {str(step) for step in path}
            for key, amount in value.items():
                if is_quantity(amount) and (key == "sizeLimit" or (_is_bytes(str(key)) and around & _LISTS)):
                    yield (*path, key), str(key), amount
        elif isinstance(value, list):
            waiting += [((*path, position), child) for position, child in enumerate(value)]


def _is_bytes(resource: str) -> bool:
    return resource.rpartition(".")[2].startswith(_BYTES)


def _too_little(path: FieldPath, resource: str, value: object) -> str | None:
    amount = number(value)
    if amount != int(amount) or str(value).endswith(("m", "u", "n")):
        return f"is {amount.normalize():f} bytes: the suffix is one for parts of a byte"
    if 0 < amount < _LEAST and _is_bytes(resource) and "resources" in path:
        return f"is {amount:,f} bytes, with which nothing starts"
    return None


# -- nodes


@dataclass(frozen=True)
class Pool:
    """The nodes that a NodePool makes. `cores` and `memory`: what pods can have of the largest, in cores and bytes."""

    item: Object
    cores: Decimal
    memory: Decimal

    @classmethod
    def of(cls, item: Object) -> Pool | None:
        """A NodePool's, None where it does not say how large a node may be."""
        sizes = [Decimal(size) for size in _requirement(item, _CPUS) or () if str(size).isdigit()]
        if not sizes:
            return None
        most = min(max(sizes), number((spec_of(item).get("limits") or {}).get("cpu") or max(sizes)))
        kept = sum(_KEPT[: int(most)]) + _KEPT_FURTHER * max(int(most) - len(_KEPT), 0)
        return cls(item, most - kept / 1000, max(sizes) * _BYTES_FOR_A_CORE)

    def has(self, key: str, value: object) -> bool:
        """Whether its nodes may have a label. Those that Kubernetes itself gives have any value."""
        labels = value_at(self.item, ("spec", "template", "metadata", "labels")) or {}
        listed = _requirement(self.item, key)
        if key not in labels and listed is None:
            return key.startswith(("kubernetes.io/", "topology."))
        return bool(labels.get(key, value) == value and (listed is None or value in listed))

    def takes(self, pods: Template) -> bool:
        """Whether a pod may run here, by its node selector and tolerations."""
        if not all(itertools.starmap(self.has, (pods.spec.get("nodeSelector") or {}).items())):
            return False
        taints = value_at(self.item, ("spec", "template", "spec", "taints")) or []
        return all(_tolerated(taint, pods.spec.get("tolerations") or []) for taint in taints)


def pools(items: Sequence[Object]) -> list[Pool]:
    """The pools of a cluster, by its NodePools."""
    return [pool for item in items if (pool := Pool.of(item))]


def _requirement(item: Object, key: str) -> list[str] | None:
    """The values that a NodePool allows a label of its nodes, None where it does not say."""
    for entry in value_at(item, ("spec", "template", "spec", "requirements")) or []:
        if entry.get("key") == key and entry.get("operator") == "In":
            return [str(value) for value in entry.get("values") or []]
    return None


def _tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    return any(_tolerates(entry, taint) for entry in tolerations)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return (toleration.get("key"), toleration.get("value")) == (taint.get("key"), taint.get("value"))


def _room(
    unit: Unit, pods: Template, pools: Sequence[Pool], ranges: Sequence[quota.ContainerRange]
) -> Iterator[Finding]:
    fitting = [pool for pool in pools if pool.takes(pods)]
    if not fitting:
        selector = pods.spec.get("nodeSelector") or {}
        rare = [key for key, value in selector.items() if not _everywhere(key, value, pools)]
        asked = ", ".join(f"{key}={selector[key]}" for key in rare or selector)
        what = f"asks for a node with {asked}; no NodePool has it and takes the pod ({_names(pools)})"
        fix = "take nodeSelector and tolerations together, from base/components (staging, arm64)"
        yield unit.finding("node-room", pods.item, (*pods.path, "spec", "nodeSelector", *rare[:1]), what, fix)
        return
    needs = quota.of_a_pod(pods, "requests", ranges)
    room = {"cpu": max(pool.cores for pool in fitting), "memory": max(pool.memory for pool in fitting)}
    for resource, most in room.items():
        needed = needs.get(resource, Decimal(0))
        if needed > most:
            largest = f"the largest node that takes it ({_names(fitting)}) has {most:g}"
            what = f"a pod asks for {needed:g} {_SHORT[resource]}; {largest}"
            yield unit.finding("node-room", pods.item, _largest(pods, resource), what, _fix(resource))


def _everywhere(key: str, value: object, pools: Sequence[Pool]) -> bool:
    return all(pool.has(key, value) for pool in pools)


def _names(pools: Sequence[Pool]) -> str:
    return ", ".join(name(pool.item) for pool in pools)


def _fix(resource: str) -> str:
    return "ask for what it needs; a thousandth of a core is 1m" if resource == "cpu" else "ask for what it needs"


def _largest(pods: Template, resource: str) -> FieldPath:
    """Where the largest request of a pod's containers is written."""
    asked: list[tuple[Decimal, FieldPath]] = []
    for path, container in pods.containers():
        for side in ("requests", "limits"):
            value = value_at(container, ("resources", side, resource))
            if value is not None:
                asked.append((number(value), (*path, "resources", side, resource)))
    # A request before a limit of the same amount, which is what the request is without a word of its own.
    return max(asked, key=lambda pair: (pair[0], "requests" in pair[1]), default=(Decimal(0), (*pods.path, "spec")))[1]

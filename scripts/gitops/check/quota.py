"""Whether what an overlay renders has room in its own ResourceQuota and LimitRange.

The check's API server runs no quota controller and sees each pod alone, so this says what the cluster would.
Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/ and .../limit-range/
"""

from __future__ import annotations

import itertools
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object, name, spec_of, value_at
from gitops.manifests.pods import Template
from gitops.manifests.quantity import number

RULE = "quota-room"
# What a quota may count by a name of its own, beside count/<plural>.<group>.
_COUNTED = {
    "ConfigMap": "configmaps",
    "ReplicationController": "replicationcontrollers",
    "ResourceQuota": "resourcequotas",
    # The controller makes a Secret of it.
    "SealedSecret": "secrets",
    "Secret": "secrets",
    "Service": "services",
}


# Requests and limits, by resource.
_Resources = dict[str, dict[str, Any]]
_Amounts = dict[str, Decimal]


@dataclass(frozen=True)
class ContainerRange:
    """What one LimitRange says of each container. `default`: what it fills in; `ratio`: of a limit to its request."""

    name: str
    default: _Resources
    most: Mapping[str, Any]
    least: Mapping[str, Any]
    ratio: Mapping[str, Any]

    @property
    def bounds(self) -> tuple[tuple[str, Mapping[str, Any], int], ...]:
        """Its bounds: their name, by resource, and in which direction a value is beyond."""
        return ("max", self.most, 1), ("min", self.least, -1)


@dataclass(frozen=True)
class Scale:
    """A workload at its largest: how many pods, and where that number is written."""

    pods: Template
    most: int
    item: Object
    path: FieldPath

    @property
    def with_surge(self) -> int:
        """The most pods at once: while a Deployment brings new ones, some more."""
        return self._surged(self.most)

    def fitting(self, room: int) -> int:
        """The largest scale that, with its surge, is no more than so many pods; 0 where none is."""
        return next((most for most in range(max(room, 0), 0, -1) if self._surged(most) <= room), 0)

    def _surged(self, most: int) -> int:
        if self.pods.item.get("kind") != "Deployment":
            return most
        strategy = spec_of(self.pods.item).get("strategy") or {}
        if strategy.get("type") == "Recreate":
            return most
        surge = (strategy.get("rollingUpdate") or {}).get("maxSurge")
        return most + _share("25%" if surge is None else surge, most)


def _share(surge: object, most: int) -> int:
    """A number of pods, or a percentage of them, rounded up."""
    text = str(surge)
    share = number(text.removesuffix("%"))
    return math.ceil(share * most / 100) if text.endswith("%") else int(share)


def largest(pods: Template) -> Scale:
    """A workload as it is without an autoscaler."""
    path = (*pods.path[:-1], "parallelism" if pods.item.get("kind") in ("Job", "CronJob") else "replicas")
    most = value_at(pods.item, path)
    return Scale(pods, 1 if most is None else int(most), pods.item, path)


def check(unit: Unit, scales: Sequence[Scale]) -> Iterator[Finding]:
    """What the quota would refuse once all workloads are at their largest, and what the LimitRange would."""
    limit_ranges = list(ranges(unit))
    for quota in unit.kind("ResourceQuota"):
        hard = (quota.get("spec") or {}).get("hard") or {}
        yield from _pods(unit, hard, scales, limit_ranges)
        yield from _objects(unit, hard, scales)
    for scale, entry in itertools.product(scales, limit_ranges):
        yield from _beyond(unit, scale.pods, entry, limit_ranges)


def ranges(unit: Unit) -> Iterator[ContainerRange]:
    """Each LimitRange's word on containers, completed as the API server does (SetDefaults_LimitRangeItem)."""
    for item in unit.kind("LimitRange"):
        for entry in (item.get("spec") or {}).get("limits") or []:
            if entry.get("type") == "Container":
                most, least = entry.get("max") or {}, entry.get("min") or {}
                default = {**most, **(entry.get("default") or {})}
                request = {**least, **default, **(entry.get("defaultRequest") or {})}
                ratio = entry.get("maxLimitRequestRatio") or {}
                yield ContainerRange(name(item), {"requests": request, "limits": default}, most, least, ratio)


def completed(container: Mapping[str, Any], ranges: Iterable[ContainerRange]) -> _Resources:
    """A container's requests and limits as the API server completes them: by one LimitRange after the other.

    What one of them has filled in, the next leaves; each then checks the whole.
    """
    own = container.get("resources") or {}
    limits = own.get("limits") or {}
    resources = {"requests": {**limits, **(own.get("requests") or {})}, "limits": limits}
    for entry in ranges:
        resources = {side: {**entry.default[side], **values} for side, values in resources.items()}
    return resources


# -- pods


@dataclass(frozen=True)
class _Shortage:
    """A resource of which all workloads need more than a quota gives; `scale` is the one that needs most of it."""

    resource: str
    scale: Scale
    amount: Decimal
    others: Decimal
    given: str

    @property
    def words(self) -> str:
        beside = f" beside the others' {self.others:g}" if self.others else ""
        return f"{self.amount:g} {self.resource} at its largest scale and a surge{beside}; the quota gives {self.given}"

    @property
    def room(self) -> int:
        """How many pods of it the quota has room for."""
        return int((number(self.given) - self.others) / (self.amount / self.scale.with_surge))


def _pods(
    unit: Unit, hard: Mapping[str, Any], scales: Sequence[Scale], ranges: Sequence[ContainerRange]
) -> Iterator[Finding]:
    """All workloads count together; the one that needs most is named, once for all that it needs."""
    shortages = _shortages(hard, scales, ranges)
    # Where pods are too many, their number is what to change.
    shortages.sort(key=lambda short: not short.resource.endswith("pods"))
    for scale in scales:
        own = [short for short in shortages if short.scale is scale]
        if not own:
            continue
        places = [_written(scale, short.resource) for short in own]
        here = [place for place in places if unit.places.of(*place).file.startswith(f"{unit.name}/")]
        more = "".join(f", and {short.amount:g} {short.resource} of {short.given}" for short in own[1:])
        fitting = scale.fitting(min(short.room for short in own))
        fix = f"ask for less, or scale to {f'at most {fitting}' if fitting else 'fewer'}"
        yield unit.finding(RULE, *(here or places)[0], f"needs {own[0].words}{more}", fix)


def _shortages(hard: Mapping[str, Any], scales: Sequence[Scale], ranges: Sequence[ContainerRange]) -> list[_Shortage]:
    needs = [(scale, _needs(scale, ranges)) for scale in scales]
    shortages = []
    for resource, given in hard.items():
        asking = [(needed[resource], scale) for scale, needed in needs if resource in needed]
        total = sum((amount for amount, _ in asking), Decimal(0))
        if asking and total > number(given):
            amount, scale = max(asking, key=lambda one: one[0])
            shortages.append(_Shortage(resource, scale, amount, total - amount, str(given)))
    return shortages


def _needs(scale: Scale, ranges: Sequence[ContainerRange]) -> _Amounts:
    """What all pods of a workload need of each resource that a quota can name."""
    needs: _Amounts = {"pods": Decimal(scale.with_surge), "count/pods": Decimal(scale.with_surge)}
    for side in ("requests", "limits"):
        for resource, value in of_a_pod(scale.pods, side, ranges).items():
            needs[f"{side}.{resource}"] = scale.with_surge * value
            if side == "requests":  # a quota may say `cpu` for `requests.cpu`
                needs[resource] = scale.with_surge * value
    return needs


def of_a_pod(pods: Template, side: str, ranges: Sequence[ContainerRange]) -> _Amounts:
    """What the containers that run at once need; those of its beginning run one by one, beside the sidecars so far."""
    running: _Amounts = {}
    beginning: _Amounts = {}
    sidecars: _Amounts = {}
    for path, container in pods.containers():
        amounts = {resource: number(value) for resource, value in completed(container, ranges)[side].items()}
        is_sidecar = container.get("restartPolicy") == "Always"
        if path[-2] == "containers" or is_sidecar:
            running = _both(operator.add, running, amounts)
        if is_sidecar:
            sidecars = _both(operator.add, sidecars, amounts)
        elif path[-2] != "containers":
            beginning = _both(max, beginning, _both(operator.add, sidecars, amounts))
    whole = (pods.spec.get("resources") or {}).get(side) or {}
    said = {resource: number(value) for resource, value in whole.items()}
    return {**_both(max, running, beginning), **said}


def _both(work: Callable[[Decimal, Decimal], Decimal], one: _Amounts, two: _Amounts) -> _Amounts:
    """One amount for each resource of either."""
    return {key: work(one.get(key, Decimal(0)), two.get(key, Decimal(0))) for key in {**one, **two}}


def _written(scale: Scale, resource: str) -> tuple[Object, FieldPath]:
    """Where what a workload asks for is written: the number of pods, or the first container's resource."""
    side, _, part = resource.partition(".")
    first = next(scale.pods.containers(), None)
    if part and first and part in ((first[1].get("resources") or {}).get(side) or {}):
        return scale.pods.item, (*first[0], "resources", side, part)
    return scale.item, scale.path


def _beyond(unit: Unit, pods: Template, entry: ContainerRange, ranges: Sequence[ContainerRange]) -> Iterator[Finding]:
    """What one LimitRange refuses of a workload's containers, once all of them have completed these."""
    for path, container in pods.containers():
        resources = completed(container, ranges)
        for side, (bound, edges, exceeds) in itertools.product(resources, entry.bounds):
            for resource, edge in edges.items():
                value = resources[side].get(resource)
                if value is None or (number(value) - number(edge)) * exceeds <= 0:
                    continue
                problem = f"{side}.{resource} is {value}; the LimitRange gives a container at {bound} {edge}"
                yield unit.finding(RULE, pods.item, (*path, "resources", side, resource), problem, f"{edge}")
        for resource, edge in entry.ratio.items():
            asked, limit = (number(resources[side].get(resource)) for side in ("requests", "limits"))
            if not asked or not limit or limit / asked > number(edge):
                problem = f"limits.{resource} is {limit:g}, the request {asked:g}; {entry.name} allows {edge} to 1"
                yield unit.finding(RULE, pods.item, (*path, "resources", "limits", resource), problem, "ask for more")


# -- objects


def _objects(unit: Unit, hard: Mapping[str, Any], scales: Sequence[Scale]) -> Iterator[Finding]:
    """The first object that is one too many is named."""
    total: Counter[str] = Counter()
    passed = set[str]()
    taken: list[tuple[Object, str, tuple[int, FieldPath]]] = []
    for item in unit.objects:
        taken += [(item, resource, taking) for resource, taking in _counts(item).items()]
    taken += itertools.chain.from_iterable(map(_claimed, scales))
    for item, resource, (amount, path) in taken:
        total[resource] += amount
        if resource in hard and resource not in passed and total[resource] > number(hard[resource]):
            passed.add(resource)
            problem = f"makes {total[resource]} {resource}; the quota gives {hard[resource]}"
            yield unit.finding(RULE, item, path, problem, "leave it out: a service's namespace has no more")


def _claimed(scale: Scale) -> Iterator[tuple[Object, str, tuple[int, FieldPath]]]:
    """The claims that are made for each pod, with it."""
    for position, volume in enumerate(scale.pods.spec.get("volumes") or []):
        claim = value_at(volume, ("ephemeral", "volumeClaimTemplate", "spec"))
        if isinstance(claim, dict):
            path: FieldPath = (*scale.pods.path, "spec", "volumes", position, "ephemeral")
            for resource, amount in _storage(claim).items():
                yield scale.pods.item, resource, (amount * scale.with_surge, path)


def _storage(claim: Mapping[str, Any]) -> dict[str, int]:
    """What one claim takes of each count that a quota can name, in pieces and bytes."""
    size = int(number(value_at(claim, ("resources", "requests", "storage"))))
    counts = {"persistentvolumeclaims": 1, "count/persistentvolumeclaims": 1, "requests.storage": size}
    if stored := claim.get("storageClassName"):
        prefix = f"{stored}.storageclass.storage.k8s.io"
        counts |= {f"{prefix}/persistentvolumeclaims": 1, f"{prefix}/requests.storage": size}
    return counts


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
    if kind == "PersistentVolumeClaim":
        counts |= {resource: (amount, ("kind",)) for resource, amount in _storage(spec).items()}
    if kind == "StatefulSet":
        replicas = int(spec.get("replicas", 1))
        for claim in spec.get("volumeClaimTemplates") or []:
            for resource, amount in _storage(claim.get("spec") or {}).items():
                before = counts[resource][0] if resource in counts else 0
                counts[resource] = (before + amount * replicas, ("spec", "volumeClaimTemplates"))
    return counts


def _plural(kind: str) -> str:
    """The resource of a kind, as Kubernetes names its own."""
    word = kind.lower()
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith("s") else f"{word}s"

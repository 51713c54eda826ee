"""What the builder reads: objects with where they stand, in whatever shape people wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gitops.lb.names import CLASS, PREFIX
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place
from gitops.manifests.objects import FieldPath, Object, name, selects, spec_of
from gitops.manifests.pods import Template, template


def mapping(value: object) -> dict[str, Any]:
    """A mapping, empty where there is none."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """The mappings of a list, each with its number; what is none is the schema's business."""
    for number, member in enumerate(value if isinstance(value, list) else []):
        if isinstance(member, dict):
            yield number, member


def in_group(item: Object) -> bool:
    """Whether an Ingress belongs to the one load balancer."""
    return bool(spec_of(item).get("ingressClassName") == CLASS)


def ingress_rules(item: Object) -> Iterator[tuple[FieldPath, Object]]:
    """The rules of an Ingress, each with where it stands."""
    for number, rule in mappings(spec_of(item).get("rules")):
        yield ("spec", "rules", number), rule


def rule_paths(location: FieldPath, rule: Object) -> Iterator[tuple[FieldPath, Object]]:
    """The path entries of a rule that stands at `location`, each with where it stands."""
    for number, path in mappings(mapping(rule.get("http")).get("paths")):
        yield (*location, "http", "paths", number), path


@dataclass(frozen=True)
class GroupObject:
    """An object, and the folder that has it."""

    unit: Unit
    item: Object

    @property
    def namespace(self) -> str:
        """Its namespace: the one that it names, or its folder's."""
        return str(mapping(self.item.get("metadata")).get("namespace") or self.unit.namespace)

    @property
    def full_name(self) -> str:
        """As namespace/name."""
        return f"{self.namespace}/{name(self.item)}"

    @property
    def annotations(self) -> dict[str, str]:
        """The controller's, without their prefix."""
        pairs = mapping(mapping(self.item.get("metadata")).get("annotations")).items()
        return {str(key).removeprefix(PREFIX): str(value) for key, value in pairs if str(key).startswith(PREFIX)}

    def place(self, short: str) -> Place:
        """The line of one of its annotations."""
        return self.unit.places.of(self.item, ("metadata", "annotations", PREFIX + short))

    def finding(self, rule: str, path: FieldPath, problem: str, fix: str) -> Finding:
        """A finding about a field of it."""
        return self.unit.finding(rule, self.item, path, problem, fix)


@dataclass(frozen=True)
class Setting:
    """The text of an annotation (`short`: without its prefix), and the object that has it."""

    short: str
    text: str
    source: GroupObject

    @property
    def path(self) -> FieldPath:
        """Where it stands in the object."""
        return ("metadata", "annotations", PREFIX + self.short)

    def finding(self, rule: str, problem: str, fix: str) -> Finding:
        """A finding about it."""
        return self.source.finding(rule, self.path, problem, fix)


def setting(short: str, *sources: GroupObject) -> Setting | None:
    """An annotation of the first that has it: a Service's wins over its Ingress'."""
    for source in sources:
        if short in source.annotations:
            return Setting(short, source.annotations[short], source)
    return None


@dataclass(frozen=True)
class Inventory:
    """What the Ingresses may lead to."""

    services: dict[str, GroupObject]
    # The namespaces of which every object is here: a Service that is not is nowhere.
    whole: frozenset[str]

    @classmethod
    def of(cls, units: Iterable[Unit]) -> Inventory:
        """The Services of these folders. Of a namespace of the platform's a part may come from elsewhere."""
        services, whole, parts = dict[str, GroupObject](), set[str](), set[str]()
        for unit in units:
            own = [GroupObject(unit, item) for item in unit.kind("Service")]
            services |= {source.full_name: source for source in own}
            named = {GroupObject(unit, item).namespace for item in unit.kind("Ingress")}
            (parts if unit.partial or not unit.overlay else whole).update(named)
        return cls(services, frozenset(whole - parts))

    def names(self, namespace: str) -> str:
        """The Services of a namespace, for a person."""
        there = [name(source.item) for source in self.services.values() if source.namespace == namespace]
        return ", ".join(sorted(there)) or "none"

    def knows(self, namespace: str) -> bool:
        """Whether all Services of a namespace are here."""
        return namespace in self.whole


@dataclass(frozen=True)
class Crowd:
    """Pods of one kind, how many there are at most, and where that number is written."""

    pods: Template
    most: int
    source: GroupObject
    path: FieldPath


def pods_of(service: GroupObject) -> Iterator[Crowd]:
    """The pods that a Service selects."""
    selector = mapping(spec_of(service.item).get("selector"))
    if not selector:
        return
    for item in service.unit.objects:
        pods = template(item)
        if pods and pods.path == ("spec", "template") and selects({"matchLabels": selector}, pods.labels):
            yield _crowd(service.unit, pods)


def _crowd(unit: Unit, pods: Template) -> Crowd:
    """How many pods a workload has at most: what its autoscaler says, or itself."""
    says, field = pods.item, "replicas"
    for item in unit.kind("HorizontalPodAutoscaler"):
        target = mapping(spec_of(item).get("scaleTargetRef"))
        if (target.get("kind"), target.get("name")) == (pods.item.get("kind"), name(pods.item)):
            says, field = item, "maxReplicas"
    most = spec_of(says).get(field, 1)
    return Crowd(pods, most if isinstance(most, int) else 1, GroupObject(unit, says), ("spec", field))

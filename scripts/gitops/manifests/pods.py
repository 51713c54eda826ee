"""The pods that objects make, and where their parts stand in the object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gitops.manifests.objects import FieldPath, Object

SourceKind = Literal["Secret", "ConfigMap"]

TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Rollout": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


# The fields that name a Secret or ConfigMap: one key of it, all of it, and as a volume (with the field of its name).
_KEYS: dict[str, SourceKind] = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}
_WHOLE: dict[str, SourceKind] = {"secretRef": "Secret", "configMapRef": "ConfigMap"}
_VOLUMES: dict[str, tuple[SourceKind, str]] = {"secret": ("Secret", "secretName"), "configMap": ("ConfigMap", "name")}


@dataclass(frozen=True)
class Reference:
    """A Secret or ConfigMap that a pod names. `key`: the one that must be in it, None where any will do.

    `name_path` and `key_path`: the fields that name the two, from the root of the object that has the pod.
    """

    kind: SourceKind
    name: str
    key: str | None
    name_path: FieldPath
    key_path: FieldPath


@dataclass(frozen=True)
class Template:
    """An object's pod template: `path` leads to it."""

    item: Object
    path: tuple[str, ...]
    body: Object

    @property
    def spec(self) -> Object:
        """The pod's spec, empty where it is no mapping."""
        return _mapping(self.body.get("spec"))

    @property
    def labels(self) -> dict[str, str]:
        """The pods' labels."""
        return _mapping(_mapping(self.body.get("metadata")).get("labels"))

    def containers(self) -> Iterator[tuple[FieldPath, Object]]:
        """Every container with its path from the object's root."""
        for field in ("initContainers", "containers"):
            for number, container in enumerate(self.spec.get(field) or []):
                if isinstance(container, dict):
                    yield (*self.path, "spec", field, number), container

    def ports(self) -> dict[str, int]:
        """Its containers' named ports, and each number under its own text."""
        numbers: dict[str, int] = {}
        for _, container in self.containers():
            for port in container.get("ports") or []:
                number = _mapping(port).get("containerPort")
                if isinstance(number, int):
                    numbers[str(number)] = number
                    if port.get("name"):
                        numbers[str(port["name"])] = number
        return numbers

    def references(self) -> Iterator[Reference]:
        """What must exist before a container can start. What is optional is left out."""
        for path, container in self.containers():
            for n, variable in enumerate(container.get("env") or []):
                yield from _references(variable.get("valueFrom") or {}, (*path, "env", n, "valueFrom"), _KEYS)
            for n, source in enumerate(container.get("envFrom") or []):
                yield from _references(source, (*path, "envFrom", n), _WHOLE)
        for n, volume in enumerate(self.spec.get("volumes") or []):
            path = (*self.path, "spec", "volumes", n)
            yield from _volume(volume, path)
            for m, source in enumerate(_mapping(volume.get("projected")).get("sources") or []):
                yield from _volume(source, (*path, "projected", "sources", m))

    def pull_secrets(self) -> Iterator[Reference]:
        """The Secrets that its images are pulled with; a pod is started without them too."""
        for n, entry in enumerate(self.spec.get("imagePullSecrets") or []):
            path: FieldPath = (*self.path, "spec", "imagePullSecrets", n, "name")
            yield Reference("Secret", str(entry.get("name")), None, path, path)


def _references(source: Object, path: FieldPath, kinds: Mapping[str, SourceKind]) -> Iterator[Reference]:
    for field, kind in kinds.items():
        named = _mapping(source.get(field))
        if named and not named.get("optional"):
            name_path: FieldPath = (*path, field, "name")
            key_path: FieldPath = (*path, field, "key")
            yield Reference(kind, str(named.get("name")), named.get("key"), name_path, key_path)


def _volume(source: Object, path: FieldPath) -> Iterator[Reference]:
    for field, (kind, name_field) in _VOLUMES.items():
        named = _mapping(source.get(field))
        if not named or named.get("optional"):
            continue
        by = name_field if name_field in named else "name"  # a projected Secret's
        name_path: FieldPath = (*path, field, by)
        for n, item in enumerate(named.get("items") or [{}]):
            key_path: FieldPath = (*path, field, "items", n, "key")
            yield Reference(kind, str(named.get(by)), item.get("key"), name_path, key_path)


def template(item: Object) -> Template | None:
    """The pod template of an object, or None where it has none."""
    path = TEMPLATES.get(str(item.get("kind")))
    if path is None:
        return None
    body: Any = item
    for step in path:
        body = _mapping(body).get(step)
    return Template(item, path, body) if isinstance(body, dict) else None


def _mapping(value: object) -> Object:
    return value if isinstance(value, dict) else {}

"""The pods that objects make, and where their parts stand in the object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gitops.manifests.objects import Object

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

    def containers(self) -> Iterator[tuple[tuple[str | int, ...], Object]]:
        """Every container with its path from the object's root."""
        for field in ("initContainers", "containers"):
            for number, container in enumerate(self.spec.get(field) or []):
                if isinstance(container, dict):
                    yield (*self.path, "spec", field, number), container

    def ports(self) -> dict[str, int]:
        """Its containers' named ports, and each number under its own text."""
        found: dict[str, int] = {}
        for _, container in self.containers():
            for port in container.get("ports") or []:
                if isinstance(port, dict) and isinstance(port.get("containerPort"), int):
                    found[str(port["containerPort"])] = port["containerPort"]
                    if port.get("name"):
                        found[str(port["name"])] = port["containerPort"]
        return found


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

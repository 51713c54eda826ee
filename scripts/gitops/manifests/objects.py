"""Kubernetes objects: plain mappings, as in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]
# The steps from an object to a field of it: keys of mappings, numbers of lists' items.
FieldPath = Sequence[str | int]
# By what kustomize and the API server tell items of a list apart; the first that all of them have.
MERGE_KEYS = ("name", "containerPort", "host", "path", "mountPath", "port", "topologyKey", "key", "type", "ip")


def label(item: Object) -> str:
    """An object as a person names it."""
    return f"{item.get('kind')} {name(item)}"


def name(item: Object) -> str:
    """An object's name, empty where it has none."""
    metadata = item.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def spec_of(item: Object) -> dict[str, Any]:
    """An object's spec, empty where it has none: the API server takes a few kinds without one."""
    spec = item.get("spec")
    return spec if isinstance(spec, dict) else {}


def value_at(item: Any, path: FieldPath) -> Any:  # noqa: ANN401
    """What stands at a path of an object, None where nothing does."""
    for step in path:
        if isinstance(step, int):
            item = item[step] if isinstance(item, list) and step < len(item) else None
        else:
            item = item.get(step) if isinstance(item, dict) else None
    return item


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector has an object with these labels. One that is not there has none, an empty one all."""
    if selector is None:
        return False
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    return all(_meets(requirement, labels) for requirement in selector.get("matchExpressions") or [])


def _meets(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    operator, value = requirement.get("operator"), labels.get(str(requirement.get("key")))
    if operator in ("In", "NotIn"):
        listed: list[object] = requirement.get("values") or []
        return bool((value in listed) == (operator == "In"))
    return (value is not None) == (operator == "Exists")

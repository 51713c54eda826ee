"""What an entry of a kustomization selects among objects, as kustomize does (api/types, api/internal/utils)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gitops.manifests.objects import Object, name
from gitops.manifests.places import matches

# Of a replacement's path: a step in brackets may have dots.
_STEP = re.compile(r"\[[^\]]*\]|(?:\\.|[^.\[\\])+")


def meets_any(selected: Mapping[str, Any], objects: Collection[Object]) -> bool:
    """Whether one of some objects is selected."""
    return any(meets(selected, item) for item in objects)


def meets(selected: Mapping[str, Any], item: Object) -> bool:
    """As kustomize selects (api/types/selector.go): whole words or patterns, labels by equality."""
    group, _, version = str(item.get("apiVersion", "")).rpartition("/")
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    texts = {
        "kind": str(item.get("kind")),
        "name": name(item),
        "group": group,
        "version": version,
        "namespace": str(metadata.get("namespace") or "default"),
    }
    if not all(matches(str(selected[key]), text) for key, text in texts.items() if selected.get(key)):
        return False
    pairs = (("labelSelector", "labels"), ("annotationSelector", "annotations"))
    return all(_has(str(selected[key]), metadata.get(field) or {}) for key, field in pairs if selected.get(key))


def _has(selector: str, labels: Mapping[str, Any]) -> bool:
    """Whether labels meet a selector of equalities; one with other words may be met by any."""
    for part in selector.split(","):
        key, equals, value = (word.strip() for word in part.replace("==", "=").partition("="))
        if equals and not key.endswith("!") and labels.get(key) != value:
            return False
    return True


def steps_of(path: str) -> list[str]:
    """The steps of a replacement's path."""
    return [part.replace("\\.", ".") for part in _STEP.findall(path)]


def leads(item: Any, steps: Sequence[str]) -> bool:  # noqa: ANN401 - any part of an object
    """Whether a path of a replacement leads to something: names, [key=value], numbers, and `*` for all."""
    if not steps:
        return True
    step, rest = steps[0], steps[1:]
    if isinstance(item, dict):
        parts = list(item.values()) if step == "*" else [item[step]] if step in item else []
    elif isinstance(item, list):
        key, equals, value = step.strip("[]").partition("=")
        if equals:
            parts = [part for part in item if str(part.get(key) if key and isinstance(part, dict) else part) == value]
        else:
            parts = item if step == "*" else item[int(step) : int(step) + 1] if step.isdigit() else item[-1:]
    else:
        parts = []
    return any(leads(part, rest) for part in parts)


def reaches(item: Any, path: Sequence[str]) -> bool:  # noqa: ANN401 - any part of an object
    """Whether an object has a field; of a list any item's."""
    if isinstance(item, list):
        return any(reaches(part, path) for part in item)
    if not path:
        return item is not None
    return isinstance(item, dict) and path[0] in item and reaches(item[path[0]], path[1:])

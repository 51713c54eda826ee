"""Kubernetes objects: plain mappings, as in YAML."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def label(item: Object) -> str:
    """An object as a person names it."""
    return f"{item.get('kind')} {name(item)}"


def name(item: Object) -> str:
    """An object's name, empty where it has none."""
    metadata = item.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""

"""Objects that are larger than the cluster stores. A dry run ends before etcd, so the API server does not say so."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object

# etcd's --max-request-bytes as it comes.
_MOST = 1_572_864
# Of a ConfigMap's values alone (MaxSecretSize, pkg/apis/core/validation).
_MOST_DATA = 2**20
_DATA = ("data", "binaryData")


def check(unit: Unit) -> Iterator[Finding]:
    """What of each object is too large, by its largest field."""
    for item in unit.objects:
        values: list[object] = []
        for field in _DATA if item.get("kind") == "ConfigMap" else ():
            values += (item.get(field) or {}).values()
        data = sum(map(_size, values))
        for size, most, what in ((data, _MOST_DATA, "a ConfigMap"), (_size(item), _MOST, "etcd")):
            if size > most:
                fix = "split it, or keep the data where files belong (an image, a bucket)"
                yield unit.finding("object-size", item, _largest(item), f"{size:,} bytes; {what} takes {most:,}", fix)
                break


def _size(value: object) -> int:
    """In bytes, as JSON; a text as it is."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return len(text.encode(errors="replace"))


def _largest(item: Object) -> FieldPath:
    """The path of the field that takes most: as far as one takes more than half."""
    path: list[str | int] = []
    value: object = item
    while isinstance(value, dict | list) and value:
        fields = list(value.items() if isinstance(value, dict) else enumerate(value))
        key, largest = max(fields, key=lambda field: _size(field[1]))
        if 2 * _size(largest) < _size(value):
            break
        path.append(key)
        value = largest
    return path

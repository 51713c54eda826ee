"""Two renders of an Application, object by object and field by field. Order and notation are no difference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gitops.manifests.differences import differences
from gitops.manifests.forms import ABSENT, of
from gitops.manifests.objects import Object, name
from gitops.preview.model import FieldChange, ObjectChange

# kustomize's hash of a generated ConfigMap, and a rotated secret's generation.
_GENERATED = re.compile(r"-(?:[a-z0-9]{10}|g\d+)$")
_MASKED = {"Secret": (("data",), ("stringData",)), "SealedSecret": (("spec", "encryptedData"),)}
HIDDEN = "(hidden)"
_LONG = 2000
ObjectKey = tuple[str, str, str, str]


def key(item: Object) -> ObjectKey:
    """Group, kind, namespace and name: a new version of an API is the same object."""
    group, _, _ = str(item.get("apiVersion", "")).rpartition("/")
    return group, str(item.get("kind")), str(item["metadata"].get("namespace") or ""), name(item)


def pairs(before: Sequence[Object], after: Sequence[Object]) -> Iterator[tuple[Object | None, Object | None]]:
    """The objects of both sides that belong together, renames of generated names too."""
    left, right = {key(item): item for item in before}, {key(item): item for item in after}
    for identity in sorted(left.keys() & right.keys()):
        yield left[identity], right[identity]
    gone, new = sorted(left.keys() - right.keys()), sorted(right.keys() - left.keys())
    for identity in list(gone):
        stem = _stem(identity)
        twins = [twin for twin in new if _stem(twin) == stem] if stem else []
        if len(twins) == 1:
            gone.remove(identity)
            new.remove(twins[0])
            yield left[identity], right[twins[0]]
    for identity in gone:
        yield left[identity], None
    for identity in new:
        yield None, right[identity]


def _stem(identity: ObjectKey) -> ObjectKey | None:
    """What a generated name is generated from, None for any other name."""
    stem = _GENERATED.sub("", identity[3])
    return (*identity[:3], stem) if stem != identity[3] else None


def compare(old: Object | None, new: Object | None) -> ObjectChange | None:
    """What happened to one object, None where nothing did."""
    item = new or old
    if item is None:
        return None
    _, kind, namespace, named = key(item)
    if old is None or new is None:
        return ObjectChange(action="added" if new else "removed", kind=kind, namespace=namespace, name=named)
    renamed = name(old) if name(old) != named else None
    fields = tuple(_fields(kind, old, new))
    if not fields and not renamed:
        return None
    return ObjectChange(action="changed", kind=kind, namespace=namespace, name=named, renamed=renamed, fields=fields)


def _fields(kind: str, old: Object, new: Object) -> Iterator[FieldChange]:
    for change in differences(old, new, of(new)):
        if change.steps == ("metadata", "name"):
            continue
        left, right = _text(change.old), _text(change.new)
        # A change of what is around a hidden field has its value too.
        if any(change.within(*field) or field[: len(change.steps)] == change.steps for field in _MASKED.get(kind, ())):
            left, right = (HIDDEN if text is not None else None for text in (left, right))
        yield FieldChange(path=change.path, old=left, new=right)


def _text(value: Any) -> str | None:  # noqa: ANN401
    if value is ABSENT:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONG else f"{text[:_LONG]} ... ({len(text)} characters)"

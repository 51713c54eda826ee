"""Two renders of an Application, object by object and field by field. Order and notation are no difference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gitops.manifests.objects import Object, name
from gitops.manifests.places import MERGE_KEYS
from gitops.preview.model import FieldChange, ObjectChange

# kustomize's hash of a generated ConfigMap, and a rotated secret's generation.
_GENERATED = re.compile(r"-(?:[a-z0-9]{10}|g\d+)$")
_MASKED = {"Secret": ("data", "stringData"), "SealedSecret": ("spec.encryptedData",)}
HIDDEN = "(hidden)"
_LONG = 2000
Key = tuple[str, str, str, str]


def key(item: Object) -> Key:
    """Group, kind, namespace and name: a new version of an API is the same object."""
    group, _, _ = str(item.get("apiVersion", "")).rpartition("/")
    return group, str(item.get("kind")), str(item["metadata"].get("namespace") or ""), name(item)


def pairs(before: Sequence[Object], after: Sequence[Object]) -> Iterator[tuple[Object | None, Object | None]]:
    """The objects of both sides that belong together, renames of generated names too."""
    left, right = {key(item): item for item in before}, {key(item): item for item in after}
    for at in sorted(left.keys() & right.keys()):
        yield left[at], right[at]
    gone, new = sorted(left.keys() - right.keys()), sorted(right.keys() - left.keys())
    for at in list(gone):
        stem = (*at[:3], _GENERATED.sub("", at[3]))
        twins = [other for other in new if (*other[:3], _GENERATED.sub("", other[3])) == stem and other[3] != stem[3]]
        if len(twins) == 1 and at[3] != stem[3]:
            gone.remove(at)
            new.remove(twins[0])
            yield left[at], right[twins[0]]
    for at in gone:
        yield left[at], None
    for at in new:
        yield None, right[at]


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
    masked = _MASKED.get(kind, ())
    for path, left, right in differences(old, new):
        if path == "metadata.name":
            continue
        if any(path == prefix or path.startswith((f"{prefix}.", f"{prefix}[")) for prefix in masked):
            left, right = (HIDDEN if value is not None else None for value in (left, right))
        yield FieldChange(path=path, old=_text(left), new=_text(right))


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Every field that differs: (path, old, new). Items of a list are matched by what tells them apart."""
    if isinstance(old, dict) and isinstance(new, dict):
        for each in sorted({*old, *new}, key=str):
            yield from differences(
                old.get(each), new.get(each), f"{path}.{_word(str(each))}" if path else _word(str(each))
            )
    elif isinstance(old, list) and isinstance(new, list) and (by := _merge_key(old, new)):
        left, right = {item[by]: item for item in old}, {item[by]: item for item in new}
        for each in dict.fromkeys([*left, *right]):
            yield from differences(left.get(each), right.get(each), f"{path}[{by}={each}]")
    elif isinstance(old, list) and isinstance(new, list) and _plain(old + new):
        for each in dict.fromkeys([*map(_text, old), *map(_text, new)]):
            counts = sum(_text(item) == each for item in old), sum(_text(item) == each for item in new)
            if counts[0] != counts[1]:
                yield f"{path}[]", each if counts[0] > counts[1] else None, each if counts[1] > counts[0] else None
    elif isinstance(old, list) and isinstance(new, list):
        # What is on both sides, wherever it stands, is no difference.
        fewer, more = [item for item in old if item not in new], [item for item in new if item not in old]
        for n in range(max(len(fewer), len(more))):
            pair = (fewer[n] if n < len(fewer) else None, more[n] if n < len(more) else None)
            yield from differences(*pair, f"{path}[{n}]")
    elif old != new or type(old) is not type(new):
        yield path, old, new


def _word(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key) else f"[{key}]"


def _merge_key(old: list[Any], new: list[Any]) -> str | None:
    """The first key that all items have and that tells all of them apart."""
    for by in MERGE_KEYS:
        for side in (old, new):
            values = [item.get(by) if isinstance(item, dict) else None for item in side]
            if any(not isinstance(value, str | int) for value in values) or len(set(values)) < len(values):
                break
        else:
            return by if old or new else None
    return None


def _plain(items: list[Any]) -> bool:
    return all(not isinstance(item, dict | list) for item in items)


def _text(value: Any) -> str | None:  # noqa: ANN401
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONG else f"{text[:_LONG]} ... ({len(text)} characters)"

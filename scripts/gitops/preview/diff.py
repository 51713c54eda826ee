"""Two renders of an Application, object by object and field by field: what means the same is the same."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gitops.manifests.differences import differences
from gitops.manifests.forms import of
from gitops.manifests.objects import Object, label, name, value_at
from gitops.manifests.pods import TEMPLATES
from gitops.preview import values
from gitops.preview.model import MOST_FIELDS, FieldChange, ObjectChange
from gitops.preview.values import HIDDEN, MASKED

# kustomize's hash of a generated ConfigMap, and a rotated secret's generation.
_GENERATED = re.compile(r"-(?:[a-z0-9]{10}|g\d+)$")
# How much of two objects' fields must be the same for one to be the other under another name.
_ALIKE = 0.5
# Of objects that went and objects that came: more of them are a change that nobody reads by its renames.
_MOST_PAIRS = 10_000
ObjectKey = tuple[str, str, str, str]
Pair = tuple[Object | None, Object | None]


def key(item: Object) -> ObjectKey:
    """Group, kind, namespace and name: a new version of an API is the same object."""
    group, _, _ = str(item.get("apiVersion", "")).rpartition("/")
    return group, str(item.get("kind")), str(value_at(item, ("metadata", "namespace")) or ""), name(item)


def pairs(before: Sequence[Object], after: Sequence[Object]) -> Iterator[Pair]:
    """The objects of both sides that belong together: the same, generated anew, or much alike (`is_replaced`)."""
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
    for old, twin in _alike([left[identity] for identity in gone], [right[identity] for identity in new]):
        gone.remove(key(old))
        new.remove(key(twin))
        yield old, twin
    for identity in gone:
        yield left[identity], None
    for identity in new:
        yield None, right[identity]


def is_replaced(old: Object, new: Object) -> bool:
    """Whether the two of a pair are two objects in the cluster: the old one goes, the new one comes."""
    stem = _stem(key(old))
    return key(old) != key(new) and (stem is None or stem != _stem(key(new)))


def _stem(identity: ObjectKey) -> ObjectKey | None:
    """What a generated name is generated from, None for any other name."""
    stem = _GENERATED.sub("", identity[3])
    return (*identity[:3], stem) if stem != identity[3] else None


def _alike(gone: Sequence[Object], new: Sequence[Object]) -> list[tuple[Object, Object]]:
    """Each object that went with the one that came in its place: the most alike first."""
    if len(gone) * len(new) > _MOST_PAIRS:
        return []
    leaves = {id(item): frozenset(_leaves(item)) for item in (*gone, *new)}
    scores = []
    for (n, old), (m, twin) in itertools.product(enumerate(gone), enumerate(new)):
        likeness = _likeness(old, twin, leaves[id(old)], leaves[id(twin)])
        if likeness >= _ALIKE:
            scores.append((-likeness, n, m))
    matched: list[tuple[Object, Object]] = []
    left, right = set[int](), set[int]()
    for _, n, m in sorted(scores):
        if n not in left and m not in right:
            left.add(n)
            right.add(m)
            matched.append((gone[n], new[m]))
    return matched


def _likeness(old: Object, new: Object, left: frozenset[str], right: frozenset[str]) -> float:
    """How much of the fields of both is the same, 0 to 1; above 1 for another kind of the same name that runs pods."""
    same_name = key(old)[2:] == key(new)[2:]
    if old.get("kind") != new.get("kind"):
        if not same_name:
            return 0
        if old.get("kind") in TEMPLATES and new.get("kind") in TEMPLATES:
            return 2
    return len(left & right) / max(len(left | right), 1)


def _leaves(value: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401
    """Every scalar with its field; where in a list an item stands is not told."""
    if isinstance(value, dict):
        for field, below in value.items():
            if (path, field) not in _OF_A_NAME:
                yield from _leaves(below, f"{path}.{field}")
    elif isinstance(value, list):
        for below in value:
            yield from _leaves(below, f"{path}[]")
    else:
        yield f"{path}={json.dumps(value, default=str)}"


_OF_A_NAME = {("", "apiVersion"), ("", "kind"), (".metadata", "name"), (".metadata", "namespace")}


def compare(old: Object | None, new: Object | None) -> ObjectChange | None:
    """What happened to one object, None where nothing did."""
    item = new or old
    if item is None:
        return None
    _, kind, namespace, named = key(item)
    said: dict[str, Any] = {"kind": values.cut(kind), "namespace": values.cut(namespace), "name": values.cut(named)}
    if old is None or new is None:
        said |= {"action": "added" if new else "removed", "content": values.content(item)}
        return ObjectChange.model_validate(said)
    said["fields"] = tuple(itertools.islice(_fields(old, new), MOST_FIELDS))
    if is_replaced(old, new):
        was = name(old) if old.get("kind") == kind else label(old)
        return ObjectChange.model_validate({**said, "action": "replaced", "renamed": was})
    renamed = name(old) if name(old) != named else None
    if not said["fields"] and not renamed:
        return None
    return ObjectChange.model_validate({**said, "action": "changed", "renamed": renamed})


def _fields(old: Object, new: Object) -> Iterator[FieldChange]:
    masked = {*MASKED.get(str(old.get("kind")), ()), *MASKED.get(str(new.get("kind")), ())}
    for change in differences(old, new, of(new)):
        if change.steps == ("metadata", "name"):
            continue
        left, right = values.texts(change.old, change.new)
        # A change of what is around a hidden field has its value too.
        if any(change.within(*field) or field[: len(change.steps)] == change.steps for field in masked):
            left, right = (HIDDEN if text is not None else None for text in (left, right))
        yield FieldChange(path=values.cut(change.path), old=left, new=right)

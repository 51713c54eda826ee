"""Where a field of a rendered object stands in the source: the line that a person would edit.

kustomize does not say. So the overlay's layers are read with their places, and the last one that sets the field wins,
as it does in kustomize; a value that came by another way (images, namespace, a replacement) is looked for by itself.
"""

from __future__ import annotations

import itertools
import pathlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import generated, yamlfile
from gitops.manifests.lines import Place, read_text
from gitops.manifests.objects import MERGE_KEYS, FieldPath, Object, name, value_at
from gitops.manifests.reach import Layer, Reach

# What people write as a patch's target: names, any text, and one or the other.
_SIMPLE = re.compile(r"\^?([\w-]|\.\*|\|)*\$?")
_GENERATED = re.compile(r"-[a-z0-9]{10}$")
# By the field of an object that holds the pairs: those of a kustomization that give them to all.
_GIVEN_TO_ALL = {
    "labels": ("labels", "commonLabels"),
    "matchLabels": ("labels", "commonLabels"),
    "selector": ("labels", "commonLabels"),
    "annotations": ("commonAnnotations",),
}
# What of an image stands in which field of an entry of `images`, as (part, field).
_IMAGE_FIELDS = (("digest", "digest"), ("tag", "newTag"), ("name", "newName"))


@dataclass(frozen=True)
class _Fragment:
    """One document of a layer, with the line that it is shifted by (an inline patch)."""

    layer: Layer
    node: yaml.Node
    shift: int
    order: int

    def place(self, node: yaml.Node) -> Place:
        return Place(self.layer.file, node.start_mark.line + 1 + self.shift)


@dataclass(frozen=True)
class _Step:
    """One step of a path. `item`: the list's item that it leads to, which a layer may have elsewhere in its list."""

    key: str | int
    item: Any = None


@dataclass(frozen=True)
class _Reached:
    """How far a fragment follows a path: `depth` steps, to the value `node`, which begins at `start` (its key).

    `removed`: the fragment takes away what is there.
    """

    depth: int
    node: yaml.Node
    start: yaml.Node
    removed: bool


@dataclass(frozen=True, order=True)
class _Rank:
    """How good a fragment explains a field; the largest is the best.

    `explains`: it sets just this value, or took away what is missing; `whole`: it follows the whole path.
    """

    explains: bool
    whole: bool
    depth: int
    order: int


class Places:
    """The source of one overlay."""

    def __init__(self, checkout: Checkout, unit: str, reach: Reach) -> None:
        self._checkout, self._unit, self._reach = checkout, unit, reach

    @property
    def root(self) -> pathlib.Path:
        """The folder of the revision."""
        return self._checkout.root

    @property
    def files(self) -> frozenset[str]:
        """Every file that it is made of."""
        return frozenset(self._reach.files)

    def of(self, item: Object, path: FieldPath = ()) -> Place:
        """The best line for `path` in `item`: where it was set last, or where the nearest thing around it stands."""
        image = value_at(item, path[:-1]) if path[-2:-1] == ("image",) else None
        if isinstance(image, str):  # one part of it: name, tag or digest
            part, path = str(path[-1]), path[:-1]
            if place := self._image(image, part):
                return place
        value = value_at(item, path)
        ranked = [self._ranked(fragment, item, path, value) for fragment in self._layers_of(item)]
        best = max(ranked, key=lambda pair: pair[0], default=None)
        exact = best is not None and best[0].explains
        if not exact and path and (place := self._set_elsewhere(item, path, value)):
            return place
        return best[1] if best else self._generator(item, path) or self.top

    @property
    def top(self) -> Place:
        """The overlay as a whole: its kustomization."""
        own = [layer.file for layer in self._reach.layers if layer.role == "kustomization"]
        return Place(own[-1] if own else f"{self._unit}/kustomization.yaml", 1)

    def _ranked(self, fragment: _Fragment, item: Object, path: FieldPath, value: Any) -> tuple[_Rank, Place]:  # noqa: ANN401
        reached = _follow(fragment, item, path)
        whole = reached.depth == len(path)
        # What a layer took away explains what is missing; what it set explains what is there.
        explains = reached.removed if value is None else whole and _same(reached.node, value)
        return _Rank(explains, whole, reached.depth, fragment.order), fragment.place(reached.start)

    def _layers_of(self, item: Object) -> Iterator[_Fragment]:
        for fragment in self._fragments:
            target = fragment.layer.target
            if fragment.layer.role == "patch" and target is not None:
                if _selects(target, item):
                    yield fragment
            elif _scalar(fragment.node, "kind") == item.get("kind"):
                own = _scalar(_child(fragment.node, "metadata"), "name")
                if own == name(item) or (own and name(item).startswith(f"{own}-")):
                    yield fragment

    def _set_elsewhere(self, item: Object, path: FieldPath, value: Any) -> Place | None:  # noqa: ANN401
        """The fields that a kustomization sets by itself, and values that were copied from somewhere else."""
        if path[-1] == "image" and isinstance(value, str) and (place := self._image(value)):
            return place
        if path[0] == "metadata" and path[-1] == "namespace":
            return self.field("namespace")
        if place := self._label(str(path[-1]), path[-2:-1]):
            return place
        if path == ("spec", "replicas"):
            return self._replicas(item)
        return self._value(value) if isinstance(value, str) and len(value) > 3 else None

    def _image(self, image: str, part: str = "") -> Place | None:
        """The line of `images` that gives an image, or one part of it."""
        repository, _, digest = image.partition("@")
        tag = ""
        if ":" in repository.rpartition("/")[2]:
            repository, _, tag = repository.rpartition(":")
        values = {"digest": digest, "tag": tag, "name": repository}
        for file, entry in self._entries("images"):
            if repository not in (_scalar(entry, "newName"), _scalar(entry, "name")):
                continue
            for field_part, field in _IMAGE_FIELDS:
                node = _child(entry, field) if part in ("", field_part) else None
                if node is not None and values[field_part] and node.value == values[field_part]:
                    return Place(file, node.start_mark.line + 1)
            return Place(file, entry.start_mark.line + 1)
        return None

    def _label(self, key: str, holder: FieldPath) -> Place | None:
        """The line of a label or an annotation that a kustomization gives to all of its objects."""
        fields = _GIVEN_TO_ALL.get(str(holder[0]), ()) if holder else ()
        for (file, node), field in itertools.product(reversed(self._kustomizations), fields):
            given = _child(node, field)
            entries = given.value if isinstance(given, yaml.SequenceNode) else ()
            for pairs in (given, *(_child(entry, "pairs") for entry in entries)):
                name, _ = _pair(pairs, key)
                if name is not None:
                    return Place(file, name.start_mark.line + 1)
        return None

    def _replicas(self, item: Object) -> Place | None:
        """The line of `replicas` that gives an object its number."""
        for file, entry in self._entries("replicas"):
            if _scalar(entry, "name") == name(item) and (count := _child(entry, "count")) is not None:
                return Place(file, count.start_mark.line + 1)
        return None

    def field(self, field: str) -> Place | None:
        """The line of a field of the last kustomization that has it, None where none has."""
        for file, node in reversed(self._kustomizations):
            key, _ = _pair(node, field)
            if key is not None:
                return Place(file, key.start_mark.line + 1)
        return None

    def _value(self, value: str) -> Place | None:
        # An object's own name last: more often it is the field that names it that is asked for.
        for skipped in ("metadata", ""):
            for fragment in reversed(self._fragments):
                if (node := _find(fragment.node, value, skipped)) is not None:
                    return fragment.place(node)
        for file, node in reversed(self._kustomizations):
            if (scalar := _find(node, value)) is not None:
                return Place(file, scalar.start_mark.line + 1)
        return None

    def _generator(self, item: Object, path: FieldPath) -> Place | None:
        """The entry that makes an object; of one of its values the line that says it."""
        names = (_GENERATED.sub("", name(item)), name(item))
        for file, entry in [*self._entries("configMapGenerator"), *self._entries("secretGenerator")]:
            if _scalar(entry, "name") in names:
                key = str(path[1]) if path[:1] == ("data",) and len(path) > 1 else None
                return Place(file, (generated.giving(entry, key) if key else entry).start_mark.line + 1)
        return None

    def _entries(self, field: str) -> Iterator[tuple[str, yaml.Node]]:
        """The entries of a list of each kustomization, each with its file, the last kustomization's first."""
        for file, node in reversed(self._kustomizations):
            entries = _child(node, field)
            if isinstance(entries, yaml.SequenceNode):
                yield from ((file, entry) for entry in entries.value)

    @cached_property
    def _kustomizations(self) -> list[tuple[str, yaml.Node]]:
        files = dict.fromkeys(layer.file for layer in self._reach.layers if layer.role == "kustomization")
        nodes: list[tuple[str, yaml.Node]] = []
        for file in files:
            nodes += [(file, node) for node in _compose(self._text(file))]
        return nodes

    @cached_property
    def _fragments(self) -> list[_Fragment]:
        fragments: list[_Fragment] = []
        for layer in self._reach.layers:
            if layer.role not in ("resource", "component", "patch"):
                continue
            text, shift = (layer.patch, self._shift(layer)) if layer.patch else (self._text(layer.file), 0)
            first = len(fragments)
            fragments += [_Fragment(layer, node, shift, first + n) for n, node in enumerate(_compose(text))]
        return fragments

    def _shift(self, layer: Layer) -> int:
        """How many lines of its file stand above an inline patch."""
        block = [line.strip() for line in (layer.patch or "").splitlines()]
        lines = [line.strip() for line in self._text(layer.file).splitlines()]
        # Many patches begin alike; one that YAML folds stands there in other lines.
        for length in (len(block), 1):
            part = block[:length]
            for number in range(len(lines) if any(part) else 0):
                if lines[number : number + length] == part:
                    return number
        return 0

    def _text(self, file: str) -> str:
        return read_text(self._checkout.root / file)


def _compose(text: str) -> list[yaml.Node]:
    try:
        return yamlfile.compose_all(text, "")
    except InputError:
        return []


def _selects(target: dict[str, str], item: Object) -> bool:
    """Whether a patch's target is an object: both are patterns."""
    pairs = ((target.get("kind"), str(item.get("kind"))), (target.get("name"), name(item)))
    return all(not pattern or matches(pattern, text) for pattern, text in pairs)


def matches(pattern: str, text: str) -> bool:
    """As kustomize matches, in linear time. Of a pattern that is more than names and `.*`, none knows: it may match."""
    if not _SIMPLE.fullmatch(pattern):
        return True
    # A pattern of shell's has one way to be tried, and Python's expressions have many.
    alternatives = pattern.strip("^$").split("|")
    return any(fnmatchcase(text, alternative.replace(".*", "*")) for alternative in alternatives)


# -- a path through a layer


def _follow(fragment: _Fragment, item: Object, path: FieldPath) -> _Reached:
    """Follow the path of a field of `item` through a fragment."""
    if isinstance(fragment.node, yaml.SequenceNode):
        return _follow_json_patch(fragment.node, path)
    node = start = fragment.node
    for depth, step in enumerate(_steps(item, path)):
        if isinstance(step.key, int):
            key = value = _item(node, step.key, step.item)
        else:
            key, value = _pair(node, step.key)
        if key is None or value is None:
            return _Reached(depth, node, start, _scalar(node, "$patch") == "delete")
        node, start = value, key
        is_null = isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
        if is_null or _scalar(node, "$patch") == "delete":
            return _Reached(depth + 1, node, start, removed=True)
    return _Reached(len(path), node, start, removed=False)


def _steps(item: Object, path: FieldPath) -> Iterator[_Step]:
    for n, key in enumerate(path):
        yield _Step(key, value_at(item, path[: n + 1]) if isinstance(key, int) else None)


def _follow_json_patch(node: yaml.SequenceNode, path: FieldPath) -> _Reached:
    """The same for a JSON 6902 patch: the last operation on the path, or on something around it."""
    best = _Reached(0, node, node, removed=False)
    for operation in node.value:
        pointer = _pointer(_scalar(operation, "path") or "")
        if _is_around(pointer, path) and len(pointer) >= best.depth:
            value, start = _child(operation, "value") or operation, _child(operation, "path") or operation
            best = _Reached(len(pointer), value, start, _scalar(operation, "op") == "remove")
    return best


def _pointer(text: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _is_around(pointer: Sequence[str], path: FieldPath) -> bool:
    """Whether a pointer leads to a path or to something around it; '-' is any item of a list."""
    steps = [str(step) for step in path[: len(pointer)]]
    same = len(steps) == len(pointer) and all(part in (step, "-") for part, step in zip(pointer, steps, strict=True))
    return bool(pointer) and same


def _item(node: yaml.Node, number: int, item: Any) -> yaml.Node | None:  # noqa: ANN401
    """The node of a list that is this item: by what tells items apart, by its value, or by its number."""
    if not isinstance(node, yaml.SequenceNode):
        return None
    if keys := _keys(item):
        return next((entry for entry in node.value if _has_keys(entry, keys)), None)
    if isinstance(item, str | int | float | bool):
        return next((entry for entry in node.value if entry.value == str(item)), None)
    return node.value[number] if number < len(node.value) else None


def _keys(item: Any) -> dict[str, str]:  # noqa: ANN401
    """What tells a list's item apart from the others."""
    pairs = [(key, item.get(key)) for key in MERGE_KEYS] if isinstance(item, dict) else []
    return {key: str(value) for key, value in pairs if isinstance(value, str | int)}


def _has_keys(node: yaml.Node, keys: dict[str, str]) -> bool:
    """Whether a layer's item is this one: what both have of what tells items apart is equal."""
    pairs = [(_scalar(node, key), value) for key, value in keys.items()]
    both = [(mine, theirs) for mine, theirs in pairs if mine is not None]
    return bool(both) and all(mine == theirs for mine, theirs in both)


def _same(node: yaml.Node, value: Any) -> bool:  # noqa: ANN401
    if isinstance(node, yaml.ScalarNode):
        text = str(value).lower() if isinstance(value, bool) else str(value).strip()
        return not isinstance(value, dict | list) and node.value.strip() == text
    return isinstance(node, yaml.MappingNode) == isinstance(value, dict)


# -- nodes


def _find(node: yaml.Node, value: str, skipped: str = "") -> yaml.Node | None:
    """The first scalar with this text, keys named `skipped` left out. A node that many aliases name is seen once."""
    waiting, known = [node], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in known:
            continue
        known.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            if node.value == value:
                return node
        elif isinstance(node, yaml.MappingNode):
            for pair in reversed(node.value):
                if pair[0].value != skipped:
                    waiting += reversed(pair)
        else:
            waiting += reversed(node.value)
    return None


def _pair(node: yaml.Node | None, key: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    """A key and its value, as they stand."""
    if not isinstance(node, yaml.MappingNode):
        return None, None
    return next(((name, value) for name, value in node.value if name.value == key), (None, None))


def _child(node: yaml.Node | None, key: str | int) -> yaml.Node | None:
    return _pair(node, key)[1]


def _scalar(node: yaml.Node | None, key: str) -> str | None:
    child = _child(node, key)
    return str(child.value) if isinstance(child, yaml.ScalarNode) else None

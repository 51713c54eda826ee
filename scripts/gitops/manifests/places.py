"""Where a field of a rendered object stands in the source: the line that a person would edit.

kustomize does not say. So the overlay's layers are read with their places, and the last one that sets the field wins,
as it does in kustomize; a value that came by another way (images, namespace, a replacement) is looked for by itself.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.graph import Layer, Reach
from gitops.manifests.objects import Object

Path = Sequence[str | int]
# By what kustomize and the API server tell items of a list apart; the first that all of them have.
MERGE_KEYS = ("name", "containerPort", "host", "path", "mountPath", "port", "topologyKey", "key", "type", "ip")
_GENERATED = re.compile(r"-[a-z0-9]{10}$")


@dataclass(frozen=True)
class Place:
    """A line of a file, as the repository has it."""

    file: str
    line: int


@dataclass(frozen=True)
class _Fragment:
    """One document of a layer, with the line that it is shifted by (an inline patch)."""

    layer: Layer
    node: yaml.Node
    shift: int
    order: int

    def place(self, node: yaml.Node) -> Place:
        return Place(self.layer.file, node.start_mark.line + 1 + self.shift)


class Places:
    """The source of one overlay."""

    def __init__(self, checkout: Checkout, unit: str, reach: Reach) -> None:
        self._checkout, self._unit, self._reach = checkout, unit, reach

    @property
    def root(self) -> pathlib.Path:
        """The folder of the revision."""
        return self._checkout.root

    def of(self, item: Object, path: Path = ()) -> Place:
        """The best line for `path` in `item`: where it was set last, or where the nearest thing around it stands."""
        if path[-2:-1] == ("image",):  # one part of an image: name, tag or digest
            part, path = str(path[-1]), path[:-1]
            image = value_at(item, path)
            if isinstance(image, str) and (found := self._image(image, part)):
                return found
        # Each with the list's item that it leads to, as a layer may have that item elsewhere in its list.
        steps = [
            (step, value_at(item, path[: n + 1]) if isinstance(step, int) else None) for n, step in enumerate(path)
        ]
        value = value_at(item, path)
        best: tuple[tuple[bool, bool, int, int], Place] | None = None
        for fragment in self._of(item):
            depth, node, at, gone = _walk(fragment, steps, path)
            whole = depth == len(steps)
            # What a layer took away explains what is missing; what it set explains what is there.
            fits = gone if value is None else whole and _same(node, value)
            rank = (fits, whole, depth, fragment.order)
            if best is None or rank > best[0]:
                best = (rank, fragment.place(at))
        exact = best is not None and best[0][0]
        if not exact and path and (special := self._special(item, path, value)):
            return special
        if best is not None:
            return best[1]
        return self._generator(item) or self.top

    @property
    def top(self) -> Place:
        """The overlay as a whole: its kustomization."""
        own = [layer.file for layer in self._reach.layers if layer.role == "kustomization"]
        return Place(own[-1] if own else f"{self._unit}/kustomization.yaml", 1)

    def _of(self, item: Object) -> Iterator[_Fragment]:
        kind, name = item.get("kind"), str(item.get("metadata", {}).get("name", ""))
        for fragment in self._fragments:
            target = fragment.layer.target
            if fragment.layer.role == "patch" and target is not None:
                if _selects(target, kind, name):
                    yield fragment
                continue
            if _scalar(fragment.node, "kind") != kind:
                continue
            own = _scalar(_child(fragment.node, "metadata"), "name")
            if own == name or (own and name.startswith(f"{own}-")):
                yield fragment

    def _special(self, item: Object, path: Path, value: Any) -> Place | None:  # noqa: ANN401
        """The fields that a kustomization sets by itself, and values that were copied from somewhere else."""
        if path[-1] == "image" and isinstance(value, str):
            found = self._image(value)
            if found:
                return found
        if path[0] == "metadata" and path[-1] == "namespace":
            return self._key("namespace")
        return self._value(value) if isinstance(value, str) and len(value) > 3 else None

    def _image(self, image: str, part: str = "") -> Place | None:
        name, _, digest = image.partition("@")
        name, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
        for file, node in reversed(self._kustomizations):
            entries = _child(node, "images")
            for entry in entries.value if isinstance(entries, yaml.SequenceNode) else []:
                if name not in (_scalar(entry, "newName"), _scalar(entry, "name")):
                    continue
                fields = [("digest", "digest", digest), ("tag", "newTag", tag), ("name", "newName", name)]
                for _, field, wanted in [each for each in fields if part in ("", each[0])]:
                    found = _child(entry, field)
                    if wanted and found is not None and found.value == wanted:
                        return Place(file, found.start_mark.line + 1)
                return Place(file, entry.start_mark.line + 1)
        return None

    def _key(self, name: str) -> Place | None:
        for file, node in reversed(self._kustomizations):
            found = _child(node, name)
            if found is not None:
                return Place(file, found.start_mark.line + 1)
        return None

    def _value(self, value: str) -> Place | None:
        # An object's own name last: more often it is the field that names it that is wanted.
        for skipped in ("metadata", ""):
            for fragment in reversed(self._fragments):
                if (node := _find(fragment.node, value, skipped)) is not None:
                    return fragment.place(node)
        for file, node in reversed(self._kustomizations):
            if (found := _find(node, value)) is not None:
                return Place(file, found.start_mark.line + 1)
        return None

    def _generator(self, item: Object) -> Place | None:
        name = _GENERATED.sub("", str(item.get("metadata", {}).get("name", "")))
        for file, node in reversed(self._kustomizations):
            for field in ("configMapGenerator", "secretGenerator"):
                entries = _child(node, field)
                for entry in entries.value if isinstance(entries, yaml.SequenceNode) else []:
                    if _scalar(entry, "name") in (name, item["metadata"].get("name")):
                        return Place(file, entry.start_mark.line + 1)
        return None

    @cached_property
    def _kustomizations(self) -> list[tuple[str, yaml.Node]]:
        files = dict.fromkeys(layer.file for layer in self._reach.layers if layer.role == "kustomization")
        return [(file, node) for file in files for node in self._compose(self._text(file))]

    @cached_property
    def _fragments(self) -> list[_Fragment]:
        found: list[_Fragment] = []
        for layer in self._reach.layers:
            if layer.role not in ("resource", "component", "patch"):
                continue
            text, shift = (layer.patch, self._shift(layer)) if layer.patch else (self._text(layer.file), 0)
            found += [_Fragment(layer, node, shift, len(found) + n) for n, node in enumerate(self._compose(text))]
        return found

    def _shift(self, layer: Layer) -> int:
        """How many lines of its file stand above an inline patch."""
        first = next((line for line in (layer.patch or "").splitlines() if line.strip()), "").strip()
        for number, line in enumerate(self._text(layer.file).splitlines()):
            if line.strip() == first:
                return number
        return 0

    def _text(self, file: str) -> str:
        return read_text(self._checkout.root / file)

    def _compose(self, text: str) -> list[yaml.Node]:
        try:
            return yamlfile.compose_all(text, "")
        except InputError:
            return []


def _selects(target: dict[str, str], kind: object, name: str) -> bool:
    wanted = target.get("kind")
    if wanted and not re.fullmatch(wanted, str(kind)):
        return False
    pattern = target.get("name")
    return not pattern or re.fullmatch(pattern, name) is not None


def read_text(path: pathlib.Path) -> str:
    """A file's text as far as it can be read; empty for what is no regular file (a pipe would never end)."""
    try:
        return path.read_text(errors="replace") if path.is_file() else ""
    except OSError:
        return ""


def line_of(text: str, word: str) -> int | None:
    """The first line of a text that has a word."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if word in line), None)


def value_at(item: Any, path: Path) -> Any:  # noqa: ANN401
    """What stands at a path of an object, None where nothing does."""
    for step in path:
        if isinstance(step, int):
            item = item[step] if isinstance(item, list) and step < len(item) else None
        else:
            item = item.get(step) if isinstance(item, dict) else None
    return item


def _walk(
    fragment: _Fragment, steps: list[tuple[str | int, Any]], path: Path
) -> tuple[int, yaml.Node, yaml.Node, bool]:
    """How far a fragment follows the path, the value there, where it begins (its key), and whether it is taken away."""
    node = at = fragment.node
    if isinstance(node, yaml.SequenceNode):
        return _json_patch(node, path)
    for depth, (step, entry) in enumerate(steps):
        if isinstance(step, int):
            name = following = _item(node, step, entry)
        else:
            name, following = _pair(node, step)
        if name is None or following is None:
            return depth, node, at, _scalar(node, "$patch") == "delete"
        node, at = following, name
        nothing = isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
        if nothing or _scalar(node, "$patch") == "delete":
            return depth + 1, node, at, True
    return len(steps), node, at, False


def _json_patch(node: yaml.SequenceNode, path: Path) -> tuple[int, yaml.Node, yaml.Node, bool]:
    """The same for a JSON 6902 patch: the last operation on the path, or on something around it."""
    best: tuple[int, yaml.Node, yaml.Node, bool] = (0, node, node, False)
    wanted = [str(step) for step in path]
    for entry in node.value:
        pointer = [part.replace("~1", "/").replace("~0", "~") for part in (_scalar(entry, "path") or "").split("/")[1:]]
        pairs = list(zip(pointer, wanted, strict=False))
        around = bool(pointer) and len(pairs) == len(pointer) and all(a in (b, "-") for a, b in pairs)
        if around and len(pointer) >= best[0]:
            value, at = _child(entry, "value") or entry, _child(entry, "path") or entry
            best = (len(pointer), value, at, _scalar(entry, "op") == "remove")
    return best


def _item(node: yaml.Node, step: int, entry: Any) -> yaml.Node | None:  # noqa: ANN401
    if not isinstance(node, yaml.SequenceNode):
        return None
    if keys := _keys(entry):
        return next((each for each in node.value if _is_same_item(each, keys)), None)
    if isinstance(entry, str | int | float | bool):
        return next((each for each in node.value if each.value == str(entry)), None)
    return node.value[step] if step < len(node.value) else None


def _keys(entry: Any) -> dict[str, str]:  # noqa: ANN401
    """What tells a list's item apart from the others."""
    pairs = [(key, entry.get(key)) for key in MERGE_KEYS] if isinstance(entry, dict) else []
    return {key: str(value) for key, value in pairs if isinstance(value, str | int)}


def _is_same_item(node: yaml.Node, keys: dict[str, str]) -> bool:
    """Whether a layer's item is this one: what both have of what tells items apart is equal."""
    pairs = [(_scalar(node, key), value) for key, value in keys.items()]
    both = [(mine, theirs) for mine, theirs in pairs if mine is not None]
    return bool(both) and all(mine == theirs for mine, theirs in both)


def _same(node: yaml.Node, value: Any) -> bool:  # noqa: ANN401
    if isinstance(node, yaml.ScalarNode):
        return not isinstance(value, dict | list) and node.value.strip() == (
            str(value).lower() if isinstance(value, bool) else str(value).strip()
        )
    return isinstance(node, yaml.MappingNode) == isinstance(value, dict)


def _find(node: yaml.Node, value: str, skipped: str = "") -> yaml.Node | None:
    """The first scalar with this text, keys named `skipped` left out. A node that many aliases name is seen once."""
    waiting, seen = [node], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            if node.value == value:
                return node
        elif isinstance(node, yaml.MappingNode):
            pairs = [pair for pair in node.value if pair[0].value != skipped]
            waiting += [part for pair in reversed(pairs) for part in reversed(pair)]
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
    found = _child(node, key)
    return str(found.value) if isinstance(found, yaml.ScalarNode) else None

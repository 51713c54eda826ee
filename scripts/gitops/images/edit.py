"""Changing one image in a kustomization.yaml: two scalars change, every other byte stays.

`kustomize edit set image` moves comments and reorders keys (kustomize#4481), so the scalars' own bytes are replaced
where PyYAML says that they stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.images.entry import MAIN
from gitops.manifests import kustomize, yamlfile, yamltext
from gitops.manifests.image import Image
from gitops.manifests.objects import Object

# What may stay without quotes: every YAML reader takes these for text, never for a number, a date or a boolean.
_PLAIN = re.compile(r"v\d[\w.-]*|\d+\.\d+\.\d+([-.][0-9A-Za-z.-]+)?|sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Pin:
    """An entry of `images:` as it stands: `entry` is its name, `line` where it begins (from 1)."""

    entry: str
    image: Image
    line: int


def read(content: bytes, source: str, entry: str = MAIN) -> Pin:
    """The pin of one entry. Raises InputError with `source` and line where it is missing, doubled or not whole."""
    return _pin(_entry(yamlfile.decode(content, source), source, entry), source, entry)


def _pin(node: yaml.MappingNode, source: str, entry: str) -> Pin:
    line = node.start_mark.line + 1
    fields = _fields(node)
    missing = [name for name in ("newName", "newTag", "digest") if name not in fields]
    if missing:
        raise InputError(
            f"image {entry!r} has no {', no '.join(missing)}",
            path=source,
            line=line,
            fix="write name, newName, newTag and digest: tag and digest are always pinned together",
        )
    for name in ("newTag", "digest", "newName"):
        value = fields[name]
        if not isinstance(value, yaml.ScalarNode):
            raise InputError(name, path=source, line=value.start_mark.line + 1, expected="text", found=f"a {value.id}")
    image = Image(*(fields[name].value for name in ("newName", "newTag", "digest")))
    return Pin(entry, image, line)


def replace(content: bytes, source: str, image: Image, entry: str = MAIN) -> bytes:
    """The file with `entry` pinned to another tag and digest of the same repository.

    Raises InputError where anything but these two scalars would change.
    """
    if not _TAG.fullmatch(image.tag) or not re.fullmatch(r"sha256:[0-9a-f]{64}", image.digest):
        raise InputError(path=source, expected="a tag and a digest that can be written", found=str(image))
    text = yamlfile.decode(content, source)
    node = _entry(text, source, entry)
    pin = _pin(node, source, entry)
    fields = _fields(node)
    edits = [(fields["newTag"], image.tag), (fields["digest"], image.digest)]
    changed = text
    # From the end, so that the first edit does not move the second one's place.
    for scalar, value in sorted(edits, key=lambda edit: -edit[0].start_mark.index):
        changed = _put(changed, source, scalar, value)
    _check_rest(text, changed, source, pin.line, entry, {"newTag": image.tag, "digest": image.digest})
    return changed.encode()


def _check_rest(text: str, changed: str, source: str, line: int, entry: str, fields: dict[str, str]) -> None:
    """Raise InputError where an edit changed the meaning of anything but these fields of an entry."""
    [expected] = yamlfile.parse_all(text, source)
    for item in expected["images"]:
        if isinstance(item, dict) and item.get("name") == entry:
            item.update(fields)
    try:
        same = yamlfile.parse_all(changed, source) == [expected]
    except InputError:
        same = False
    if not same:
        raise InputError(
            f"image {entry!r} shares a value with another place (an anchor or an alias)",
            path=source,
            line=line,
            fix=f"write {', '.join(fields)} of this entry in full",
        )


def entries(content: bytes, source: str) -> list[str]:
    """The names of all entries of `images:`, in their order; none where there is no such list. Raises InputError."""
    listed = yamltext.child(yamltext.compose(yamlfile.decode(content, source), source), "images")
    nodes = listed.value if isinstance(listed, yaml.SequenceNode) else []
    names = [yamltext.scalar(node, "name") for node in nodes]
    for node, name in zip(nodes, names, strict=True):
        if name is None:
            raise InputError("an image without a name", path=source, line=node.start_mark.line + 1, fix="name it")
    return [name for name in names if name]


def fields(content: bytes, source: str, entry: str) -> tuple[dict[str, str], int]:
    """What an entry says as it stands, whole or not, and the line where it begins. Raises InputError."""
    node = _entry(yamlfile.decode(content, source), source, entry)
    line = node.start_mark.line + 1
    for key, value in node.value:
        if not isinstance(value, yaml.ScalarNode) or key.value == "<<" or value.style in ("|", ">"):
            what = f"image {entry!r}: {key.value}"
            raise InputError(what, path=source, line=key.start_mark.line + 1, expected="text on its own line")
    return {key.value: value.value for key, value in node.value}, line


def complete(content: bytes, source: str, image: Image, entry: str) -> bytes:
    """The file with newName, newTag and digest of `entry` in full: what is missing comes behind what is there.

    Raises InputError where anything but these three would change.
    """
    text = changed = yamlfile.decode(content, source)
    _, line = fields(content, source, entry)
    whole = {"newName": image.name, "newTag": image.tag, "digest": image.digest}
    last = "name"
    for key, value in whole.items():
        node = _entry(changed, source, entry)
        keys = {name.value: (name, scalar) for name, scalar in node.value}
        if key not in keys:
            changed = _insert(changed, node, *keys[last], key, value)
        elif keys[key][1].value != value or not (keys[key][1].style or _is_text(keys[key][1])):
            changed = _put(changed, source, keys[key][1], value)
        last = key
    _check_rest(text, changed, source, line, entry, whole)
    return changed.encode()


def _is_text(scalar: yaml.ScalarNode) -> bool:
    """Whether every reader of YAML takes it for text as it stands, not for a number such as 1.10."""
    return scalar.tag == "tag:yaml.org,2002:str"


def _insert(text: str, node: yaml.MappingNode, key: yaml.Node, last: yaml.Node, name: str, value: str) -> str:
    """Add a field behind that of `key` and `last`, in its own line and indentation or, in braces, behind a comma."""
    written = value if name == "newName" or _PLAIN.fullmatch(value) else f'"{value}"'
    end = last.end_mark.index
    if node.flow_style:
        return f"{text[:end]}, {name}: {written}{text[end:]}"
    newline = text.find("\n", end)
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    line = f"{' ' * key.start_mark.column}{name}: {written}"
    if newline < 0:
        return f"{text}{end_of_line}{line}"
    return f"{text[: newline + 1]}{line}{end_of_line}{text[newline + 1 :]}"


def _fields(node: yaml.MappingNode) -> dict[str, Any]:
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _put(text: str, source: str, node: yaml.ScalarNode, value: str) -> str:
    start, end, line = node.start_mark.index, node.end_mark.index, node.start_mark.line + 1
    if node.style in ("|", ">"):
        raise InputError("a block scalar", path=source, line=line, fix="write the value on one line")
    if text[start] in "&!*":
        what = f"has an anchor or a tag ({text[start:end]})"
        raise InputError(what, path=source, line=line, fix="write the value plainly")
    quote = node.style or ("" if _PLAIN.fullmatch(value) else '"')
    return f"{text[:start]}{quote}{value}{quote}{text[end:]}"


def _entry(text: str, source: str, entry: str) -> yaml.MappingNode:
    root = yamltext.compose(text, source)
    images = yamltext.child(root, "images")
    if not isinstance(images, yaml.SequenceNode):
        raise InputError("no `images:` list", path=source, expected=f"an entry with name: {entry}")
    pins = [node for node in images.value if isinstance(node, yaml.MappingNode)]
    named = [node for node in pins if yamltext.scalar(node, "name") == entry]
    if not named:
        known = ", ".join(str(yamltext.scalar(node, "name")) for node in pins)
        raise InputError(
            f"image {entry!r} is not in `images:`",
            path=source,
            line=images.start_mark.line + 1,
            found=known or "nothing",
        )
    if len(named) > 1:
        lines = ", ".join(str(node.start_mark.line + 1) for node in named)
        raise InputError(
            f"image {entry!r} is pinned more than once",
            path=source,
            line=named[0].start_mark.line + 1,
            expected="one entry",
            found=f"lines {lines}",
            fix="keep one: kustomize silently takes the last",
        )
    [node] = named
    target = yamltext.scalar(node, "newName")
    chained = next(
        (pin for pin in pins if target and pin is not node and yamltext.scalar(pin, "name") == target),
        None,
    )
    if chained:
        raise InputError(
            f"changes {target!r} once more, which image {entry!r} is renamed to",
            path=source,
            line=chained.start_mark.line + 1,
            fix="pin it in one entry",
        )
    return node


def check_render(checkout: Checkout, folder: Path, source: str, pin: Pin, expected: Image) -> list[Object]:
    """Render an overlay and make sure that it runs exactly `expected`. Returns the objects. Raises InputError."""
    rendered = kustomize.build(checkout, folder)
    prefixes = (f"{expected.name}:", f"{expected.name}@")
    running = {image for image in images(rendered) if image.startswith(prefixes)}
    # Another entry may pin another version of the same repository.
    beside = _pinned(folder / "kustomization.yaml", source) - {str(pin.image)} if running - {str(expected)} else set()
    if str(expected) not in running or running - {str(expected)} - beside:
        raise InputError(
            f"image {pin.entry!r} is not what the render runs, so nothing was written",
            path=source,
            line=pin.line,
            expected=f"{expected} alone",
            found=", ".join(sorted(running)) or "no such image",
        )
    return rendered


def _pinned(file: Path, source: str) -> set[str]:
    """Every whole pin of a file."""
    content = file.read_bytes()
    pins: set[str] = set()
    for entry in entries(content, source):
        with suppress(InputError):
            pins.add(str(read(content, source, entry).image))
    return pins


def images(objects: Sequence[Object]) -> list[str]:
    """Every container's image in a render."""
    running: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key, child in value.items():
                if key in ("containers", "initContainers") and isinstance(child, list):
                    running.extend(str(item.get("image")) for item in child if isinstance(item, dict))
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)

    walk(list(objects))
    return running

"""Changing one image in a kustomization.yaml: two scalars change, every other byte stays.

`kustomize edit set image` moves comments and reorders keys (kustomize#4481), so the scalars' own bytes are replaced
where PyYAML says that they stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
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


def read(content: bytes, source: str, entry: str = "app") -> Pin:
    """The pin of one entry. Raises InputError with `source` and line where it is missing, doubled or not whole."""
    return _pin(_entry(yamlfile.decode(content, source), source, entry), source, entry)


def _pin(node: yaml.MappingNode, source: str, entry: str) -> Pin:
    line = node.start_mark.line + 1
    fields = {key.value: value for key, value in node.value}
    missing = [name for name in ("newName", "newTag", "digest") if name not in fields]
    if missing:
        raise InputError(
            f"image {entry!r} has no {', no '.join(missing)}",
            path=source,
            line=line,
            fix="write name, newName, newTag and digest: tag and digest are always pinned together",
        )
    for name in ("newTag", "digest", "newName"):
        node = fields[name]
        if not isinstance(node, yaml.ScalarNode):
            raise InputError(name, path=source, line=node.start_mark.line + 1, expected="text", found=f"a {node.id}")
    image = Image(*(fields[name].value for name in ("newName", "newTag", "digest")))
    return Pin(entry, image, line)


def replace(content: bytes, source: str, image: Image, entry: str = "app") -> bytes:
    """The file with `entry` pinned to another tag and digest of the same repository.

    Raises InputError where anything but these two scalars would change.
    """
    if not _TAG.fullmatch(image.tag) or not re.fullmatch(r"sha256:[0-9a-f]{64}", image.digest):
        raise InputError(path=source, expected="a tag and a digest that can be written", found=str(image))
    text = yamlfile.decode(content, source)
    node = _entry(text, source, entry)
    pin = _pin(node, source, entry)
    fields = {key.value: value for key, value in node.value}
    edits = [(fields["newTag"], image.tag), (fields["digest"], image.digest)]
    changed = text
    # From the end, so that the first edit does not move the second one's place.
    for scalar, value in sorted(edits, key=lambda edit: -edit[0].start_mark.index):
        changed = _put(changed, source, scalar, value)
    [expected] = yamlfile.parse_all(text, source)
    for item in expected["images"]:
        if item["name"] == entry:
            item.update(newTag=image.tag, digest=image.digest)
    try:
        same = yamlfile.parse_all(changed, source) == [expected]
    except InputError:
        same = False
    if not same:
        raise InputError(
            f"image {entry!r} shares a value with another place (an anchor or an alias)",
            path=source,
            line=pin.line,
            fix="write newTag and digest of this entry in full",
        )
    return changed.encode()


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
    entries = [node for node in images.value if isinstance(node, yaml.MappingNode)]
    named = [node for node in entries if yamltext.scalar(node, "name") == entry]
    if not named:
        known = ", ".join(str(yamltext.scalar(node, "name")) for node in entries)
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
        (pin for pin in entries if pin is not node and yamltext.scalar(pin, "name") == target),
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
    if running != {str(expected)}:
        raise InputError(
            f"image {pin.entry!r} is not what the render runs, so nothing was written",
            path=source,
            line=pin.line,
            expected=f"{expected} alone",
            found=", ".join(sorted(running)) or "no such image",
        )
    return rendered


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

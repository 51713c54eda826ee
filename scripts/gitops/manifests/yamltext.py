"""Changing YAML where it stands: where a value's own bytes are, so that every other byte stays."""

from __future__ import annotations

import json
import re

import yaml

from gitops.ground.errors import InputError
from gitops.manifests import yamlfile


def compose(text: str, source: str) -> yaml.Node | None:
    """The one document's tree, each node with its place. Raises InputError."""
    with yamlfile.parsing(source):
        # Python's own loader: the marks of libyaml count bytes in one place and characters in another.
        return yaml.compose(yamlfile.measured(text, source), Loader=yaml.SafeLoader)


def child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key, or None where `node` is no mapping or has it not."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def scalar(node: yaml.Node | None, key: str) -> str | None:
    """The text of a key's value, or None where it is no text."""
    value = child(node, key)
    return str(value.value) if isinstance(value, yaml.ScalarNode) else None


# What every reader of YAML, 1.1 or 1.2, takes for text; `y` and `n` are what some take for more than that.
_PLAIN = re.compile(r"(?![yYnN]$|\.\d|\.\.\.$)[A-Za-z./][-A-Za-z0-9_./]*")


def quoted(text: str) -> str:
    """A text as a scalar of YAML: in quotes wherever a reader could take it for a number, a truth or nothing."""
    node = yaml.compose(text, Loader=yaml.SafeLoader) if _PLAIN.fullmatch(text) else None
    return text if node and node.tag == "tag:yaml.org,2002:str" else json.dumps(text)


def put(text: str, source: str, path: tuple[str, ...], value: str) -> str:
    """Write `value` (plain letters, digits, hyphens, slashes, dots, base64) over the scalar at `path`.

    Raises InputError with file and line where there is none, or where other text would change.
    """
    node = compose(text, source)
    for key in path:
        parent, node = node, child(node, key)
        if node is None:
            line = parent.start_mark.line + 1 if parent else 1
            raise InputError(f"no {'.'.join(path)}", path=source, line=line, expected="it here")
    line = node.start_mark.line + 1 if node else 1
    if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">") or text[node.start_mark.index] in "&!*":
        raise InputError(".".join(path), path=source, line=line, expected="plain text on one line")
    quote = node.style or ""
    return f"{text[: node.start_mark.index]}{quote}{value}{quote}{text[node.end_mark.index :]}"


def add_key(text: str, source: str, path: tuple[str, ...], key: str, value: str) -> str:
    """Add `key: value` to the end of the block mapping at `path`, indented as its other keys.

    Raises InputError where there is no such mapping, or where it is written in braces or empty.
    """
    node = compose(text, source)
    for name in path:
        node = child(node, name)
    if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
        raise InputError(path=source, expected=f"{'.'.join(path)} as a mapping with one key a line")
    last_key, last = node.value[-1]
    newline = text.find("\n", last.end_mark.index - (text[last.end_mark.index - 1] == "\n"))
    end = "\r\n" if "\r\n" in text else "\n"
    line = f"{' ' * last_key.start_mark.column}{key}:{'' if value.startswith(end) else ' '}{value}"
    return f"{text}{end}{line}{end}" if newline < 0 else f"{text[: newline + 1]}{line}{end}{text[newline + 1 :]}"

"""Editing YAML as a careful person does: a value is written over, an item comes or goes, and every other byte stays.

What is edited is found in the tree of the text, changed in the text, and read again: the result must mean what the
change of the data means, and nothing else. A shape that cannot be edited so is refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gitops.ground.errors import InputError
from gitops.manifests import yamlfile, yamltext
from gitops.manifests.objects import FieldPath

# What a quoted text cannot have as it is: controls, and what some reader takes for the end of a line.
_ESCAPED = re.compile('["\\\\\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]')
_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_ALIAS = re.compile(r"\*[^\s,\[\]{}]+")
_BY_HAND = "write it by hand there: its shape is one that no program edits safely"


@dataclass(frozen=True)
class Alias:
    """What stands elsewhere in the text under an anchor, and what that means."""

    name: str
    value: Any


class Inline(dict[str, Any]):
    """A mapping that is written in braces, on one line."""


def text_of(value: object) -> str:
    """A scalar of YAML: text in quotes wherever a reader could take it for something else, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    plain = yamltext.quoted(str(value))
    if not plain.startswith('"'):
        return plain
    return f'"{_ESCAPED.sub(_escape, str(value))}"'


def _escape(match: re.Match[str]) -> str:
    letter = match[0]
    return _NAMED.get(letter) or (f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}")


def in_braces(value: Any) -> str:  # noqa: ANN401 - whatever YAML has
    """A value on one line."""
    if isinstance(value, Alias):
        return f"*{value.name}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{text_of(key)}: {in_braces(part)}' for key, part in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(in_braces, value))}]"
    return text_of(value)


def lines_of(value: Any, indent: int) -> list[str]:  # noqa: ANN401 - whatever YAML has
    """A mapping or a list in lines of its own, `indent` columns in."""
    space, lines = " " * indent, list[str]()
    if isinstance(value, list):
        for item in value:
            first, *rest = lines_of(item, indent + 2) if _is_block(item) else [f"{space}  {in_braces(item)}"]
            lines += [f"{space}- {first[indent + 2 :]}", *rest]
        return lines
    for key, part in value.items():
        if _is_block(part):
            lines += [f"{space}{text_of(key)}:", *lines_of(part, indent + 2)]
        else:
            lines.append(f"{space}{text_of(key)}: {in_braces(part)}")
    return lines


def _is_block(value: object) -> bool:
    return bool(value) and isinstance(value, dict | list) and not isinstance(value, Inline)


# -- finding


def node_at(text: str, source: str, path: FieldPath) -> yaml.Node | None:
    """The node at a path; None where nothing stands there. Raises InputError, also where it is written elsewhere."""
    node = yamltext.compose(text, source)
    for step in path:
        parent, node = node, _step(node, step)
        if node is None:
            return None
        assert parent is not None  # noqa: S101 - a child has one
        if not parent.start_mark.index <= node.start_mark.index <= parent.end_mark.index:
            what = f"{_shown(path)} is an alias of what stands elsewhere"
            raise InputError(what, path=source, line=parent.start_mark.line + 1, fix="write it out here")
    return node


def _step(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(step, str):
        return yamltext.child(node, step)
    if isinstance(node, yaml.SequenceNode) and step < len(node.value):
        item: yaml.Node = node.value[step]
        return item
    return None


def index_of(node: yaml.Node | None, key: str, value: str) -> int | None:
    """Which item of a list has this value under `key`; the last one, which is the one that counts."""
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    matching = [number for number, item in enumerate(items) if yamltext.scalar(item, key) == value]
    return matching[-1] if matching else None


def line_of(text: str, source: str, path: FieldPath) -> int:
    """The line of a path, or of the nearest thing around it that is there. Lines are from 1."""
    node = yamltext.compose(text, source)
    for step in path:
        inner = _step(node, step)
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1 if node else 1


def _shown(path: FieldPath) -> str:
    return ".".join(map(str, path)) or "the file"


# -- changing


def put(text: str, source: str, path: FieldPath, value: str | int) -> str:
    """Write `value` over the scalar at `path`, in its own quotes where it has some. Raises InputError."""
    node = node_at(text, source, path)
    if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">") or text[node.start_mark.index] in "&!*":
        line = line_of(text, source, path)
        what = f"{_shown(path)} is no plain text on one line"
        raise InputError(what, path=source, line=line, fix=f"write there by hand: {in_braces(value)}")
    written = text_of(value)
    if node.style and (written[0] != '"' or _is_plain(str(value))):
        written = f"{node.style}{value}{node.style}"
    changed = text[: node.start_mark.index] + written + text[node.end_mark.index :]

    def change(data: Any) -> None:  # noqa: ANN401
        _parent(data, path)[path[-1]] = value if node.style is None else str(value)

    return _verified(text, changed, source, path, change, in_braces(value))


def _is_plain(text: str) -> bool:
    """Whether it means the same in either kind of quotes."""
    return text.isprintable() and not set(text) & set("'\"\\")


def append(text: str, source: str, path: FieldPath, item: Any) -> str:  # noqa: ANN401
    """Add an item to the end of the list at `path`, as its others stand. Raises InputError."""
    node = node_at(text, source, path)
    refusal = InputError(
        f"{_shown(path)} is no list that an item can be added to",
        path=source,
        line=line_of(text, source, path),
        fix=f"write there by hand: - {in_braces(item)}",
    )
    if not isinstance(node, yaml.SequenceNode):
        raise refusal
    if node.flow_style:
        changed = _into_braces(text, node, in_braces(item))
    else:
        dash = _dash_of(text, node.value[0])
        if dash is None:
            raise refusal
        changed = _insert_lines(text, _spans(text, node)[-1][1], lines_of([item], dash))
    return _verified(text, changed, source, path, lambda data: _at(data, path).append(plain(item)), in_braces(item))


def add(text: str, source: str, path: FieldPath, key: str, value: Any, *, after: Sequence[str] = ()) -> str:  # noqa: ANN401
    """Add a key to the mapping at `path`: behind the last of `after` that it has, or at its end. Raises InputError."""
    node = node_at(text, source, path)
    shown = in_braces(Inline({key: value}))[1:-1]
    if not isinstance(node, yaml.MappingNode) or yamltext.child(node, key) is not None:
        what = f"{_shown(path)} is no mapping that {key} can be added to"
        raise InputError(what, path=source, line=line_of(text, source, path), fix=f"write there by hand: {shown}")
    if node.flow_style:
        changed = _into_braces(text, node, shown)
    else:
        spans = zip(node.value, _spans(text, node), strict=True)
        ends = [(pair[0].value in after, span[1]) for pair, span in spans]
        last = next((end for fits, end in reversed(ends) if fits), ends[-1][1])
        changed = _insert_lines(text, last, lines_of({key: value}, node.value[0][0].start_mark.column))

    def change(data: Any) -> None:  # noqa: ANN401
        _at(data, path)[key] = plain(value)

    return _verified(text, changed, source, path, change, shown)


def remove(text: str, source: str, path: FieldPath) -> str:
    """Take an item of a list, or a key of a mapping, out. What it leaves empty goes too. Raises InputError."""
    *above, last = path
    node, parent = node_at(text, source, path), node_at(text, source, above)
    if node is None or parent is None:
        raise InputError(f"no {_shown(path)}", path=source, line=line_of(text, source, path), expected="it here")
    if len(parent.value) == 1 and above:
        return remove(text, source, above)
    refusal = InputError(
        f"{_shown(path)} shares its lines with something else",
        path=source,
        line=node.start_mark.line + 1,
        fix="take it out by hand",
    )
    position = last if isinstance(last, int) else [key.value for key, _ in parent.value].index(last)
    if getattr(parent, "flow_style", False):
        start, end = _braced_part(text, parent, position)
        if start == end:
            raise refusal
    else:
        first, end = _spans(text, parent)[position]
        start, end = text.rfind("\n", 0, first) + 1, _end_of_line(text, end)
        if text[start:first].strip() not in ({"-"} if isinstance(last, int) else {""}):
            raise refusal

    def change(data: Any) -> None:  # noqa: ANN401
        del _at(data, above)[last]

    return _verified(text, text[:start] + text[end:], source, path, change, "nothing")


def comment_above(text: str, source: str, path: FieldPath) -> int | None:
    """The line of a comment that stands right above what is at `path`: it stays, and may be about just that."""
    line = line_of(text, source, path)
    above = text.splitlines()[line - 2] if line > 1 else ""
    return line - 1 if above.lstrip().startswith("#") and "yaml-language-server" not in above else None


# -- places in the text


def content_end(text: str, node: yaml.Node, begin: int) -> int:
    """Where the last letter of a node is over: the parser's own mark of a block is behind its comments.

    `begin`: where it begins at the earliest. What begins before that is an alias, which the tree does not show.
    """
    if node.start_mark.index < begin:
        alias = _ALIAS.search(text, begin)
        return alias.end() if alias else begin
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        return _spans(text, node)[-1][1]
    if node.start_mark.index == node.end_mark.index:  # nothing is written
        return begin
    return int(node.end_mark.index)


def _spans(text: str, node: yaml.Node) -> list[tuple[int, int]]:
    """Where each item or pair of a collection begins and ends."""
    spans: list[tuple[int, int]] = []
    begin = node.start_mark.index
    for part in node.value:
        key, value = part if isinstance(part, tuple) else (None, part)
        start = max(begin, (key or value).start_mark.index)
        begin = content_end(text, value, key.end_mark.index if key else start)
        spans.append((start, begin))
    return spans


def _end_of_line(text: str, index: int) -> int:
    """The index behind the end of the line that a content ends in."""
    if index and text[index - 1] == "\n":  # a block of text ends with its line
        return index
    newline = text.find("\n", index)
    return len(text) if newline < 0 else newline + 1


def _insert_lines(text: str, end_of_node: int, lines: Sequence[str]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    place = _end_of_line(text, end_of_node)
    block = "".join(f"{line}{end}" for line in lines)
    glue = "" if place == 0 or text[place - 1] == "\n" else end
    return f"{text[:place]}{glue}{block}{text[place:]}"


def _into_braces(text: str, node: yaml.CollectionNode, written: str) -> str:
    if not node.value:
        place = node.end_mark.index - 1
        return f"{text[:place]}{written}{text[place:]}"
    place = _spans(text, node)[-1][1]
    return f"{text[:place]}, {written}{text[place:]}"


def _braced_part(text: str, parent: yaml.Node, position: int) -> tuple[int, int]:
    """What goes with an item in braces: it and the comma before it or, of the first, the one behind it.

    Nothing where a comment stands between the two.
    """
    spans = _spans(text, parent)
    before, after = (position - 1, position) if position else (0, 1)
    if "#" in text[spans[before][1] : spans[after][0]]:
        return 0, 0
    return (spans[before][1], spans[after][1]) if position else (spans[0][0], spans[1][0])


def _dash_of(text: str, item: yaml.Node) -> int | None:
    """The column of a block item's dash; None where other text stands before it."""
    start = text.rfind("\n", 0, item.start_mark.index) + 1
    before = text[start : item.start_mark.index]
    return before.index("-") if before.strip() == "-" else None


# -- what a change means


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever YAML has
    """A copy in which nothing is shared: a change of one place is a change of no other."""
    if isinstance(value, Alias):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value


def _at(data: Any, path: FieldPath) -> Any:  # noqa: ANN401
    for step in path:
        data = data[step]
    return data


def _parent(data: Any, path: FieldPath) -> Any:  # noqa: ANN401
    return _at(data, path[:-1])


def _verified(
    text: str, changed: str, source: str, path: FieldPath, change: Callable[[Any], None], written: str
) -> str:
    """Raise InputError where the changed text means anything but the changed data."""
    try:
        [expected] = yamlfile.parse_all(text, source)
        expected = plain(expected)
        change(expected)
        same = _parsed(changed, source) == [expected]
    except (KeyError, TypeError, IndexError, ValueError):
        same = False
    if not same:
        line = line_of(text, source, path)
        raise InputError(
            f"{_shown(path)} shares its text with another place", path=source, line=line, fix=_fix(written)
        )
    return changed


def _parsed(text: str, source: str) -> list[Any]:
    try:
        return [plain(document) for document in yamlfile.parse_all(text, source)]
    except InputError:
        return []


def _fix(written: str) -> str:
    return f"{_BY_HAND} ({written})"

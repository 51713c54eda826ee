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
from gitops.ground.printable import counted
from gitops.manifests import yamlfile, yamlspans, yamltext
from gitops.manifests.objects import FieldPath

# What a quoted text cannot have as it is: controls, and what some reader takes for the end of a line.
_ESCAPED = re.compile('["\\\\\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]')
_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
# What may stand before a value: an anchor, by which others name it; and an alias, which names one.
_ANCHOR = re.compile(r"&[^\s,\[\]{}]+[ \t]+")
_ALIAS = re.compile(r"[ \t]*:[ \t]*(\*[^\s,\[\]{}]+)")
_BY_HAND = "no program edits such a shape safely"


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
    fix = f"write there by hand: {in_braces(value)}"
    written, keeps_text = text_of(value), False
    if alias := _alias_at(text, source, path):
        start, end = alias
    else:
        node = node_at(text, source, path)
        start = node.start_mark.index if node else 0
        anchor = _ANCHOR.match(text, start)
        start = anchor.end() if anchor else start
        if not isinstance(node, yaml.ScalarNode) or text[start : start + 1] in ("&", "!"):
            what = f"{_shown(path)} is no plain text"
            raise InputError(what, path=source, line=line_of(text, source, path), fix=fix)
        end = node.end_mark.index
        keeps_text = node.style in ("'", '"') and isinstance(value, str)
        if node.style in ("|", ">"):
            comment, end = yamlspans.block_parts(text, node)
            written += comment
        elif start == end:  # nothing is written
            written = f" {written}"
        elif keeps_text and (written[0] != '"' or _is_plain(str(value))):
            written = f"{node.style}{value}{node.style}"
    changed = text[:start] + written + text[end:]

    def change(data: Any) -> None:  # noqa: ANN401
        _parent(data, path)[path[-1]] = value

    return _verified(text, changed, source, path, change, fix)


def _alias_at(text: str, source: str, path: FieldPath) -> tuple[int, int] | None:
    """Where the alias stands that a key's value is; None where it is none."""
    parent = node_at(text, source, path[:-1])
    pairs = parent.value if isinstance(parent, yaml.MappingNode) else []
    aliases = [_ALIAS.match(text, key.end_mark.index) for key, _ in pairs if key.value == path[-1]]
    return aliases[0].span(1) if aliases and aliases[0] else None


def _is_plain(text: str) -> bool:
    """Whether it means the same in either kind of quotes."""
    return text.isprintable() and not set(text) & set("'\"\\")


def append(text: str, source: str, path: FieldPath, item: Any) -> str:  # noqa: ANN401
    """Add an item to the end of the list at `path`, as its others stand. Raises InputError."""
    node = node_at(text, source, path)
    fix = f"write there by hand: - {in_braces(item)}"
    refusal = InputError(
        f"{_shown(path)} is no list that an item can be added to",
        path=source,
        line=line_of(text, source, path),
        fix=fix,
    )
    if node is not None and node.tag == "tag:yaml.org,2002:null" and isinstance(path[-1], str):
        return _first_item(text, source, path, item, fix)
    if not isinstance(node, yaml.SequenceNode):
        raise refusal
    if node.flow_style:
        changed = yamlspans.into_braces(text, node, in_braces(item))
    else:
        dash = yamlspans.dash_of(text, node.value[0])
        if dash is None:
            raise refusal
        changed = yamlspans.with_lines(text, yamlspans.spans(text, node)[-1][1], lines_of([item], dash))
    return _verified(text, changed, source, path, lambda data: _at(data, path).append(plain(item)), fix)


def put_in(text: str, source: str, path: FieldPath, field: str, item: Any, *, after: Sequence[str] = ()) -> str:  # noqa: ANN401
    """Add an item to the list `field` of the mapping at `path`; the list is made, as by `add`, where there is none."""
    if node_at(text, source, (*path, field)) is None:
        return add(text, source, path, field, [item], after=after)
    return append(text, source, (*path, field), item)


def insert(text: str, source: str, path: FieldPath, position: int, item: Any) -> str:  # noqa: ANN401
    """Add an item to the list at `path` before the one at a position, which is there. Raises InputError."""
    node = node_at(text, source, path)
    fix = f"write there by hand: - {in_braces(item)}"
    assert isinstance(node, yaml.SequenceNode)  # noqa: S101 - it has that item
    listed = yamlspans.spans(text, node)
    start = listed[position][0]
    line = yamlspans.start_of_line(text, start)
    dash = None if node.flow_style else yamlspans.dash_of(text, node.value[0])
    if dash is not None:
        # Behind the one before: a comment above an item stays there.
        place = yamlspans.end_of_line(text, listed[position - 1][1]) if position else line
        changed = yamlspans.with_lines_at(text, place, lines_of([item], dash))
    elif node.flow_style and not text[line:start].strip():
        changed = yamlspans.with_lines_at(text, line, [f"{text[line:start]}{in_braces(item)},"])
    else:
        changed = f"{text[:start]}{in_braces(item)}, {text[start:]}"
    return _verified(text, changed, source, path, lambda data: _at(data, path).insert(position, plain(item)), fix)


def _first_item(text: str, source: str, path: FieldPath, item: Any, fix: str) -> str:  # noqa: ANN401
    """The item as the first of a list of which nothing but the key is there."""
    *above, last = path
    parent, node = node_at(text, source, above), node_at(text, source, path)
    assert isinstance(parent, yaml.MappingNode)  # noqa: S101 - it has the key
    assert node is not None  # noqa: S101
    [key] = [key for key, _ in parent.value if key.value == last]
    start, end = node.start_mark.index, node.end_mark.index
    if parent.flow_style or start != end:
        changed = f"{text[:start]}{'' if start != end else ' '}[{in_braces(item)}]{text[end:]}"
    else:
        changed = yamlspans.with_lines(text, key.end_mark.index, lines_of([item], key.start_mark.column + 2))

    def change(data: Any) -> None:  # noqa: ANN401
        _at(data, above)[last] = [plain(item)]

    return _verified(text, changed, source, path, change, fix)


def add(text: str, source: str, path: FieldPath, key: str, value: Any, *, after: Sequence[str] = ()) -> str:  # noqa: ANN401
    """Add a key to the mapping at `path`: behind the last of `after` that it has, or at its end. Raises InputError."""
    node = node_at(text, source, path)
    shown = in_braces(Inline({key: value}))[1:-1]
    fix = f"write there by hand: {shown}"
    if not isinstance(node, yaml.MappingNode) or yamltext.child(node, key) is not None:
        what = f"{_shown(path)} is no mapping that {key} can be added to"
        raise InputError(what, path=source, line=line_of(text, source, path), fix=fix)
    if node.flow_style:
        changed = yamlspans.into_braces(text, node, shown)
    else:
        pairs = zip(node.value, yamlspans.spans(text, node), strict=True)
        ends = [(pair[0].value in after, span[1]) for pair, span in pairs]
        last = next((end for fits, end in reversed(ends) if fits), ends[-1][1])
        changed = yamlspans.with_lines(text, last, lines_of({key: value}, node.value[0][0].start_mark.column))

    def change(data: Any) -> None:  # noqa: ANN401
        _at(data, path)[key] = plain(value)

    return _verified(text, changed, source, path, change, fix)


def remove(text: str, source: str, path: FieldPath) -> str:
    """Take an item of a list, or a key of a mapping, out. What it leaves empty goes too. Raises InputError."""
    *above, last = path
    node, parent = node_at(text, source, path), node_at(text, source, above)
    if node is None or parent is None:
        raise InputError(f"no {_shown(path)}", path=source, line=line_of(text, source, path), expected="it here")
    if len(parent.value) == 1 and above:
        return remove(text, source, above)
    fix = "take it out by hand"
    refusal = InputError(
        f"{_shown(path)} shares its lines with something else", path=source, line=node.start_mark.line + 1, fix=fix
    )
    position = last if isinstance(last, int) else [key.value for key, _ in parent.value].index(last)
    if isinstance(parent, yaml.CollectionNode) and parent.flow_style:
        cuts = yamlspans.braced_part(text, parent, position)
        if not cuts:
            raise refusal
    else:
        first, end = yamlspans.spans(text, parent)[position]
        start = yamlspans.start_of_line(text, first)
        if text[start:first].strip() not in ({"-"} if isinstance(last, int) else {""}):
            raise refusal
        cuts = [(start, yamlspans.end_of_line(text, end))]

    def change(data: Any) -> None:  # noqa: ANN401
        del _at(data, above)[last]

    return _verified(text, yamlspans.without(text, cuts), source, path, change, fix)


def remove_item(text: str, source: str, path: FieldPath, item: str) -> str:
    """Take one text out of a list of texts. Raises InputError, also where it is not there once."""
    node = node_at(text, source, path)
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    numbers = [number for number, member in enumerate(items) if member.value in (item, f"./{item}")]
    if len(numbers) != 1:
        what = f"{_shown(path)} has {item} {counted(len(numbers), 'time')}"
        raise InputError(what, path=source, line=line_of(text, source, path), expected="it once")
    return remove(text, source, (*path, numbers[0]))


def comment_above(text: str, source: str, path: FieldPath) -> int | None:
    """The line of a comment that stands right above what is at `path`: it stays, and may be about just that."""
    line = line_of(text, source, path)
    above = text.splitlines()[line - 2] if line > 1 else ""
    return line - 1 if above.lstrip().startswith("#") and "yaml-language-server" not in above else None


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


def _verified(text: str, changed: str, source: str, path: FieldPath, change: Callable[[Any], None], fix: str) -> str:
    """Raise InputError where the changed text means anything but the changed data."""
    try:
        [expected] = yamlfile.parse_all(text, source)
        expected = plain(expected)
        change(expected)
        same = _parsed(changed, source) == [expected]
    except (KeyError, TypeError, IndexError, ValueError):
        same = False
    if not same:
        line, what = line_of(text, source, path), f"{_shown(path)} shares its text with another place"
        raise InputError(what, path=source, line=line, fix=f"{_BY_HAND}; {fix}")
    return changed


def _parsed(text: str, source: str) -> list[Any]:
    try:
        return [plain(document) for document in yamlfile.parse_all(text, source)]
    except InputError:
        return []

"""Where the parts of a YAML text stand, and the text with lines or parts more or less: what `yamledit` cuts with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import yaml

_ALIAS = re.compile(r"\*[^\s,\[\]{}]+")
# Behind an item of a list in braces that has its line to itself: a comma, and a comment.
_COMMENT = re.compile(r"[ \t]+#[^\r\n]*")
_REST_OF_LINE = re.compile(r"[ \t]*(,?)[ \t]*(#[^\n]*|\r)?(?=\n|\Z)")

Span = tuple[int, int]


def content_end(text: str, node: yaml.Node, begin: int) -> int:
    """Where the last letter of a node is over: the parser's own mark of a block is behind its comments.

    `begin`: where it begins at the earliest. What begins before that is an alias, which the tree does not show.
    """
    if node.start_mark.index < begin:
        alias = _ALIAS.search(text, begin)
        return alias.end() if alias else begin
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        return spans(text, node)[-1][1]
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return block_parts(text, node)[1]
    if node.start_mark.index == node.end_mark.index:  # nothing is written
        return begin
    return int(node.end_mark.index)


def spans(text: str, node: yaml.Node) -> list[Span]:
    """Where each item or pair of a collection begins and ends."""
    listed: list[Span] = []
    begin = node.start_mark.index
    for part in node.value:
        key, value = part if isinstance(part, tuple) else (None, part)
        start = max(begin, (key or value).start_mark.index)
        begin = content_end(text, value, key.end_mark.index if key else start)
        listed.append((start, begin))
    return listed


def block_parts(text: str, node: yaml.ScalarNode) -> tuple[str, int]:
    """Of a block of text (`|`, `>`): the comment on its first line, with the blanks before it; and where its last line
    is over: the parser's own mark is behind the blanks of the next one.
    """
    start = int(node.start_mark.index)
    comment = _COMMENT.search(text[start : end_of_line(text, start)])
    written = text[start : node.end_mark.index].rstrip()
    whole = text[: end_of_line(text, start + len(written))]
    return comment[0] if comment else "", len(whole.rstrip("\r\n"))


def start_of_line(text: str, index: int) -> int:
    """Where the line of an index begins."""
    return text.rfind("\n", 0, index) + 1


def end_of_line(text: str, index: int) -> int:
    """The index behind the end of the line that a content ends in."""
    newline = text.find("\n", index)
    return len(text) if newline < 0 else newline + 1


def dash_of(text: str, item: yaml.Node) -> int | None:
    """The column of a block item's dash; None where other text stands before it."""
    before = text[start_of_line(text, item.start_mark.index) : item.start_mark.index]
    return before.index("-") if before.strip() == "-" else None


def with_lines(text: str, end_of_node: int, lines: Sequence[str]) -> str:
    """The text with lines more, behind the line that a node ends in."""
    return with_lines_at(text, end_of_line(text, end_of_node), lines)


def with_lines_at(text: str, place: int, lines: Sequence[str]) -> str:
    """The text with lines more, at the beginning of a line or at the text's end."""
    end = "\r\n" if "\r\n" in text else "\n"
    block = "".join(f"{line}{end}" for line in lines)
    glue = "" if place == 0 or text[place - 1] == "\n" else end
    return f"{text[:place]}{glue}{block}{text[place:]}"


def without(text: str, cuts: Iterable[Span]) -> str:
    """The text without some parts of it."""
    for start, end in sorted(cuts, reverse=True):
        text = text[:start] + text[end:]
    return text


# -- in braces


def into_braces(text: str, node: yaml.CollectionNode, written: str) -> str:
    """The text with a part more at the end of a collection in braces: on a line of its own where the last one is."""
    if not node.value:
        place = node.end_mark.index - 1
        return f"{text[:place]}{written}{text[place:]}"
    start, place = spans(text, node)[-1]
    line, rest = start_of_line(text, start), _REST_OF_LINE.match(text, place)
    if text[line:start].strip() or rest is None or "," in text[rest.end() : node.end_mark.index].partition("#")[0]:
        return f"{text[:place]}, {written}{text[place:]}"
    comma = rest[1]
    text = text if comma else f"{text[:place]},{text[place:]}"
    return with_lines(text, place, [f"{text[line:start]}{written}{comma}"])


def braced_part(text: str, parent: yaml.CollectionNode, position: int) -> list[Span]:
    """What goes with a part of a collection in braces: its own lines, or it and a comma beside it.

    Nothing where a comment stands between it and the next one.
    """
    listed = spans(text, parent)
    if lines := _own_lines(text, parent, listed, position):
        return lines
    before, after = (position - 1, position) if position else (0, 1)
    if "#" in text[listed[before][1] : listed[after][0]]:
        return []
    return [(listed[before][1], listed[after][1]) if position else (listed[0][0], listed[1][0])]


def _own_lines(text: str, parent: yaml.CollectionNode, listed: Sequence[Span], position: int) -> list[Span]:
    """The lines of a part that shares them with no other, and the comma before it where it is the last one."""
    start, end = listed[position]
    line, rest = start_of_line(text, start), _REST_OF_LINE.match(text, end)
    if text[line:start].strip() or rest is None or rest.end() > parent.end_mark.index:
        return []
    cuts = [(line, end_of_line(text, end))]
    if rest[1] or not position:
        return cuts
    behind = listed[position - 1][1]
    comma = _REST_OF_LINE.match(text, behind)
    # Without a comma behind the last one the one before it needs none.
    return [*cuts, (comma.start(1), comma.end(1))] if comma else []

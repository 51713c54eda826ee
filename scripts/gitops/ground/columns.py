"""Text in columns as wide as what shows it: cells wrap between words and, where that is not enough, rows become blocks.

Nothing is left out: what a narrow terminal has no room for stands on further lines.
"""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TextIO

_GAP = "  "
# What a block's lines begin with, below its first cell.
_INDENT = "  "
# What TERM says of a terminal that only prints (terminfo); a program that nobody told of one has the first.
_PLAIN = (None, "dumb", "unknown")


def width(stream: TextIO) -> int:
    """The columns of the terminal that a stream leads to; 0 where it leads to a file or a program.

    COLUMNS says nothing of those: readline sets it for every child of a program that uses it.
    """
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):  # no stream of the system's, or a closed one
        return 0


def draws(stream: TextIO) -> bool:
    """Whether a stream leads to a terminal that can draw over a line and has colours. Raises InputError (settings)."""
    from gitops.ground import settings

    return stream.isatty() and settings.read().terminal not in _PLAIN


def cells(text: str) -> int:
    """How many columns of a terminal a line takes: two for a sign such as Korean has."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else not unicodedata.combining(sign) for sign in text)


def wrapped(text: str, limit: int, indent: str = "") -> list[str]:
    """A line as lines of at most `limit` columns (0: as it is), the further ones set in. A longer word is cut."""
    if not limit or cells(text) <= limit:
        return [text]
    words = text.lstrip(" ").split(" ")
    lines, current = list[str](), " " * (len(text) - len(text.lstrip(" ")))
    for number, word in enumerate(words):
        joined = f"{current} {word}" if number else current + word
        if cells(joined) > limit and number:
            lines.append(current)
            joined = indent + word
        while cells(joined) > limit > cells(indent) + 1:
            end = next(end for end in itertools.count(1) if cells(joined[: end + 1]) > limit)
            lines.append(joined[:end])
            joined = indent + joined[end:]
        current = joined
    return [*lines, current]


def table(rows: Sequence[Sequence[str]], limit: int) -> list[str]:
    """The lines of a table, its head the first of `rows`, none longer than `limit` columns (0: however long)."""
    columns = list(zip(*rows, strict=True))
    natural = [max(map(cells, column)) for column in columns]
    gaps = len(_GAP) * (len(columns) - 1)
    if not limit or sum(natural) + gaps <= limit:
        return list(itertools.chain.from_iterable(_row(row, natural) for row in rows))
    least = [max(map(_longest_word, column)) for column in columns]
    if sum(least) + gaps > limit:
        head, *others = rows
        return list(itertools.chain.from_iterable(_block(head, row, limit) for row in others or [head]))
    widths = _grown(least, natural, limit - gaps)
    return list(itertools.chain.from_iterable(_row(row, widths) for row in rows))


def _longest_word(text: str) -> int:
    return max(map(cells, text.split(" ")))


def _grown(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """The widths of columns that have `room` together: each gets the same more, until it has all it wants."""
    widths = list(least)
    while sum(widths) < room and widths != list(natural):
        for number, wish in enumerate(natural):
            if widths[number] < wish and sum(widths) < room:
                widths[number] += 1
    return widths


def _row(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    parts = [wrapped(cell, limit) for cell, limit in zip(row, widths, strict=True)]
    for line in itertools.zip_longest(*parts, fillvalue=""):
        padded = [cell + " " * (limit - cells(cell)) for cell, limit in zip(line, widths, strict=True)]
        yield _GAP.join(padded).rstrip()


def _block(head: Sequence[str], row: Sequence[str], limit: int) -> Iterator[str]:
    """One row below its first cell, each further cell behind the name of its column."""
    yield from wrapped(row[0], limit, _INDENT)
    for name, cell in zip(head[1:], row[1:], strict=True):
        if cell:
            yield from wrapped(f"{_INDENT}{name}: {cell}", limit, _INDENT * 2)

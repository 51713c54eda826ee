"""The patterns that Argo CD matches names by: Go's path.Match, and gobwas/glob for what a project allows."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

_Matcher = Callable[[str], bool]
# A part of a pattern: what one character must be, or None and that any number of such may stand there.
_Part = tuple[_Matcher, bool]
_BRACES = re.compile(r"\{([^{}]*)\}")


def path_matches(pattern: str, path: str) -> bool:
    """Go's path.Match: no `*` reaches past a slash, and `**` is two of them. A malformed pattern matches nothing."""
    return _reaches_the_end(_parts(pattern, "/", doubled=False), path)


def glob_matches(pattern: str, text: str, separator: str = "") -> bool:
    """gobwas/glob: `*` stops at the separator, `**` does not, and {a,b} is one or the other; `*` alone is anything."""
    if pattern == "*":
        return True
    spelled = itertools.islice(_spelled_out(pattern), 100)
    return any(_reaches_the_end(_parts(one, separator, doubled=True), text) for one in spelled)


def is_denial(pattern: str) -> bool:
    """Whether a project's pattern says what is not allowed."""
    return pattern.startswith("!")


def allows(pattern: str, text: str, separator: str = "") -> bool:
    """Whether one pattern of a project has a text; one that begins with `!` has all others."""
    if is_denial(pattern):
        return not glob_matches(pattern[1:], text, separator)
    return glob_matches(pattern, text, separator)


def _reaches_the_end(parts: list[_Part] | None, text: str) -> bool:
    """All places in the text that the parts so far may end at, at once: no pattern takes long."""
    if parts is None:
        return False
    ends = {0}
    for matcher, many in parts:
        following = set[int]()
        for end in sorted(ends):
            if not many:
                following |= {end + 1} if end < len(text) and matcher(text[end]) else set()
                continue
            while end not in following:
                following.add(end)
                if end == len(text) or not matcher(text[end]):
                    break
                end += 1
        ends = following
    return len(text) in ends


def _parts(pattern: str, separator: str, *, doubled: bool) -> list[_Part] | None:
    """A pattern's parts, None where it is malformed."""
    parts: list[_Part] = []
    rest = pattern
    while rest:
        if doubled and rest.startswith("**"):
            parts.append((lambda _: True, True))
            rest = rest[2:]
        elif rest[0] in "*?":
            parts.append((lambda char: char != separator, rest[0] == "*"))
            rest = rest[1:]
        elif rest[0] == "[":
            chosen = re.match(r"\[([!^]?)((?:\\.|[^\]\\])+)\]", rest)
            if chosen is None:
                return None
            parts.append((_one_of(chosen[2], refused=bool(chosen[1])), False))
            rest = rest[chosen.end() :]
        else:
            escaped = rest[0] == "\\"
            if escaped and len(rest) == 1:
                return None
            parts.append((rest[int(escaped)].__eq__, False))
            rest = rest[1 + int(escaped) :]
    return parts


def _one_of(text: str, *, refused: bool) -> _Matcher:
    """A class of characters: single ones, and ranges."""
    ranges = re.findall(r"(\\.|[^\\])(?:-(\\.|[^\\]))?", text, re.DOTALL)
    bounds = [(low[-1], (high or low)[-1]) for low, high in ranges]
    return lambda char: any(low <= char <= high for low, high in bounds) != refused


def _spelled_out(pattern: str) -> Iterator[str]:
    """A pattern for each of its alternatives, the inner ones first."""
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    for word in braces[1].split(","):
        yield from _spelled_out(f"{pattern[: braces.start()]}{word}{pattern[braces.end() :]}")

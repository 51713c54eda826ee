"""The load balancer's patterns: `*` is any number of characters, `?` is one, and nothing else is special."""

from __future__ import annotations

import re
from functools import cache


@cache
def _expression(pattern: str, one: str) -> re.Pattern[str]:
    """`one`: what stands for a `?`. Each part between stars is taken where it comes first: no pattern takes long."""
    parts = [re.escape(part).replace(re.escape("?"), one) for part in pattern.split("*")]
    if len(parts) == 1:
        return re.compile(parts[0], re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in parts[1:-1] if part)
    return re.compile(f"{parts[0]}{middle}.*{parts[-1]}", re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Whether a text is one of the pattern's."""
    return _expression(pattern, ".").fullmatch(text) is not None


def covers(pattern: str, narrower: str) -> bool:
    """Whether every text of one pattern is one of the other's as well."""
    return _expression(pattern, "[^*]").fullmatch(narrower) is not None


def overlap(first: str, second: str) -> bool:
    """Whether some text is one of both."""
    if not wildcards(first) or not wildcards(second):
        return matches(first, second) or matches(second, first)
    # Both are read from the left, sign by sign: which positions can be reached.
    reached, ahead = set[tuple[int, int]](), [(0, 0)]
    while ahead:
        here = ahead.pop()
        if here in reached:
            continue
        reached.add(here)
        ahead += _steps(first, second, *here)
    return (len(first), len(second)) in reached


def _steps(first: str, second: str, left: int, right: int) -> list[tuple[int, int]]:
    one, two = first[left : left + 1], second[right : right + 1]
    steps = []
    if one == "*":
        steps += [(left + 1, right)] + ([(left, right + 1)] if two else [])
    if two == "*":
        steps += [(left, right + 1)] + ([(left + 1, right)] if one else [])
    if one and two and "*" not in (one, two) and (one == two or "?" in (one, two)):
        steps.append((left + 1, right + 1))
    return steps


def wildcards(pattern: str) -> int:
    """How many wildcards a pattern has."""
    return pattern.count("*") + pattern.count("?")

"""docs/runbooks as a person at night reads them: what they saw, what to type, and how to see that it is over."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.frozen import ROOT

FOLDER = ROOT / "docs/runbooks"
FILES = tuple(sorted(FOLDER.glob("*.md")))
OVER = "It is over when"
# What stands for something else in a quoted message.
_PLACEHOLDER = re.compile(r"\b(NAME|TIME|FILE|PART|REASON|TEAM|KIND|POLICY|N)\b")
# Words that another program says: Go's of a connection, sealed-secrets' of a seal, the scheduler's of nodes, and
# kubectl's of a drain.
FOREIGN = (
    "connection refused",
    "no key could decrypt secret",
    "0/9 nodes are available",
    "Cannot evict pod as it would violate the pod's disruption budget.",
)
# What Argo CD's notifications make: tests/test_alerts.py renders it.
RENDERED = (
    ":x: NAME",
    ":white_check_mark:",
    *(f":warning: {name} is" for name in ("NAME", "argocd", "sealed-secrets")),
)
# Anything, in a message that a program makes.
_HOLE = "\0"


def seen(file: Path) -> list[str]:
    """The messages that a runbook begins with, as they are quoted: from 'You see' to the end of the lists behind it."""
    paragraphs = iter(re.split(r"\n\n+", file.read_text().partition("You see")[2]))
    told = [next(paragraphs), *itertools.takewhile(lambda text: text.startswith(("- ", "or")), paragraphs)]
    quoted = re.findall(r"`([^`]+)`", " ".join(" ".join(told).split()))
    return [words for words in quoted if not words.startswith("gitops ")]


def commands(file: str, section: str, block: int = 0) -> list[str]:
    """The lines of a block of commands of a section, by its heading; empty for what stands before all."""
    text = (FOLDER / file).read_text()
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    sections = dict(zip(["", *parts[1::2]], parts[::2], strict=True))
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", sections[section], re.DOTALL)
    return list(blocks[block].splitlines())


def pieces(message: str) -> list[str]:
    """What of a quoted message is said word for word, in its order."""
    return [piece for piece in _PLACEHOLDER.split(message)[::2] if piece]


@cache
def made() -> tuple[str, ...]:
    """Every text that the product's programs and Argo CD's settings are made of; what is filled in is a hole."""
    texts: list[str] = []
    for file in (ROOT / "scripts/gitops").rglob("*.py"):
        texts += _of_code(file.read_text())
    texts += map(_of_lua, (file.read_text() for file in (ROOT / "apps/argocd").glob("*.yaml")))
    return tuple(texts)


def _of_code(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else _HOLE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _of_lua(text: str) -> str:
    return re.sub(r'"\s*\.\.[^"]+\.\.\s*"', _HOLE, text.replace('\\"', "''")).replace("''", '"')


def is_made(message: str) -> bool:
    """Whether some program makes a message."""
    return any(_has(text, pieces(message)) for text in made())


def _has(text: str, parts: list[str]) -> bool:
    """Whether a text has all of them, one after the other."""
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True

"""Lines of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A line of a file, as the repository has it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def of_base(self) -> bool:
        """Whether it is the base's, and so no service's to edit."""
        return self.file.startswith("base/")


def read_text(path: Path) -> str:
    """A file's text as far as it can be read; empty for what is no regular file (a pipe would never end)."""
    try:
        return path.read_text(errors="replace") if path.is_file() else ""
    except OSError:
        return ""


def line_of(text: str, word: str) -> int | None:
    """The first line of a text that has a word."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if word in line), None)

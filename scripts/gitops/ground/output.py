"""Tables for a person and for grep: aligned columns, no line ever cut or wrapped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click

from gitops.ground.errors import InputError


class Table(NamedTuple):
    """A head and its rows."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def present(output: str, table: Table, documents: Sequence[Any]) -> None:
    """Print what was asked for by `--output`: JSON documents, or a table for a person."""
    if output == "json":
        click.echo(json.dumps(documents, indent=2))
    else:
        print_table(*table)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head on standard output."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def write(path: Path, text: str) -> None:
    """Write a file that was asked for, with the folders above it. Raises InputError where it cannot be."""
    _put(path, text, "w")


def _put(file: Path, text: str, mode: Literal["a", "w"]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open(mode, encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", path=str(file), fix="name another file") from None


def summarise(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Add the same as a Markdown table to the run's summary, in Actions."""
    summarise_text("".join(map(_markdown_row, [head, ["---"] * len(head), *rows])))


def _markdown_row(cells: Sequence[str]) -> str:
    content = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {content} |\n"


def summarise_text(markdown: str) -> None:
    """Add Markdown to the run's summary, in Actions; nothing elsewhere."""
    from gitops.ground import settings

    _append(settings.read().step_summary, markdown)


def hand_on(name: str, value: str) -> None:
    """Give an output of this step to the next one, in Actions; nothing elsewhere."""
    from gitops.ground import settings

    _append(settings.read().step_output, f"{name}={value}\n")


def _append(file: Path | None, text: str) -> None:
    if file:
        _put(file, text, "a")

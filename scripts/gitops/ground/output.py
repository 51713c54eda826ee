"""All that is printed, and what a run hands on. What stands in it may be a stranger's: `printable` makes it text.

Lines and tables are for a person and for grep: aligned columns, nothing ever left out. A table wraps to a terminal's
width, and never where a file or a program reads it.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from gitops.ground import columns, hidden, printable
from gitops.ground.errors import GitopsError, InputError

if TYPE_CHECKING:
    from rich.console import Console


# More than a verb's modules are made of.
_OBJECTS = 100_000


class Table(NamedTuple):
    """A head and its rows."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def prepare() -> None:
    """Whatever a terminal or a pipe is said to understand: what it cannot show stands there by its number.

    Who closed a stream wants nothing of it; else the next file that is opened would have its place.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - as long as we run
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    threading.excepthook = lambda fault: say_bug(fault.exc_value) if fault.exc_value else None


def spare_collector() -> None:
    """Have Python seldom look for what is not kept: a run is short and keeps most of what it makes."""
    gc.set_threshold(_OBJECTS)


def say(*lines: str, err: bool = False) -> None:
    """Print lines on standard output, or on standard error. Each stays one line."""
    for text in lines:
        click.echo(printable.log(text), err=err)


def say_error(error: GitopsError) -> None:
    """Print an error for a person. What continues a fault is set in: no text of another looks like a line of ours.

    What is to be typed is never wrapped: a shell would take each line for a command.
    """
    limit, name = columns.width(sys.stderr), "gitops: "
    for fault in error.faults:
        first, *rest = str(replace(fault, steps=())).split("\n")
        for text in (f"{name}{first}", *(f"    {text}" for text in rest)):
            say(*columns.wrapped(printable.line(text), limit, "    "), err=True)
        say(*(f"    {step}" for step in fault.steps), err=True)
        name = ""


def say_bug(error: BaseException) -> None:
    """Print where a fault of ours is, for whoever mends it: a traceback without any text of an exception, as a
    library's may have the value that it could not use.
    """
    lines = ["Traceback of a fault in gitops itself (texts are left out, as one may have a value):"]
    for frame in traceback.extract_tb(error.__traceback__):
        lines.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}')
    kinds = [type(part).__name__ for part in _chain(error)]
    say(*lines, " <- ".join(kinds), "please report it with these lines", err=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    known: set[int] = set()
    part: BaseException | None = error
    while part is not None and id(part) not in known:
        known.add(id(part))
        yield part
        part = part.__cause__ or part.__context__


def say_json(document: Any, *, indent: int | None = 2) -> None:  # noqa: ANN401 - whatever JSON has
    """Print a document for a program."""
    click.echo(printable.json_text(document, indent=indent))


def say_styled(lines: Iterable[tuple[str, str]], console: Console | None = None) -> None:
    """Print lines, each with its style as rich has it, which a terminal shows in colours.

    Nothing else does, whatever FORCE_COLOR says: it is set for other programs of a workflow, too.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False, force_terminal=columns.draws(sys.stdout))
    for text, style in lines:
        console.print(Text(printable.log(text), style=style), soft_wrap=True)


def present(output: str, table: Table, documents: Sequence[Any]) -> None:
    """Print what was asked for by `--output`: JSON documents, or a table for a person."""
    if output == "json":
        say_json(documents)
    else:
        print_table(*table)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, widest: int = 0) -> None:
    """Print rows under a head on standard output, as wide as the terminal is.

    `widest`: the columns of a line for a file or a program (0: a row is one line there, for grep).
    """
    lines = [list(map(printable.line, row)) for row in (head, *rows)]
    say(*columns.table(lines, columns.width(sys.stdout) or widest))


def write(path: Path, text: str) -> None:
    """Write a file that was asked for, with the folders above it. Raises InputError where it cannot be."""
    _put(path, text, "w")


def _put(file: Path, text: str, mode: Literal["a", "w"]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open(mode, encoding="utf-8") as stream:
            stream.write(hidden.hide(text))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", path=str(file), fix="name another file") from None


def summarise(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Add the same as a Markdown table to the run's summary, in Actions."""
    summarise_text("".join(f"{line}\n" for line in printable.table(head, rows)))


def summarise_text(markdown: str) -> None:
    """Add Markdown to the run's summary, in Actions; nothing elsewhere."""
    from gitops.ground import settings

    _append(settings.read().step_summary, markdown)


def hand_on(name: str, value: str) -> None:
    """Give an output of this step to the next one, in Actions; nothing elsewhere."""
    from gitops.ground import settings

    _append(settings.read().step_output, f"{name}={printable.line(value)}\n")


def _append(file: Path | None, text: str) -> None:
    if file:
        _put(file, text, "a")

"""An Application's change as the lines of a diff, each with what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gitops.preview.model import ApplicationChange, FieldChange, ObjectChange

# An error is kustomize's: a line of it may begin with any sign, and is no line of the diff for that.
LineKind = Literal["added", "removed", "header", "error"]


@dataclass(frozen=True)
class DiffLine:
    """One line, with the sign of its kind in its text; who prints it makes it printable."""

    kind: LineKind
    text: str


def diff_lines(app: ApplicationChange) -> Iterator[DiffLine]:
    """Why an Application does not render, or else its objects, each with its fields."""
    if app.error:
        for text in app.error.split("\n"):
            yield DiffLine("error", text)
        return
    for item in app.objects:
        yield from object_lines(item)


def object_lines(item: ObjectChange) -> Iterator[DiffLine]:
    """An object, then each of its fields, or all of one that comes or goes."""
    head = object_line(item)
    yield head
    for field in item.fields:
        yield from _field(field)
    for line in item.content.split("\n") if item.content else ():
        yield DiffLine(head.kind, f"{head.text[0]}   {line}")


def object_line(item: ObjectChange) -> DiffLine:
    """What happens to an object, on one line."""
    renamed = f" (was {item.renamed})" if item.renamed else ""
    text = f"{item.kind} {item.namespace}/{item.name}{renamed}"
    match item.action:
        case "added":
            return DiffLine("added", f"+ {text}")
        case "removed":
            return DiffLine("removed", f"- {text}")
        case "replaced":
            return DiffLine("header", f"@@ {item.kind} {item.namespace}/{item.name} in place of {item.renamed} @@")
        case "changed":
            return DiffLine("header", f"@@ {text} @@")


def _field(field: FieldChange) -> Iterator[DiffLine]:
    if field.old is not None:
        yield from _value("removed", "-", field.path, field.old)
    if field.new is not None:
        yield from _value("added", "+", field.path, field.new)


def _value(kind: LineKind, sign: str, path: str, value: str) -> Iterator[DiffLine]:
    first, *rest = value.split("\n")
    yield DiffLine(kind, f"{sign} {path}: {first}")
    for line in rest:
        yield DiffLine(kind, f"{sign}   {line}")

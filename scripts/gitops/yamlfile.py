"""Reading YAML so that every complaint names a file and, where it can, a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from gitops.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_all(text: str | bytes, source: str) -> list[dict[str, Any]]:
    """Every mapping of a YAML stream; empty documents are left out. `source` names it in errors (InputError)."""
    try:
        documents = [document for document in yaml.load_all(text, Loader=Loader) if document is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        what = getattr(error, "problem", None) or str(error)
        raise InputError(f"{where}: not valid YAML: {what}") from None
    for document in documents:
        if not isinstance(document, dict):
            raise InputError(f"{source}: expected a mapping, found {type(document).__name__}")
    return documents


def read(path: Path) -> dict[str, Any]:
    """The one mapping of a file. Raises InputError where it cannot be read or is not one mapping."""
    try:
        documents = parse_all(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(documents) != 1:
        raise InputError(f"{path}: expected one YAML document, found {len(documents)}")
    return documents[0]


def read_model(path: Path, model: type[Model]) -> Model:
    """A file checked against its model; all its faults at once, one line each (InputError)."""
    try:
        return model.model_validate(read(path))
    except ValidationError as error:
        lines = [
            f"{path}: {_where(fault['loc'])}: {fault['msg']}; found {fault['input']!r}" for fault in error.errors()
        ]
        raise InputError("\n".join(lines)) from None


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the file"

"""Reading YAML so that every complaint names a file and, where it can, a line."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError

Model = TypeVar("Model", bound=BaseModel)
# The largest render of ours has some hundred values.
MOST_VALUES = 1_000_000
Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_all(text: str | bytes, source: str) -> list[dict[str, Any]]:
    """Every mapping of a YAML stream; empty documents are left out. `source` names it in errors (InputError)."""
    with _errors(source):
        documents = [document for document in yaml.load_all(text, Loader=Loader) if document is not None]
    for document in documents:
        if not isinstance(document, dict):
            raise InputError(path=source, expected="a mapping", found=type(document).__name__)
    return documents


def compose_all(text: str | bytes, source: str) -> list[yaml.Node]:
    """The trees of a YAML stream, each node with its line. `source` names it in errors (InputError)."""
    with _errors(source):
        return [node for node in yaml.compose_all(text, Loader=Loader) if node is not None]


def bomb(path: Path) -> int | None:
    """The line of a YAML file whose aliases stand for more values than a file can mean; None where it is sound."""
    try:
        content = path.read_bytes() if path.is_file() else b""
        if content.count(b"*") < 8 or b"&" not in content:
            return None
        documents = compose_all(content, str(path))
    except (OSError, InputError):
        return None
    sizes: dict[int, int] = {}
    # Children first, each node once, however many aliases name it.
    waiting = [(document, False) for document in documents]
    while waiting:
        node, done = waiting.pop()
        if id(node) in sizes and not done:
            continue
        children = _children(node)
        if not done:
            sizes[id(node)] = 1
            waiting += [(node, True), *((child, False) for child in children)]
            continue
        sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
        if sizes[id(node)] > MOST_VALUES:
            return int(node.start_mark.line) + 1
    return None


def _children(node: yaml.Node) -> list[yaml.Node]:
    """A mapping's keys and values, a sequence's items; a scalar has none."""
    if isinstance(node, yaml.MappingNode):
        return list(itertools.chain.from_iterable(node.value))
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


@contextmanager
def _errors(source: str) -> Iterator[None]:
    try:
        yield
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:  # ValueError: a date or number that is none
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        raise InputError(f"not valid YAML: {what}", path=source, line=mark.line + 1 if mark else None) from None
    except RecursionError:
        raise InputError("not valid YAML: nested too deeply", path=source) from None


def read(checkout: Checkout, file: Path) -> dict[str, Any]:
    """The one mapping of a file of `checkout`. Raises InputError where it cannot be read or is not one mapping."""
    source = checkout.relative(file)
    try:
        documents = parse_all(file.read_bytes(), source)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=source) from None
    if len(documents) != 1:
        raise InputError(path=source, expected="one YAML document", found=str(len(documents)))
    return documents[0]


def read_model(checkout: Checkout, file: Path, model: type[Model]) -> Model:
    """A file of `checkout` by its model; all its faults at once (InputError)."""
    content = read(checkout, file)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError.several(faults(error, checkout.relative(file))) from None


def faults(error: ValidationError, source: str, above: str = "") -> list[Fault]:
    """What a model says against a file's content. `above`: the key that the checked part stands under."""
    return [
        Fault(f"{_key(above, fault['loc'])}: {fault['msg']}", path=source, found=repr(fault["input"]))
        for fault in error.errors()
    ]


def _key(above: str, location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in (above, *location) if part != "") or "the file"

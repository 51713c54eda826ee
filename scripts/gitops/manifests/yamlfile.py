"""Reading YAML so that every complaint names a file and, where it can, a line.

The one door to the parser: what a stranger wrote is measured first, as libyaml ends the process where it is nested too
deeply, and aliases of a few lines can stand for more than the machine's memory holds.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.ground.printable import counted

Model = TypeVar("Model", bound=BaseModel)
# The largest render of ours has some hundred values, nested 15 deep; Argo CD's own definitions have 1.5 MB.
MOST_BYTES = 4 * 2**20
MOST_VALUES = 200_000
MOST_NESTED = 100
_LONGEST_NUMBER = 100
# Without a run of these nothing is nested by its indentation more deeply than this; libyaml takes 20,000.
_FAR_IN = re.compile(r"[ \t?:-]{400}")
_MOST_BRACKETS = 400
# What to do, by what libyaml says.
_FIXES = {
    "found character that cannot start any token": "indent with blanks, not with tabs; quote what begins with @ or `",
    "mapping values are not allowed in this context": "quote a value that has `: `, or look at the indent above",
    "found unexpected end of stream": "close the quote or the bracket that is open",
}
_FEW_ALIASES = 8


class SyntaxFaultError(InputError):
    """A text that is no YAML, or no text; said in the same words by whatever reads it."""


class LimitError(InputError):
    """A text that is larger than any that means something; it is not read."""


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader, for which a number has an end."""

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """An int or a float. Thousands of digits, or groups of base 60, take minutes."""
        if len(node.value) > _LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(
                None, None, f"a number of {counted(len(node.value), 'character')}", node.start_mark
            )
        construct = self.construct_yaml_int if node.tag.endswith(":int") else self.construct_yaml_float
        number: int | float = construct(node)
        return number


Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_number)
Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_number)
# `<<` and `=` mean something as keys; where one is a value, kustomize writes and Kubernetes reads a text.
Loader.add_constructor("tag:yaml.org,2002:merge", Loader.construct_yaml_str)
Loader.add_constructor("tag:yaml.org,2002:value", Loader.construct_yaml_str)


def measured(content: str | bytes, source: str) -> str:
    """A text that is safe to parse. Raises LimitError where it is not, InputError where it is not UTF-8."""
    if len(content) > MOST_BYTES:
        raise LimitError(
            "too large", path=source, expected=f"at most {MOST_BYTES // 2**20} MiB", found=counted(len(content), "byte")
        )
    text = decode(content, source) if isinstance(content, bytes) else content
    brackets = text.count("[") + text.count("{")
    parts = brackets + text.count("\n") + text.count(",")
    bombs = text.count("*") >= _FEW_ALIASES and "&" in text
    if bombs or parts > MOST_VALUES or brackets > _MOST_BRACKETS or _FAR_IN.search(text):
        _measure(text, source)
    return text


def _measure(text: str, source: str) -> None:
    """Count what a text stands for, one event after the other: nothing is built and nothing is called in itself."""
    loader, values = Loader(text), 0
    sizes: dict[str, int] = {}
    around: list[tuple[str | None, int]] = []
    try:
        while (event := loader.get_event()) is not None:
            if isinstance(event, yaml.AliasEvent):
                inside = any(anchor == event.anchor for anchor, _ in around)
                values += MOST_VALUES + 1 if inside else sizes.get(str(event.anchor), 1)
            elif isinstance(event, yaml.ScalarEvent):
                values += 1
                sizes |= {event.anchor: 1} if event.anchor else {}
            elif isinstance(event, yaml.CollectionStartEvent):
                around.append((event.anchor, values))
                values += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = around.pop()
                sizes |= {anchor: values - before} if anchor else {}
            line = event.start_mark.line + 1
            if len(around) > MOST_NESTED:
                raise LimitError("nested too deeply", path=source, line=line, expected=f"at most {MOST_NESTED} levels")
            if values > MOST_VALUES:
                raise LimitError(
                    f"stands for more than {MOST_VALUES:,} values, with its aliases",
                    path=source,
                    line=line,
                    fix="write out what is meant",
                )
    except yaml.YAMLError:
        return  # said where it is parsed


def decode(content: bytes, source: str) -> str:
    """The text of a file. Raises InputError with `source` and line where it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        what = f"not UTF-8 (byte {error.start})"
        raise SyntaxFaultError(what, path=source, line=line, fix="save the file as UTF-8") from None


def parse_all(text: str | bytes, source: str) -> list[dict[str, Any]]:
    """Every mapping of a YAML stream; empty documents are left out. `source` names it in errors (InputError)."""
    with parsing(source):
        documents = [
            document for document in yaml.load_all(measured(text, source), Loader=Loader) if document is not None
        ]
    for document in documents:
        if not isinstance(document, dict):
            raise InputError(path=source, expected="a mapping", found=type(document).__name__)
    return documents


def strings(text: str, source: str) -> list[str] | None:
    """A list of strings, which is written the same in CEL and in YAML; None where a text is none."""
    try:
        with parsing(source):
            content = yaml.load(measured(text, source), Loader=Loader)  # noqa: S506 - it is the safe one
    except InputError:
        return None
    return content if isinstance(content, list) and all(isinstance(part, str) for part in content) else None


def compose_all(text: str | bytes, source: str) -> list[yaml.Node]:
    """The trees of a YAML stream, each node with its line. `source` names it in errors (InputError)."""
    with parsing(source):
        return [node for node in yaml.compose_all(measured(text, source), Loader=Loader) if node is not None]


def every_node(tops: Iterable[yaml.Node], *, keys: bool = False) -> Iterator[yaml.Node]:
    """Every node of some trees, from the top; one that many aliases name comes once. `keys`: those of mappings too."""
    waiting, known = deque(tops), set[int]()
    while waiting:
        node = waiting.popleft()
        if id(node) in known:
            continue
        known.add(id(node))
        yield node
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                waiting += (key, value) if keys else (value,)


@contextmanager
def parsing(source: str) -> Iterator[None]:
    """Within, what the parser says of `source` is an InputError."""
    try:
        yield
    # Beside the parser's own: what its constructors raise of a value that is none of its tag (`!!bool maybe`).
    except (yaml.YAMLError, ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or f"a value that is none ({type(error).__name__})"
        fix = _FIXES.get(what, "look at the indent, the quotes and the brackets here and above")
        line = mark.line + 1 if mark else None
        raise SyntaxFaultError(f"not valid YAML: {what}", path=source, line=line, fix=fix) from None
    except RecursionError:
        raise SyntaxFaultError("not valid YAML: nested too deeply", path=source) from None


def syntax_faults(root: Path, paths: Iterable[str]) -> list[Fault]:
    """Which of some files (as the repository has them) are no YAML, and where. Those that are not there are none."""
    faults: list[Fault] = []
    for path in paths:
        try:
            content = (root / path).read_bytes()
            compose_all(content, path)
        except SyntaxFaultError as error:
            faults += error.faults
        except (OSError, InputError):
            continue
    return faults


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


def read_own(file: Path, model: type[Model]) -> Model:
    """A file that stands beside the package's modules, by its model."""
    [content] = parse_all(file.read_bytes(), file.name)
    return model.model_validate(content)


def faults(error: ValidationError, source: str, above: str = "", node: yaml.Node | None = None) -> list[Fault]:
    """What a model says against a file's content. `above`: the key that the checked part stands under.

    `node`: the file's tree, where each fault is to name its line.
    """
    return [
        Fault(
            f"{_key(above, fault['loc'])}: {fault['msg']}",
            path=source,
            line=_line(node, fault["loc"]) if node and fault["loc"] else None,
            found=repr(fault["input"]),
        )
        for fault in error.errors()
    ]


def _line(node: yaml.Node, location: tuple[int | str, ...]) -> int:
    """The line of a place in a tree, as far as it leads there."""
    line = node.start_mark.line
    for step in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            # A model may name what it expects on the way (the type of a union), which no file has.
            for key, value in node.value:
                if key.value == str(step):
                    line, node = key.start_mark.line, value
                    break
    return line + 1


def _key(above: str, location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in (above, *location) if part != "") or "the file"

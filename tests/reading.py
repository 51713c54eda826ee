"""What makes code hard to read: a name that says nothing of the thing, a comprehension that is read twice, a file or a
function that nobody keeps in mind.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitops.manifests.overlay import ENVIRONMENTS

EMPTY_NAMES = {"found", "each", "at", "wanted", "other", "candidate", "expected_item"}
FILE_LINES = 400
FUNCTION_LINES = 60
NESTED = "a comprehension in another"
TWO_LOOPS = "a comprehension with two loops"
FIELD = "what has a field in an error's sentence"
# What manifests/overlay.py says once.
OVERLAY_NAME = "an overlay's name written out"

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Fault:
    """Where something is hard to read. `what` has no numbers in it, so that a list of exceptions may name it."""

    file: str
    what: str
    line: int


def faults(folder: Path, root: Path) -> Iterator[Fault]:
    """Every fault of the Python files in `folder`; `Fault.file` is relative to `root`."""
    for file in sorted(folder.rglob("*.py")):
        for line, what in in_text(file.read_text()):
            yield Fault(str(file.relative_to(root)), what, line)


def in_text(text: str) -> Iterator[tuple[int, str]]:
    """The line and the kind of every fault of one file."""
    if len(text.splitlines()) > FILE_LINES:
        yield FILE_LINES + 1, f"a file of more than {FILE_LINES} lines"
    for node in ast.walk(ast.parse(text)):
        for name in EMPTY_NAMES.intersection(_names(node)):
            yield _line(node), f"the name {name}"
        if isinstance(node, COMPREHENSIONS):
            if len(node.generators) > 1:
                yield node.lineno, TWO_LOOPS
            for inner in ast.walk(node):
                if isinstance(inner, COMPREHENSIONS) and inner is not node:
                    yield inner.lineno, NESTED
        if isinstance(node, ast.Call) and _says_a_field(node):
            yield node.lineno, FIELD
        if isinstance(node, ast.JoinedStr) and _is_overlay_name(node):
            yield node.lineno, OVERLAY_NAME
        if isinstance(node, FUNCTIONS) and _length(node) > FUNCTION_LINES:
            yield node.lineno, f"{node.name} has more than {FUNCTION_LINES} lines"


def _names(node: ast.AST) -> Iterator[str | None]:
    """The names that a node gives: to a variable, a parameter, an attribute, a function, a class, what is imported."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield name
        case ast.arg(arg=name) | ast.alias(asname=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=name) | ast.MatchAs(name=name) | ast.MatchStar(name=name):
            yield name
        case ast.MatchMapping(rest=name):
            yield name


def _says_a_field(call: ast.Call) -> bool:
    """Whether an error of ours says in its sentence what it has a field for. Another's has no fields."""
    name = str(getattr(call.func, "id", getattr(call.func, "attr", "")))
    if not (name == "Fault" or name.endswith("Error")) or hasattr(builtins, name) or not call.args:
        return False
    pieces = [node.value for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)]
    return any(re.search(r"\bexpected |\b(there are|it has|one of): ", str(piece)) for piece in pieces)


def _is_overlay_name(node: ast.JoinedStr) -> bool:
    """Whether an environment follows a service's name: f"{service}-{environment}", f"{name}-prod"."""
    for value, text, environment in zip(node.values, node.values[1:], [*node.values[2:], None], strict=False):
        if not (isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant)):
            continue
        if re.match(rf"-({'|'.join(ENVIRONMENTS)})\b", str(text.value)):
            return True
        if text.value in ("-", "/") and isinstance(environment, ast.FormattedValue):
            return ast.unparse(environment.value).endswith("environment")
    return False


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, its decorators left out."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def names_of_two(folder: Path) -> dict[str, list[str]]:
    """Each class and type of `folder` whose name another module gives to something else, with its modules.

    Private names are a module's own affair.
    """
    modules: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            for name in _types(node):
                modules.setdefault(name, []).append(str(file.relative_to(folder)))
    return {name: files for name, files in modules.items() if len(files) > 1}


def _types(node: ast.stmt) -> Iterator[str]:
    """The public class or type alias (CamelCase) that a statement of a module defines."""
    match node:
        case ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
            if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name):
                yield name

"""The package's structure in figures, for docs/architecture.md: `python -m tests.structure REVISION` measures that
revision and this working copy.

Modules, import arrows and circles are of the import graph (grimp); sizes are of the files themselves.
"""

from __future__ import annotations

import ast
import itertools
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import grimp

from gitops.ground.command import run
from tests import figures
from tests.frozen import ROOT

BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)


@dataclass(frozen=True)
class Structure:
    """`arrows`: imports of one module by another; `part_arrows`: of one part (a package or a module directly under
    gitops) by another; `circles`: groups of modules, or of parts, that import each other."""

    parts: int
    loose_modules: int
    part_arrows: int
    part_circles: int
    modules: int
    arrows: int
    circles: int
    largest_file: int
    longest_function: int
    deepest_nesting: int


def measure(folder: Path) -> Structure:
    """The structure of the package `gitops` in `folder`."""
    graph = _graph(folder)
    arrows = set(_arrows(graph))
    parts = sorted(graph.find_children("gitops"))
    between = {(_part(a), _part(b)) for a, b in arrows if _part(a) != _part(b) and "gitops" not in (a, b)}
    files = list((folder / "gitops").rglob("*.py"))
    trees = [ast.parse(file.read_text()) for file in files]
    nodes = itertools.chain.from_iterable(map(ast.walk, trees))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    return Structure(
        parts=len(parts),
        loose_modules=sum((folder / f"{part.replace('.', '/')}.py").exists() for part in parts),
        part_arrows=len(between),
        part_circles=len(_circles(between)),
        modules=len([module for module in graph.modules if module != "gitops"]),
        arrows=len(arrows),
        circles=len(_circles(arrows)),
        largest_file=max(len(file.read_text().splitlines()) for file in files),
        longest_function=max(node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno),
        deepest_nesting=max(_depth(node) for node in functions),
    )


def _graph(folder: Path) -> grimp.ImportGraph:
    """Who imports whom in the package of `folder`, which need not be the one that runs: its files are read alone."""
    own = sys.modules.pop("gitops")
    sys.path.insert(0, str(folder))
    try:
        return grimp.build_graph("gitops", cache_dir=None)
    finally:
        sys.path.pop(0)
        sys.modules["gitops"] = own


def _arrows(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            yield module, imported


def _part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _circles(arrows: set[tuple[str, str]]) -> list[set[str]]:
    """Groups of nodes that reach each other."""
    onward: dict[str, set[str]] = {}
    for start, end in arrows:
        onward.setdefault(start, set()).add(end)
    reach = {node: _reached(onward, node) for node in onward}
    circles: list[set[str]] = []
    for node in onward:
        circle = {reached for reached in reach[node] if node in reach.get(reached, set())}
        if len(circle) > 1 and circle not in circles:
            circles.append(circle)
    return circles


def _reached(onward: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for node in onward.get(waiting.pop(), set()) - seen:
            seen.add(node)
            waiting.append(node)
    return seen


def _depth(node: ast.AST, inside: int = 0) -> int:
    """How many blocks stand in each other at the deepest line; `elif` is no deeper than its `if`."""
    return max([inside, *(_depth(child, inside + deeper) for child, deeper in _children(node))])


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    for child in ast.iter_child_nodes(node):
        follows = isinstance(node, ast.If) and [child] == node.orelse and isinstance(child, ast.If)
        yield child, int(isinstance(child, BLOCKS) and not follows)


def of_revision(revision: str) -> Structure:
    """The structure of the package as a revision of this repository has it."""
    with tempfile.TemporaryDirectory() as folder:
        archive = run(["git", "-C", ROOT, "archive", revision, "scripts/gitops"], timeout=60)
        run(["tar", "-x", "-C", folder], timeout=60, stdin=archive)
        return measure(Path(folder) / "scripts")


def main(revision: str) -> None:
    sha = run(["git", "-C", ROOT, "rev-parse", "--short=12", f"{revision}^{{commit}}"], timeout=60).decode().strip()
    before, now = of_revision(revision), measure(ROOT / "scripts")
    figures.record("structure", {"before": {"commit": sha, **asdict(before)}, "now": asdict(now)})


if __name__ == "__main__":
    main(sys.argv[1])

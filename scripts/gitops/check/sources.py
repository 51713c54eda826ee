"""What is wrong with an overlay's files before anything is rendered."""

from __future__ import annotations

from collections.abc import Iterator

from gitops.manifests.findings import Finding
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.reach import Reach


def check(graph: Graph, unit: str) -> Iterator[Finding]:
    """Files that no overlay may be made of: elsewhere, outside, too large once read, of another repository."""
    reach = graph.reach(unit)
    for refusal in reach.refusals:
        yield Finding(refusal.rule, refusal.place, refusal.problem, refusal.fix, unit)
    for path in _submodules(graph):
        if any(f"{part}/".startswith(f"{path}/") for part in reach.files | reach.folders):
            place = _place(graph, _kustomization(reach), path.rpartition("/")[2])
            yield Finding("submodule", place, f"reads {path}, a submodule", "copy what you need into base/", unit)


def _submodules(graph: Graph) -> list[str]:
    """The folders that .gitmodules names."""
    lines = [line.strip() for line in read_text(graph.checkout.root / ".gitmodules").splitlines()]
    return [line.partition("=")[2].strip() for line in lines if line.startswith("path")]


def _kustomization(reach: Reach) -> str:
    """The overlay's own."""
    return next(layer.file for layer in reversed(reach.layers) if layer.role == "kustomization")


def _place(graph: Graph, file: str, text: str) -> Place:
    return Place(file, line_of(read_text(graph.checkout.root / file), text) or 1)

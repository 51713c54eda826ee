"""What a change touches beside what is rendered: what is declared, listed, and one overlay's alone."""

from __future__ import annotations

from collections.abc import Iterator

from gitops.check import declared, identities, unlisted, unmatched
from gitops.manifests.findings import Finding
from gitops.manifests.graph import Graph, unit_of
from gitops.manifests.overlay import Overlay
from gitops.repository.revision import Change


def check(change: Change, graph: Graph) -> Iterator[Finding]:
    """All of it where nothing is compared."""
    whole = change.base is None
    yield from declared.check(change)
    if whole or any(path.startswith("overlays/") for path in change.files):
        yield from unlisted.check_services(graph)
    # What none lists renders nothing: it is in no overlay that is checked for its render.
    own = set(map(unit_of, change.files))
    for unit in graph.units:
        if Overlay.of_path(unit) and (whole or unit in own):
            yield from unlisted.check(graph, unit)
    if whole or any(path.startswith(unlisted.SHARED) for path in change.files):
        yield from unlisted.check_shared(graph)
    if whole or any(path.startswith("base/") for path in change.files):
        yield from unmatched.check_bases(unmatched.SourceFiles(graph))
    if whole or any(path.startswith("overlays/") and path.endswith((".yaml", ".yml")) for path in change.files):
        yield from identities.check_files(identities.Identities(graph, change.files))

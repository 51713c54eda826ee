"""The names of overlays: legal ones, and each its own."""

from __future__ import annotations

from collections.abc import Iterator

from gitops.ground.errors import InputError
from gitops.manifests import names
from gitops.manifests.findings import Finding
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place
from gitops.manifests.overlay import ENVIRONMENTS, Overlay, check_environment, check_service
from gitops.manifests.reach import kustomization

_FIX = f"name it overlays/<service>/<environment>; the environments are {', '.join(ENVIRONMENTS)}"


def check(graph: Graph, unit: str) -> Iterator[Finding]:
    """An overlay with a name that no service or environment may have, or that another overlay has too."""
    overlay = Overlay.of_path(unit)
    if overlay is None:
        return
    others = names.sharing(overlay, graph.units)
    if others:
        # No two legal overlays share a name, so it is said of one that is not: the same, whichever is checked.
        both = sorted([overlay, *others], key=lambda twin: (not _faults(twin), twin))
        paths = " and ".join(twin.path for twin in both)
        yield Finding("names", _place(graph, both[0]), f"{paths} have one name, {overlay.namespace}", _FIX, unit)
        return
    for fault in _faults(overlay):
        yield Finding("names", _place(graph, overlay), fault, _FIX, unit)


def _faults(overlay: Overlay) -> list[str]:
    """What is wrong with its names."""
    faults = []
    for check_name, name in ((check_service, overlay.service), (check_environment, overlay.environment)):
        try:
            check_name(name)
        except InputError as error:
            faults += [fault.sentence for fault in error.faults]
    return faults


def _place(graph: Graph, overlay: Overlay) -> Place:
    file = kustomization(graph.checkout.root / overlay.path)
    return Place(overlay.file(file.name) if file else overlay.kustomization, 1)

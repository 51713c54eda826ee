"""A member's pull request before the gate, and what it would bring before the API server with the policies in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from gitops.check import run as runs
from gitops.check.argo import Platform
from gitops.check.control_plane import admitting, control_plane, prepare
from gitops.check.dry_run import Server
from gitops.clients.kubernetes import ClusterError
from gitops.ground.checkout import Checkout
from gitops.ground.progress import Progress
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.objects import Object, name
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import build
from gitops.repository import revision
from tests.frozen import CLUSTER


def write(checkout: Checkout, files: Mapping[str, str]) -> None:
    """What the pull request writes, by path."""
    for path, text in files.items():
        file = checkout.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def findings(checkout: Checkout) -> list[Finding]:
    """What the gate says of the working copy against its last commit, without an API server."""
    with revision.compare(checkout, "HEAD", None) as change:
        return runs.run(
            checkout,
            change,
            Progress(quiet=True),
            offline=True,
            everything=False,
            lab=None,
            today=datetime.now(UTC).date(),
        ).findings


def refusal(checkout: Checkout) -> str | None:
    """The rules that the gate refuses the working copy by, None where it passes."""
    return ", ".join(sorted({f.rule for f in findings(checkout) if f.severity == "error"})) or None


def platform(checkout: Checkout) -> Platform:
    """What the cluster's own folders say of all overlays."""
    graph = Graph(checkout)
    folders = [CLUSTER, *graph.brought_by(CLUSTER)]
    units = [Unit.of(graph, build(checkout, checkout.root, folder)) for folder in folders]
    return Platform(units[0], tuple(units[1:]))


@contextmanager
def cluster(checkout: Checkout, *overlays: Overlay) -> Iterator[Server]:
    """A real API server with the policies in force, and the namespaces of these overlays as Argo CD makes them."""
    has = platform(checkout)
    policies = admitting(has.objects)
    exceptions = [item for item in has.kind("ConfigMap") if name(item) == "policy-exceptions"]
    namespaces = {overlay.namespace: has.namespace_labels(overlay) for overlay in overlays}
    with control_plane(checkout, None) as server:
        prepare(server, [*exceptions, *policies], namespaces)
        yield server


def answer(server: Server, item: Object) -> str | None:
    """Why the API server refuses an object, None where it takes it."""
    try:
        server.apply(item)
    except ClusterError as error:
        return error.reason
    return None

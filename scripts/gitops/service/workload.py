"""The program of an overlay: the object whose pods have the container `app`, and the overlay's own files on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template as Text
from typing import Any

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import render, yamledit, yamlfile, yamltext
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place
from gitops.manifests.objects import FieldPath, Object, name
from gitops.manifests.overlay import Overlay
from gitops.manifests.pods import TEMPLATES, Template, template
from gitops.repository.contents import Contents
from gitops.service.draft import Expectation, OverlayDraft

APP = "app"
# Where an image that does not follow the base says so: what is asked for by name later stands elsewhere.
_CONTRACT = "contract.yaml"
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Workload:
    """What an overlay renders now, and its program there."""

    unit: Unit
    pods: Template
    container: FieldPath

    @property
    def kind(self) -> str:
        """Deployment or CronJob."""
        return str(self.pods.item["kind"])

    @property
    def containers(self) -> tuple[str, ...]:
        """The path of its containers' list."""
        return (*TEMPLATES[self.kind], "spec", "containers")

    @property
    def app(self) -> Object:
        """The container."""
        return app_of(self.unit.objects) or {}

    def place(self, field: str, item: str) -> Place | None:
        """Where an item of one of its container's lists is set, by its name; None where it is not there."""
        for position, entry in enumerate(self.app.get(field) or []):
            if entry.get("name") == item:
                return self.unit.places.of(self.pods.item, (*self.container, field, position))
        return None


def read(checkout: Checkout, overlay: Overlay) -> Workload:
    """Render an overlay, and find its program. Raises InputError."""
    graph = Graph(checkout)
    rendered = render.build(checkout, checkout.root, overlay.path, graph.reach(overlay.path))
    unit = Unit.of(graph, rendered)
    for pods, path in _apps(unit.objects):
        return Workload(unit, pods, path)
    check_readable(unit, "Deployment", "CronJob")
    fix = "name the container of the service's own image `app`, as base/ does"
    raise InputError("no Deployment or CronJob here has a container `app`", path=overlay.kustomization, fix=fix)


def check_readable(unit: Unit, *kinds: str) -> None:
    """Raise InputError where an overlay renders an object of these kinds in which a field is of another type."""
    faults = [
        Fault(finding.what, path=finding.place.file, line=finding.place.line, fix=finding.fix)
        for finding in unit.malformations
        if finding.kind in kinds
    ]
    if faults:
        raise InputError.several(faults)


def edited(
    checkout: Checkout, overlays: Iterable[Overlay], edit: Callable[[OverlayDraft, Workload], Expectation]
) -> tuple[Contents, dict[Overlay, Expectation]]:
    """What `draft.keep` takes: the files as an edit leaves them of each overlay, and what each then has to render.

    Raises as `read` and `edit` do.
    """
    files: Contents = {}
    expectations: dict[Overlay, Expectation] = {}
    for overlay in overlays:
        draft = OverlayDraft(checkout, overlay)
        expectations[overlay] = edit(draft, read(checkout, overlay))
        files |= draft.files
    return files, expectations


def _apps(objects: Sequence[Object]) -> list[tuple[Template, FieldPath]]:
    known: list[tuple[Template, FieldPath]] = []
    for item in objects:
        pods = template(item) if item.get("kind") in ("Deployment", "CronJob") else None
        paths = [path for path, container in pods.containers() if container.get("name") == APP] if pods else []
        if pods and (fitting := [path for path in paths if "containers" in path]):
            known.append((pods, fitting[0]))
    return known


def app_of(objects: Sequence[Object]) -> Object | None:
    """The container `app` of what an overlay renders."""
    for pods, path in _apps(objects):
        return next(container for own, container in pods.containers() if own == path)
    return None


def spec_of(objects: Sequence[Object]) -> Object:
    """The spec of its pod."""
    return next((pods.spec for pods, _ in _apps(objects)), {})


@dataclass
class Patch:
    """One of an overlay's files on its program. `path`: of the container `app` in it."""

    draft: OverlayDraft
    file: str
    path: tuple[str | int, ...]
    is_gone: bool = False

    @property
    def text(self) -> str:
        """As it is to be."""
        return self.draft.text(self.file)

    @property
    def pod(self) -> tuple[str | int, ...]:
        """The path of the pod's spec in it."""
        return self.path[:-2]

    def index(self, path: FieldPath, key: str, value: str) -> int | None:
        """Which item of a list in it has a value."""
        return yamledit.index_of(yamledit.node_at(self.text, self.file, path), key, value)

    def count(self, path: FieldPath, key: str, value: str) -> int:
        """How many items of a list in it have a value."""
        node = yamledit.node_at(self.text, self.file, path)
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        return sum(yamltext.scalar(item, key) == value for item in items)

    def put_in(self, path: tuple[str | int, ...], field: str, item: Any) -> None:  # noqa: ANN401 - what YAML has
        """Add an item to a list below a path, which is made where there is none."""
        beside = ("name", "env", "volumeMounts")
        self.draft.write(self.file, yamledit.put_in(self.text, self.file, path, field, item, after=beside))

    def take_out(self, path: FieldPath) -> int | None:
        """Take an item out. Returns the line of a comment above it, which stays. An empty patch goes as a whole."""
        comment = yamledit.comment_above(self.text, self.file, path)
        self.draft.write(self.file, yamledit.remove(self.text, self.file, path))
        if self._says_nothing():
            self.draft.remove_patch(self.file)
            self.is_gone = True
        return comment

    def _says_nothing(self) -> bool:
        """Whether nothing is left but what it is laid over."""
        [document] = yamlfile.parse_all(self.text, self.file)
        said = _leaves(document) - {("apiVersion",), ("kind",), ("metadata", "name")}
        return said == {(*self.path, "name")} and not any("#" in line for line in self.text.splitlines()[1:])


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:  # noqa: ANN401
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    leaves = set[tuple[str | int, ...]]()
    for key, part in parts:
        leaves |= _leaves(part, (*path, key))
    return leaves or {path}


def patches(draft: OverlayDraft, workload: Workload) -> list[Patch]:
    """The overlay's own files that say something of the container, in their order. Raises InputError."""
    known: list[Patch] = []
    for file in draft.of(workload.kind, name(workload.pods.item)):
        node = yamledit.node_at(draft.text(file), file, workload.containers)
        position = yamledit.index_of(node, "name", APP)
        if position is not None:
            known.append(Patch(draft, file, (*workload.containers, position)))
    return known


def patch_to_edit(draft: OverlayDraft, workload: Workload) -> Patch:
    """The file that a new line belongs into: the last of its own, or a new one. Raises InputError."""
    known = [patch for patch in patches(draft, workload) if not patch.file.endswith(f"/{_CONTRACT}")]
    if known:
        return known[-1]
    file = f"{workload.kind.lower()}.yaml"
    return Patch(draft, draft.add_patch(file, filled(file, name(workload.pods.item))), (*workload.containers, 0))


def filled(file: str, object_name: str) -> str:
    """The beginning of a patch on an object of this name."""
    return Text((_TEMPLATES / file).read_text()).substitute(name=object_name)

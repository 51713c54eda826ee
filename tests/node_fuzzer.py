"""Every node of the fixture platform's YAML, made null, of another type, empty, huge or deep: what the gate says of it.

The commands run in this process. What renders is rendered by kustomize, once for the same files.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.check import guards, leaks
from gitops.check import run as runs
from gitops.check import scope as scopes
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError
from gitops.ground.progress import Progress
from gitops.lb import table
from gitops.manifests import render, sourced, yamlfile
from gitops.manifests.findings import Finding
from gitops.manifests.graph import Graph, Overview
from gitops.manifests.objects import Object
from gitops.manifests.reach import Reach
from gitops.manifests.render import Rendered
from gitops.manifests.shape import without_nulls
from gitops.preview import run as previews
from gitops.repository.revision import WORKING_COPY, Change
from tests.frozen import CLUSTER, clone

KINDS = ("null", "type", "empty", "huge", "deep")
_DEEP = 60
_SITE = "overlays/mogle/prod"
# What is read beside what renders.
_BESIDE = ("overlays/", "clusters/", "policies/exceptions/", ".github/teams.yaml", ".github/freezes.yaml")
# None of the three commands reads these.
_OF_AWS = "clusters/*/aws/*"
Step = str | int


@dataclass(frozen=True)
class Case:
    """One node of a file and what it becomes."""

    file: str
    document: int
    path: tuple[Step, ...]
    kind: str

    def __str__(self) -> str:
        return f"{self.file}#{self.document}.{'.'.join(map(str, self.path))}:{self.kind}"


def value(old: Any, kind: str) -> Any:
    """What stands there instead."""
    if kind == "null":
        return None
    if kind == "type":
        return {"x": "y"} if not isinstance(old, dict) else ["x"]
    if kind == "empty":
        return type(old)() if isinstance(old, dict | list) else ""
    if kind == "deep":
        nested: Any = old
        for _ in range(_DEEP):
            nested = {"x": [nested]}
        return nested
    if isinstance(old, dict):
        return {**old, **{f"x{number}": "y" for number in range(500)}}
    if isinstance(old, list):
        return [*old, *itertools.repeat(old[0] if old else "x", 300)]
    return "x" * 20_000 if isinstance(old, str) else 10**30


def paths(node: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Every node below the top, from the outside to the inside."""
    children: Sequence[tuple[Step, Any]] = ()
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    for step, child in children:
        yield (*path, step)
        yield from paths(child, (*path, step))


def cases(root: Path) -> list[Case]:
    """All of them. A file with the same content as an earlier one is left out: staging's is often prod's."""
    graph = Graph(Checkout(root))
    reached = set[str]().union(*(graph.reach(unit).files for unit in graph.units))
    made: list[Case] = []
    known = set[bytes]()
    for file in sorted(root.rglob("*.yaml")):
        name, content = file.relative_to(root).as_posix(), file.read_bytes()
        if content in known or not (name in reached or name.startswith(_BESIDE)) or file.match(_OF_AWS):
            continue
        known.add(content)
        for number, document in enumerate(yaml.load_all(content, Loader=yamlfile.Loader)):
            nodes = itertools.product(paths(document), KINDS)
            made += [Case(name, number, path, kind) for path, kind in nodes]
    return made


@dataclass
class Told:
    """What the three commands said of a case. `silent`: something changed, and the preview says nothing."""

    findings: list[Finding] = field(default_factory=list)
    errors: list[GitopsError] = field(default_factory=list)
    silent: bool = False
    differs: bool = False


class _Remembered(Rendered):
    """A render that is read once."""

    def objects(self) -> list[Object]:
        if self.error:
            raise self.error
        return _objects(self.text, self.unit)


@lru_cache(maxsize=64)
def _objects(text: bytes, unit: str) -> list[Object]:
    return Rendered(unit, text).objects()


class Fuzzer:
    """Two clones of the fixture platform: the one as it was, the other with one case at a time."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.before, self.after = clone(folder / "before"), clone(folder / "after")
        self._renders: dict[str, Rendered] = {}
        self._build = render.build
        for module in (scopes, sourced, table, guards):
            patch.setattr(module, "build", self._built)
        patch.setattr(leaks, "check", lambda *_: ())
        patch.setattr(runs, "affected", self._affected)
        patch.setattr(previews, "Graph", self._graph)
        self._old = Graph(self.before)
        self._changed_base: list[Path] = []

    def _built(self, checkout: Checkout, tree: Path, unit: str, reach: Reach | None = None) -> Rendered:
        """A render by kustomize, remembered for the same files."""
        if reach is None:
            return self._build(checkout, tree, unit, reach)
        # The bases as they are alone are rendered in a folder of their own.
        own = sorted(reach.files) if unit != "." else []
        files = [tree / file for file in own] or [tree / "kustomization.yaml", *self._changed_base]
        digest = hashlib.sha256(unit.encode())
        for file in files:
            digest.update(b"\0" + (file.read_bytes() if file.is_file() else b""))
        key = digest.hexdigest()
        if key not in self._renders:
            rendered = self._build(checkout, tree, unit, reach)
            self._renders[key] = _Remembered(rendered.unit, rendered.text, rendered.error)
        return self._renders[key]

    def _graph(self, checkout: Checkout, overview: Overview | None = None) -> Graph:
        """Of the clone that stays as it is there is one."""
        return self._old if checkout.root == self.before.root else Graph(checkout, overview)

    def _affected(self, change: Change, *, everything: bool = False) -> tuple[Graph, Graph | None, list[str]]:
        """A few of the units that have the file, and a site where it concerns all: the rules are the same for each."""
        assert not everything
        graph, base = Graph(change.head), self._old
        units = [unit for unit in base.units if not change.files.isdisjoint(base.reach(unit).files)]
        return graph, base, [*units[:2], *(() if set(units[:2]) & {_SITE} else (_SITE,))]

    def tell(self, case: Case) -> Told:
        """Run the three commands on a case. Whatever is no GitopsError is raised."""
        file = self.after.root / case.file
        content = file.read_bytes()
        try:
            documents = list(yaml.load_all(content, Loader=yamlfile.Loader))
            _put(documents, case)
            file.write_text(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=100_000))
            return self._told(case)
        finally:
            file.write_bytes(content)

    def _told(self, case: Case) -> Told:
        told = Told()
        self._changed_base = [self.after.root / case.file] if case.file.startswith("base/") else []
        change = Change(
            self.before, self.after, "main", WORKING_COPY, frozenset({case.file}), None,
        )  # fmt: skip
        quiet = Progress(quiet=True)
        try:
            result = runs.run(
                self.after, change, quiet, offline=True, everything=False, lab=None, today=date(2026, 1, 1)
            )
            told.findings = result.findings
        except GitopsError as error:
            told.errors.append(error)
        told.differs = self._differs(case.file)
        try:
            shown = previews.run(self.after, change, quiet)
            told.silent = told.differs and not shown.applications
        except GitopsError as error:
            told.errors.append(error)
        try:
            routing = table.load(self.after, Path(CLUSTER).name)
            table.rows(routing.balancer)
            table.as_dict(routing)
        except GitopsError as error:
            told.errors.append(error)
        return told

    def _differs(self, file: str) -> bool:
        """Whether a unit of the file renders otherwise: a null field is one that is not set."""
        before, after = self._old, Graph(self.after)
        for unit in before.units:
            if file in before.reach(unit).files and self._objects(before, unit) != self._objects(after, unit):
                return True
        return False

    def _objects(self, graph: Graph, unit: str) -> object:
        rendered = self._built(self.after, graph.checkout.root, unit, graph.reach(unit))
        if rendered.error:
            return str(rendered.error)
        try:
            return without_nulls(yamlfile.parse_all(rendered.text, unit))
        except GitopsError as error:
            return str(error)

    def fault(self, told: Told, case: Case) -> str:
        """What is not as it must be, empty where all is."""
        # A field that is not set may be what stood there: Kubernetes has defaults.
        unset = case.kind in ("null", "empty") and isinstance(case.path[-1], str)
        if told.silent and not unset:
            return "the preview says nothing of it"
        for error in told.errors:
            if not all(fault.path for fault in error.faults):
                return f"an error without a place: {error}"
        for finding in told.findings:
            place = self.after.root / finding.place.file
            if finding.place.line < 1 or not place.exists():
                return f"a finding at no line: {finding.place} {finding.what}"
        if case.kind == "type" and told.differs and not (told.findings or told.errors):
            return "nothing is found"
        return ""


class _Dumper(yaml.CSafeDumper):
    """Writes every node out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _put(documents: list[Any], case: Case) -> None:
    holder = documents[case.document]
    for step in case.path[:-1]:
        holder = holder[step]
    last = case.path[-1]
    holder[last] = value(copy.deepcopy(holder[last]), case.kind)

"""What a check holds against the rules, as it renders: the units that a change concerns, and what all come under."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gitops.check import names, sources
from gitops.check.argo import Platform
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import complaints
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import Renderer, RenderError
from gitops.manifests.lines import Place
from gitops.manifests.objects import Object, name
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import Rendered, build, in_parallel, sound_differing


@dataclass
class CheckScope:
    """The units that are held against the rules, as they are rendered on both sides.

    `others`: the parts of clusters that the change does not concern.
    """

    checkout: Checkout
    graph: Graph
    base: Graph | None
    units: dict[str, Unit]
    before: dict[str, Rendered]
    after: dict[str, Rendered]
    others: dict[str, Rendered] = field(default_factory=dict)
    renders: Renderer | None = None

    @property
    def tools(self) -> Checkout | Renderer:
        """What renders one more folder."""
        return self.renders or self.checkout

    @property
    def overlays(self) -> Iterator[tuple[Overlay, Unit]]:
        """Those that are a service's, not a cluster's."""
        for unit in self.units.values():
            if unit.overlay:
                yield unit.overlay, unit

    @property
    def both_sides(self) -> list[Unit]:
        """The overlays that were there before."""
        return [unit for _, unit in self.overlays if unit.name in self.before]

    def differing(self, unit: Unit) -> tuple[list[Object], list[Object]]:
        """The objects of a unit that are not the same on both sides: (before, after).

        Everything is new where there was nothing before.
        """
        before = self.before.get(unit.name)
        if before is None or before.error:
            return [], list(unit.objects)
        return sound_differing(before, self.after[unit.name])

    def changed(self, unit: Unit) -> list[tuple[Object, Object]]:
        """The objects that are on both sides and not the same, and that the schema has not refused."""
        left, right = self.differing(unit)
        old = {_identity(item): item for item in left}
        pairs = [(old.get(_identity(item)), item) for item in right if item in unit.objects]
        return [(before, after) for before, after in pairs if before is not None]

    def render(self, units: Sequence[str]) -> list[Rendered]:
        """More folders, as they are after the change."""
        return _rendered(self.tools, [(self.graph, unit) for unit in units])

    def platforms(self) -> list[Platform]:
        """What the overlays come under in each cluster, as all run in all. Raises InputError."""
        clusters = self.graph.clusters
        if not clusters:
            fix = "restore its kustomization.yaml: without one no overlay runs anywhere"
            raise InputError("no cluster is there", path="clusters", expected="a folder for each", fix=fix)
        units = dict(self.units)
        for unit, rendered in self.others.items():
            if rendered.error:
                raise rendered.error
            units[unit] = Unit.of(self.graph, rendered)
        parts = [(cluster, self.graph.brought_by(cluster)) for cluster in clusters]
        return [Platform(units[root], tuple(map(units.__getitem__, others))) for root, others in parts]


def _identity(item: Object) -> tuple[str, str, str]:
    return item["apiVersion"], item["kind"], name(item)


def render(
    checkout: Checkout,
    renders: Renderer,
    graph: Graph,
    base: Graph | None,
    checked: list[str],
    files: frozenset[str],
) -> tuple[CheckScope, list[Finding]]:
    """The scope of a change of `files`, and what does not render in it. `checked`: the units that it concerns."""
    findings: list[Finding] = []
    sound = []
    for unit in checked:
        problems = [*names.check(graph, unit), *sources.check(graph, unit)]
        findings += problems
        if not problems:
            sound.append(unit)
    parts = set[str]().union(*([cluster, *graph.brought_by(cluster)] for cluster in graph.clusters))
    others = sorted(parts.difference(checked))
    # What is checked for another reason than its own files renders as it did.
    touched = {*graph.affected(files), *base.affected(files)} if base else set()
    there = set(base.units).intersection(sound) if base else set()
    again = sorted(there & touched)
    # At once, as the programs that render take a moment to start.
    sides = [*((graph, unit) for unit in (*sound, *others)), *((base, unit) for unit in again if base)]
    renderings = iter(_rendered(renders, sides))
    after = dict(zip(sound, renderings, strict=False))
    beside = dict(zip(others, renderings, strict=False))
    before = {unit: after[unit] for unit in there - touched} | dict(zip(again, renderings, strict=True))
    units: dict[str, Unit] = {}
    for unit, rendered in after.items():
        try:
            units[unit] = Unit.of(graph, rendered)
        except InputError as error:
            findings.append(unrendered(graph, unit, error))
    return CheckScope(checkout, graph, base, units, before, after, beside, renders), findings


def unrendered(graph: Graph, unit: str, error: InputError) -> Finding:
    """A folder that does not render, as a finding."""
    if isinstance(error, RenderError):
        fault = error.fault
        rule, what = "render-hangs" if error.timed_out else "render", fault.what if error.syntax else error.reason
        return Finding(rule, Place(str(fault.path), fault.line or 1), what, str(fault.fix), unit)
    words = str(error)
    place = complaints.locate(graph.checkout, unit, graph.reach(unit).files, words)
    return Finding("render", place, complaints.reason(words), complaints.fix(words), unit)


def _rendered(tools: Checkout | Renderer, sides: Sequence[tuple[Graph, str]]) -> list[Rendered]:
    def one(side: tuple[Graph, str]) -> Rendered:
        graph, unit = side
        return build(tools, graph.checkout.root, unit, graph.reach(unit))

    return in_parallel(one, sides)

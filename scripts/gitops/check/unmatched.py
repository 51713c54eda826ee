"""Entries of kustomizations that meet nothing: kustomize passes them by in silence, and what they were for is not done.

Patches' targets, replacements' selections, names of images, fields of labels, and components that change nothing. A
component of base/ is for many shapes: of its patches one that meets something is enough, and each must be for
something that base/ has.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml

from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place, read_text
from gitops.manifests.objects import Object, label, name, value_at
from gitops.manifests.pods import template
from gitops.manifests.reach import Layer, kustomization
from gitops.manifests.selection import leads, meets, meets_any, reaches, steps_of
from gitops.manifests.yamltext import child

RULE = "unmatched"
_KEYS = ("kind", "name", "group", "version", "namespace", "labelSelector", "annotationSelector")
# Fields by which a component changes something whatever it meets.
_ALWAYS = (
    "resources", "components", "configMapGenerator", "secretGenerator", "labels", "commonLabels", "commonAnnotations",
    "namePrefix", "nameSuffix", "namespace", "transformers", "generators", "patchesStrategicMerge", "images",
    "replicas",
)  # fmt: skip
_RENAMING = ("namePrefix", "nameSuffix")


@dataclass(frozen=True)
class _Source:
    """An object as a file has it, and the layer that brings it."""

    item: Object
    layer: int


class SourceFiles:
    """The files of a revision, each read once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._objects: dict[str, list[Object]] = {}
        self._nodes: dict[str, yaml.Node | None] = {}

    def objects(self, path: str) -> list[Object]:
        """The objects of a file, those of its lists too; none where it is not valid."""
        if path not in self._objects:
            try:
                documents = yamlfile.parse_all(read_text(self.graph.checkout.root / path), path)
            except InputError:
                documents = []
            items: list[Object] = []
            for document in documents:
                listed = document.get("items") if str(document.get("kind")).endswith("List") else None
                items += [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else [document]
            self._objects[path] = items
        return self._objects[path]

    def content(self, path: str) -> Object:
        """A kustomization, empty where it is none."""
        return next(iter(self.objects(path)), {})

    def node(self, path: str) -> yaml.Node | None:
        """A kustomization's tree."""
        if path not in self._nodes:
            try:
                nodes = yamlfile.compose_all(read_text(self.graph.checkout.root / path), path)
            except InputError:
                nodes = []
            self._nodes[path] = next(iter(nodes), None)
        return self._nodes[path]


@dataclass(frozen=True)
class _Kustomization:
    """One that is held against what its unit is made of. `layer`: its number among the layers."""

    path: str
    content: Object
    node: yaml.Node | None
    layer: int
    sources: SourceFiles

    def entries(self, field: str) -> Iterator[tuple[Object, yaml.Node | None]]:
        """The mappings of a list, each with its node."""
        listed, node = self.content.get(field), child(self.node, field)
        nodes = node.value if isinstance(node, yaml.SequenceNode) else []
        for position, entry in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(entry, dict):
                yield entry, nodes[position] if position < len(nodes) else None

    def place(self, node: yaml.Node | None) -> Place:
        """The line of a node of it."""
        return Place(self.path, node.start_mark.line + 1 if node else 1)

    def selections(self) -> Iterator[tuple[Object, Place, yaml.Node | None]]:
        """What patches and replacements select, with its place."""
        for field in ("patches", "patchesJson6902"):
            for entry, node in self.entries(field):
                target = entry.get("target")
                if isinstance(target, dict) and target:
                    yield target, self.place(child(node, "target")), child(node, "target")
        for entry, node in self.entries("replacements"):
            targets = child(node, "targets")
            nodes = targets.value if isinstance(targets, yaml.SequenceNode) else []
            for position, target in enumerate(entry.get("targets") or []):
                selected = target.get("select") if isinstance(target, dict) else None
                if isinstance(selected, dict) and selected and position < len(nodes):
                    select = child(nodes[position], "select")
                    yield selected, self.place(select), select


def check(unit: Unit, sources: SourceFiles) -> Iterator[Finding]:
    """What an overlay's own kustomizations name and do not meet."""
    layers = sources.graph.reach(unit.name).layers
    objects = list(_objects(layers, sources))
    images = _Images(layers, sources)
    for number, layer in enumerate(layers):
        if layer.role != "kustomization":
            continue
        made = _Kustomization(layer.file, sources.content(layer.file), sources.node(layer.file), number, sources)
        own = layer.file.startswith(f"{unit.name}/")
        if own:
            yield from _selections(unit, made, _visible(objects, made, unit))
            yield from _fields(unit, made)
            yield from _label_fields(unit, made)
            yield from _components(unit, made, objects)
        yield from images.of(made, unit if own else None)


def check_bases(sources: SourceFiles) -> Iterator[Finding]:
    """What a component of base/ is for and base/ has not, under whatever name."""
    root = sources.graph.checkout.root
    files = sorted(str(file.relative_to(root)) for file in (root / "base").rglob("*.yaml"))
    objects = list(itertools.chain.from_iterable(map(sources.objects, files)))
    for file in files:
        if kustomization((root / file).parent) == root / file:
            made = _Kustomization(file, sources.content(file), sources.node(file), 0, sources)
            for selected, place, node in made.selections():
                if not meets_any(selected, objects):
                    yield _unmet(selected, place, node, objects, made, "", "base/")


def _objects(layers: Sequence[Layer], sources: SourceFiles) -> Iterator[_Source]:
    """What the layers bring, before anything changes it."""
    for number, layer in enumerate(layers):
        if layer.role in ("resource", "component"):
            yield from (_Source(item, number) for item in sources.objects(layer.file))
        elif layer.role == "kustomization":
            for field, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
                for entry in sources.content(layer.file).get(field) or []:
                    made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": entry.get("name")}}
                    yield _Source(made, number)


def _visible(objects: Sequence[_Source], made: _Kustomization, unit: Unit) -> list[Object]:
    """What a kustomization can meet: what was there before it, and what its own generators make."""
    layers = made.sources.graph.reach(unit.name).layers
    items = [source.item for source in objects if source.layer <= made.layer]
    earlier = [made.sources.content(layer.file) for layer in layers[: made.layer] if layer.role == "kustomization"]
    if any(content.get(field) for content, field in itertools.product(earlier, _RENAMING)):
        items += unit.objects  # under names that no file has
    return items


# -- patches and replacements


def _selections(unit: Unit, made: _Kustomization, objects: Sequence[Object]) -> Iterator[Finding]:
    for selected, place, node in made.selections():
        if not meets_any(selected, [*objects, *_labelled(selected, unit)]):
            yield _unmet(selected, place, node, objects, made, unit.name, "this overlay")


def _labelled(selected: Mapping[str, Any], unit: Unit) -> Collection[Object]:
    """Labels come by kustomizations too: then the rendered objects count."""
    return unit.objects if "labelSelector" in selected or "annotationSelector" in selected else ()


def _unmet(
    selected: Mapping[str, Any],
    place: Place,
    node: yaml.Node | None,
    objects: Sequence[Object],
    made: _Kustomization,
    unit: str,
    where: str,
) -> Finding:
    """A selection that meets nothing, at the word of it that is at fault."""
    for key in _KEYS:
        rest = {word: value for word, value in selected.items() if word != key}
        if key in selected and meets_any(rest, objects):
            place = made.place(child(node, key))
            break
    text = " ".join(f"{key} {selected[key]}" for key in _KEYS if key in selected)
    alike = [item for item in objects if meets({"kind": selected.get("kind")}, item)] or objects
    there = ", ".join(sorted({f"{item.get('kind')} {name(item)}" for item in alike if item.get("kind")}))
    fix = f"name one of: {there}"
    if "namespace" in selected:
        fix = "leave namespace out: it is set after the patches"
    return Finding(RULE, place, f"selects {text}, which {where} does not have: it changes nothing", fix, unit)


def _fields(unit: Unit, made: _Kustomization) -> Iterator[Finding]:
    """Paths of replacements that none of the selected objects has: kustomize passes by an item of a list in silence."""
    for entry, node in made.entries("replacements"):
        targets = child(node, "targets")
        nodes = targets.value if isinstance(targets, yaml.SequenceNode) else []
        for target, target_node in zip(entry.get("targets") or [], nodes, strict=False):
            if value_at(target, ("options", "create")):
                continue
            objects = [item for item in unit.objects if meets(target.get("select") or {}, item)]
            listed = child(target_node, "fieldPaths")
            for path in listed.value if objects and isinstance(listed, yaml.SequenceNode) else []:
                steps = steps_of(str(path.value))
                if not _leads_in(objects, steps):
                    problem = f"replaces {path.value}, which no selected object has: it changes nothing"
                    fix = "name a field that is there, or add options: {create: true}"
                    yield Finding(RULE, made.place(path), problem, fix, unit.name)


def _leads_in(objects: Collection[Object], steps: Sequence[str]) -> bool:
    return any(leads(item, steps) for item in objects)


# -- labels


def _label_fields(unit: Unit, made: _Kustomization) -> Iterator[Finding]:
    for entry, node in made.entries("labels"):
        fields = child(node, "fields")
        nodes = fields.value if isinstance(fields, yaml.SequenceNode) else []
        for position, field in enumerate(entry.get("fields") or []):
            path = [part.removesuffix("[]") for part in str(field.get("path", "")).split("/")]
            objects = [item for item in unit.objects if meets({"kind": field.get("kind")}, item)]
            if not objects or not (field.get("create") or any(reaches(item, path) for item in objects)):
                where = " ".join(filter(None, (field.get("kind"), "/".join(path))))
                fix = "name a kind and a path that are there, or add create: true"
                problem = f"labels' field {where} is nowhere in this overlay: it changes nothing"
                yield Finding(RULE, made.place(nodes[position]), problem, fix, unit.name)


# -- components


def _components(unit: Unit, made: _Kustomization, objects: Sequence[_Source]) -> Iterator[Finding]:
    """Components that change nothing of an overlay, or that come before what they are for."""
    graph, listed = made.sources.graph, child(made.node, "components")
    nodes = listed.value if isinstance(listed, yaml.SequenceNode) else []
    layers = graph.reach(unit.name).layers
    for node in nodes:
        folder = posixpath.normpath(posixpath.join(posixpath.dirname(made.path), str(node.value)))
        numbers = [n for n, layer in enumerate(layers) if layer.role == "kustomization" and _in(layer.file, folder)]
        if not numbers:
            continue
        path = layers[numbers[0]].file
        part = _Kustomization(path, made.sources.content(path), made.sources.node(path), numbers[0], made.sources)
        before = [source.item for source in objects if source.layer <= part.layer]
        after = [source for source in objects if source.layer > part.layer]
        selections = [selected for selected, _, _ in part.selections()]
        unmet = list(itertools.filterfalse(partial(meets_any, objects=before), selections))
        late = [source for source in after if _is_for(unmet, source.item)]
        if late:
            bringer = posixpath.dirname(layers[late[0].layer].file)
            problem = f"comes before {bringer}, whose {label(late[0].item)} it is for: that stays unchanged"
            yield Finding(RULE, made.place(node), problem, "name it after that one", unit.name)
        elif selections and len(unmet) == len(selections) and not _changes_all(part):
            kinds = ", ".join(sorted({str(selected.get("kind")) for selected in selections}))
            problem = f"changes nothing: it is for {kinds}, which this overlay does not have"
            yield Finding(RULE, made.place(node), problem, "leave it out", unit.name)


def _is_for(selections: Collection[Mapping[str, Any]], item: Object) -> bool:
    return any(meets(selected, item) for selected in selections)


def _changes_all(part: _Kustomization) -> bool:
    """Whether a component changes something whatever it meets; a patch without a target has to meet its object."""
    untargeted = any(not entry.get("target") for entry, _ in part.entries("patches"))
    return untargeted or any(part.content.get(field) for field in _ALWAYS)


def _in(file: str, folder: str) -> bool:
    return posixpath.dirname(file) == folder


# -- images


class _Images:
    """The names of images as kustomize comes by: each kustomization's `images` renames what the ones before it left."""

    def __init__(self, layers: Sequence[Layer], sources: SourceFiles) -> None:
        self._layers, self._sources = layers, sources
        self._names: set[str] = set()
        self._read = 0

    def of(self, made: _Kustomization, unit: Unit | None) -> Iterator[Finding]:
        """The entries that meet no image. `unit`: whose they are, None where they are not to be judged."""
        end = made.layer + 1
        while end < len(self._layers) and self._layers[end].role not in ("resource", "component", "kustomization"):
            end += 1
        for layer in self._layers[self._read : end]:
            self._names |= set(_image_names(layer, self._sources))
        self._read = end
        for entry, node in made.entries("images"):
            old, new = str(entry.get("name")), str(entry.get("newName") or entry.get("name"))
            if old in self._names:
                self._names = self._names - {old} | {new}
                if unit is not None and not _replaced(made) and made.path == unit.places.top.file:
                    yield from _overruled(unit, made.place(child(node, "name")), new)
            elif unit is not None and not _replaced(made):
                fix = f"name one of: {', '.join(sorted(self._names)) or 'none'}"
                problem = f"images has {old}, which no container runs at this point: it changes nothing"
                yield Finding(RULE, made.place(child(node, "name")), problem, fix, unit.name)


def _overruled(unit: Unit, entry: Place, image: str) -> Iterator[Finding]:
    """An image that an entry gives and nothing runs: a patch has another, which no bump ever moves."""
    place = entry
    for pods in filter(None, map(template, unit.objects)):
        for path, container in pods.containers():
            if _without_tag(str(container.get("image"))) == image:
                return
            written = unit.places.of(pods.item, (*path, "image"))
            place = place if written.of_base or written.file == entry.file else written
    problem = f"images gives {image}, and no container runs it: another image is written where it belongs"
    yield Finding(RULE, place, problem, "leave image out there: images says which, and the bot moves that", unit.name)


def _without_tag(image: str) -> str:
    head, slash, last = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _replaced(made: _Kustomization) -> bool:
    """Whether a replacement may bring an image's name."""
    return "image" in str(made.content.get("replacements") or "")


def _image_names(layer: Layer, sources: SourceFiles) -> Iterator[str]:
    """The names of the images that a layer's file or patch has."""
    if layer.role not in ("resource", "component", "patch"):
        return
    try:
        text = layer.patch or read_text(sources.graph.checkout.root / layer.file)
        nodes = yamlfile.compose_all(text, layer.file)
    except InputError:
        return
    for node in yamlfile.every_node(nodes):
        image = child(node, "image")
        pointer, value = child(node, "path"), child(node, "value")
        if isinstance(pointer, yaml.ScalarNode) and str(pointer.value).endswith("/image"):
            image = value
        if isinstance(image, yaml.ScalarNode):
            yield _without_tag(str(image.value))

"""What is wrong with an overlay's files before and while it is rendered, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding
from gitops.manifests.graph import Graph, kustomization
from gitops.manifests.places import Place, line_of, read_text

_WORDS = re.compile(r"""'([^'\s]+)'|"([^"\s]+)"|([\w.-]+(?:/[\w.-]+)+)|([\w-]+\.ya?ml)""")
# kustomize's name for an object: Deployment.v1.apps/web.[noNs]
_IDS = re.compile(r"""Id (\w+)\.[\w.-]*/([\w-]+)\.\[|\W+kind\W+(\w+)\W+metadata.*?\W+name\W+([\w-]+)""")
# Go's name for a field of a kustomization that has another type.
_FIELD = re.compile(r"struct field Kustomization\.([\w.]+)")


def sources(graph: Graph, unit: str) -> Iterator[Finding]:
    """What is wrong with an overlay's files before anything is rendered."""
    reach = graph.reach(unit)
    for rule, entries, what, fix in (
        ("remote-base", reach.remote, "which is not in this repository", "copy what you need into base/"),
        ("outside", reach.outside, "which leads out of the repository", "copy the file into the overlay"),
    ):
        for source, entry in entries:
            yield Finding(rule, _line(graph, source, entry), f"refers to {entry}, {what}", fix, unit)
    for file, line in reach.bombs:
        what = "its aliases stand for more than a million values"
        yield Finding("render", Place(file, line), what, "write out what is meant", unit)
    modules = graph.checkout.root / ".gitmodules"
    if modules.is_file():
        text = read_text(modules)
        paths = [line.partition("=")[2].strip() for line in text.splitlines() if line.strip().startswith("path")]
        read = reach.files | reach.folders
        for path in paths:
            if any(f"{each}/".startswith(f"{path}/") for each in read):
                source = next(layer.file for layer in reversed(reach.layers) if layer.role == "kustomization")
                place = _line(graph, source, path.rpartition("/")[2])
                yield Finding("submodule", place, f"reads {path}, a submodule", "copy what you need into base/", unit)


def _line(graph: Graph, source: str, text: str) -> Place:
    return Place(source, line_of(read_text(graph.checkout.root / source), text) or 1)


def where(graph: Graph, unit: str, error: str) -> Place:
    """The file that kustomize complains of, with its line where it says one or where the complaint's words stand."""
    reach = graph.reach(unit)
    own = kustomization(graph.checkout.root / unit)
    fallback = Place(str(own.relative_to(graph.checkout.root)) if own else f"{unit}/kustomization.yaml", 1)
    checkout, files = graph.checkout, sorted(reach.files)
    for file in files:
        if not file.endswith((".yaml", ".yml", "Kustomization")):
            continue
        try:
            yamlfile.compose_all(read_text(checkout.root / file), file)
        except InputError as broken:
            return Place(file, broken.fault.line or 1)
    for file in files:
        if file.endswith((".yaml", ".yml")) and (twice := _twice(read_text(checkout.root / file))):
            return Place(file, twice)
    if field := _FIELD.search(error):
        return Place(fallback.file, _field_line(read_text(checkout.root / fallback.file), field[1].split(".")))
    # The overlay's own files first: a base has been rendered by others.
    ordered = sorted(files, key=lambda file: (file == fallback.file, not file.startswith(f"{unit}/"), file))
    for match in _IDS.findall(error):
        kind, name = [each for each in match if each][:2]
        for file in ordered:
            text = read_text(checkout.root / file)
            if re.search(rf"^kind: {kind}$", text, re.MULTILINE) and (found := line_of(text, f"name: {name}")):
                return Place(file, found)
    for file in [fallback.file, *ordered]:
        text = read_text(checkout.root / file)
        for word in _quoted(error):
            if found := line_of(text, word):
                return Place(file, found)
    return fallback


def _twice(text: str) -> int | None:
    """The line of the first key that its mapping has already."""
    try:
        nodes = yamlfile.compose_all(text, "")
    except InputError:
        return None
    known = set[int]()
    while nodes:
        node = nodes.pop(0)
        if id(node) in known:  # by an alias
            continue
        known.add(id(node))
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if str(key.value) in seen:
                    return int(key.start_mark.line) + 1
                seen.add(str(key.value))
                nodes.append(value)
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
    return None


def _field_line(text: str, path: list[str]) -> int:
    """The line of a field of a kustomization, as far as the path leads."""
    try:
        [node] = yamlfile.compose_all(text, "")
    except (InputError, ValueError):
        return 1
    line = 1
    for step in path:
        if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in pairs if key.value == step), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _quoted(text: str) -> list[str]:
    words = [next(filter(None, each)) for each in _WORDS.findall(text)]
    return [w for word in words for w in (word, word.rpartition("/")[2]) if len(w) > 3]


def one_line(text: str) -> str:
    """A tool's complaint without its line ends, and not longer than one reads."""
    text = " ".join(text.split())
    return text if len(text) <= 400 else f"{text[:400]} ..."

"""Why a folder does not render, and on which line that is.

kustomize says both in English alone, and most often without a line. What is understood of its words is here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import RenderError
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.reach import NAMES, kustomization
from gitops.manifests.render import complaint

_WORDS = re.compile(r"""'([^'\s]+)'|"([^"\s]+)"|([\w.-]+(?:/[\w.-]+)+)|([\w-]+\.ya?ml)""")
# kustomize's name for an object: Deployment.v1.apps/web.[noNs], or as a merge prints it.
_IDS = re.compile(r"""Id (\w+)\.[\w.-]*/([\w-]+)\.\[|\W+kind\W+(\w+)\W+metadata.*?\W+name\W+([\w-]+)""")
# Go's name for a field of a kustomization that has another type.
_FIELD = re.compile(r"struct field Kustomization\.([\w.]+)")
_LONGEST = 400


@dataclass(frozen=True)
class Complaint:
    """What is understood of kustomize's words.

    `objects`: the (kind, name) of what it names; `field`: the path of a field of the kustomization that has a wrong
    type, empty where it is about none; `words`: what it quotes, and file names, each whole and its last part.
    """

    objects: tuple[tuple[str, str], ...] = ()
    field: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Complaint:
        """Read kustomize's standard error."""
        ids = [tuple(filter(None, groups)) for groups in _IDS.findall(text)]
        field = _FIELD.search(text)
        quoted = [next(filter(None, groups)) for groups in _WORDS.findall(text)]
        words = itertools.chain.from_iterable((word, word.rpartition("/")[2]) for word in quoted)
        return cls(
            tuple((kind, name) for kind, name in ids),
            tuple(field[1].split(".")) if field else (),
            tuple(word for word in words if len(word) > 3),
        )


def finding(graph: Graph, unit: str, error: InputError) -> Finding:
    """A folder that does not render, as a finding."""
    hangs = isinstance(error, RenderError) and error.timed_out
    place, fix = locate(graph, unit, complaint(error)), f"try it: .tools/bin/kustomize build {unit}"
    return Finding("render-hangs" if hangs else "render", place, text(error), fix, unit)


def text(error: InputError) -> str:
    """Why a folder does not render, on one line and not longer than one reads."""
    line = " ".join(complaint(error).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


def locate(graph: Graph, unit: str, words: str) -> Place:
    """The file that kustomize complains of in these words, with its line where it says one or where the words stand."""
    root = graph.checkout.root
    own = kustomization(root / unit)
    top = graph.checkout.relative(own) if own else f"{unit}/{NAMES[0]}"
    files = sorted(file for file in graph.reach(unit).files if file.endswith((".yaml", ".yml", NAMES[-1])))
    texts = {file: read_text(root / file) for file in [top, *files]}
    # The overlay's own files first: a base has been rendered by others. Its kustomization names all the others.
    ordered = sorted(files, key=lambda file: (file == top, not file.startswith(f"{unit}/"), file))
    places = _places(
        {file: texts[file] for file in files}, {file: texts[file] for file in ordered}, top, Complaint.of(words)
    )
    return next(places, None) or _first_word(texts, [top, *ordered], Complaint.of(words).words) or Place(top, 1)


def _places(texts: dict[str, str], ordered: dict[str, str], top: str, understood: Complaint) -> Iterator[Place]:
    """The lines at fault, the surest first."""
    for file, content in texts.items():
        if place := _invalid(content, file):
            yield place
    for file, content in texts.items():
        if line := _repeated_key(content):
            yield Place(file, line)
    if understood.field:
        yield Place(top, _field_line(texts.get(top, ""), understood.field))
    for kind, name in understood.objects:
        for file, content in ordered.items():
            of_kind = re.search(rf"^kind: {kind}$", content, re.MULTILINE)
            if of_kind and (line := line_of(content, f"name: {name}")):
                yield Place(file, line)


def _first_word(texts: dict[str, str], files: list[str], words: tuple[str, ...]) -> Place | None:
    for file in files:
        for word in words:
            if line := line_of(texts[file], word):
                return Place(file, line)
    return None


def _invalid(content: str, file: str) -> Place | None:
    """The place where a text is not YAML."""
    try:
        yamlfile.compose_all(content, file)
    except InputError as error:
        return Place(file, error.fault.line or 1)
    return None


def _repeated_key(content: str) -> int | None:
    """The line of the first key that its mapping has already."""
    try:
        nodes = yamlfile.compose_all(content, "")
    except InputError:
        return None
    for node in yamlfile.every_node(nodes):
        if isinstance(node, yaml.MappingNode) and (line := _repeated_in(node)):
            return line
    return None


def _repeated_in(node: yaml.MappingNode) -> int | None:
    keys = set[str]()
    for key, _ in node.value:
        if str(key.value) in keys:
            return int(key.start_mark.line) + 1
        keys.add(str(key.value))
    return None


def _field_line(content: str, path: tuple[str, ...]) -> int:
    """The line of a field of a kustomization, as far as the path leads."""
    try:
        [node] = yamlfile.compose_all(content, "")
    except (InputError, ValueError):
        return 1
    line = 1
    for step in path:
        if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        pair = next(((key, value) for key, value in pairs if key.value == step), None)
        if pair is None:
            break
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line

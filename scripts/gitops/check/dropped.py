"""What is written in another form than its field has: kustomize renders nothing of it, and says nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import cache

import yaml

from gitops.check.unmatched import RULE, SourceFiles
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place, line_of, read_text

# A place, what is wrong there, and how to fix it.
_Fault = tuple[Place, str, str]


def check(units: Iterable[str], sources: SourceFiles) -> Iterator[Finding]:
    """What of the folders' files is not in their renders. A base's file is many folders', and read once."""

    @cache
    def faults(file: str, role: str) -> list[_Fault]:
        return [*_emptied(file, sources), *(_passed_by(file, sources) if role == "patch" else ())]

    for unit in units:
        layers = sources.graph.reach(unit).layers
        roles = dict.fromkeys((layer.file, layer.role) for layer in layers if layer.role in ("resource", "patch"))
        for place, problem, fix in itertools.chain.from_iterable(itertools.starmap(faults, roles)):
            yield Finding(RULE, place, problem, fix, unit)


def _emptied(file: str, sources: SourceFiles) -> Iterator[_Fault]:
    """Labels and annotations that are no text: kustomize writes an empty one in place of a mapping or a list."""
    for item, field in itertools.product(sources.objects(file), ("labels", "annotations")):
        metadata = item.get("metadata")
        texts = metadata.get(field) if isinstance(metadata, dict) else None
        for key, text in texts.items() if isinstance(texts, dict) else ():
            if isinstance(text, dict | list):
                line = line_of(read_text(sources.graph.checkout.root / file), f"{key}:") or 1
                problem = f"{field}.{key}: expected a text, found a {'mapping' if isinstance(text, dict) else 'list'}"
                yield Place(file, line), problem, "write a text: kustomize empties it"


def _passed_by(file: str, sources: SourceFiles) -> Iterator[_Fault]:
    """Lists in the lists of a patch: Kubernetes has none."""
    if not sources.objects(file):
        return
    nodes = yamlfile.every_node(yamlfile.compose_all(read_text(sources.graph.checkout.root / file), file))
    for node in nodes:
        for item in node.value if isinstance(node, yaml.SequenceNode) else ():
            if isinstance(item, yaml.SequenceNode):
                place = Place(file, item.start_mark.line + 1)
                fix = "write it as its field has it: kustomize passes it by"
                yield place, "a list in a list: expected a mapping or a text", fix

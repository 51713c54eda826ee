"""A folder as an Application has it rendered: with what its source says of kustomize, and all of its sources.

Source: argo-cd v3.6.1, util/kustomize/kustomize.go (the order of the edits) and reposerver/repository/repository.go.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from gitops.ground import temporary
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, run
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.applicationset import Application
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import Renderer
from gitops.manifests.objects import Object
from gitops.manifests.reach import NAMES, kustomization
from gitops.manifests.render import Rendered, build

# What a source says beside where it is. The rest would be rendered by another program than kustomize.
_PLACE = {"repoURL", "targetRevision", "path", "ref", "name"}
_EDITS = {
    "namePrefix", "nameSuffix", "images", "replicas", "commonLabels", "forceCommonLabels", "labelWithoutSelector",
    "labelIncludeTemplates", "commonAnnotations", "forceCommonAnnotations", "commonAnnotationsEnvsubst", "namespace",
    "patches", "components", "ignoreMissingComponents",
}  # fmt: skip
_SECONDS = 60.0


def options(application: Application | None) -> list[Object]:
    """What each of its sources says of kustomize; empty where a folder is rendered as it is."""
    said = [source.get("kustomize") for _, source in application.sources] if application else []
    return [one for one in said if isinstance(one, dict) and one]


def rendered(tools: Checkout, renders: Renderer, graph: Graph, unit: str, application: Application | None) -> Rendered:
    """What Argo CD applies for an Application that reads `unit`. Without an Application: the folder as it is."""
    if application is None:
        return build(renders, graph.checkout.root, unit, graph.reach(unit))
    texts: list[bytes] = []
    for _, source in application.sources:
        path = posixpath.normpath(str(source.get("path") or ""))
        if others := sorted(source.keys() - _PLACE - {"kustomize"}):
            return Rendered(unit, error=InputError(f"source.{others[0]}: not rendered by kustomize", path=unit))
        if kustomization(graph.checkout.root / path) is None:
            continue  # another repository's, which the gate does not read
        said = source.get("kustomize")
        one = (
            _edited(tools, renders, graph, path, said)
            if said
            else build(renders, graph.checkout.root, path, graph.reach(path))
        )
        if one.error:
            return Rendered(unit, error=one.error)
        texts.append(one.text)
    return Rendered(unit, b"---\n".join(texts))


def _edited(tools: Checkout, renders: Renderer, graph: Graph, path: str, said: Object) -> Rendered:
    """A folder rendered after kustomize has edited it in a copy, as Argo CD does in its own."""
    if unknown := sorted(said.keys() - _EDITS):
        return Rendered(path, error=InputError(f"source.kustomize.{unknown[0]}: not known here", path=path))
    reach = graph.reach(path)
    if reach.refusals:
        return build(renders, graph.checkout.root, path, reach)
    components = [posixpath.normpath(posixpath.join(path, str(entry))) for entry in said.get("components") or []]
    root = graph.checkout.root
    there = [component for component in components if kustomization(root / component)]
    with temporary.folder() as copy:
        for file in set(reach.files).union(*(graph.reach(component).files for component in there)):
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            if (root / file).is_file():
                shutil.copyfile(root / file, copy / file)
        try:
            for words in _edits(said, [str(entry) for entry in said.get("components") or []]):
                run([tools.tool("kustomize"), "edit", *words], timeout=_SECONDS, cwd=copy / path)
            _add_patches(copy / path, said.get("patches") or [])
        except CommandError as error:
            complaint = error.stderr.strip().removeprefix("Error: ")
            return Rendered(path, error=InputError(f"source.kustomize: {complaint}", path=path))
        return build(renders, copy, path)


def _edits(said: Object, components: list[str]) -> Iterator[list[str]]:
    """The words of each `kustomize edit`, in Argo CD's order."""
    for key, word in (("namePrefix", "nameprefix"), ("nameSuffix", "namesuffix")):
        if said.get(key):
            yield ["set", word, "--", str(said[key])]
    if said.get("images"):
        yield ["set", "image", *map(str, said["images"])]
    if said.get("replicas"):
        yield ["set", "replicas", *(f"{one['name']}={one['count']}" for one in said["replicas"])]
    if said.get("commonLabels"):
        flags = {"forceCommonLabels": "force", "labelWithoutSelector": "without-selector"}
        flags["labelIncludeTemplates"] = "include-templates"
        chosen = [f"--{flag}" for key, flag in flags.items() if said.get(key)]
        yield ["add", "label", *chosen, *_pairs(said["commonLabels"])]
    if said.get("commonAnnotations"):
        yield [
            "add",
            "annotation",
            *(["--force"] if said.get("forceCommonAnnotations") else []),
            *_pairs(said["commonAnnotations"]),
        ]
    if said.get("namespace"):
        yield ["set", "namespace", "--", str(said["namespace"])]
    if components:
        yield ["add", "component", *components]


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}:{value}" for key, value in values.items()]


def _add_patches(folder: Path, patches: list[Any]) -> None:
    """kustomize has no edit for them: Argo CD writes them into the file."""
    file = kustomization(folder) or folder / NAMES[0]
    if patches:
        [content] = yamlfile.parse_all(file.read_bytes(), file.name)
        content["patches"] = [*(content.get("patches") or []), *patches]
        file.write_text(yaml.safe_dump(content))

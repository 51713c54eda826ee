"""Files that stand among those of a kustomization and that none lists."""

from __future__ import annotations

import itertools
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from gitops.ground.errors import InputError
from gitops.images.policy import FILE as POLICIES
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place, read_text
from gitops.manifests.reach import NAMES

RULE = "unlisted"
# Folders that are more than one overlay's.
SHARED = ("apps/", "base/", "clusters/", "policies/")
_OWNER = "owner.yaml"
# What is read by people or by the bots, beside what is rendered.
_BESIDE = re.compile(r"hold(_[a-z0-9_-]+)?\.yaml|(README|NOTES|CHANGELOG)(\.\w+)?|\.(?!env).*", re.IGNORECASE)
# Of a cluster: what its stacks on AWS gave, which `gitops cluster` writes and reads.
_OUTPUTS = "outputs.yaml"
_TEXTS = (".yaml", ".yml", ".json")
_OBJECT = re.compile(r"""^(apiVersion|["']apiVersion["'])\s*:""", re.MULTILINE)


def check(graph: Graph, unit: str) -> Iterator[Finding]:
    """The files of an overlay's folder that it is not made of."""
    reach = graph.reach(unit)
    for path in _files(graph.checkout.root, unit):
        name = posixpath.basename(path)
        beside = name.endswith(".md") or (_BESIDE.fullmatch(name) and posixpath.dirname(path) == unit)
        if path not in reach.files and not beside:
            yield _finding(path, f"{unit}/{NAMES[0]}", unit)


def check_services(graph: Graph) -> Iterator[Finding]:
    """Objects that stand beside a service's environments, where no kustomization is."""
    root = graph.checkout.root
    for file in sorted(graph.checkout.overlays.glob("[!.]*/*")):
        path = graph.checkout.relative(file)
        if file.is_file() and file.name not in (_OWNER, POLICIES, *NAMES) and _is_object(root / path):
            yield _finding(path, f"{posixpath.dirname(path)}/<environment>/{NAMES[0]}", "")


def check_shared(graph: Graph) -> Iterator[Finding]:
    """Objects of folders that all share, beside a kustomization, that no kustomization lists."""
    files = list(itertools.chain.from_iterable(_files(graph.checkout.root, top.rstrip("/")) for top in SHARED))
    kustomizations = [path for path in files if posixpath.basename(path) in NAMES]
    folders = {posixpath.dirname(path) for path in kustomizations}
    listed = {*kustomizations, *itertools.chain.from_iterable(_listed(graph, path) for path in kustomizations)}
    for path in files:
        folder, name = posixpath.split(path)
        read = name == _OUTPUTS and folder.startswith("clusters/")
        if folder in folders and not read and path not in listed and _is_object(graph.checkout.root / path):
            yield _finding(path, f"{folder}/{NAMES[0]}", "")


def _listed(graph: Graph, path: str) -> Iterator[str]:
    """Every path that a kustomization may name."""
    return (posixpath.normpath(posixpath.join(posixpath.dirname(path), word)) for word in _named(graph, path))


def _finding(path: str, kustomization: str, unit: str) -> Finding:
    name = posixpath.basename(path)
    problem = f"{name} is in no kustomization's list: it is not deployed"
    fix = f"list it in {kustomization} (resources, patches or a generator's files), or take it away"
    return Finding(RULE, Place(path, 1), problem, fix, unit)


def _files(root: Path, top: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root / top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (str(Path(folder, name).relative_to(root)) for name in sorted(names))


def _named(graph: Graph, path: str) -> Iterator[str]:
    """Every text of a kustomization that may be a path."""
    try:
        nodes = yamlfile.compose_all(read_text(graph.checkout.root / path), path)
    except InputError:
        return
    for node in yamlfile.every_node(nodes):
        if isinstance(node.value, str) and "\n" not in node.value:
            yield node.value.rpartition("=")[2]


def _is_object(file: Path) -> bool:
    return file.name.endswith(_TEXTS) and bool(_OBJECT.search(read_text(file)))

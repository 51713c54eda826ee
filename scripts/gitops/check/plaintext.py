"""Secrets that are no secret in git: as overlays and clusters render them, and as files have them.

What a patch takes away, or nothing renders, is in git all the same. So each file is read, whatever its name and form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from gitops.check import seals
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place
from gitops.manifests.yamltext import child, scalar

_FOLDERS = ("apps", "base", "clusters", "overlays", "policies")
# Where .gitleaks.toml lets a sealed value stand.
_SEALED_FILE = re.compile(r"overlays/[^/]+/[^/]+/sealedsecret-[^/]+\.yaml")
# A text without any of these has no Secret in it: an escape may hide a letter.
_SUSPECT = re.compile(rb"(?<!Sealed)Secret\b|\\")
# In what is no YAML.
_LINE = re.compile(r"""["']?\bkind["']?\s*:\s*["']?Secret\b(?!\w)""")
# An object, and not the name of one that is somewhere else.
_OBJECT = ("metadata", "data", "stringData", "<<")
# Texts in texts: as far as gitleaks decodes what is encoded again (leaks.py).
_DEEPEST = 5
_WHAT, _FIX = "a plain Secret", "seal it: gitops secrets seal SERVICE NAME --key KEY"


def check(unit: Unit) -> Iterator[Finding]:
    """Plain Secrets that a unit renders."""
    for item in unit.kind("Secret"):
        if str(item.get("apiVersion")) == "v1":
            yield unit.finding("plain-secret", item, ("metadata", "name"), _WHAT, _FIX)


def check_files(graph: Graph) -> Iterator[Finding]:
    """Plain Secrets in files, rendered or not, and files of sealed values that have something else."""
    root = graph.checkout.root
    for path in readable(root):
        content = (root / path).read_bytes()
        if _SEALED_FILE.fullmatch(path):
            yield from seals.check_file(path, content)
        if _SUSPECT.search(content):
            for line in sorted(set(_secrets(content.decode(errors="replace"), path))):
                yield Finding("plain-secret", Place(path, line), _WHAT, _FIX)


def readable(root: Path) -> Iterator[str]:
    """What people could read; what is larger is opaque to all (leaks.py)."""
    for top in _FOLDERS:
        for folder, _, names in os.walk(root / top):
            for file in sorted(Path(folder, name) for name in names):
                if file.is_file() and file.stat().st_size <= yamlfile.MOST_BYTES:
                    yield str(file.relative_to(root))


def _secrets(text: str, source: str, depth: int = 0) -> Iterator[int]:
    """The lines on which a Secret begins to be one. `depth`: in how many texts this one stands."""
    try:
        # A text that is a text itself would be looked at for ever.
        tops = [node for node in yamlfile.compose_all(text, source) if not isinstance(node, yaml.ScalarNode)]
    except InputError:
        yield from (text.count("\n", 0, match.start()) + 1 for match in _LINE.finditer(text))
        return
    for node in yamlfile.every_node(tops):
        if isinstance(node, yaml.MappingNode):
            if scalar(node, "kind") == "Secret" and any(child(node, key) for key in _OBJECT):
                yield child(node, "kind").start_mark.line + 1  # type: ignore[union-attr]
        elif depth < _DEEPEST and _is_text(node) and any(_secrets(str(node.value), source, depth + 1)):
            # A patch in a kustomization, or a manifest in a ConfigMap.
            yield node.start_mark.line + 1


def _is_text(node: yaml.Node) -> bool:
    """Whether a value may itself be a text with a Secret."""
    value = node.value
    return isinstance(value, str) and ("\n" in value or "{" in value) and bool(_SUSPECT.search(value.encode()))

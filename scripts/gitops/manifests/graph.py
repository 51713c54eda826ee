"""Which overlays there are, and which of them a change affects."""

from __future__ import annotations

import itertools
import os
import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.manifests.reach import NAMES, Files, Reach, kustomization
from gitops.manifests.walk import read
from gitops.manifests.yamlfile import MOST_BYTES

# What renders: another version of it may render anything otherwise.
RENDERER = "scripts/tools/kustomize/"
# Where the folders of Applications are that are no service's.
PLATFORM = ("clusters/*", "clusters/*/*", "apps/platform/*/objects")
# What of an overlay kustomize reads as YAML.
TEXTS = (".yaml", ".yml", "Kustomization")
_BASE = re.compile(rb"(?<=[\s\"'=\[,])(?:\.\./)+base/[\w/-]+(?=[\s\"',\]])")
_UP = re.compile(rb"\.\.(?:/\.\.)*")
# Their files may name further ones; what Helm reads nobody here knows.
_PLUGINS = re.compile(rb"^(generators|transformers|validators|configurations|openapi)\b", re.MULTILINE)
_HELM = re.compile(rb"^helm", re.MULTILINE)
# A dot in other words, or two of them on two lines of one text.
_ESCAPED_DOTS = re.compile(rb"\\(x2e|u002e|U0000002e)|\.(\\\r?\n[ \t]*)+\.", re.IGNORECASE)


@dataclass(frozen=True)
class Overview:
    """What a revision's overlays are called, and which of them surely read their own folder and base/ alone.

    `closed_base`: base/ surely reads nothing else.
    """

    units: tuple[str, ...]
    self_contained: frozenset[str]
    closed_base: bool = False


def is_self_contained(files: Mapping[str, bytes]) -> bool:
    """Whether an overlay surely reads its own folder and base/ alone: its files name no other path, and hide none.

    `files`: the text files of its folder. Another folder cannot be named without dots, nor dots in other words without
    an escape of YAML's.
    """
    own = {path: content for path, content in files.items() if posixpath.basename(path) in NAMES}
    contents = [_BASE.sub(b"", content) for content in own.values()]
    if any(_PLUGINS.search(content) for content in own.values()):
        contents += [content for path, content in files.items() if path not in own]
    return not any(b".." in content or _ESCAPED_DOTS.search(content) or _HELM.search(content) for content in contents)


def is_closed(files: Mapping[str, bytes]) -> bool:
    """Whether base/ surely reads itself alone: none of its files goes up and out of it. `files`: its text files."""
    return not any(_ESCAPED_DOTS.search(content) or _goes_out(path, content) for path, content in files.items())


def _goes_out(path: str, content: bytes) -> bool:
    return any(match[0].count(b"..") >= path.count("/") for match in _UP.finditer(content))


class Graph:
    """One revision's overlays and clusters, and what each is made of."""

    def __init__(self, checkout: Checkout, overview: Overview | None = None) -> None:
        """`overview`: what is known of the overlays whose files are not there."""
        self.checkout, self._overview = checkout, overview
        self._files = Files(checkout)
        self._reach: dict[str, Reach] = {}

    @cached_property
    def units(self) -> list[str]:
        """The folders that an Application renders: every overlay, then those of the clusters, then the platform's."""
        overlays = list(self._overview.units) if self._overview else self._folders("overlays/*/*")
        platform = itertools.chain.from_iterable(map(self._folders, PLATFORM))
        # A hidden folder is a draft of a `service new` that was killed.
        return [unit for unit in [*overlays, *platform] if "/." not in unit]

    @property
    def clusters(self) -> list[str]:
        """Those of `units` that are a cluster's root. All overlays run in each of them."""
        return [unit for unit in self.units if unit.startswith("clusters/") and unit.count("/") == 1]

    def brought_by(self, cluster: str) -> list[str]:
        """Those of `units` that a cluster's root brings, beside the overlays."""
        own = [unit for unit in self.units if unit.startswith(f"{cluster}/")]
        return [*own, *(unit for unit in self.units if unit.startswith("apps/"))]

    def _folders(self, pattern: str) -> list[str]:
        root = self.checkout.root
        return sorted(str(folder.relative_to(root)) for folder in root.glob(pattern) if kustomization(folder))

    def reach(self, unit: str) -> Reach:
        """Everything that `unit` is made of."""
        if unit not in self._reach:
            self._reach[unit] = read(self._files, unit)
        return self._reach[unit]

    def affected(self, changed: Collection[str]) -> list[str]:
        """The units that a change of these paths may render otherwise; all of them when unsure."""
        if any(path.startswith(RENDERER) for path in changed):
            return self.units
        if any(path.startswith("base/") for path in changed):
            return [unit for unit in self.units if self.reach(unit).touched(changed)]
        # Who reads nothing but its own folder and base/ need not be understood.
        own = {unit_of(path) for path in changed}
        candidates = [unit for unit in self.units if unit in own or not self._is_self_contained(unit)]
        return [unit for unit in candidates if self.reach(unit).touched(changed)]

    def _is_self_contained(self, unit: str) -> bool:
        if self._overview:
            return unit in self._overview.self_contained
        files: dict[str, bytes] = {}
        for folder, folders, names in os.walk(self.checkout.root / unit):
            paths = [Path(folder, name) for name in (*folders, *names)]
            if any(path.is_symlink() for path in paths):
                return False
            texts = [path for path in paths if path.is_file() and path.name.endswith(TEXTS)]
            if any(path.stat().st_size > MOST_BYTES for path in texts):
                return False
            files |= {str(path): path.read_bytes() for path in texts}
        return unit.startswith("overlays/") and is_self_contained(files)


def unit_of(path: str) -> str:
    """The overlay that a path below overlays/ belongs to."""
    return "/".join(path.split("/")[:3])

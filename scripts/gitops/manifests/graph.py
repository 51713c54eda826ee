"""Which files each overlay is made of, read from its kustomizations: what a change affects, and what it does not.

The fields are those of kustomize's own types.Kustomization. Where something is not understood (a field that is not in
the list, a file that cannot be read) the overlay says so, and counts as affected by every change.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile

# In the order in which kustomize looks for them.
NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Fields whose entries are folders or files, those with files behind a key, and those that name no file.
_PATHS = ("resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators")
_PATCHES = ("patchesStrategicMerge", "patches", "patchesJson6902", "replacements")
_GENERATORS = ("configMapGenerator", "secretGenerator")
_PLAIN = {
    "apiVersion",
    "kind",
    "metadata",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "labels",
    "commonLabels",
    "commonAnnotations",
    "images",
    "imageTags",
    "replicas",
    "generatorOptions",
    "sortOptions",
    "buildMetadata",
    "vars",
}
# What renders: another version of it may render anything otherwise.
RENDERER = "scripts/tools/kustomize/"
# The cluster whose Argo CD, policies, load balancer and prices the overlays meet; the lab's is made from the same.
CLUSTER = "clusters/seoul"
_BASE = re.compile(rb"(?<=[\s\"'=\[,])(?:\.\./)+base/[\w/-]+(?=[\s\"',\]])")
# Their files may name further ones; what Helm reads nobody here knows.
_PLUGINS = re.compile(rb"^(generators|transformers|validators|configurations|openapi)\b", re.MULTILINE)
_HELM = re.compile(rb"^helm", re.MULTILINE)
# A dot in other words, or two of them on two lines of one text.
_HIDDEN = re.compile(rb"\\(x2e|u002e|U0000002e)|\.(\\\r?\n[ \t]*)+\.", re.IGNORECASE)
# What of an overlay kustomize reads as YAML.
TEXTS = (".yaml", ".yml", "Kustomization")
_REMOTE = re.compile(r"^(https?://|ssh://|git@|git::|file://|github\.com[/:]|[\w.-]+@[\w.-]+:)|[?&]ref=|//.+//")


@dataclass
class Reach:
    """What one overlay is made of, as paths from the repository's root.

    `layers`: every kustomization and what it lists, in the order in which kustomize applies them (a later one wins).
    `unsure`: why not everything is known; `remote`: bases that are somewhere else; `outside`: paths that lead out of
    the repository; both as (file, entry). `bombs`: (file, line) whose aliases stand for more than any file can mean.
    """

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    layers: list[Layer] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    remote: list[tuple[str, str]] = field(default_factory=list)
    outside: list[tuple[str, str]] = field(default_factory=list)
    bombs: list[tuple[str, int]] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether it is never rendered: it would ask the network, read other files, or take all memory."""
        return bool(self.remote or self.outside or self.bombs)

    def touched(self, changed: Collection[str]) -> bool:
        """Whether one of the changed paths is one of its files, or could take the place of one."""
        if self.unsure:
            return bool(changed)
        names = {posixpath.join(folder, name) for folder in self.folders for name in NAMES}
        return not (self.files | names).isdisjoint(changed)


@dataclass(frozen=True)
class Layer:
    """One thing that kustomize lays over what it has: a resource file, a patch, or a kustomization's own fields.

    `file`: where it stands; `patch`: an inline patch's text; `target`: what a patch selects.
    """

    file: str
    role: str
    patch: str | None = None
    target: dict[str, str] | None = None


@dataclass(frozen=True)
class Overview:
    """What a revision's overlays are called, and which of them surely read their own folder and base/ alone."""

    units: tuple[str, ...]
    home: frozenset[str]


def stays_home(files: Mapping[str, bytes]) -> bool:
    """Whether an overlay surely reads its own folder and base/ alone: its files name no other path, and hide none.

    `files`: the text files of its folder. Another folder cannot be named without dots, nor dots in other words without
    an escape of YAML's.
    """
    own = {path: content for path, content in files.items() if posixpath.basename(path) in NAMES}
    plugins = any(_PLUGINS.search(content) for content in own.values())
    looked = [_BASE.sub(b"", content) for content in own.values()]
    looked += [content for path, content in files.items() if plugins and path not in own]
    return not any(b".." in content or _HIDDEN.search(content) or _HELM.search(content) for content in looked)


class Graph:
    """One revision's overlays and clusters, and what each is made of."""

    def __init__(self, checkout: Checkout, overview: Overview | None = None) -> None:
        """`overview`: what is known of the overlays whose files are not there."""
        self.checkout, self._overview = checkout, overview
        self._read: dict[str, dict[str, Any] | str] = {}
        self._reach: dict[str, Reach] = {}
        self._bombs: dict[str, int | None] = {}
        self._root = os.path.realpath(checkout.root)
        self._real: dict[str, str] = {}

    @cached_property
    def units(self) -> list[str]:
        """The folders that an Application renders: every overlay, then every cluster."""
        found = list(self._overview.units) if self._overview else []
        for pattern in ("clusters/*",) if self._overview else ("overlays/*/*", "clusters/*"):
            folders = (folder for folder in self.checkout.root.glob(pattern) if kustomization(folder))
            # A hidden folder is a draft of a `service new` that was killed.
            found += sorted(str(f.relative_to(self.checkout.root)) for f in folders if not f.name.startswith("."))
        return [unit for unit in found if "/." not in unit]

    def reach(self, unit: str) -> Reach:
        """Everything that `unit` is made of."""
        if unit not in self._reach:
            reach = Reach()
            self._folder(unit, reach, ())
            self._reach[unit] = reach
        return self._reach[unit]

    def affected(self, changed: Collection[str]) -> list[str]:
        """The units that a change of these paths may render otherwise; all of them when unsure."""
        if any(path.startswith(RENDERER) for path in changed):
            return self.units
        if any(path.startswith("base/") for path in changed):
            return [unit for unit in self.units if self.reach(unit).touched(changed)]
        # Who reads nothing but its own folder and base/ need not be understood.
        own = {unit_of(path) for path in changed}
        return [
            unit for unit in self.units if (unit in own or not self._home(unit)) and self.reach(unit).touched(changed)
        ]

    def _home(self, unit: str) -> bool:
        if self._overview:
            return unit in self._overview.home
        files: dict[str, bytes] = {}
        for folder, folders, names in os.walk(self.checkout.root / unit):
            paths = [Path(folder, name) for name in (*folders, *names)]
            if any(path.is_symlink() for path in paths):
                return False
            files |= {str(path): path.read_bytes() for path in paths if path.is_file() and path.name.endswith(TEXTS)}
        return unit.startswith("overlays/") and stays_home(files)

    def _folder(self, folder: str, reach: Reach, above: tuple[str, ...]) -> None:
        if folder in above:
            reach.unsure.append(f"{folder}: refers to itself")
            return
        found = kustomization(self.checkout.root / folder)
        reach.folders.add(folder)
        if found is None:
            # kustomize will say so; until then every change may put it right.
            reach.unsure.append(f"{folder}: no kustomization.yaml")
            return
        path = posixpath.join(folder, found.name)
        self._file(path, reach)
        content = self._load(path)
        if isinstance(content, str):
            reach.unsure.append(content)
            reach.layers.append(Layer(path, "kustomization"))
            return
        reach.unsure += [f"{path}: {name}: not a field that is known here" for name in self._unknown(content)]
        for entry in [*_list(content, "resources"), *_list(content, "bases"), *_list(content, "crds")]:
            self._entry(folder, entry, reach, (*above, folder), path, "resource")
        for entry in _list(content, "components"):
            self._entry(folder, entry, reach, (*above, folder), path, "component")
        for name in ("generators", "transformers", "validators", "configurations"):
            for entry in _list(content, name):
                self._entry(folder, entry, reach, (*above, folder), path, "configuration")
                self._plugin(folder, entry, reach, path)
        reach.layers.append(Layer(path, "kustomization"))
        self._patches(folder, path, content, reach)
        self._sources(folder, path, content, reach)

    def _unknown(self, content: dict[str, Any]) -> list[str]:
        known = {*_PATHS, *_PATCHES, *_GENERATORS, *_PLAIN, "openapi"}
        # With Helm's charts a render asks the network and another program: never seen here, so never sure.
        return [name for name in content if name not in known]

    def _patches(self, folder: str, path: str, content: dict[str, Any], reach: Reach) -> None:
        for name in _PATCHES:
            for entry in _list(content, name):
                patch = entry if isinstance(entry, str) else None
                target = None
                if isinstance(entry, dict):
                    selected = entry.get("target")
                    target = {k: str(v) for k, v in selected.items()} if isinstance(selected, dict) else None
                    if entry.get("path"):
                        self._leaf(folder, entry["path"], reach, path, name, target)
                    elif isinstance(entry.get("patch"), str):
                        reach.layers.append(Layer(path, "patch", entry["patch"], target))
                elif patch and "\n" in patch:
                    reach.layers.append(Layer(path, "patch", patch))
                elif patch:
                    self._leaf(folder, patch, reach, path, name, None)

    def _plugin(self, folder: str, entry: object, reach: Reach, source: str) -> None:
        """The files that a generator's or transformer's own configuration names."""
        if not isinstance(entry, str):
            return
        file = posixpath.normpath(posixpath.join(folder, entry))
        try:
            text = entry if "\n" in entry else (self.checkout.root / file).read_bytes()
            waiting: list[object] = list(yamlfile.parse_all(text, file))
        except (InputError, OSError):
            return
        while waiting:
            item = waiting.pop()
            if isinstance(item, list):
                waiting += item
            elif isinstance(item, dict):
                for key, value in item.items():
                    named = value if isinstance(value, list) else [value]
                    if key in ("path", "paths", "files", "envs", "env"):
                        for each in named:
                            if isinstance(each, str) and "\n" not in each and not each.startswith("/"):
                                self._leaf(folder, each.partition("=")[2] or each, reach, source, "configuration", None)
                    else:
                        waiting += named

    def _sources(self, folder: str, path: str, content: dict[str, Any], reach: Reach) -> None:
        openapi = content.get("openapi")
        if isinstance(openapi, dict) and openapi.get("path"):
            self._leaf(folder, openapi["path"], reach, path, "openapi", None)
        for name in _GENERATORS:
            for entry in _list(content, name):
                if not isinstance(entry, dict):
                    continue
                files = [str(file).partition("=")[2] or str(file) for file in _list(entry, "files")]
                for file in [*files, *_list(entry, "envs"), *([entry["env"]] if entry.get("env") else [])]:
                    self._leaf(folder, file, reach, path, "generator", None)

    def _entry(
        self,
        folder: str,
        entry: object,
        reach: Reach,
        above: tuple[str, ...],
        source: str,
        role: str,
    ) -> None:
        if not isinstance(entry, str):
            reach.unsure.append(f"{source}: an entry that is no path but {type(entry).__name__}")
            return
        if "\n" in entry:
            reach.layers.append(Layer(source, role, entry))
            return
        if _REMOTE.search(entry):
            reach.remote.append((source, entry))
            return
        target = posixpath.normpath(posixpath.join(folder, entry))
        if self._leaves(target, reach, source, entry):
            return
        if (self.checkout.root / target).is_dir():
            self._folder(target, reach, above)
        else:
            self._leaf(folder, entry, reach, source, role, None)

    def _leaf(
        self,
        folder: str,
        entry: object,
        reach: Reach,
        source: str,
        role: str,
        target: dict[str, str] | None,
    ) -> None:
        if not isinstance(entry, str):
            reach.unsure.append(f"{source}: a path that is no text but {type(entry).__name__}")
            return
        path = posixpath.normpath(posixpath.join(folder, entry))
        if self._leaves(path, reach, source, entry):
            return
        self._file(path, reach)
        kind = "patch" if role in _PATCHES and role != "replacements" else role
        reach.layers.append(Layer(path, kind, None, target))

    def _leaves(self, path: str, reach: Reach, source: str, entry: str) -> bool:
        """Whether a path leads out of the repository, itself or by a symlink on its way."""
        if path.startswith(("/", "..")) or not f"{self._where(path)}/".startswith(f"{self._root}/"):
            reach.outside.append((source, entry))
            return True
        return False

    def _where(self, path: str) -> str:
        """A path without its links; the bases' are asked for again and again."""
        if path not in self._real:
            self._real[path] = os.path.realpath(os.path.join(self._root, path))  # noqa: PTH118 - ten times as fast
        return self._real[path]

    def _file(self, path: str, reach: Reach) -> None:
        reach.files.add(path)
        if path not in self._bombs:
            self._bombs[path] = yamlfile.bomb(self.checkout.root / path) if path.endswith((".yaml", ".yml")) else None
        if (line := self._bombs[path]) is not None:
            reach.bombs.append((path, line))
        real = self._where(path)
        if real != f"{self._root}/{path}" and real.startswith(f"{self._root}/"):
            reach.files.add(real.removeprefix(f"{self._root}/"))
            # The links on the way may be pointed elsewhere.
            parts = path.split("/")
            above = ["/".join(parts[:n]) for n in range(1, len(parts))]
            reach.files |= {each for each in above if (self.checkout.root / each).is_symlink()}

    def _load(self, path: str) -> dict[str, Any] | str:
        if path not in self._read:
            try:
                self._read[path] = _parsed((self.checkout.root / path).read_bytes())
            except (InputError, OSError) as error:
                self._read[path] = f"{path}: {error}"
        return self._read[path]


@lru_cache(maxsize=4096)
def _parsed(content: bytes) -> dict[str, Any]:
    """A kustomization, read once for both revisions where it is the same. Never changed by anyone."""
    documents = yamlfile.parse_all(content, "it")
    if len(documents) != 1:
        raise InputError(f"expected one YAML document, found {len(documents)}")
    return documents[0]


def unit_of(path: str) -> str:
    """The overlay that a path below overlays/ belongs to."""
    return "/".join(path.split("/")[:3])


def kustomization(folder: Path) -> Path | None:
    """The kustomization of a folder, or None."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def _list(content: dict[str, Any], name: str) -> Iterator[Any]:
    found = content.get(name)
    return iter(found if isinstance(found, list) else [])

"""What one overlay is made of, read from its kustomizations.

The fields are those of kustomize's own types.Kustomization. What is not understood (a field that is not in the list, a
file that cannot be read) is told as unsure.
"""

from __future__ import annotations

import itertools
import os
import posixpath
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.lines import Place

# In the order in which kustomize looks for them.
NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Fields whose entries are folders or files, with what these are to kustomize.
_ENTRIES = {"resources": "resource", "bases": "resource", "crds": "resource", "components": "component"}
_PLUGINS = ("generators", "transformers", "validators", "configurations")
# Fields with files behind a key.
_PATCHES = ("patchesStrategicMerge", "patches", "patchesJson6902", "replacements")
_GENERATORS = ("configMapGenerator", "secretGenerator")
# Fields that name no file.
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
# With Helm's charts a render asks the network and another program: never seen here, so never sure.
_KNOWN = {*_ENTRIES, *_PLUGINS, *_PATCHES, *_GENERATORS, *_PLAIN, "openapi"}
# The keys under which a generator's or transformer's own configuration names files.
_NAMES_FILES = ("path", "paths", "files", "envs", "env")
_REMOTE = re.compile(r"^(https?://|ssh://|git@|git::|file://|github\.com[/:]|[\w.-]+@[\w.-]+:)|[?&]ref=|//.+//")


@dataclass(frozen=True)
class Entry:
    """What a kustomization refers to: in which file, and the words there."""

    file: str
    target: str


@dataclass(frozen=True)
class Layer:
    """One thing that kustomize lays over what it has: a resource file, a patch, or a kustomization's own fields.

    `file`: where it stands; `patch`: an inline patch's text; `target`: what a patch selects.
    """

    file: str
    role: str
    patch: str | None = None
    target: dict[str, str] | None = None


@dataclass
class Reach:
    """What one overlay is made of, as paths from the repository's root.

    `layers`: every kustomization and what it lists, in the order in which kustomize applies them (a later one wins).
    `unsure`: why not everything is known; `remote`: bases that are somewhere else; `outside`: paths that lead out of
    the repository; `excessive_aliases`: where aliases stand for more than any file can mean.
    """

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    layers: list[Layer] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    remote: list[Entry] = field(default_factory=list)
    outside: list[Entry] = field(default_factory=list)
    excessive_aliases: list[Place] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether it is never rendered: it would ask the network, read other files, or take all memory."""
        return bool(self.remote or self.outside or self.excessive_aliases)

    def touched(self, changed: Collection[str]) -> bool:
        """Whether one of the changed paths is one of its files, or could take the place of one."""
        if self.unsure:
            return bool(changed)
        names = set(itertools.starmap(posixpath.join, itertools.product(self.folders, NAMES)))
        return not (self.files | names).isdisjoint(changed)


class Files:
    """One revision's files, each looked at once, however many overlays are made of it."""

    def __init__(self, checkout: Checkout) -> None:
        self.root, self.real_root = checkout.root, os.path.realpath(checkout.root)
        self._contents: dict[str, dict[str, Any] | InputError] = {}
        self._aliases: dict[str, int | None] = {}
        self._real: dict[str, str] = {}

    def kustomization(self, path: str) -> dict[str, Any]:
        """The content of a kustomization. Never changed by anyone. Raises InputError."""
        if path not in self._contents:
            try:
                self._contents[path] = _parsed((self.root / path).read_bytes())
            except InputError as error:
                self._contents[path] = InputError.several(replace(fault, path=path) for fault in error.faults)
            except OSError as error:
                self._contents[path] = InputError(f"cannot be read: {error.strerror}", path=path)
        content = self._contents[path]
        if isinstance(content, InputError):
            raise content
        return content

    def excessive_aliases(self, path: str) -> int | None:
        """The line of a YAML file whose aliases stand for more than a file can mean; None where it is sound."""
        if path not in self._aliases:
            is_yaml = path.endswith((".yaml", ".yml"))
            self._aliases[path] = yamlfile.bomb(self.root / path) if is_yaml else None
        return self._aliases[path]

    def real(self, path: str) -> str:
        """A path without its links; the bases' are asked for again and again."""
        if path not in self._real:
            self._real[path] = os.path.realpath(os.path.join(self.real_root, path))  # noqa: PTH118 - ten times as fast
        return self._real[path]


def read(files: Files, unit: str) -> Reach:
    """Everything that `unit` is made of."""
    walk = _Walk(files)
    walk.folder(unit, ())
    return walk.reach


@dataclass(frozen=True)
class _Kustomization:
    """One that is being read. `above`: the folders by which it was reached."""

    path: str
    content: dict[str, Any]
    above: tuple[str, ...]

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    def list(self, name: str) -> list[Any]:
        return _list(self.content, name)

    def relative(self, entry: str) -> str:
        """A path of its own words, as the repository has it."""
        return posixpath.normpath(posixpath.join(self.folder, entry))


class _Walk:
    """From a folder through all that it names."""

    def __init__(self, files: Files) -> None:
        self._files, self.reach = files, Reach()

    def folder(self, folder: str, above: tuple[str, ...]) -> None:
        """A folder with its kustomization, and what that names."""
        if folder in above:
            self.reach.unsure.append(f"{folder}: refers to itself")
            return
        self.reach.folders.add(folder)
        file = kustomization(self._files.root / folder)
        if file is None:
            # kustomize will say so; until then every change may put it right.
            self.reach.unsure.append(f"{folder}: no kustomization.yaml")
            return
        path = posixpath.join(folder, file.name)
        self._file(path)
        try:
            self._kustomization(_Kustomization(path, self._files.kustomization(path), (*above, folder)))
        except InputError as error:
            self.reach.unsure.append(str(error))
            self.reach.layers.append(Layer(path, "kustomization"))

    def _kustomization(self, source: _Kustomization) -> None:
        unknown = [name for name in source.content if name not in _KNOWN]
        self.reach.unsure += [f"{source.path}: {name}: not a field that is known here" for name in unknown]
        for name, role in _ENTRIES.items():
            for entry in source.list(name):
                self._entry(source, entry, role)
        for name in _PLUGINS:
            for entry in source.list(name):
                self._entry(source, entry, "configuration")
                self._plugin(source, entry)
        self.reach.layers.append(Layer(source.path, "kustomization"))
        for name in _PATCHES:
            role = name if name == "replacements" else "patch"
            for entry in source.list(name):
                self._patch(source, entry, role)
        openapi = source.content.get("openapi")
        if isinstance(openapi, dict) and openapi.get("path"):
            self._leaf(source, openapi["path"], "openapi")
        for name in _GENERATORS:
            for entry in source.list(name):
                self._generator(source, entry)

    def _entry(self, source: _Kustomization, entry: object, role: str) -> None:
        """A folder, a file, a text of its own, or something that is not here."""
        if not isinstance(entry, str):
            self.reach.unsure.append(f"{source.path}: an entry that is no path but {type(entry).__name__}")
        elif "\n" in entry:
            self.reach.layers.append(Layer(source.path, role, entry))
        elif _REMOTE.search(entry):
            self.reach.remote.append(Entry(source.path, entry))
        elif self._is_outside(source.relative(entry)):
            self.reach.outside.append(Entry(source.path, entry))
        elif (self._files.root / source.relative(entry)).is_dir():
            self.folder(source.relative(entry), source.above)
        else:
            self._leaf(source, entry, role)

    def _patch(self, source: _Kustomization, entry: object, role: str) -> None:
        if isinstance(entry, str) and "\n" in entry:
            self.reach.layers.append(Layer(source.path, "patch", entry))
        elif isinstance(entry, str) and entry:
            self._leaf(source, entry, role)
        elif isinstance(entry, dict):
            selected = entry.get("target")
            target = {key: str(value) for key, value in selected.items()} if isinstance(selected, dict) else None
            if entry.get("path"):
                self._leaf(source, entry["path"], role, target)
            elif isinstance(entry.get("patch"), str):
                self.reach.layers.append(Layer(source.path, "patch", entry["patch"], target))

    def _plugin(self, source: _Kustomization, entry: object) -> None:
        """The files that a generator's or transformer's own configuration names."""
        if not isinstance(entry, str):
            return
        path = source.relative(entry)
        try:
            text = entry if "\n" in entry else (self._files.root / path).read_bytes()
            documents = yamlfile.parse_all(text, path)
        except (InputError, OSError):
            return
        for name in _named_files(documents):
            self._leaf(source, name.partition("=")[2] or name, "configuration")

    def _generator(self, source: _Kustomization, entry: object) -> None:
        if not isinstance(entry, dict):
            return
        files = [str(file).partition("=")[2] or str(file) for file in _list(entry, "files")]
        for file in [*files, *_list(entry, "envs"), *([entry["env"]] if entry.get("env") else [])]:
            self._leaf(source, file, "generator")

    def _leaf(self, source: _Kustomization, entry: object, role: str, target: dict[str, str] | None = None) -> None:
        """A file."""
        if not isinstance(entry, str):
            self.reach.unsure.append(f"{source.path}: a path that is no text but {type(entry).__name__}")
        elif self._is_outside(source.relative(entry)):
            self.reach.outside.append(Entry(source.path, entry))
        else:
            self._file(source.relative(entry))
            self.reach.layers.append(Layer(source.relative(entry), role, None, target))

    def _is_outside(self, path: str) -> bool:
        """Whether a path leads out of the repository, itself or by a symlink on its way."""
        return path.startswith(("/", "..")) or not f"{self._files.real(path)}/".startswith(f"{self._files.real_root}/")

    def _file(self, path: str) -> None:
        self.reach.files.add(path)
        if (line := self._files.excessive_aliases(path)) is not None:
            self.reach.excessive_aliases.append(Place(path, line))
        root, real = f"{self._files.real_root}/", self._files.real(path)
        if real != f"{root}{path}" and real.startswith(root):
            self.reach.files.add(real.removeprefix(root))
            # The links on the way may be pointed elsewhere.
            parts = path.split("/")
            above = ["/".join(parts[:n]) for n in range(1, len(parts))]
            self.reach.files |= {folder for folder in above if (self._files.root / folder).is_symlink()}


def _named_files(documents: list[dict[str, Any]]) -> Iterator[str]:
    """What stands under a key that names files, however deep."""
    waiting: list[object] = list(documents)
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            for key, value in item.items():
                values = value if isinstance(value, list) else [value]
                if key in _NAMES_FILES:
                    yield from (text for text in values if _is_file_name(text))
                else:
                    waiting += values


def _is_file_name(text: object) -> bool:
    return isinstance(text, str) and "\n" not in text and not text.startswith("/")


@lru_cache(maxsize=4096)
def _parsed(content: bytes) -> dict[str, Any]:
    """A kustomization, read once for both revisions where it is the same."""
    documents = yamlfile.parse_all(content, "")
    if len(documents) != 1:
        raise InputError(expected="one YAML document", found=str(len(documents)))
    return documents[0]


def kustomization(folder: Path) -> Path | None:
    """The kustomization of a folder, or None."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def _list(content: dict[str, Any], name: str) -> list[Any]:
    value = content.get(name)
    return value if isinstance(value, list) else []

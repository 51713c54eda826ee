"""What one overlay is made of: every file that kustomize reads for it, and what of them is never rendered."""

from __future__ import annotations

import itertools
import os
import posixpath
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import yamlfile
from gitops.manifests.lines import Place

# In the order in which kustomize looks for them.
NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Of one file: kustomize compares each with each.
_MOST_OBJECTS = 1_000
# Of a Git LFS pointer, which stands for content that is somewhere else.
_POINTER = b"version https://git-lfs"


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
class RenderRefusal:
    """Why something is never rendered: it would ask the network, read other files, or take all memory."""

    rule: str
    place: Place
    problem: str
    fix: str


@dataclass
class Reach:
    """What one overlay is made of, as paths from the repository's root.

    `layers`: every kustomization and what it lists, in the order in which kustomize applies them (a later one wins).
    `unsure`: why not everything is known; `refusals`: why it is not rendered.
    """

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    layers: list[Layer] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    refusals: list[RenderRefusal] = field(default_factory=list)

    def touched(self, changed: Collection[str]) -> bool:
        """Whether one of the changed paths is one of its files, or could take the place of one."""
        if self.unsure or self.refusals:
            return bool(changed)
        names = set(itertools.starmap(posixpath.join, itertools.product(self.folders, NAMES)))
        return not (self.files | names).isdisjoint(changed)


class RefusedError(InputError):
    """A folder that is not given to kustomize."""

    @classmethod
    def of(cls, refusals: Collection[RenderRefusal]) -> RefusedError:
        """One fault for each refusal."""
        return cls.several(
            Fault(f"{refusal.problem}; it is not rendered", refusal.place.file, refusal.place.line, fix=refusal.fix)
            for refusal in refusals
        )


class Files:
    """One revision's files, each looked at once, however many overlays are made of it."""

    def __init__(self, checkout: Checkout) -> None:
        self.root, self.real_root = checkout.root, os.path.realpath(checkout.root)
        self._contents: dict[str, list[dict[str, Any]] | InputError] = {}
        self._faults: dict[tuple[str, bool], Fault | None] = {}
        self._objects: dict[str, int] = {}
        self._real: dict[str, str] = {}

    def documents(self, path: str) -> list[dict[str, Any]]:
        """The content of a kustomization or of a plugin's configuration. Never changed by anyone. Raises InputError."""
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

    def fault(self, path: str, *, is_yaml: bool) -> Fault | None:
        """Why a file is not given to kustomize, None where it may be. `is_yaml`: kustomize parses it."""
        key = (path, is_yaml)
        if key not in self._faults:
            self._faults[key] = self._fault(path, is_yaml)
        return self._faults[key]

    def _fault(self, path: str, is_yaml: bool) -> Fault | None:
        file = self.root / path
        try:
            if not file.is_file():  # kustomize says so
                return None
            if file.stat().st_size > yamlfile.MOST_BYTES:
                most = f"at most {yamlfile.MOST_BYTES // 2**20} MiB"
                return Fault(f"{file.stat().st_size:,} bytes, and {most} can mean something", path, 1)
            content = file.read_bytes()
        except OSError:
            return None
        self._objects[path] = content.count(b"\n---") + 1
        if is_yaml and self._objects[path] > _MOST_OBJECTS:
            return Fault(f"more than {_MOST_OBJECTS:,} objects", path, 1)
        if content.startswith(_POINTER):
            return Fault("a Git LFS pointer, whose content is somewhere else", path, 1)
        try:
            if is_yaml:
                yamlfile.measured(content, path)
        except yamlfile.LimitError as error:
            return error.fault
        except InputError:
            return None
        return None

    def objects(self, path: str) -> int:
        """How many objects a file has at most, of which `fault` was asked."""
        return self._objects.get(path, 0)

    def real(self, path: str) -> str:
        """A path without its links; the bases' are asked for again and again."""
        if path not in self._real:
            self._real[path] = os.path.realpath(os.path.join(self.real_root, path))  # noqa: PTH118 - ten times as fast
        return self._real[path]


class _Loader(yamlfile.Loader):
    """Takes what kustomize and PyYAML understand alike: no key twice, no merged mapping, no tag such as !!binary."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set[str]()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str" or not isinstance(key.value, str):
                raise yaml.constructor.ConstructorError(None, None, "a key that is no plain text", key.start_mark)
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands here twice", key.start_mark)
            keys.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping

    def refuse(self, node: yaml.Node) -> None:
        """A value that is given as bytes or as an object of Python."""
        raise yaml.constructor.ConstructorError(None, None, f"a value with the tag {node.tag}", node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:binary", _Loader.refuse)


def documents(text: str | bytes, source: str) -> list[dict[str, Any]]:
    """What kustomize takes of a text, so that it cannot read another thing. Raises InputError."""
    with yamlfile.parsing(source):
        contents = list(yaml.load_all(yamlfile.measured(text, source), Loader=_Loader))
    for content in contents:
        if not isinstance(content, dict):
            raise InputError(path=source, expected="a mapping", found=type(content).__name__)
    return contents


@lru_cache(maxsize=4096)
def _parsed(content: bytes) -> list[dict[str, Any]]:
    """Read once for both revisions where it is the same."""
    return documents(content, "")


def kustomization(folder: Path) -> Path | None:
    """The kustomization of a folder, or None."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)

"""From a folder through all that kustomize would read for it, held to fields.py: what is no file of this repository is
refused here, whatever field names it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gitops.ground.errors import Fault, InputError
from gitops.manifests.fields import ENTRY, FIELDS, PLUGINS, Names
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.reach import Files, Layer, Reach, RenderRefusal, documents, kustomization

# Only such a path is surely local: all that kustomize fetches has a scheme, a user or GitHub's name.
_PATH = re.compile(r"[\w.+,=~() -]+(/[\w.+,=~() -]+)*/?")
_GITHUB = "github.com"
_LONGEST = 256
# What kustomize reads before it would take a text for the address of something.
_INLINE = re.compile(r"\s*(\{|#|---\s|[A-Za-z]+:\s)")
# What stands at the repository's top and is no content of it: .git, .tools, .venv, .lab.
_HIDDEN = "."
_ROLES = {
    Names.FOLDERS: "resource",
    Names.FILES: "configuration",
    Names.PLUGINS: "configuration",
    Names.TEXTS: "patch",
    Names.PATCHES: "patch",
    Names.REPLACEMENTS: "replacements",
    Names.SCHEMA: "openapi",
    Names.GENERATED: "generator",
}
# The role of the only files that kustomize does not parse: they become data.
_DATA = _ROLES[Names.GENERATED]
_MAKES_OBJECTS = (_ROLES[Names.FOLDERS], "component")
_PLUGIN = {"apiVersion", "kind", "metadata"}
# The live overlays have 5 kustomizations above each other and some 30 files each.
_MOST_ABOVE = 20
_MOST_KUSTOMIZATIONS = 200
_MOST_FILES = 1_000
# Their number squared is how long kustomize takes: 3 s for these, more than it is given for 10,000.
_MOST_OBJECTS = 2_000
_COPY = "copy what you need into base/"


def read(files: Files, unit: str) -> Reach:
    """Everything that `unit` is made of."""
    walk = _Walk(files)
    walk.folder(unit, ())
    return walk.reach


@dataclass(frozen=True)
class _Source:
    """A kustomization that is being read. `above`: the folders by which it was reached."""

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
    """One walk. Nothing is read that was refused."""

    def __init__(self, files: Files) -> None:
        self._files, self.reach = files, Reach()
        self._kustomizations = self._objects = 0

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
        place = _Source(path, {}, above)
        self._kustomizations += 1
        if len(above) >= _MOST_ABOVE or self._kustomizations > _MOST_KUSTOMIZATIONS:
            fix = f"at most {_MOST_ABOVE} above each other and {_MOST_KUSTOMIZATIONS} in all"
            if not self.reach.refusals:
                self._refuse(place, "render", "", "too many kustomizations are named by each other", fix)
            return
        if self._outside(place, path):
            return
        self._file(place, path, "kustomization")
        self._read(path, (*above, folder))

    def _read(self, path: str, above: tuple[str, ...]) -> None:
        source = _Source(path, {}, above)
        try:
            contents = self._files.documents(path)
            if len(contents) != 1:
                raise InputError(path=path, expected="one YAML document", found=str(len(contents)))
            source = _Source(path, contents[0], above)
        except InputError as error:
            self._broken(source, error.fault)
            self.reach.layers.append(Layer(path, "kustomization"))
            return
        for name, value in source.content.items():
            self._known_field(source, name, value)
        self._lists(source, Names.FOLDERS, Names.FILES, Names.PLUGINS)
        self.reach.layers.append(Layer(source.path, "kustomization"))
        self._lists(source, Names.TEXTS, Names.PATCHES, Names.REPLACEMENTS, Names.SCHEMA, Names.GENERATED)

    def _known_field(self, source: _Source, name: str, value: object) -> None:
        names = FIELDS.get(name)
        if names is None:
            close = next((field for field in FIELDS if field.casefold() == name.casefold()), "")
            fix = f"write {close}" if close else "the fields are those of kustomize's reference"
            self._refuse(source, "render", name, f"{name}: unknown field", fix)
        elif names is Names.ELSEWHERE:
            self._refuse(source, "remote-base", name, f"{name}: Helm fetches charts from somewhere else", _COPY)
        elif names not in (Names.NOTHING, Names.SCHEMA) and not isinstance(value, list | None):
            self._refuse(source, "render", name, f"{name}: expected a list, found {type(value).__name__}", "a list")

    def _lists(self, source: _Source, *kinds: Names) -> None:
        for name, names in FIELDS.items():
            if names not in kinds or name not in source.content:
                continue
            entries = [source.content[name]] if names is Names.SCHEMA else source.list(name)
            for entry in entries:
                self._entry(source, entry, names, "component" if name == "components" else _ROLES[names])

    def _entry(self, source: _Source, entry: object, names: Names, role: str) -> None:
        if names in ENTRY:
            self._mapping(source, entry, names, role)
        elif names is Names.PLUGINS:
            self._plugins(source, entry)
        elif names is Names.TEXTS and isinstance(entry, str) and _INLINE.match(entry):
            self.reach.layers.append(Layer(source.path, role, entry))
        elif self._is_local(source, entry):
            path = source.relative(str(entry))
            if names is Names.FOLDERS and (self._files.root / path).is_dir():
                self.folder(path, source.above)
            else:
                self._leaf(source, path, role)

    def _mapping(self, source: _Source, entry: object, names: Names, role: str, more: set[str] | None = None) -> None:
        """An entry that has files behind some of its keys."""
        if names is Names.GENERATED:
            self._count(source, 1)
        if not isinstance(entry, dict):
            fix = f"write path: {entry}" if names is Names.PATCHES else "see kustomize's reference"
            word = f"- {entry}" if isinstance(entry, str) else ""
            self._refuse(source, "render", word, f"expected a mapping, found {type(entry).__name__}: {entry}", fix)
            return
        for key in entry:
            if key not in ENTRY[names] and key not in (more or ()):
                fix = f"one of {', '.join(sorted(ENTRY[names]))}"
                self._refuse(source, "render", str(key), f"{key}: unknown field", fix)
        selected = entry.get("target")
        target = {key: str(value) for key, value in selected.items()} if isinstance(selected, dict) else None
        for path in _paths(entry, names):
            if self._is_local(source, path):
                self._leaf(source, source.relative(str(path)), role, target)
        if names is Names.PATCHES and not entry.get("path") and isinstance(entry.get("patch"), str):
            self.reach.layers.append(Layer(source.path, "patch", entry["patch"], target))

    def _plugins(self, source: _Source, entry: object) -> None:
        """A file with the configurations of plugins, or these themselves."""
        if isinstance(entry, str) and _INLINE.match(entry):
            self.reach.layers.append(Layer(source.path, "configuration", entry))
            try:
                configurations = documents(entry, source.path)
            except InputError as error:
                self._broken(source, error.fault)
                return
        elif self._is_local(source, entry):
            path = source.relative(str(entry))
            if (self._files.root / path).is_dir():
                # What a folder renders, patches and all, is known to kustomize alone.
                self._refuse(source, "render", path, f"{entry}: a folder", "name the files with the configurations")
                return
            if not self._leaf(source, path, "configuration") or not (self._files.root / path).is_file():
                return
            try:
                configurations = self._files.documents(path)
            except InputError as error:
                self._broken(source, error.fault)
                return
        else:
            return
        for configuration in configurations:
            self._plugin(source, configuration)

    def _plugin(self, source: _Source, configuration: dict[str, Any]) -> None:
        kind = str(configuration.get("kind"))
        names = PLUGINS.get(kind) if configuration.get("apiVersion") == "builtin" else None
        annotations = str(configuration.get("metadata"))
        if names is None or "function" in annotations.casefold():
            fix = f"kustomize's own (apiVersion: builtin), one of {', '.join(sorted(PLUGINS))}"
            self._refuse(source, "render", kind, f"the plugin {kind} is not allowed", fix)
        elif names is not Names.NOTHING:
            self._mapping(source, configuration, names, _ROLES[names], _PLUGIN)

    def _leaf(self, source: _Source, path: str, role: str, target: dict[str, str] | None = None) -> bool:
        """A file. Returns whether it is one that may be read."""
        self.reach.layers.append(Layer(path, role, None, target))
        return self._file(source, path, role)

    def _is_local(self, source: _Source, entry: object) -> bool:
        """Whether an entry is a path in this repository. The one place where that is decided."""
        if not isinstance(entry, str) or not entry:
            kind = type(entry).__name__
            self._refuse(source, "render", "", f"expected a path, found {kind}: {entry!r}", "name a file")
            return False
        first = posixpath.normpath(entry).split("/")[0]
        plain = _PATH.fullmatch(entry) and max(map(len, entry.split("/"))) < _LONGEST and entry.count("/") < _LONGEST
        if not entry.startswith("/") and (not plain or first.casefold() == _GITHUB):
            self._refuse(source, "remote-base", entry, f"refers to {entry}, which is not in this repository", _COPY)
            return False
        return not self._outside(source, source.relative(entry), entry)

    def _outside(self, source: _Source, path: str, entry: str = "") -> bool:
        """Refuse a path that leads out of the repository, itself or by a symlink on its way."""
        real, root = f"{self._files.real(path)}/", f"{self._files.real_root}/"
        inside = real.removeprefix(root)
        hidden = path.startswith(("/", _HIDDEN)) or inside.startswith(_HIDDEN) or ".git" in inside.split("/")
        if real.startswith(root) and not hidden:
            return False
        problem = f"refers to {entry or path}, which leads out of the repository"
        self._refuse(source, "outside", entry, problem, "copy the file into the overlay")
        return True

    def _file(self, source: _Source, path: str, role: str) -> bool:
        self.reach.files.add(path)
        fault = self._files.fault(path, is_yaml=role != _DATA)
        if fault is None and len(self.reach.files) > _MOST_FILES:
            fault = Fault(f"made of more than {_MOST_FILES:,} files", source.path)
        if fault is not None:
            self._broken(source, fault)
            return False
        if role in _MAKES_OBJECTS:
            self._count(source, self._files.objects(path))
        root, real = f"{self._files.real_root}/", self._files.real(path)
        if real != f"{root}{path}" and real.startswith(root):
            self.reach.files.add(real.removeprefix(root))
            # The links on the way may be pointed elsewhere.
            parts = path.split("/")
            above = ["/".join(parts[:n]) for n in range(1, len(parts))]
            self.reach.files |= {folder for folder in above if (self._files.root / folder).is_symlink()}
        return True

    def _count(self, source: _Source, objects: int) -> None:
        before = self._objects
        self._objects += objects
        if before <= _MOST_OBJECTS < self._objects:
            self._broken(source, Fault(f"made of more than {_MOST_OBJECTS:,} objects", source.path))

    def _broken(self, source: _Source, fault: Fault) -> None:
        place = Place(fault.path or source.path, fault.line or 1)
        sides = Fault(fault.what, found=fault.found, expected=fault.expected).sentence
        fix = fault.fix or "write what is read in one way alone, and by all"
        refusal = RenderRefusal("render", place, sides, fix)
        if refusal not in self.reach.refusals:
            self.reach.refusals.append(refusal)

    def _refuse(self, source: _Source, rule: str, word: str, problem: str, fix: str) -> None:
        line = line_of(read_text(self._files.root / source.path), word.strip()) if word.strip() else None
        self.reach.refusals.append(RenderRefusal(rule, Place(source.path, line or 1), problem, fix))


def _paths(entry: dict[str, Any], names: Names) -> Iterator[object]:
    """What an entry names, beside what it has in itself."""
    if names is not Names.GENERATED:
        if entry.get("path") is not None:
            yield entry["path"]
        return
    for name in _list(entry, "files"):
        # KEY=FILE, or a file alone.
        yield (name.partition("=")[2] or name) if isinstance(name, str) else name
    yield from _list(entry, "envs")
    if entry.get("env") is not None:
        yield entry["env"]


def _list(content: dict[str, Any], name: str) -> list[Any]:
    value = content.get(name)
    return value if isinstance(value, list) else []

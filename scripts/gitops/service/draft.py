"""The one engine of every verb that edits overlays: files as they are to be, rendered, checked, only then written."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, NotHealthyError
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.manifests import kustomize, yamledit, yamlfile, yamlspans, yamltext
from gitops.manifests.objects import FieldPath, Object
from gitops.manifests.overlay import Overlay
from gitops.repository import contents, revision
from gitops.repository.contents import Contents
from gitops.repository.revision import Change
from gitops.tools.build import ensure

# What the check has against a draft; none where it may merge.
Gate = Callable[[Checkout, Change], list[Fault]]
# What is not as it was asked for in what an overlay renders; empty where all is.
Expectation = Callable[[Sequence[Object]], str]
# What of a kustomization stands before its patches.
_BEFORE_PATCHES = ("apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "generators")


class InlinePatch(str):
    """A patch that is written into a kustomization, as a block of text (`|`): the kustomization's path, and which."""

    __slots__ = ("number",)
    number: int

    @classmethod
    def of(cls, listing: str, number: int) -> InlinePatch:
        """The patch of a number in the list `patches`."""
        made = cls(listing)
        made.number = number
        return made

    def span(self, whole: str) -> tuple[int, int]:
        """Where its lines begin and end in the kustomization's text."""
        node = yamledit.node_at(whole, self, ("patches", self.number, "patch"))
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - `patches` has looked
        start = yamlspans.end_of_line(whole, node.start_mark.index)
        return start, yamlspans.end_of_line(whole, yamlspans.block_parts(whole, node)[1])


class OverlayDraft:
    """The files of one overlay as they are to be. Nothing is written by it."""

    def __init__(self, checkout: Checkout, overlay: Overlay) -> None:
        self.checkout, self.overlay = checkout, overlay
        self.files: Contents = {}

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return self.files[path] is not None if path in self.files else (self.checkout.root / path).is_file()

    def text(self, path: str) -> str:
        """A file's text, with its own line ends. Raises InputError where it cannot be read.

        Of an InlinePatch its lines, as far in and as far down as they stand in the file.
        """
        if isinstance(path, InlinePatch):
            whole = self.text(str(path))
            start, end = path.span(whole)
            return "\n" * whole.count("\n", 0, start) + whole[start:end]
        content = self.files.get(path)
        try:
            return yamlfile.decode((self.checkout.root / path).read_bytes() if content is None else content, path)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", path=path) from None

    def write(self, path: str, text: str) -> None:
        """Have another text in a file, or in an InlinePatch."""
        if isinstance(path, InlinePatch):
            whole = self.text(str(path))
            start, end = path.span(whole)
            path, text = str(path), whole[:start] + text[whole.count("\n", 0, start) :] + whole[end:]
        file = self.checkout.root / path
        if file.is_symlink():
            raise InputError("is a link", path=path, fix="edit by hand what it leads to")
        self.files[path] = text.encode()

    def delete(self, path: str) -> None:
        """Have a file go."""
        self.files[path] = None

    def patches(self, kind: str) -> list[str]:
        """What of the overlay's own is one object of a kind, laid over its base or brought, in its order.

        Files, and patches that are written into its kustomization.
        """
        path = self.overlay.kustomization
        files: list[str] = []
        own: list[str] = []
        for listing in yamlfile.parse_all(self.text(path), path):
            named = [*(listing.get("resources") or []), *(listing.get("patchesStrategicMerge") or [])]
            files += map(str, named)
            for number, entry in enumerate(listing.get("patches") or []):
                if isinstance(entry, dict):
                    own += [self._file(str(entry["path"]))] if entry.get("path") else self._inline(number)
        paths = [*map(self._file, files), *own]
        return [path for path in paths if self.has(path) and self._is_one(path, kind)]

    def of(self, kind: str, name: str) -> list[str]:
        """Those of `patches` that are of the object of this name; where none has it, all of them, as of a target."""
        files = self.patches(kind)
        named = [file for file in files if self.name(file) == name]
        return named or files

    def name(self, file: str) -> str | None:
        """The name of the object that a file is."""
        return yamltext.scalar(yamltext.child(yamltext.compose(self.text(file), file), "metadata"), "name")

    def _file(self, written: str) -> str:
        """The path of what a kustomization names; what is not the overlay's own is no file here."""
        path = posixpath.normpath(self.overlay.file(written))
        return path if path.startswith(f"{self.overlay.path}/") else ""

    def _inline(self, number: int) -> list[str]:
        path = self.overlay.kustomization
        node = yamledit.node_at(self.text(path), path, ("patches", number, "patch"))
        is_block = isinstance(node, yaml.ScalarNode) and node.style == "|"
        return [InlinePatch.of(path, number)] if is_block else []

    def _is_one(self, path: str, kind: str) -> bool:
        try:
            nodes = yamlfile.compose_all(self.text(path), path)
        except yamlfile.SyntaxFaultError:
            if isinstance(path, InlinePatch):  # kustomize says what is wrong with it
                return False
            raise
        kinds = [yamltext.scalar(node, "kind") for node in nodes]
        if kind in kinds and len(kinds) > 1:
            line = nodes[kinds.index(kind)].start_mark.line + 1
            fix = "give each object a file of its own, or edit it by hand"
            raise InputError(f"has {counted(len(kinds), 'object')}", path=path, line=line, fix=fix)
        return kinds == [kind]

    def add_patch(self, name: str, text: str) -> str:
        """Bring a new file, laid over the base. Returns its path. Raises InputError where one stands there unlisted."""
        path, listing = self.overlay.file(name), self.overlay.kustomization
        if self.has(path):
            raise InputError("stands there and is no patch", path=path, fix=f"list it in {listing}, or delete it")
        self.write(path, text)
        entry = {"path": name}
        self.write(listing, yamledit.put_in(self.text(listing), listing, (), "patches", entry, after=_BEFORE_PATCHES))
        return path

    def remove_patch(self, path: str) -> None:
        """Take what is laid over the base away: a file with its line in the list, or a part of the list."""
        listing = self.overlay.kustomization
        text = self.text(listing)
        if isinstance(path, InlinePatch):
            self.write(listing, yamledit.remove(text, listing, ("patches", path.number)))
            return
        [document] = yamlfile.parse_all(text, listing)
        named = [entry.get("path") if isinstance(entry, dict) else "" for entry in document.get("patches") or []]
        places: list[FieldPath] = [
            ("patches", number) for number, written in enumerate(named) if self._file(str(written)) == path
        ]
        merged = document.get("patchesStrategicMerge") or []
        places += [
            ("patchesStrategicMerge", number)
            for number, written in enumerate(merged)
            if self._file(str(written)) == path
        ]
        if len(places) != 1:
            raise InputError(f"is listed {counted(len(places), 'time')}", path=path, fix=f"list it once in {listing}")
        self.write(listing, yamledit.remove(text, listing, places[0]))
        self.delete(path)


def keep(checkout: Checkout, gate: Gate, files: Contents, expectations: Mapping[Overlay, Expectation]) -> list[Path]:
    """Render and check the files in a copy, and write all of them. Returns those that changed.

    Raises InputError where the render is not what was asked for, NotHealthyError with what the check says of it,
    MachineError, ExternalError; then nothing is written.
    """
    before = contents.read(checkout, files)
    changed = {path: content for path, content in files.items() if content != before[path]}
    if not changed:
        return []
    hold(checkout, gate, changed, expectations)
    contents.write_all(checkout, changed)
    return [checkout.root / path for path in changed]


def hold(
    checkout: Checkout, gate: Gate, files: Contents, expectations: Mapping[Overlay, Expectation], commit: str = ""
) -> None:
    """Raise as `keep` does unless files, laid over a commit (default: what stands here), may be written."""
    ensure(checkout, Progress(), ["kustomize"])
    progress = Progress()
    with progress.step("the result rendered and checked"), revision.draft(checkout, files, commit) as change:
        faults: list[Fault] = []
        for overlay, unmet in expectations.items():
            rendered = kustomize.build(change.head, change.head.root / overlay.path, tools=checkout)
            if problem := unmet(rendered):
                fix = "nothing was written: something else of the overlay sets it too; change it by hand there"
                faults.append(Fault(f"the render has not what was asked for: {problem}", path=overlay.path, fix=fix))
        if faults:
            raise InputError.several(faults)
        if refused := gate(checkout, change):
            raise NotHealthyError.several([Fault("the check refuses the result, so nothing was written"), *refused])

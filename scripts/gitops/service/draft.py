"""The one engine of every verb that edits overlays: files as they are to be, rendered, checked, only then written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, NotHealthyError
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.manifests import kustomize, yamledit, yamlfile, yamltext
from gitops.manifests.objects import Object
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


class OverlayDraft:
    """The files of one overlay as they are to be. Nothing is written by it."""

    def __init__(self, checkout: Checkout, overlay: Overlay) -> None:
        self.checkout, self.overlay = checkout, overlay
        self.files: Contents = {}

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return self.files[path] is not None if path in self.files else (self.checkout.root / path).is_file()

    def text(self, path: str) -> str:
        """A file's text, with its own line ends. Raises InputError where it cannot be read."""
        content = self.files.get(path)
        try:
            return yamlfile.decode((self.checkout.root / path).read_bytes() if content is None else content, path)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", path=path) from None

    def write(self, path: str, text: str) -> None:
        """Have another text in a file."""
        file = self.checkout.root / path
        if file.is_symlink():
            raise InputError("is a link", path=path, fix="edit by hand what it leads to")
        self.files[path] = text.encode()

    def delete(self, path: str) -> None:
        """Have a file go."""
        self.files[path] = None

    def patches(self, kind: str) -> list[str]:
        """The overlay's own files that are one object of a kind, laid over its base or brought, in their order."""
        listing = yamlfile.parse_all(self.text(self.overlay.kustomization), self.overlay.kustomization)
        named: list[object] = []
        for document in listing:
            named += document.get("resources") or []
            named += [entry.get("path") for entry in document.get("patches") or [] if isinstance(entry, dict)]
        paths = [self.overlay.file(str(name)) for name in named if name and "/" not in str(name).removeprefix("./")]
        return [path for path in paths if self.has(path) and self._is_one(path, kind)]

    def _is_one(self, path: str, kind: str) -> bool:
        nodes = yamlfile.compose_all(self.text(path), path)
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
        before = self.text(listing)
        if yamledit.node_at(before, listing, ("patches",)) is None:
            after = yamledit.add(before, listing, (), "patches", [{"path": name}], after=_BEFORE_PATCHES)
        else:
            after = yamledit.append(before, listing, ("patches",), {"path": name})
        self.write(listing, after)
        return path

    def remove_patch(self, path: str) -> None:
        """Delete a file that is laid over the base, and its line in the list."""
        listing = self.overlay.kustomization
        text = self.text(listing)
        node = yamledit.node_at(text, listing, ("patches",))
        name = path.rpartition("/")[2]
        positions = [yamledit.index_of(node, "path", written) for written in (name, f"./{name}")]
        position = next((number for number in positions if number is not None), None)
        if position is None:
            raise InputError("is listed in another way than by its path", path=path, fix="take it out by hand")
        self.write(listing, yamledit.remove(text, listing, ("patches", position)))
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

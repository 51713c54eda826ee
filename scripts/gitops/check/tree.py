"""What Argo CD reads of a repository beside what kustomize reads: wherever it stands, it decides what is deployed."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from gitops.ground.command import run
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place
from gitops.repository.revision import Change, paths

_LINK, _SUBMODULE = "120000", "160000"
# Of Argo CD: parameters that it lays over the Application of the folder (.argocd-source-<application>.yaml, too).
_OVERRIDES = ".argocd-source"
# It makes the folder a Helm chart, with charts from elsewhere.
_CHART = "Chart.yaml"
_SECONDS = 60.0


def check(change: Change) -> Iterator[Finding]:
    """Overrides, submodules, LFS and links of head, whatever the change is."""
    for mode, oid, path in _entries(change):
        name = posixpath.basename(path)
        if name.startswith(_OVERRIDES) or (name == _CHART and path.startswith("overlays/")):
            problem = "Argo CD would lay it over what is rendered here"
            yield Finding("override", Place(path, 1), problem, "say it in the kustomization")
        elif name == ".gitmodules" or mode == _SUBMODULE:
            yield Finding("submodule", Place(path, 1), "a submodule", "copy what you need into base/")
        elif name == ".lfsconfig":
            yield Finding("submodule", Place(path, 1), "says where Git LFS is", "commit the files themselves")
        elif mode == _LINK and _leads_out(path, _target(change, oid, path)):
            yield Finding("outside", Place(path, 1), "a link out of the repository", "copy what it leads to")


def _entries(change: Change) -> Iterator[tuple[str, str, str]]:
    """Mode, object (empty: not in the index as it is) and path of each file of head."""
    root = change.head.root
    for line in paths(root, "ls-files", "--stage", "-z"):
        about, _, path = line.partition("\t")
        mode, oid, _ = about.split(" ")
        # A worktree's index is head itself; the working copy's may be behind.
        if path not in change.files:
            yield mode, oid, path
    for path in sorted(change.files):
        file = root / path
        if file.is_symlink():
            yield _LINK, "", path
        elif file.is_dir():  # git lists files alone, and a submodule as one
            yield _SUBMODULE, "", path
        elif file.exists():
            yield "", "", path


def _target(change: Change, oid: str, path: str) -> str:
    if not oid:
        return str((change.head.root / path).readlink())
    return run(["git", "-C", change.head.root, "cat-file", "blob", oid], timeout=_SECONDS).decode(errors="replace")


def _leads_out(path: str, target: str) -> bool:
    """As text: what it leads to need not be there, and Argo CD does not care."""
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return whole.startswith(("/", "..", ".git/"))

"""What Argo CD reads of a repository beside what kustomize reads: wherever it stands, it decides what is deployed."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place
from gitops.repository import versions
from gitops.repository.git import LINK_MODE, SUBMODULE_MODE
from gitops.repository.revision import Change, paths

# Of Argo CD: parameters that it lays over the Application of the folder (.argocd-source-<application>.yaml, too).
_OVERRIDES = ".argocd-source"
# Argo CD takes a folder for a Helm chart, with charts from elsewhere, by a file whose name ends so. The last in the
# order of files counts: zChart.yaml beats kustomization.yaml (its util/app/discovery, 3.6.1).
_CHART = "Chart.yaml"
# Where there are folders of Applications.
_APPLICATIONS = ("overlays/", "clusters/")


def check(change: Change) -> Iterator[Finding]:
    """Overrides, submodules, LFS and links of head, whatever the change is."""
    entries = list(_entries(change))
    linked = [oid for mode, oid, _ in entries if mode == LINK_MODE and oid]
    targets = versions.contents(change.head.root, linked) if linked else {}
    for mode, oid, path in entries:
        name = posixpath.basename(path)
        if name.startswith(_OVERRIDES) or (name.endswith(_CHART) and path.startswith(_APPLICATIONS)):
            problem = "Argo CD would lay it over what is rendered here"
            yield Finding("override", Place(path, 1), problem, "say it in the kustomization")
        elif name == ".gitmodules" or mode == SUBMODULE_MODE:
            yield Finding("submodule", Place(path, 1), "a submodule", "copy what you need into base/")
        elif name == ".lfsconfig":
            yield Finding("submodule", Place(path, 1), "says where Git LFS is", "commit the files themselves")
        elif mode == LINK_MODE and _leads_out(path, _target(change, targets.get(oid), path)):
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
            yield LINK_MODE, "", path
        elif file.is_dir():  # git lists files alone, and a submodule as one
            yield SUBMODULE_MODE, "", path
        elif file.exists():
            yield "", "", path


def _target(change: Change, content: bytes | None, path: str) -> str:
    """Where a link leads: `content` of git's object, or what stands in the folder."""
    if content is None:
        return str((change.head.root / path).readlink())
    return content.decode(errors="replace")


def _leads_out(path: str, target: str) -> bool:
    """As text: what it leads to need not be there, and Argo CD does not care."""
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return whole.startswith(("/", "..", ".git/"))

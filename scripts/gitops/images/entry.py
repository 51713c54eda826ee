"""One overlay may pin more than one image: the entries of its `images:`, and what is named for one of them.

The main image is the entry `app`. A further one (a sidecar, an init container) has a branch, a hold and a pull request
of its own, named behind an underscore, which neither a service nor an environment has: bump/mogle/prod_migrate.
"""

from __future__ import annotations

from gitops.manifests.overlay import Overlay
from gitops.repository.ours import safe

MAIN = "app"


def _suffix(entry: str) -> str:
    return "" if entry == MAIN else f"_{safe(entry)}"


def branch(kind: str, overlay: Overlay, entry: str) -> str:
    """The one branch of an entry's pull requests of a kind, such as bump/mogle/prod."""
    return f"{overlay.branch(kind)}{_suffix(entry)}"


def hold_file(overlay: Overlay, entry: str) -> str:
    """The path of the file that holds an entry, such as overlays/mogle/prod/hold.yaml."""
    return overlay.file(f"hold{_suffix(entry)}.yaml")


def label(overlay: Overlay, entry: str) -> str:
    """An overlay's image for a person: mogle/prod or, of a further entry, mogle/prod migrate."""
    return str(overlay) if entry == MAIN else f"{overlay} {entry}"

"""Which files a bot's commit on a branch of its own may change: what else is there, a person put there."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.overlay import Overlay

if TYPE_CHECKING:  # the gate names branches, and loads no client of GitHub's for it
    from gitops.repository.history import History

# Every commit of a bot ends with this line: what has it not, a person made.
TRAILER = "Made-By: gitops"
# What a change of an image consists of: the entry that pins it, and what holds it.
_IMAGE_FILES = re.compile(r"kustomization\.yaml|hold(_[a-z0-9_-]+)?\.yaml")
_IMAGE_KINDS = ("bump", "rollback", "promote", "hold")
# As it stands in a branch: all else is its bytes, so that no two names are one, and each is a name of git's.
_OTHER_LETTERS = re.compile(r"[^a-z0-9-]")
# What git takes not in the last part of a branch, as `git help check-ref-format` has it, or a shell not unquoted.
_NO_BRANCH = re.compile(r"[^A-Za-z0-9._+=-]|^\.|\.(?=\.|$|lock$)")
# Whether a path may be changed by a commit with that parent.
MayChange = Callable[[str, str], bool]


def safe(name: str) -> str:
    """A name as a part of a branch's or a file's that a bot finds again; no two names are one."""
    return _OTHER_LETTERS.sub(_as_bytes, name)


def readable(name: str) -> str:
    """A name as the last part of a branch that a person types and no bot looks for: as it is, but where git refuses."""
    return _NO_BRANCH.sub(_as_bytes, name)


def _as_bytes(match: re.Match[str]) -> str:
    return "".join(f"_{byte:02x}" for byte in match[0].encode())


def may_change(history: History, branch: str) -> MayChange:
    """What a branch's name allows: bump/mogle/prod, and bump/mogle/prod_migrate for its image `migrate`, the files of
    images in overlays/mogle/prod; bump/mogle/_auto those of all environments; bump/_community/_auto those of the
    services that were that team's; oauth/mogle/prod all files of that overlay.
    """
    kind, owner, last = [*branch.split("/"), "", ""][:3]
    environment = last.partition("_")[0]

    @cache
    def team(parent: str, service: str) -> str:
        return safe(_team(history.content(parent, f"overlays/{service}/owner.yaml") or b""))

    def allows(parent: str, path: str) -> bool:
        overlay = Overlay.of_path(path)
        if overlay is None or environment not in ("", overlay.environment):
            return False
        if kind in _IMAGE_KINDS and not _IMAGE_FILES.fullmatch(path.removeprefix(f"{overlay.path}/")):
            return False
        if owner.startswith("_"):
            return owner == f"_{team(parent, overlay.service)}" and owner != "_"
        return owner == overlay.service

    return allows


def _team(content: bytes) -> str:
    """Whose a service is, by its owner.yaml; nothing where that cannot be read."""
    try:
        documents = yamlfile.parse_all(content, "owner.yaml")
    except InputError:
        return ""
    return str(documents[0].get("team") or "") if documents else ""

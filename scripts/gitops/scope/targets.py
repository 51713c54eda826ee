"""The test targets of the Makefile that can say something about a change, told from the files that it touches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

# Files and folders that a bump, a rotation, a new service, a handover, an exception, a freeze or another cluster
# changes. The product's tests read none of it: they run on a platform of their own (tests/platform). The tests with the
# marker `live` and the gate read all of it. The rest is the product: also base/ and policies/ (what all services get)
# and what Argo CD is told (apps/*/, apps/root.yaml, apps/services.yaml: the lab runs the very files; only the list of
# what runs is data).
# So are the templates of a cluster's AWS stacks (_TEMPLATES), which stand among the data that fills them.
DATA = (
    "overlays",
    "clusters",
    "apps/kustomization.yaml",
    "policies/exceptions",
    "baseline.yaml",
    ".github/CODEOWNERS",
    ".github/freezes.yaml",
    ".github/images.yaml",
    ".github/teams.yaml",
)
_TEMPLATES = re.compile(r"clusters/[^/]+/aws(/.+)?")
# Prose. The tests with the marker `docs` run each command of it.
_DOCS = ("docs/", ".github/")


class MakeTarget(StrEnum):
    """A target of the Makefile."""

    LIVE = "test-live"
    DOCS = "test-docs"
    ALL = "test"


def targets(files: Iterable[str]) -> tuple[MakeTarget, ...]:
    """What to run for a change of these paths (as the repository has them), never nothing.

    What is neither data nor prose is the product, and can break everything; so can a change that touches no file, as
    something else than its files is then the reason for the run.
    """
    needed = {_target(file) for file in files} or {MakeTarget.ALL}
    return (MakeTarget.ALL,) if MakeTarget.ALL in needed else tuple(sorted(needed, reverse=True))


def is_data(path: str) -> bool:
    """Whether a path of the repository is data, and not the product."""
    if _TEMPLATES.fullmatch(path):
        return False
    return path in DATA or any(path.startswith(f"{entry}/") for entry in DATA)


def _target(file: str) -> MakeTarget:
    if is_data(file):
        return MakeTarget.LIVE
    if file.endswith(".md") and ("/" not in file or file.startswith(_DOCS)):
        return MakeTarget.DOCS
    return MakeTarget.ALL

"""The test targets of the Makefile that can say something about a change, told from the files that it touches."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

# What people and bots write for the services that run. The product's tests run on a platform of their own
# (tests/platform) and read none of it; the tests with the marker `live` and the gate read all of it.
DATA = (
    "overlays/",
    "policies/exceptions/",
    ".github/CODEOWNERS",
    ".github/freezes.yaml",
    ".github/teams.yaml",
    "baseline.yaml",
)
# Prose. The tests with the marker `docs` run each command of it.
_DOCS = ("docs/", ".github/")


class Target(StrEnum):
    """A target of the Makefile."""

    LIVE = "test-live"
    DOCS = "test-docs"
    ALL = "test"


def targets(files: Iterable[str]) -> tuple[Target, ...]:
    """What to run for a change of these paths (as the repository has them), never nothing.

    What is neither data nor prose is the product, and can break everything; so can a change that touches no file, as
    something else than its files is then the reason for the run.
    """
    needed = {_target(file) for file in files} or {Target.ALL}
    return (Target.ALL,) if Target.ALL in needed else tuple(sorted(needed, reverse=True))


def _target(file: str) -> Target:
    if any(file == path or (path.endswith("/") and file.startswith(path)) for path in DATA):
        return Target.LIVE
    if file.endswith(".md") and ("/" not in file or file.startswith(_DOCS)):
        return Target.DOCS
    return Target.ALL

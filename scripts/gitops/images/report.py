"""What a run of the bot found for one overlay, and what it did about it."""

from __future__ import annotations

from dataclasses import dataclass

from gitops.images.target import ImagePlan
from gitops.repository import reconcile


@dataclass(frozen=True)
class Edited:
    """The file that a plan asks for, checked by its render. `diff`: of the render."""

    content: bytes
    diff: str


@dataclass(frozen=True, kw_only=True)
class BumpReport(reconcile.Report):
    """What was found for one overlay and what was done about it.

    `pull`: its open pull request. `frozen`: why nothing is proposed now, where a freeze is on.
    """

    plan: ImagePlan
    edited: Edited | None = None
    pull: int | None = None
    frozen: str = ""

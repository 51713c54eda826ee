"""The one sticky comment of a pull request: written, updated in place, taken away where nothing changes any more."""

from __future__ import annotations

from typing import Literal

from github.PullRequest import PullRequest

from gitops.clients.github import Hub
from gitops.clients.github.workflow_run import WorkflowRun
from gitops.ground.errors import InputError
from gitops.preview.artifact import NAME
from gitops.preview.model import Preview
from gitops.preview.text import MARKER, markdown

Action = Literal["written", "updated", "unchanged", "removed", "nothing"]


def check_same_commit(preview: Preview, run: WorkflowRun) -> None:
    """Raises InputError where a preview is of another commit than its run."""
    if preview.head_sha != run.head_sha:
        raise InputError(
            f"run {run.id}: its preview is of another commit",
            found=preview.head_sha[:12] or "none",
            expected=run.head_sha[:12],
        )


def post(hub: Hub, pull: PullRequest, preview: Preview) -> Action:
    """Bring the comment of the pull request to what the preview says. Raises ExternalError."""
    return hub.sticky_comment(pull, MARKER, markdown(preview, artifact=NAME) if preview.applications else None)

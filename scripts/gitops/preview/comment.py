"""The one sticky comment of a pull request: written, updated in place, taken away where nothing changes any more."""

from __future__ import annotations

from typing import Literal

from github.PullRequest import PullRequest

from gitops.clients.github import Hub
from gitops.ground.errors import InputError
from gitops.preview.artifact import NAME, WorkflowRun
from gitops.preview.model import Preview
from gitops.preview.text import MARKER, markdown

Action = Literal["written", "updated", "unchanged", "removed", "nothing"]


def pull_request(hub: Hub, run: WorkflowRun) -> PullRequest:
    """The open pull request to main that a run was for, by GitHub's own word of the run.

    The same commit may be the head of two: the repository and the branch that it was pushed to tell them apart.
    Raises InputError where there is none, as where it has moved on.
    """
    numbers = {pull.number for pull in run.pull_requests}
    pulls = [
        pull
        for pull in hub.open_heads()
        if pull.base.ref == "main"
        and (pull.head.sha, pull.head.ref) == (run.head_sha, run.head_branch)
        and pull.head.repo
        and pull.head.repo.full_name == run.head_repository.full_name
        # GitHub names no pull request for a fork's run.
        and (not numbers or pull.number in numbers)
    ]
    if len(pulls) != 1:
        raise InputError(
            f"run {run.id}: {len(pulls)} open pull requests are at {run.head_sha[:12]}",
            expected="one",
            fix="a newer run tells of a newer commit",
        )
    return pulls[0]


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

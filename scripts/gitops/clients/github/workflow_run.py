"""The run that a `workflow_run` event tells of, and the pull request that it was for: GitHub's own word on both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from github.PullRequest import PullRequest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gitops.clients.github.hub import Hub
from gitops.ground.errors import InputError


class NothingToTellError(InputError):
    """A run that has nothing to say any more: it was ended before it kept anything, or its commit is no longer one that
    a pull request stands at."""


_Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class _Repository(BaseModel):
    full_name: str


class _Pull(BaseModel):
    number: int


class WorkflowRun(BaseModel):
    """The run that GitHub tells of. `pull_requests` is empty for a fork's."""

    model_config = ConfigDict(frozen=True)

    id: int
    head_sha: _Sha
    head_branch: str
    head_repository: _Repository
    pull_requests: tuple[_Pull, ...] = ()


class _Event(BaseModel):
    workflow_run: WorkflowRun


def read_run(event: Path | None, instead: str) -> WorkflowRun:
    """The run of an event's payload. `instead`: what to do where there is no event. Raises InputError."""
    source = str(event or "GITHUB_EVENT_PATH")
    try:
        return _Event.model_validate_json(event.read_bytes() if event else b"").workflow_run
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    raise InputError(f"no payload of a workflow_run event: {reason}", path=source, fix=instead)


def pull_request(hub: Hub, run: WorkflowRun) -> PullRequest:
    """The open pull request to main that a run was for, by GitHub's own word of the run.

    The same commit may be the head of two: the repository and the branch that it was pushed to tell them apart.
    Raises NothingToTellError where there is none, as where it has moved on; InputError where there are several.
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
        kind = InputError if pulls else NothingToTellError
        raise kind(
            f"run {run.id}: {len(pulls)} open pull requests are at {run.head_sha[:12]}",
            expected="one",
            fix="a newer run tells of a newer commit",
        )
    return pulls[0]

"""One stable branch and pull request for each thing that changes: opened, updated in place, withdrawn; never two.

A person's commit on the branch stops the bot, and the bot says so once. A second run with nothing new writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from git import Commit
from github.PullRequest import PullRequest

from gitops.clients.github import WORK, Hub, RaceError
from gitops.repository.history import History

# Every commit of a bot ends with this line: what has it not, a person made.
TRAILER = "Made-By: gitops"
# A pull request that the bot itself closed: nobody declined it.
WITHDRAWN = "withdrawn"
_STOPPED = "<!-- gitops: stopped -->"

Action = Literal["opened", "updated", "unchanged", "stopped", "withdrawn", "nothing"]


@dataclass(frozen=True)
class Proposal:
    """What a pull request should be.

    `base`: the commit of main that it was made from. `files`: path to content, None for a file that goes.
    """

    branch: str
    base: str
    title: str
    body: str
    files: Mapping[str, bytes | None]
    labels: tuple[str, ...] = ()
    auto_merge: bool = False


@dataclass(frozen=True)
class Outcome:
    """What was done about a branch, and its pull request where there is one."""

    action: Action
    number: int | None = None
    url: str = ""
    why: str = field(default="")


def propose(hub: Hub, history: History, pull: PullRequest | None, wanted: Proposal) -> Outcome:
    """Bring the branch and its pull request to `wanted`. `pull`: the open one, if there is one.

    Raises RaceError where someone else moved the branch in between, ExternalError.
    """
    head = history.branch(wanted.branch)
    if head and (people := history.by_people(head, TRAILER, set(wanted.files))):
        return _stop(hub, pull, wanted.branch, people[0])
    fresh = head is not None and _carries(history, head, wanted)
    if fresh:
        _sweep(hub, history, wanted.branch)
    else:
        message = f"{wanted.title}\n\n{TRAILER}"
        hub.commit(wanted.branch, base=wanted.base, expected=head, files=wanted.files, message=message)
    if pull is None:
        pull = hub.open_pull(wanted.branch, wanted.title, wanted.body, list(wanted.labels))
        action: Action = "opened"
    else:
        edited = hub.edit_pull(pull, wanted.title, wanted.body, list(wanted.labels))
        action = "unchanged" if fresh and not edited else "updated"
    if wanted.auto_merge:
        hub.auto_merge(pull)
    return Outcome(action, pull.number, pull.html_url)


def bring(hub: Hub, history: History, pull: PullRequest | None, make: Callable[[], Proposal]) -> Outcome:
    """`propose` what `make` gives; where another run was faster, look at what it left and do so once more."""
    try:
        return propose(hub, history, pull, make())
    except RaceError:
        history.fetch(hub.settings.token)
        wanted = make()
        return propose(hub, history, hub.open_pulls().get(wanted.branch), wanted)


def _sweep(hub: Hub, history: History, branch: str) -> None:
    """Take away the work branch of a run that was killed."""
    if left := history.branch(WORK + branch):
        hub.delete_branch(WORK + branch, left)


def _carries(history: History, head: str, wanted: Proposal) -> bool:
    """Whether the branch adds exactly these files to main, and main did not change them since."""
    commits = history.ahead(head)
    if not commits or any(history.content(head, path) != content for path, content in wanted.files.items()):
        return False
    base = commits[0].parents[0].hexsha
    return all(history.content(base, path) == history.content(wanted.base, path) for path in wanted.files)


def _stop(hub: Hub, pull: PullRequest | None, branch: str, commit: Commit) -> Outcome:
    who = f"{commit.hexsha[:12]} by {commit.author.name}"
    if pull is None:
        return Outcome("stopped", why=f"branch {branch} holds a person's commit ({who}); merge it or delete the branch")
    text = f"There is a commit that the bot did not make ({who}), so it leaves this pull request to you."
    hub.comment_once(pull, _STOPPED, text + " Merge or close it, and the bot goes on.")
    return Outcome("stopped", pull.number, pull.html_url, f"a person's commit: {who}")


def withdraw(hub: Hub, history: History, pull: PullRequest | None, branch: str, why: str) -> Outcome:
    """Close the pull request of a branch and delete it, as its reason is gone. A person's commits keep it open."""
    head = history.branch(branch)
    _sweep(hub, history, branch)
    if head and (people := history.by_people(head, TRAILER, set())):
        return _stop(hub, pull, branch, people[0]) if pull else Outcome("nothing", why=why)
    if pull:
        hub.comment_once(pull, "<!-- gitops: withdrawn -->", f"Withdrawn: {why}.")
        hub.close_pull(pull, WITHDRAWN)
    if head:
        # Also what a run that was killed between commit and pull request left behind, and merged branches.
        hub.delete_branch(branch, head)
    if not pull:
        return Outcome("withdrawn" if head else "nothing", why=why)
    return Outcome("withdrawn", pull.number, pull.html_url, why)

"""One stable branch and pull request for each thing that changes: opened, updated in place, withdrawn; never two.

A person's commit on the branch stops the bot, and the bot says so once. A second run with nothing new writes nothing.

GitHub's own auto-merge is never used: it stays armed when someone with write access pushes to the branch, and it does
not know of the bot's leave to merge without a review. A pull request that may merge by itself is merged by a later run,
once that has proved that the branch is exactly its proposal and that the required checks passed on that very commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from github.PullRequest import PullRequest

from gitops.clients.github import WORK, Hub, RaceError, decisions
from gitops.ground import jsontext, printable
from gitops.ground.printable import code
from gitops.repository import freeze_status, ours
from gitops.repository.freeze_status import GoesBack
from gitops.repository.git import FILE_MODE, GONE_MODE, Commit
from gitops.repository.history import History
from gitops.repository.ours import TRAILER

# A pull request that the bot itself closed: nobody declined it.
WITHDRAWN = "withdrawn"
_STOPPED = "<!-- gitops: stopped -->"


class PullAction(StrEnum):
    """What was done about a branch and its pull request."""

    OPENED = "opened"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STOPPED = "stopped"
    MERGED = "merged"
    WITHDRAWN = "withdrawn"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Proposal:
    """What a pull request should be.

    `base`: the commit of main that it was made from. `files`: path to content, None for a file that goes. `goes_back`:
    how a commit is known that may be merged in a freeze, where this may be such a one.
    """

    branch: str
    base: str
    title: str
    body: str
    files: Mapping[str, bytes | None]
    labels: tuple[str, ...] = ()
    auto_merge: bool = False
    goes_back: GoesBack | None = None


@dataclass(frozen=True)
class Outcome:
    """What was done about a branch, and its pull request where there is one.

    `why`: for a person.
    """

    action: PullAction
    number: int | None = None
    url: str = ""
    why: str = ""


@dataclass(frozen=True)
class Marker:
    """A line of a pull request's body that says, to the bot, what it proposes: read back when a person declined it."""

    name: str

    def line(self, proposed: Mapping[str, str]) -> str:
        """The line; no person sees it."""
        return printable.marker(self.name, dict(proposed))

    def read(self, pull: PullRequest) -> dict[str, str]:
        """What a pull request says that it proposes; nothing where it says nothing that can be read."""
        # The bot's own line is the last one: text of others above it may look like it.
        markers = re.findall(rf"^<!-- {re.escape(self.name)}: (\{{.*\}}) -->\r?$", pull.body or "", re.MULTILINE)
        with suppress(ValueError, RecursionError):  # a person may have edited it
            if markers and isinstance(proposal := jsontext.parse(markers[-1]), dict):
                return {str(key): str(value) for key, value in proposal.items()}
        return {}

    def declined(self, closed: Sequence[PullRequest]) -> list[dict[str, str]]:
        """What the pull requests proposed that a person closed without a merge."""
        proposals = []
        for pull in closed:
            if not is_withdrawn(pull):
                proposals.append(self.read(pull))
        return [proposal for proposal in proposals if proposal]


def propose(hub: Hub, history: History, pull: PullRequest | None, proposal: Proposal) -> Outcome:
    """Make the branch and its pull request what `proposal` says, with the status `freeze` that it has now.

    `pull`: the open one, if there is one. Raises InputError for freezes that cannot be read, RaceError where someone
    else moved the branch in between, ExternalError.
    """
    title = printable.subject(proposal.title)
    head = history.branch(proposal.branch)
    if head and (people := _by_people(hub, history, pull, head, proposal.branch)):
        return _stop(hub, pull, proposal.branch, people[0])
    fresh = head is not None and _carries(history, head, proposal)
    made: str | None = None
    if fresh:
        _delete_work_branch(hub, history, proposal.branch)
    else:
        if pull:
            # What a person armed it for is not what it will be.
            hub.disarm(pull)
        message = f"{title}\n\n{TRAILER}"
        made = hub.commit(proposal.branch, base=proposal.base, expected=head, files=proposal.files, message=message)
    if pull is None:
        pull = hub.open_pull(proposal.branch, title, proposal.body, list(proposal.labels))
        # Also of a commit that a run left which was killed before it opened anything.
        freeze_status.judge_made(hub, history, made or head, proposal.goes_back)
        return Outcome(PullAction.OPENED, pull.number, pull.html_url)
    edited = hub.edit_pull(pull, title, proposal.body, list(proposal.labels))
    freeze_status.judge_made(hub, history, made, proposal.goes_back)
    if fresh and head and proposal.auto_merge and (outcome := _merge_passed(hub, pull, head)):
        return outcome
    action = PullAction.UNCHANGED if fresh and not edited else PullAction.UPDATED
    return Outcome(action, pull.number, pull.html_url)


def merge_proved(
    hub: Hub, history: History, pull: PullRequest, is_proposal: Callable[[History, str], bool], *, since: datetime
) -> Outcome:
    """Merge a pull request of the bot that `is_proposal` recognises, without making its files anew.

    Only where the bot made it at `since` or later, all required checks passed on that very commit, and main changed
    none of its files. Otherwise nothing is done. Raises RaceError where someone moves the branch meanwhile,
    ExternalError.
    """
    branch = pull.head.ref
    head = history.branch(branch)
    base = history.fork_point(head) if head else None
    if not head or not base or history.when(head) < since or _by_people(hub, history, pull, head, branch):
        return leave(pull, "left to the next run that makes it anew")
    main, paths = history.main(), history.changes(base, head)
    untouched = all(history.content(base, path) == history.content(main, path) for path in paths)
    if untouched and is_proposal(history, head) and (outcome := _merge_passed(hub, pull, head)):
        return outcome
    return leave(pull, "its checks have not passed, or main has changed")


def _merge_passed(hub: Hub, pull: PullRequest, head: str) -> Outcome | None:
    """Merge what passed all its checks, or say who does not want that. None where it has not passed.

    A review is not asked for, but one that asks for changes is heard.
    """
    if not hub.passed(head):
        return None
    if why := decisions.objection(hub, pull.number):
        return leave(pull, f"left to people: {why}")
    return Outcome(PullAction.MERGED, pull.number, pull.html_url) if hub.merge(pull, head) else None


def propose_or_retry(hub: Hub, history: History, pull: PullRequest | None, make: Callable[[], Proposal]) -> Outcome:
    """`propose` what `make` gives; where another run was faster, look at what it left and do so once more."""
    try:
        return propose(hub, history, pull, make())
    except RaceError:
        history.fetch(hub.settings.token)
        proposal = make()
        return propose(hub, history, hub.open_pulls().get(proposal.branch), proposal)


def _delete_work_branch(hub: Hub, history: History, branch: str) -> None:
    """Delete what a run that was killed left."""
    if head := history.branch(WORK + branch):
        hub.delete_branch(WORK + branch, head)


def _by_people(hub: Hub, history: History, pull: PullRequest | None, head: str, branch: str) -> list[Commit]:
    """The commits of a branch that the bot must not lose. None where its pull request ended with all of them, merged or
    closed, and the branch alone stayed behind.
    """
    people = history.by_people(head, TRAILER, ours.may_change(history, branch), hub.signed_by_github)
    if people and pull is None and any(ended.head.sha == head for ended in hub.closed_pulls(branch, merged=None)):
        return []
    return people


def _carries(history: History, head: str, proposal: Proposal) -> bool:
    """Whether the branch adds exactly these files to main and nothing else, and main did not change them since."""
    base = history.fork_point(head)
    if base is None or any(
        history.content(base, path) != history.content(proposal.base, path) for path in proposal.files
    ):
        return False
    due = {path for path, content in proposal.files.items() if history.content(base, path) != content}
    changes = history.changes(base, head)
    plain = all(mode in (FILE_MODE, GONE_MODE) for mode in changes.values())
    right = all(history.content(head, path) == content for path, content in proposal.files.items())
    return bool(due) and plain and right and set(changes) == due


def leave(pull: PullRequest | None, why: str) -> Outcome:
    """Write nothing, for a reason; `pull` stays as it is."""
    return Outcome(PullAction.UNCHANGED, pull.number, why=why) if pull else Outcome(PullAction.NOTHING, why=why)


def _stop(hub: Hub, pull: PullRequest | None, branch: str, commit: Commit) -> Outcome:
    who = f"{commit.hexsha[:12]} by {commit.author.name}"
    if pull is None:
        why = f"branch {branch} holds a person's commit ({who}); merge it or delete the branch"
        return Outcome(PullAction.STOPPED, why=why)
    hub.disarm(pull)
    text = (
        f"There is a commit that the bot did not make ({code(who)}), so it leaves this pull request to you, whatever "
        "the commit's author says: GitHub did not sign it as the bot's, or it changes other files than the bot's. It "
        "will not merge by itself; read all of it. Merge or close it, and the bot goes on."
    )
    hub.comment_once(pull, _STOPPED, text)
    return Outcome(PullAction.STOPPED, pull.number, pull.html_url, f"a person's commit: {who}")


def _is_closed_at(hub: Hub, branch: str, head: str) -> bool:
    """Whether a person closed the pull request of a branch that stands where it stood then."""
    return any(pull.head.sha == head and not is_withdrawn(pull) for pull in hub.closed_pulls(branch))


def is_withdrawn(pull: PullRequest) -> bool:
    """Whether the bot itself closed a pull request, or a person lets what it proposed be proposed again."""
    return any(label.name == WITHDRAWN for label in pull.labels)


def withdraw(hub: Hub, history: History, pull: PullRequest | None, branch: str, why: str) -> Outcome:
    """Close the pull request of a branch and delete it, as its reason is gone. A person's commits keep it open."""
    head = history.branch(branch)
    _delete_work_branch(hub, history, branch)
    if head and (people := _by_people(hub, history, pull, head, branch)):
        return _stop(hub, pull, branch, people[0]) if pull else Outcome(PullAction.NOTHING, why=why)
    if pull:
        hub.comment_once(pull, "<!-- gitops: withdrawn -->", f"Withdrawn: {code(why)}.")
        hub.close_pull(pull, WITHDRAWN)
    if head and not pull and _is_closed_at(hub, branch, head):
        return Outcome(PullAction.NOTHING, why=why)  # who declined it can reopen it as long as its branch is there
    if head:
        # Also what a run that was killed between commit and pull request left behind, and merged branches.
        hub.delete_branch(branch, head)
    if not pull:
        return Outcome(PullAction.WITHDRAWN if head else PullAction.NOTHING, why=why)
    return Outcome(PullAction.WITHDRAWN, pull.number, pull.html_url, why)

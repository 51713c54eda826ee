"""Issues that a bot keeps: one for each label, brought up to date in place and closed when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from gitops.clients.github import lists
from gitops.clients.github.errors import NoAccessError
from gitops.clients.github.hub import Hub

# In the words of GitHub's pages (docs/runbooks/setup.md).
RIGHT = "Issues: write"


def keep(
    hub: Hub, label: str, title: str, body: str, *, closed_too: bool = False
) -> Literal["opened", "updated", "unchanged"]:
    """Have one open issue with `label` that says this; with `closed_too` one that a person closed stays closed, and is
    brought up to date as it is. Raises ExternalError, NoAccessError that names the right.
    """
    with _right():
        issue = _one(hub, label, "all" if closed_too else "open")
        if issue is None:
            hub.call("POST", "/issues", {"title": title, "body": body, "labels": [label]})
            return "opened"
        if (issue["title"], (issue["body"] or "").replace("\r\n", "\n")) == (title, body):
            return "unchanged"
        hub.call("PATCH", f"/issues/{issue['number']}", {"title": title, "body": body})
        return "updated"


def body(hub: Hub, label: str) -> str:
    """What the open issue with `label` says; nothing where there is none. Raises ExternalError, NoAccessError."""
    with _right():
        issue = _one(hub, label, "open")
    return (issue["body"] or "") if issue else ""


def close(hub: Hub, label: str) -> bool:
    """Close the open issue with `label`; whether there was one. Raises ExternalError, NoAccessError."""
    with _right():
        issue = _one(hub, label, "open")
        if issue:
            hub.call("PATCH", f"/issues/{issue['number']}", {"state": "closed", "state_reason": "completed"})
        return issue is not None


def _one(hub: Hub, label: str, state: Literal["open", "all"]) -> dict[str, Any] | None:
    """The oldest that a bot made: a person can give the label to any issue."""
    listed = lists.entries(hub, f"/issues?state={state}&labels={label}&direction=asc")
    return next((entry for entry in listed if "pull_request" not in entry and entry["user"]["type"] == "Bot"), None)


@contextmanager
def _right() -> Iterator[None]:
    """Say which right the App has not, where GitHub refuses a call."""
    try:
        yield
    except NoAccessError as error:
        fix = f"give the bot's App the right {RIGHT}, and the repository its issues (docs/runbooks/setup.md)"
        raise NoAccessError.of(error.status, error.fault.what, fix) from None

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
    hub: Hub, label: str, title: str, body: str, *, closed: Literal["another", "stays", "reopens"] = "another"
) -> Literal["opened", "updated", "unchanged"]:
    """Have one issue with `label` that says this. `closed`: what becomes of one that is closed: another is opened, it
    stays closed and is brought up to date as it is, or it is opened again.

    Raises ExternalError, NoAccessError that names the right.
    """
    with _right():
        issue = _one(hub, label, "open" if closed == "another" else "all")
        if issue is None:
            hub.call("POST", "/issues", {"title": title, "body": body, "labels": [label]})
            return "opened"
        state = {"state": "open"} if closed == "reopens" and issue["state"] != "open" else {}
        if not state and (issue["title"], (issue["body"] or "").replace("\r\n", "\n")) == (title, body):
            return "unchanged"
        hub.call("PATCH", f"/issues/{issue['number']}", {"title": title, "body": body, **state})
        return "updated"


def body(hub: Hub, label: str) -> str:
    """What the issue with `label` says, open or closed; nothing where there is none.

    Raises ExternalError, NoAccessError.
    """
    with _right():
        issue = _one(hub, label, "all")
    return (issue["body"] or "") if issue else ""


def close(hub: Hub, label: str, body: str | None = None) -> bool:
    """Close the open issue with `label`, which may say something else then; whether there was one.

    Raises ExternalError, NoAccessError.
    """
    with _right():
        issue = _one(hub, label, "open")
        if issue:
            change = {"state": "closed", "state_reason": "completed"} | ({} if body is None else {"body": body})
            hub.call("PATCH", f"/issues/{issue['number']}", change)
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

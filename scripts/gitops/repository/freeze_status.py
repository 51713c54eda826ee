"""The commit status `freeze`, which keeps the windows in which nothing is to change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import ValidationError

from gitops.clients.github import FREEZE, Hub
from gitops.ground.errors import InputError
from gitops.ground.printable import line
from gitops.manifests import yamlfile
from gitops.repository.freeze import AHEAD, FILE, Freeze, Freezes, current
from gitops.repository.history import History
from gitops.repository.rotation import is_rotation

# Whether a commit does nothing but go back to what ran, as far as who asks can tell.
GoesBack = Callable[[History, str], bool]


def read_main(history: History) -> list[Freeze]:
    """The windows that main has. Raises InputError."""
    content = history.content(history.main(), FILE)
    documents = yamlfile.parse_all(content, FILE) if content else []
    try:
        return Freezes.model_validate(documents[0]).freezes if documents else []
    except ValidationError as error:
        raise InputError.several(yamlfile.faults(error, FILE)) from None


def set_one(hub: Hub, history: History, window: Freeze | None, head: str, goes_back: GoesBack | None) -> str:
    """Set the status of one commit. Returns what was written, nothing where it is so already. Raises ExternalError.

    `history` must have the commit where there is a window; what it has not passes in none.
    """
    state, text = "success", "no freeze"
    if window and goes_back and goes_back(history, head):
        text = f"a rollback may be merged in {window.name}"
    elif window and is_rotation(history, head):
        # 42 waits for no window of ours: what is deployed ends all the same.
        text = f"a rotation may be merged in {window.name}"
    elif window:
        state, text = "failure", f"{window.name}: {window.start} until {window.end} {window.zone}"
    return f"{state}: {text}" if hub.status(head, FREEZE, state, line(text)[:140]) else ""


def judge_made(hub: Hub, history: History, made: str | None, goes_back: GoesBack | None = None) -> None:
    """Set the status of what has just been proposed (None: nothing), so that it waits for no other run.

    Only as the App: what another sets the ruleset does not take, and the workflow `freeze` comes with the event. Raises
    InputError for windows that cannot be read, ExternalError.
    """
    if made is None or not hub.is_app:
        return
    window = current(read_main(history), datetime.now(UTC), AHEAD)
    if window:
        history.fetch(hub.settings.token)
    set_one(hub, history, window, made, goes_back)

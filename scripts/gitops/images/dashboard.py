"""The dashboard: one issue on GitHub that says what runs, what is newer and what that waits for."""

from __future__ import annotations

from collections.abc import Sequence

from gitops.clients.github import Hub, issues
from gitops.ground.errors import GitopsError
from gitops.ground.printable import code
from gitops.images import status
from gitops.images.status import OverlayStatus

LABEL = "images-dashboard"
TITLE = "Image updates: what runs, and what waits"
# GitHub takes 65,536 characters.
_MOST = 60_000


def keep(hub: Hub | None, statuses: Sequence[OverlayStatus]) -> list[GitopsError]:
    """Have the one issue say this, and write only where it says something else. Without a `hub` nothing is done.

    A person may close it: it is kept up to date all the same, and never opened again. Returns what went wrong: what was
    done about the overlays has to be told all the same.
    """
    try:
        if hub:
            issues.keep(hub, LABEL, TITLE, body(statuses), closed="stays")
    except GitopsError as error:
        return [error]
    return []


def body(statuses: Sequence[OverlayStatus]) -> str:
    """The same for the same facts: it names moments, and nothing that a minute changes."""
    troubled = [own for own in statuses if own.trouble]
    waiting = [own for own in statuses if own.waiting and not own.trouble]
    quiet = [own for own in statuses if not own.waiting and not own.trouble]
    lines = ["The bot keeps this up to date, also where you close it. By hand: `gitops images status`."]
    for title, listed in (("To be seen to", troubled), ("Waiting", waiting), ("Up to date", quiet)):
        if listed:
            lines += ["", f"## {title}", ""]
            for own in listed:
                lines += _entry(own)
    text = "\n".join(lines)
    if len(text) <= _MOST:
        return text
    cut = text[:_MOST].rpartition("\n")[0]
    return f"{cut}\n\nAnd more than fits here: `gitops images status`."


def _entry(own: OverlayStatus) -> list[str]:
    runs = code(own.runs.tag) if own.runs else "what cannot be read"
    since = f" since {status.when(own.since)}" if own.since else ""
    pull = f" (#{own.pull})" if own.pull else ""
    lines = [f"- {code(own.label)} runs {runs}{since}{pull}"]
    if own.trouble:
        lines.append(f"  - {code(own.trouble)}")
    for waiting in own.waiting:
        tag = f"{code(waiting.tag)}: " if waiting.tag else ""
        lines.append(f"  - {tag}{code(waiting.why)}")
    return lines

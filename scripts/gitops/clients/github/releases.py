"""The releases and tags of any repository on GitHub that this token may see."""

from __future__ import annotations

from dataclasses import dataclass

from gitops.clients.github import lists
from gitops.clients.github.errors import errors
from gitops.clients.github.hub import Hub


@dataclass(frozen=True)
class Release:
    """What a repository says of one of its versions. `notes`: whatever its people wrote, nothing for a bare tag."""

    tag: str
    notes: str = ""


def newest(hub: Hub, repository: str) -> list[Release]:
    """The newest hundred that were published, or of a repository that publishes none the tags.

    `repository`: OWNER/NAME. Raises ExternalError, NoAccessError.
    """
    what = f"read the releases of {repository}"
    listed = hub.call("GET", f"/releases?per_page={lists.PAGE}", repository=repository)
    with errors(what):
        published = [entry for entry in listed if not entry["draft"]]
        if published:
            return [Release(str(entry["tag_name"]), str(entry["body"] or "")) for entry in published]
    listed = hub.call("GET", f"/tags?per_page={lists.PAGE}", repository=repository)
    with errors(what):
        return [Release(str(entry["name"])) for entry in listed]

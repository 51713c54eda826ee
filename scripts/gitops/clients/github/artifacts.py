"""What a workflow run kept."""

from __future__ import annotations

import requests

from gitops.clients.github import lists
from gitops.clients.github.errors import errors
from gitops.clients.github.hub import Hub
from gitops.clients.github.workflow_run import NothingToTellError
from gitops.ground.errors import InputError


def artifact(hub: Hub, run: int, name: str, *, limit: int) -> bytes:
    """The zip archive that a workflow run kept under `name` last, in memory: no file of it is written anywhere.

    `limit`: its most bytes; a larger one is not asked for. Raises NothingToTellError where it kept
    none, InputError, ExternalError.
    """
    what = f"read the artifact {name} of run {run}"
    with errors(what):
        kept = lists.entries(hub, f"/actions/runs/{run}/artifacts", "artifacts")
        artifacts = [entry for entry in kept if entry["name"] == name and not entry["expired"]]
    if not artifacts:
        raise NothingToTellError(f"run {run} kept no artifact {name}", fix="read why in its own log")
    newest = max(artifacts, key=lambda entry: int(entry["id"]))
    if newest["size_in_bytes"] > limit:
        raise InputError(
            f"run {run}: the artifact {name} is too large",
            found=f"{newest['size_in_bytes']} bytes",
            expected=f"at most {limit}",
        )
    headers = {
        "Authorization": f"Bearer {hub.settings.token.get_secret_value()}",
        "Accept": "application/vnd.github+json",
    }
    # GitHub sends on to a storage of others; `requests` gives the token to no other host.
    with (
        errors(what),
        requests.get(newest["archive_download_url"], headers=headers, timeout=20, stream=True) as answer,
    ):
        answer.raise_for_status()
        content: bytes = answer.raw.read(limit + 1)
    if len(content) > limit:
        expected = f"at most {limit} bytes"
        raise InputError(f"run {run}: the artifact {name} is larger than GitHub said", expected=expected)
    return content

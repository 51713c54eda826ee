"""What a pull request proposes of an application: by the bot's marker in it, or by its commit where that was edited."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from contextlib import suppress

from github.PullRequest import PullRequest

from gitops.ground.errors import InputError
from gitops.manifests import sealedsecret
from gitops.oauth import change, model
from gitops.oauth.model import OAuthApplication
from gitops.repository.git import GONE_MODE
from gitops.repository.history import History
from gitops.repository.pulls import is_withdrawn
from gitops.repository.rotation import Record, generation_of

# As `model.rotation_id` and `change.clean_up_id` make them.
_IDS = re.compile(r"[0-9a-f]{64}|clean-up-[0-9]+")


def of(history: History, application: OAuthApplication, pull: PullRequest) -> set[str]:
    """The rotation or the clean-up; nothing where neither text nor commit can be read."""
    named = change.MARKER.read(pull).get("rotation", "")
    return {named} if _IDS.fullmatch(named) else _by_commit(history, application, pull.head.sha)


def declined(history: History, application: OAuthApplication, closed: Iterable[PullRequest]) -> set[str]:
    """The rotations and clean-ups whose pull requests a person closed without a merge."""
    pulls = [pull for pull in closed if not is_withdrawn(pull)]
    return set().union(*(of(history, application, pull) for pull in pulls))


def _by_commit(history: History, application: OAuthApplication, head: str) -> set[str]:
    """What a commit proposes; nothing where this clone does not have it."""
    base = history.fork_point(head)
    if base is None:
        return set()
    if base == head:  # merged as it was
        base = f"{head}^"
    changes = history.changes(base, head)
    sealed = fnmatch.filter(changes, application.overlay.file("sealedsecret-oauth-42-g*.yaml"))
    rotations: set[str] = set()
    for path in (path for path in sealed if changes[path] != GONE_MODE):
        with suppress(InputError):  # a person may have edited that as well
            record = Record.of(sealedsecret.read(history.content(head, path) or b"", path))
            rotations |= {record.rotation} if record else set()
    if rotations or not sealed:
        return rotations
    return _clean_up(history, application, base)


def _clean_up(history: History, application: OAuthApplication, base: str) -> set[str]:
    path = application.reference
    with suppress(InputError):
        secret = model.deployed_secret(history.content(base, path) or b"", path)
        return {change.clean_up_id(generation_of(secret, application.overlay.service, path))}
    return set()

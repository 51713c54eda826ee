"""Which repository on GitHub, and who asks, from a laptop: where the environment is silent, origin and `gh` say it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from gitops.clients.github.hub import Hub
from gitops.clients.github.settings import RepositorySettings
from gitops.ground import hidden
from gitops.ground import settings as environment
from gitops.ground.command import CommandError, run
from gitops.ground.errors import InputError, MachineError

_HOST = "github.com"
# git@github.com:owner/name.git, as git writes an address of ssh.
_SHORT = re.compile(r"(?:[^@/]+@)?(?P<host>[^:/]+):(?!//)(?P<path>.+)")
_PATH = re.compile(r"/?([\w.-]+/[\w.-]+?)(?:\.git)?/?")


def hub_of(root: Path, *, tries: int = 5) -> Hub:
    """GitHub as a person with a clone at `root` may use it; `tries` as Hub has them. Raises InputError.

    GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL come first; then origin's address and what `gh` signed in with.
    """
    own = environment.read()
    repository = own.github_repository or _of_origin(root, any_host="github_api_url" in own.model_fields_set)
    token = own.github_token or _of_gh()
    return Hub(RepositorySettings(repository, token, own.github_api_url), pause=own.github_pause, tries=tries)


def _of_origin(root: Path, *, any_host: bool) -> str:
    """OWNER/NAME of origin. `any_host`: GitHub's API was named, so its host need not be github.com."""
    fix = "set GITHUB_REPOSITORY=OWNER/NAME, and GITHUB_API_URL where it is no github.com"
    try:
        address = run(["git", "-C", root, "remote", "get-url", "origin"], timeout=20).decode().strip()
    except CommandError:
        raise InputError("there is no remote `origin`", path=str(root), fix=fix) from None
    host, path = _parts(address)
    match = _PATH.fullmatch(path)
    if match is None or not (any_host or host == _HOST):
        # Never the address itself: it may have a token.
        raise InputError("origin is no repository of GitHub", path=str(root), found=host or "no host", fix=fix)
    return match[1]


def _parts(address: str) -> tuple[str, str]:
    """The host and the path of a remote's address."""
    if "://" not in address:
        match = _SHORT.fullmatch(address)
        return (match["host"], match["path"]) if match else ("", "")
    with suppress(ValueError):
        parts = urlsplit(address)
        return parts.hostname or "", parts.path
    return "", ""


def _of_gh() -> SecretStr:
    fix = "sign in with: gh auth login, or set GITHUB_TOKEN"
    try:
        token = run(["gh", "auth", "token"], timeout=20).decode().strip()
    except (CommandError, MachineError):
        raise InputError("not set: GITHUB_TOKEN, and `gh` has signed in nowhere", fix=fix) from None
    if not token or not token.isascii() or not token.isprintable():
        raise InputError("not set: GITHUB_TOKEN, and `gh auth token` gives none", fix=fix)
    hidden.remember(token)
    return SecretStr(token)

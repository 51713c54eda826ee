"""A pull request of what a person's command sealed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gitops.clients.github import Hub
from gitops.ground import printable, settings
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.repository import contents, freeze_status
from gitops.repository.history import History


def reachable() -> Hub | None:
    """GitHub, where the environment says which repository and who asks (GITHUB_REPOSITORY, GITHUB_TOKEN)."""
    own = settings.read()
    return Hub.from_environment() if own.github_token and own.github_repository else None


def propose(checkout: Checkout, hub: Hub, branch: str, title: str, body: str, paths: Sequence[Path]) -> str:
    """Open a pull request with these files of the working copy, which has main's again afterwards. Returns its address.

    Raises InputError where main has other versions of them than the working copy was made of, ExternalError. Then the
    files stay as they were written.
    """
    history = History(checkout.root)
    history.fetch(hub.settings.token)
    base = history.main()
    names = [checkout.relative(path) for path in paths]
    before: contents.Contents = {path: history.content("HEAD", path) for path in names}
    for path, content in before.items():
        if history.content(base, path) != content:
            raise InputError("main has another version of it", path=path, fix="git pull --rebase, and run it again")
    shown = printable.subject(title)
    files = contents.read(checkout, names)
    made = hub.commit(branch, base=base, expected=history.branch(branch), files=files, message=shown)
    pull = hub.open_pull(branch, shown, body, [])
    freeze_status.judge_made(hub, history, made)
    contents.write_all(checkout, before)
    return pull.html_url

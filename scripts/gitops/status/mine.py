"""Whose services are shown: by what a person says, else by who git and GitHub say that one is."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, run
from gitops.ground.errors import InputError
from gitops.ground.suggest import did_you_mean
from gitops.manifests import yamlfile
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from gitops.repository.services import Owner, Team

# GitHub's own address for a person who hides theirs: 1234+login@users.noreply.github.com.
_HIDDEN = re.compile(r"(?:\d+\+)?([\w-]+)@users\.noreply\.github\.com")
# Seconds that git's own history is asked, and how many of a person's last commits.
_LOOK, _COMMITS = 0.5, "30"


@dataclass(frozen=True)
class Mine:
    """The services that are shown, and why these. `known`: False where nobody knew whose they are, so that all are."""

    services: tuple[str, ...]
    why: str
    known: bool = True


def teams_of(checkout: Checkout) -> dict[str, str]:
    """Each service's team, as far as its owner.yaml can be read."""
    known: dict[str, str] = {}
    for file in sorted(checkout.overlays.glob("[!.]*/owner.yaml")):
        with suppress(InputError):
            known[file.parent.name] = yamlfile.read_model(checkout, file, Owner).team
    return known


def given(checkout: Checkout, owners: Mapping[str, str], team: str | None, *, everybody: bool) -> Mine | None:
    """What a person says, by `--all`, `--team` or GITOPS_TEAM; None where nothing. Raises InputError."""
    if everybody and team is not None:
        raise InputError("--all and --team", expected="one of them, as all are every team's")
    name = None if everybody else team or settings.read().team
    if everybody:
        return Mine(tuple(owners), "every team's, by --all")
    if name is None:
        return None
    known = services.teams(checkout)
    if name not in known:
        raise InputError(f"team {name!r}: is none of .github/teams.yaml", fix=did_you_mean(name, known))
    return _of_teams(owners, [name], "--team" if team else "GITOPS_TEAM")


def by_git(checkout: Checkout, owners: Mapping[str, str]) -> Mine | None:
    """By git's own settings: github.user, or user.email where GitHub gave it. None where they name no team."""
    login = _login(checkout.root)
    return by_login(checkout, owners, login, "git's github.user or user.email") if login else None


def by_login(checkout: Checkout, owners: Mapping[str, str], login: str, how: str) -> Mine | None:
    """By the team whose handle in teams.yaml is that person."""
    return by_handles(checkout, owners, [login], how)


def by_handles(checkout: Checkout, owners: Mapping[str, str], handles: Collection[str], how: str) -> Mine | None:
    """By teams' handles on GitHub, without the @; None where teams.yaml has none of them."""
    with suppress(InputError):
        wished = {f"@{handle}".lower() for handle in handles}
        names = [name for name, team in services.teams(checkout).items() if _handle(team) in wished]
        return _of_teams(owners, names, how) if names else None
    return None


def by_commits(checkout: Checkout, owners: Mapping[str, str]) -> Mine | None:
    """By the services that a person's own last commits changed; None where git knows nobody, or no such commit."""
    email = _setting(checkout.root, "user.email")
    if not email:
        return None
    words = ["log", "--fixed-strings", f"--author=<{email}>", "-n", _COMMITS, "--format=", "--name-only"]
    with suppress(CommandError):
        printed = run(["git", "-C", checkout.root, *words, "HEAD", "--", "overlays"], timeout=_LOOK).decode()
        overlays = {Overlay.of_path(path) for path in printed.splitlines()}
        names = tuple(sorted({overlay.service for overlay in overlays if overlay} & owners.keys()))
        return Mine(names, "the services of your last commits") if names else None
    return None


def nobody(owners: Mapping[str, str]) -> Mine:
    """All of them, as nobody knows who asks."""
    why = "every team's, as nobody knows yours: git config github.user LOGIN, --team or GITOPS_TEAM says it"
    return Mine(tuple(owners), why, known=False)


def _of_teams(owners: Mapping[str, str], teams: Collection[str], how: str) -> Mine:
    own = tuple(service for service, team in owners.items() if team in teams)
    return Mine(own, f"those of {', '.join(sorted(teams))}, by {how}")


def _handle(team: Team) -> str:
    return team.github.lower()


def _login(root: Path) -> str:
    if login := _setting(root, "github.user"):
        return login
    hidden = _HIDDEN.fullmatch(_setting(root, "user.email"))
    return hidden[1] if hidden else ""


def _setting(root: Path, name: str) -> str:
    """One of git's settings; empty where there is none."""
    with suppress(CommandError):
        return run(["git", "-C", root, "config", "--get", name], timeout=_LOOK).decode().strip()
    return ""

"""What the attacks on GitHub share: a repository that its rulesets protect, a member, a bot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from gitops.clients.github import Hub, RepositorySettings
from gitops.github import declared
from gitops.ground.checkout import Checkout
from gitops.repository.history import History
from gitops.repository.pulls import Outcome, Proposal, propose
from tests.fakes.github import TOKEN, GitHub
from tests.fakes.github_repository import Pull
from tests.fakes.github_rulesets import ADMIN, BOT_ACTOR, BOT_APP, MEMBER
from tests.frozen import ROOT
from tests.world import World

BRANCH, FILE = "bump/mogle/staging", "overlays/mogle/staging/kustomization.yaml"
POLICY = "policies/pods/image-registry.yaml"
# The bot's proposal: one file, which may merge by itself.
PROPOSAL = Proposal(BRANCH, "", "Bump mogle", "body", {FILE: b"resources: []\n"}, auto_merge=True)
MEMBERS, OPERATORS = "ghp-member", "ghp-operator"
TEAM = "@ft-platform/community"


@pytest.fixture
def world(github: GitHub, tmp_path: Path) -> World:
    github.tokens |= {MEMBERS: MEMBER, OPERATORS: ADMIN}
    return World(github, tmp_path / "clone")


def protect(github: GitHub, *names: str, change: Callable[[dict[str, Any]], None] = lambda ruleset: None) -> None:
    """Put rulesets of this repository into force, all of them without names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOT_APP_ID", str(BOT_APP))
        rulesets = declared.read(Checkout(ROOT)).rulesets
    for number, name in enumerate(names or rulesets, 1):
        change(rulesets[name])
        github.rules.keep(rulesets[name], number)


def passed(github: GitHub, sha: str) -> None:
    """Everything that is required of a commit is green, by those who may say so."""
    github.rules.checked(sha)
    for context in ("main-gate", "freeze"):
        github.rules.status(sha, context, "success", BOT_ACTOR)


def bring(world: World, proposal: Proposal = PROPOSAL) -> Outcome:
    """One run of the bot."""
    github = world.github
    hub = Hub(RepositorySettings(github.name, SecretStr(TOKEN), github.environment["GITHUB_API_URL"]), pause=0)
    history = History(world.checkout.root)
    history.fetch(SecretStr(TOKEN))
    return propose(hub, history, hub.open_pulls().get(BRANCH), replace(proposal, base=history.main()))


def merge(github: GitHub, pull: Pull, token: str = MEMBERS, **body: str) -> str:
    """Press the button. Returns GitHub's refusal, or nothing where it merged."""
    url = f"{github.environment['GITHUB_API_URL']}/repos/{github.name}/pulls/{pull.number}/merge"
    answer = requests.put(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=20)
    return "" if answer.status_code == 200 else " ".join(answer.json()["message"].split())


def proposes(github: GitHub, files: dict[str, bytes | None], branch: str = "student/change", *labels: str) -> Pull:
    """A member opens a pull request."""
    github.commit(branch, files, "Change", parent=github.head("main"))
    github._open({"head": branch, "base": "main", "title": "Change"})
    pull = github.pulls[len(github.pulls)]
    pull.user, pull.labels = MEMBER.login, list(labels)
    return pull

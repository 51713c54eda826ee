"""Attacks by names: a tag that is called as main is, for those who ask for main by its name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitops.repository import revision
from tests.attacks import Door, Guard, attack
from tests.attacks.github_world import FILE, MEMBERS, TEAM, merge, proposes, protect, world
from tests.fakes.github import GitHub
from tests.fakes.github_rulesets import BOT_ACTOR, BOT_APP
from tests.world import World

__all__ = ["world"]

pytestmark = pytest.mark.bots


def push_tag(github: GitHub, folder: Path, name: str, commit: str) -> str:
    """A member pushes a tag. Returns git's refusal, or nothing."""
    address = github.clone_url.replace("//", f"//x-access-token:{MEMBERS}@")
    subprocess.run(["git", "clone", "-q", address, str(folder)], check=True)
    words = ["git", "-C", str(folder), "push", "-q", "origin", f"{commit}:refs/tags/{name}"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


@attack(Door.MEMBER, "have main's gate compare with a tag that is called origin/main", Guard.WORKFLOW, Guard.GITHUB)
def test_tag_of_mains_name(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, guard: Guard | None
) -> str | None:
    """git takes a tag for a branch of another repository, where both have the name."""
    github = world.github
    # Found in what a change concerns alone.
    evil = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: evil}\n"
    listing = world.file(FILE).replace(b"resources:\n", b"resources:\n  - evil.yaml\n")
    pull = proposes(github, {"overlays/mogle/staging/evil.yaml": evil, FILE: listing})
    if guard is Guard.GITHUB:
        protect(github, "tags")
    refused = push_tag(github, tmp_path / "member", "origin/main", pull.last_head)
    # As actions/checkout does for `fetch-depth: 0`.
    words = ["git", "fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
    subprocess.run(words, cwd=world.checkout.root, check=True)
    if guard is not Guard.WORKFLOW:
        monkeypatch.setattr(revision, "resolve", lambda repo, text: str(repo.commit(text).hexsha))
    judged = world.run("check", "--base", "origin/main", "--head", pull.last_head, "--offline")
    world.run("github", "gate", pull.last_head, "success" if judged.code == 0 else "failure")
    github.rules.status_apps[pull.last_head, "main-gate"] = BOT_APP
    github.rules.checked(pull.last_head)
    github.rules.status(pull.last_head, "freeze", "success", BOT_ACTOR)
    github.rules.approve(pull.number, "another-member", TEAM)
    protect(github, "main")
    refusal = merge(github, pull)
    return (refused or refusal) if refusal else None

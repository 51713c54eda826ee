"""Attacks on the bots' branches: commits that look like theirs, and merges of what nobody proved."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from gitops.clients.github import Hub, RaceError, RepositorySettings
from gitops.repository import ours, pulls
from gitops.repository.ours import TRAILER
from gitops.repository.pulls import PullAction
from tests.attacks import Door, Guard, attack
from tests.attacks.github_world import (
    BRANCH,
    FILE,
    MEMBERS,
    POLICY,
    bring,
    passed,
    protect,
    world,
)
from tests.fakes.github import TOKEN, GitHub
from tests.fakes.github_repository import BOT, GITHUB
from tests.world import World

__all__ = ["world"]

pytestmark = pytest.mark.bots


def forge(world: World, folder: Path, files: dict[str, bytes]) -> str:
    """Push a commit onto the bot's branch that looks like the bot's. Returns git's refusal, or nothing."""
    environment = {**os.environ, "HOME": str(folder.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    for role, (name, email) in {"AUTHOR": BOT, "COMMITTER": GITHUB}.items():
        environment |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": email}

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(folder), *words], env=environment, capture_output=True, text=True)

    address = world.github.clone_url.replace("//", f"//x-access-token:{MEMBERS}@")
    subprocess.run(["git", "clone", "-q", "-b", BRANCH, address, str(folder)], env=environment, check=True)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    git("add", "--all")
    assert git("commit", "-q", "-m", f"Bump mogle\n\n{TRAILER}").returncode == 0
    done = git("push", "-q", "origin", f"HEAD:{BRANCH}")
    return done.stderr if done.returncode else ""


def trust_everyone(patch: pytest.MonkeyPatch) -> None:
    """The bot as it was: a committer and a trailer are proof, and its own files are all that it looks at."""
    patch.setattr(Hub, "signed_by_github", lambda hub, sha: True)
    patch.setattr(ours, "may_change", lambda history, branch: lambda parent, path: True)
    patch.setattr(
        pulls,
        "_carries",
        lambda history, head, proposal: all(
            history.content(head, path) == content for path, content in proposal.files.items()
        ),
    )


def merged(github: GitHub, path: str) -> bool:
    return b"evil" in github.git("show", f"main:{path}").encode() if _there(github, path) else False


def _there(github: GitHub, path: str) -> bool:
    return bool(github.git("ls-tree", "--name-only", "main", path))


@attack(Door.MEMBER, "push a commit like the bot's onto its branch, which also changes {path}", Guard.BOT, Guard.GITHUB)
@pytest.mark.parametrize("path", [POLICY, "overlays/umbrella/prod/evil.yaml", "overlays/mogle/staging/evil.yaml"])
def test_forged_commit(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str, guard: Guard | None
) -> str | None:
    github = world.github
    if guard is Guard.GITHUB:
        protect(github, "bots")
    if guard is not Guard.BOT:
        trust_everyone(monkeypatch)
    bring(world)
    github.pulls[1].auto_merge = True  # by a person, before
    refused = forge(world, tmp_path / "forger", {path: b"evil: true\n"})
    passed(github, str(github.head(BRANCH)))
    outcome = bring(world)
    if merged(github, path):
        return None
    if guard is Guard.BOT:
        assert outcome.action is PullAction.STOPPED
        assert not github.pulls[1].auto_merge
        assert "It will not merge by itself" in github.pulls[1].comments[0]
    return refused or outcome.why


@attack(Door.MEMBER, "have GitHub sign a commit that names the bot as its author, and adds {path}", Guard.BOT)
@pytest.mark.parametrize("path", [POLICY, "overlays/mogle/staging/evil.yaml"])
def test_signed_for_the_bot(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str, guard: Guard | None
) -> str | None:
    """The contents API takes any author, and signs: a signature alone proves nothing."""
    github = world.github
    if guard is None:
        trust_everyone(monkeypatch)
    bring(world)
    message = f"Bump mogle\n\n{TRAILER}"
    github.commit(BRANCH, {path: b"evil: true\n"}, message, author=BOT, committer=GITHUB, signed=True)
    passed(github, str(github.head(BRANCH)))
    outcome = bring(world)
    passed(github, str(github.head(BRANCH) or github.head("main")))
    bring(world)
    # No file but those of images is the bot's on this branch.
    return None if merged(github, path) else f"{outcome.action} {outcome.why}".strip()


@attack(Door.MEMBER, "make the bot's file a link or a program", Guard.BOT)
def test_mode(world: World, monkeypatch: pytest.MonkeyPatch, guard: Guard | None) -> str | None:
    github = world.github
    if guard is None:
        trust_everyone(monkeypatch)
    bring(world)
    blob = github.git("rev-parse", f"{BRANCH}:{FILE}")
    index = {"GIT_INDEX_FILE": str(github.git_dir / "forged")}
    github.git("read-tree", BRANCH, env=index)
    github.git("update-index", "--cacheinfo", f"100755,{blob},{FILE}", env=index)
    tree = github.git("write-tree", env=index)
    who = {"GIT_AUTHOR_NAME": BOT[0], "GIT_AUTHOR_EMAIL": BOT[1]}
    who |= {"GIT_COMMITTER_NAME": GITHUB[0], "GIT_COMMITTER_EMAIL": GITHUB[1]}
    made = github.git("commit-tree", tree, "-p", BRANCH, stdin=f"Bump\n\n{TRAILER}".encode(), env=who)
    github.git("update-ref", f"refs/heads/{BRANCH}", made)
    github.settle()
    passed(github, made)
    outcome = bring(world)
    return None if outcome.action is PullAction.MERGED else f"{outcome.action} {outcome.why}"


@attack(Door.MEMBER, "push between the bot's proof and its merge", Guard.BOT)
def test_race(world: World, monkeypatch: pytest.MonkeyPatch, guard: Guard | None) -> str | None:
    github = world.github
    bring(world)
    proved = Hub.passed

    def prove_and_push(hub: Hub, sha: str) -> bool:
        done = proved(hub, sha)
        github.commit(BRANCH, {POLICY: b"evil: true\n"}, "Evil")
        return done

    monkeypatch.setattr(Hub, "passed", prove_and_push)
    if guard is None:
        monkeypatch.setattr(Hub, "merge", lambda hub, pull, head: bool(pull.merge(merge_method="squash").merged))
    passed(github, str(github.head(BRANCH)))
    try:
        bring(world)
    except RaceError as error:
        assert not merged(github, POLICY)
        return str(error)
    return None


@attack(Door.MEMBER, "get a green check on the same commit from {what}", Guard.BOT)
@pytest.mark.parametrize("what", ["another workflow", "another App"])
def test_second_check(world: World, monkeypatch: pytest.MonkeyPatch, what: str, guard: Guard | None) -> str | None:
    """Without a ruleset the bot itself still takes no other's word."""
    github = world.github
    bring(world)
    head = str(github.head(BRANCH))
    passed(github, head)
    github.rules.check_runs[head] = [("check", "failure", 15368)] if what == "another workflow" else []
    github.rules.checked(head, app=15368 if what == "another workflow" else 99)
    if guard is None:
        monkeypatch.setattr(Hub, "passed", lambda hub, sha: True)
    outcome = bring(world)
    return None if outcome.action is PullAction.MERGED else f"{outcome.action}: not every check of Actions passed"


@attack(Door.MEMBER, "have the bot take for its own a pull request {what}", Guard.BOT)
@pytest.mark.parametrize("what", ["of a fork of the same owner", "to another branch than main"])
def test_pull_request_of_anothers(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str, guard: Guard | None
) -> str | None:
    """What it brings up to date, merges and counts as declined is the bot's own alone."""
    github = world.github
    if guard is None:
        monkeypatch.setattr(Hub, "_is_own", lambda hub, pull: True)
    bring(world)
    if what == "to another branch than main":
        github.commit("student/base", {"README.md": b"x"}, "Base", parent=github.head("main"))
        github.pulls[1].base = "student/base"
    else:
        github.pulls[1].fork = f"{github.name.partition('/')[0]}/fork"
    hub = Hub(RepositorySettings(github.name, SecretStr(TOKEN), github.environment["GITHUB_API_URL"]), pause=0)
    bring(world)
    github.pulls[1].state = "closed"
    declined = [pull.number for pull in hub.closed_pulls(BRANCH)]
    if guard:
        assert declined == []
        assert github.pulls[2].user == BOT[0]
    return None if declined == [1] and len(github.pulls) == 1 else "the bot opens its own"

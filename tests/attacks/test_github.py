"""Attacks by GitHub: branches, checks, statuses, labels and settings, against rulesets as GitHub applies them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from gitops.images import edit, rollback, way_back
from gitops.manifests.image import Image
from tests.attacks import Door, Guard, attack
from tests.attacks.github_world import (
    FILE,
    OPERATORS,
    POLICY,
    TEAM,
    merge,
    passed,
    proposes,
    protect,
    world,
)
from tests.fakes.github import TOKEN, Fault, GitHub
from tests.fakes.github_repository import Pull
from tests.fakes.github_rulesets import ADMIN, BOT_ACTOR, BOT_APP, MEMBER, WORKFLOW
from tests.fakes.slack import Slack
from tests.frozen import ROOT
from tests.world import World

__all__ = ["world"]

pytestmark = pytest.mark.bots


@attack(Door.MEMBER, "set the required status {context} on their own commit", Guard.GITHUB)
@pytest.mark.parametrize("context", ["freeze", "main-gate"])
@pytest.mark.parametrize("actor", [MEMBER, WORKFLOW], ids=["by-hand", "by-a-workflow"])
def test_status(world: World, context: str, actor: Any, guard: Guard | None) -> str | None:
    github = world.github

    def any_source(ruleset: dict[str, Any]) -> None:
        for rule in ruleset["rules"] if guard is None else []:
            for check in rule.get("parameters", {}).get("required_status_checks", []):
                check.pop("integration_id")

    protect(github, "main", change=any_source)
    pull = proposes(github, {FILE: b"evil: true\n"})
    passed(github, pull.last_head)
    github.rules.status(pull.last_head, context, "success", actor)
    return merge(github, pull) or None


@attack(Door.MEMBER, "bring a workflow whose job is called check", Guard.WORKFLOW, Guard.GITHUB)
def test_job_of_the_name_check(world: World, monkeypatch: pytest.MonkeyPatch, guard: Guard | None) -> str | None:
    """Main's own code looks at the change (gate.yaml), and code owners read the workflow."""
    github = world.github
    fake_check = b"on: pull_request\njobs: {check: {runs-on: x, steps: [{run: 'true'}]}}\n"
    secret = b"apiVersion: v1\nkind: Secret\nmetadata: {name: evil}\nstringData: {a: b}\n"
    listing = world.file(FILE).replace(b"resources:\n", b"resources:\n  - evil.yaml\n")
    pull = proposes(
        github,
        {
            ".github/workflows/evil.yaml": fake_check,
            "overlays/mogle/staging/evil.yaml": secret,
            FILE: listing,
            "scripts/gitops/check/run.py": b"def run(*args, **options): return []\n",
        },
    )
    github.rules.checked(pull.last_head)
    github.rules.approve(pull.number, "another-member", TEAM)
    github.rules.status(pull.last_head, "freeze", "success", BOT_ACTOR)
    github.rules.status(pull.last_head, "main-gate", "success", BOT_ACTOR)
    if guard is Guard.WORKFLOW:
        subprocess.run(["git", "fetch", "-q", "origin"], cwd=world.checkout.root, check=True)
        judged = world.run("check", "--base", "origin/main", "--head", pull.last_head, "--offline")
        assert "overlays/mogle/staging/evil.yaml" in judged.out
        world.run("github", "gate", pull.last_head, "success" if judged.code == 0 else "failure")
        # What the ruleset takes from our App alone.
        github.rules.status_apps[pull.last_head, "main-gate"] = BOT_APP
    names = {Guard.WORKFLOW: ["main"], Guard.GITHUB: ["review"], None: ["main"]}[guard]
    protect(github, *names)
    return merge(github, pull) or None


def window(github: GitHub) -> None:
    """A freeze holds now."""
    now = datetime.now(UTC)
    start, end = ((now + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S") for hours in (-1, 1))
    text = f"freezes:\n  - {{name: evaluation day, from: {start}, to: {end}, time-zone: UTC}}\n"
    github.commit("main", {".github/freezes.yaml": text.encode()}, "Freeze")


def _labelled(world: World, content: bytes) -> dict[str, bytes | None]:
    return {"overlays/mogle/staging/evil.yaml": b"evil: true\n"}


def _never_ran(world: World, content: bytes) -> dict[str, bytes | None]:
    pin = edit.read(content, FILE)
    return {FILE: edit.replace(content, FILE, Image(pin.image.name, "9.9.9", f"sha256:{'9' * 64}"))}


def _and_more(world: World, content: bytes) -> dict[str, bytes | None]:
    return {FILE: _back(world, content), POLICY: b"evil: true\n"}


def _one_line_more(world: World, content: bytes) -> dict[str, bytes | None]:
    return {FILE: _back(world, content) + b"# evil\n"}


def _false_hold(world: World, content: bytes) -> dict[str, bytes | None]:
    return {FILE: _back(world, content), "overlays/mogle/staging/hold.yaml": b"[" * 50_000}


def _rolled_back(world: World, content: bytes) -> dict[str, bytes | None]:
    """What main itself went back from runs once more."""
    world.github.commit("main", {FILE: _back(world, content)}, "Went back")
    return {FILE: content}


def _back(world: World, content: bytes) -> bytes:
    """What ran first on main."""
    first = world.github.git("rev-list", "--max-parents=0", "main")
    return edit.replace(content, FILE, edit.read(world.file(FILE, first), FILE).image)


def _runs_another(world: World) -> bytes:
    """Main runs a newer image than it did, so that there is something to go back to."""
    content = world.file(FILE)
    newer = Image(edit.read(content, FILE).image.name, "3.9.0", f"sha256:{'1' * 64}")
    world.github.commit("main", {FILE: edit.replace(content, FILE, newer)}, "Runs now")
    return world.file(FILE)


IN_A_FREEZE = {
    "any change": _labelled,
    "an image that never ran": _never_ran,
    "an image that was rolled back": _rolled_back,
    "a rollback and a policy": _and_more,
    "a rollback and a line": _one_line_more,
    "a rollback and a hold that is none": _false_hold,
}


@attack(Door.MEMBER, "merge {what} in a freeze, by the label rollback", Guard.WORKFLOW)
@pytest.mark.parametrize("what", IN_A_FREEZE)
def test_label_rollback(world: World, monkeypatch: pytest.MonkeyPatch, what: str, guard: Guard | None) -> str | None:
    github = world.github
    protect(github, "main")
    now = _runs_another(world)
    window(github)
    if guard is None:
        monkeypatch.setattr(way_back, "goes_back", lambda history, head: True)
    pull = proposes(github, IN_A_FREEZE[what](world, now), "rollback/mogle/staging", rollback.LABEL)
    github.rules.checked(pull.last_head)
    github.rules.status(pull.last_head, "main-gate", "success", BOT_ACTOR)
    assert world.run("images", "freeze").code == 0
    return merge(github, pull) or None


def test_what_only_goes_back_may_be_merged_in_a_freeze_and_needs_no_label(world: World) -> None:
    """The control of the guard itself: it refuses no rollback."""
    github = world.github
    protect(github, "main")
    now = _runs_another(world)
    window(github)
    pull = proposes(github, {FILE: _back(world, now)})
    github.commit("gh-readonly-queue/main/pr-1-x", {FILE: _back(world, now)}, "Queued", parent=github.head("main"))
    queued = str(github.head("gh-readonly-queue/main/pr-1-x"))
    github.rules.checked(pull.last_head)
    github.rules.status(pull.last_head, "main-gate", "success", BOT_ACTOR)
    assert world.run("images", "freeze").code == 0
    assert github.statuses[queued][0]["state"] == "success"
    assert merge(github, pull) == ""


@attack(Door.MEMBER, "use up their own commit's statuses, so that no freeze comes to others", Guard.WORKFLOW)
def test_statuses_used_up(world: World, monkeypatch: pytest.MonkeyPatch, guard: Guard | None) -> str | None:
    """GitHub takes 1,000 statuses of one name on a commit."""
    github = world.github
    protect(github, "main")
    first, own = (proposes(github, {FILE: name.encode()}, f"student/{name}") for name in ("first", "own"))
    passed(github, first.last_head)
    window(github)
    github.faults = [Fault("POST", f"/statuses/{own.last_head}", 422, times=9)]
    if guard is None:
        monkeypatch.setattr(way_back, "ExternalError", ZeroDivisionError)
    done = world.run("images", "freeze")
    assert done.code == 4
    assert own.last_head[:12] in done.err
    return merge(github, first) or None


@attack(Door.MEMBER, "merge two green changes that claim one host", Guard.GITHUB, Guard.WORKFLOW)
def test_two_claim_one_host(world: World, guard: Guard | None) -> str | None:
    """The merge queue tries them together; and main is checked after the merge, and Slack told."""
    github, slack = world.github, Slack()
    github.tokens["ghs-workflow"] = WORKFLOW

    def claim(service: str) -> dict[str, bytes | None]:
        path = f"overlays/{service}/staging/ingress.yaml"
        return {path: re.sub(rb"host: \S+", b"host: claimed.example.com", world.file(path), count=1)}

    before = str(github.head("main"))
    first, second = (proposes(github, claim(name), f"student/{name}") for name in ("benefit", "umbrella"))

    def judge(base: str, head: str) -> int:
        subprocess.run(["git", "fetch", "-q", "origin"], cwd=world.checkout.root, check=True)
        return world.run("check", "--base", base, "--head", head, "--offline").code

    try:
        assert [judge(before, pull.last_head) for pull in (first, second)] == [0, 0]
        if guard is Guard.GITHUB:
            protect(github, "queue")
            refusal = merge(github, second)
            files: dict[str, bytes | None] = {**claim("benefit"), **claim("umbrella")}
            queued = github.commit("gh-readonly-queue/main/pr-2-x", files, "Both", parent=before)
            assert judge(before, queued) == 1
            return refusal or None
        assert merge(github, first) == ""
        between = str(github.head("main"))
        assert merge(github, second) == ""
        if guard is None:
            return None
        after = str(github.head("main"))
        ended = "failure" if judge(between, after) else "success"
        github.finished[7] = (after, ended, "push", "main")
        told = world.run("github", "main", "7", **slack.environment)
        assert told.code == 1
        return slack.messages[0] if slack.messages else None
    finally:
        slack.close()


def _red_check(github: GitHub, pull: Pull) -> str:
    github.rules.check_runs[pull.last_head] = [("check", "failure", 15368)]
    github.rules.checked(pull.last_head, app=BOT_APP)
    return merge(github, pull, TOKEN)


def _push_to_main(github: GitHub, pull: Pull) -> str:
    url = f"{github.environment['GITHUB_API_URL'].replace('/v3', '')}/graphql"
    update = {"name": "refs/heads/main", "beforeOid": github.head("main"), "afterOid": pull.last_head, "force": True}
    variables = {"input": {"repositoryId": "R_1", "refUpdates": [update]}}
    query = "mutation Refs($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(url, json={"query": query, "variables": variables}, headers=headers, timeout=20).json()
    return str(answer["errors"][0]["message"]) if "errors" in answer else ""


@attack(Door.TOKEN, "{what}", Guard.GITHUB)
@pytest.mark.parametrize("what", ["merge on a check that is its own", "push to main"])
def test_stolen_token(world: World, what: str, guard: Guard | None) -> str | None:
    github = world.github
    if guard:
        protect(github)
    pull = proposes(github, {POLICY: b"evil: true\n"})
    passed(github, pull.last_head)
    tries = {"merge on a check that is its own": _red_check, "push to main": _push_to_main}
    return tries[what](github, pull) or None


@attack(Door.TOKEN, "switch the rules off", Guard.GITHUB)
def test_stolen_token_edits_the_rules(world: World, guard: Guard | None) -> str | None:
    """The App has no administration: write. The control is an App that has it."""
    github = world.github
    protect(github)
    if guard is None:
        github.tokens[TOKEN] = ADMIN
    url = f"{github.environment['GITHUB_API_URL']}/repos/{github.name}/rulesets/1"
    answer = requests.delete(url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)
    return None if answer.status_code == 204 else f"{answer.status_code} {answer.json()['message']}"


def _unreviewed(github: GitHub, pull: Pull) -> None:
    """Nobody looked."""


def _by_the_author(github: GitHub, pull: Pull) -> None:
    github.rules.approve(pull.number, MEMBER.login, TEAM, "@ft-platform/platform")


def _by_another_team(github: GitHub, pull: Pull) -> None:
    github.rules.approve(pull.number, "another", TEAM)


def _before_the_last_push(github: GitHub, pull: Pull) -> None:
    github.rules.approve(pull.number, "operator", "@ft-platform/platform")
    github.commit(pull.head, {POLICY: b"evil: twice\n"}, "More")
    passed(github, pull.last_head)


REVIEWS = {
    "that nobody reviewed": _unreviewed,
    "that its author approved": _by_the_author,
    "that a team approved which does not own it": _by_another_team,
    "that was approved before the last push": _before_the_last_push,
}


@attack(Door.MEMBER, "merge a policy {what}", Guard.GITHUB)
@pytest.mark.parametrize("what", REVIEWS)
def test_review(world: World, what: str, guard: Guard | None) -> str | None:
    github = world.github
    protect(github, *(["main", "review"] if guard else ["main"]))
    pull = proposes(github, {POLICY: b"evil: true\n"})
    passed(github, pull.last_head)
    REVIEWS[what](github, pull)
    return merge(github, pull) or None


def _weaken(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[GitHub], None]:
    def weaken(github: GitHub) -> None:
        for ruleset in github.rules.rulesets.values():
            if ruleset["name"] == name:
                change(ruleset)

    return weaken


WEAKENED = {
    "switched off the reviews": _weaken("review", lambda ruleset: ruleset.update(enforcement="disabled")),
    "let reviews be for another branch": _weaken(
        "review", lambda ruleset: ruleset["conditions"]["ref_name"].update(exclude=["refs/heads/main"])
    ),
    "asked for no review": _weaken(
        "review",
        lambda ruleset: ruleset["rules"][0]["parameters"].update(
            required_approving_review_count=0, require_code_owner_review=False
        ),
    ),
}


@attack(Door.MEMBER, "merge after an administrator's session {what}", Guard.WORKFLOW)
@pytest.mark.parametrize("what", WEAKENED)
def test_weakened(world: World, what: str, guard: Guard | None) -> str | None:
    github, slack = world.github, Slack()
    try:
        protect(github, "bots", "main", "review")
        WEAKENED[what](github)
        pull = proposes(github, {POLICY: b"evil: true\n"})
        passed(github, pull.last_head)
        if guard is None:
            return merge(github, pull) or None
        for path in (".github/rulesets", ".github/environments", ".github/settings.json"):
            subprocess.run(["cp", "-r", str(ROOT / path), str(world.checkout.root / ".github")], check=True)
        done = world.run("github", "verify", "--tell", GITHUB_TOKEN=OPERATORS, **slack.environment)
        assert done.code == 1
        return next(line for line in slack.messages[0].splitlines() if "ruleset review: update" in line)
    finally:
        slack.close()

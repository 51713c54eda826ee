"""Rotations of 42's secrets: the real command against a 42, a GitHub with real git, and a Slack."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gitops.oauth.state import KEEP
from tests import leaks
from tests.fakes.github import Fault as GitHubFault
from tests.fakes.intra42 import PASSWORD, Fault
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.oauth_world import (
    BRANCH,
    DAY,
    ID,
    OVERLAY,
    REFERENCE,
    RotationWorld,
    certificate_of,
    next_shows,
    switch,
)

pytestmark = pytest.mark.bots


def test_a_secret_that_git_does_not_know_is_adopted(rotation: RotationWorld) -> None:
    row = rotation.rotate()
    assert (row["state"], row["action"], row["generation"]) == ("PR_OPEN", "opened", 1)
    assert row["trace"] == ["DUE", "FETCHED", "VERIFIED", "SEALED", "PR_OPEN"]
    assert rotation.opened(BRANCH) == rotation.intra.apps[ID].current
    assert rotation.file(REFERENCE, BRANCH).decode() == rotation.file(REFERENCE).decode().replace("-g1", "-g2")
    listing = f"{OVERLAY}/kustomization.yaml"
    line = "  - sealedsecret-oauth-42-g1.yaml\n"
    assert rotation.file(listing, BRANCH).decode() == rotation.file(listing).decode().replace(
        line, line + line.replace("g1", "g2")
    )
    pull = rotation.github.pulls[1]
    assert (pull.head, pull.title, pull.labels) == (BRANCH, "mogle/prod: 42 secret, generation 2", ["oauth", "prod"])
    assert not pull.auto_merge
    for expected in (ID, rotation.intra.apps[ID].uid, "1 -> 2", "2026"):
        assert expected in pull.body


def test_a_second_run_writes_nothing_and_asks_no_token_for_the_same_again(rotation: RotationWorld) -> None:
    rotation.rotate()
    writes, asked = len(rotation.github.writes), rotation.intra.log.count("POST /oauth/token")
    row = rotation.rotate()
    assert (row["state"], row["action"]) == ("PR_OPEN", "unchanged")
    assert len(rotation.github.writes) == writes
    assert rotation.intra.log.count("POST /oauth/token") == asked


def test_a_whole_rotation_from_idle_to_idle(known: RotationWorld) -> None:
    old = known.intra.apps[ID].current
    new = next_shows(known)
    assert known.rotate()["state"] == "PR_OPEN"
    assert known.opened(BRANCH) == new
    known.merge()
    row = known.rotate()
    assert (row["state"], row["generation"], row["at_least"]) == ("CONFIRMED", 3, True)
    assert known.opened("main") == new
    switch(known)
    assert known.intra.accepts(ID, old), "the overlap"
    assert known.rotate()["state"] == "CONFIRMED"
    assert known.open() == [], "the previous generation stays while 42 may still accept it"
    known.intra.advance(KEEP)
    assert not known.intra.accepts(ID, old)
    row = known.rotate()
    assert row["state"] == "RETIRED"
    assert known.open() == [], "it goes with the next rotation, which is near"
    writes = len(known.github.writes)
    assert known.rotate()["state"] == "RETIRED"
    assert len(known.github.writes) == writes, "nothing new, nothing written"
    assert known.github.branches() == ["main"]
    next_shows(known)
    known.rotate()
    known.merge()
    assert known.rotate()["state"] == "CONFIRMED"
    sealed = [path.rpartition("-")[2] for path in known.tree("main", OVERLAY) if "/sealedsecret-oauth" in path]
    assert sealed == ["g3.yaml", "g4.yaml"]
    told = known.slack.told("platform-alerts")
    assert all("less than 7 days left" in message for message in told), "it shows 5 days before"


def test_a_clean_up_of_its_own_comes_only_where_no_rotation_is_near_and_merges_by_itself(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    known.merge()
    known.intra.period = timedelta(days=60)
    switch(known, KEEP + timedelta(hours=15))
    row = known.rotate()
    assert (row["state"], row["action"]) == ("RETIRED", "opened")
    known.checks_pass()
    assert known.rotate()["action"] == "merged"
    sealed = [path.rpartition("-")[2] for path in known.tree("main", OVERLAY) if "/sealedsecret-oauth" in path]
    assert sealed == ["g3.yaml"]
    assert known.rotate()["state"] == "IDLE"


@pytest.mark.parametrize("marker", ["", '<!-- gitops-oauth: {"rotation": "clean-down"} -->'])
def test_who_closes_a_clean_up_keeps_the_previous_generation(known: RotationWorld, marker: str) -> None:
    next_shows(known)
    known.rotate()
    known.merge()
    known.intra.period = timedelta(days=60)
    switch(known, KEEP + timedelta(hours=15))
    assert known.rotate()["action"] == "opened"
    [number] = known.open()
    pull = known.github.pulls[number]
    pull.state, pull.body = "closed", marker
    assert (known.rotate()["action"], known.open()) == ("nothing", [])


def test_argo_cd_tells_merged_from_synced_from_running(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    before = known.github.head("main")
    known.merge(delivered=False)
    for health, revision, state in (
        ("success", before, "MERGED"),
        ("error", None, "MERGED"),
        ("in_progress", None, "SYNCED"),
        ("success", None, "CONFIRMED"),
    ):
        known.argo_says(health, revision)
        assert known.rotate()["state"] == state
    switch(known, KEEP + timedelta(hours=15))
    known.argo_says("failure")
    assert known.rotate()["state"] == "SYNCED"
    assert known.open() == [], "the previous generation stays while its successor's pods do not run"
    known.argo_says("success")
    assert known.rotate()["state"] == "RETIRED"
    known.github.faults.append(GitHubFault("GET", "/deployments", 404))
    done = known.run("oauth", "rotate", "mogle")
    assert done.code == 4
    assert "GET /deployments" in done.err


def test_a_revert_of_the_rotation_runs_the_previous_secret_and_is_not_undone_by_the_bot(known: RotationWorld) -> None:
    new = next_shows(known)
    known.rotate()
    before = {path: known.file(path) for path in (REFERENCE, f"{OVERLAY}/kustomization.yaml")}
    known.merge()
    sealed = f"{OVERLAY}/sealedsecret-oauth-42-g3.yaml"
    known.github.commit("main", {**before, sealed: None}, "Revert the rotation")
    known.argo_says("success")
    assert known.opened("main") == known.intra.apps[ID].current
    row = known.rotate(code=1)
    assert (row["state"], row["pull_request"]) == ("BLOCKED", None)
    assert "reverted" in row["next"]
    # Another secret is another matter, under a name that was never used.
    known.intra.apps[ID].next = None
    assert known.intra.show_next(ID) != new
    assert known.rotate()["state"] == "PR_OPEN"
    assert known.application(BRANCH).deployed.number == 4


def test_a_declined_pull_request_is_not_opened_again_until_it_is_reopened(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    [number] = known.open()
    pull = known.github.pulls[number]
    pull.state = "closed"
    row = known.rotate(code=1)
    assert row["state"] == "BLOCKED"
    assert "a person declined this secret" in row["next"]
    assert "a person declined this secret" in known.slack.messages[-1]
    assert known.open() == []
    pull.state = "open"
    assert known.rotate()["state"] == "PR_OPEN"


def test_a_persons_commit_stops_the_bot_and_is_told(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    mine = known.github.commit(BRANCH, {"README.md": b"x"}, "By hand")
    for _ in range(2):
        row = known.rotate(code=1)
        assert (row["state"], row["blocked"]) == ("BLOCKED", "person")
    assert known.github.head(BRANCH) == mine
    assert len(known.github.pulls[known.open()[0]].comments) == 1
    assert "(person)" in known.slack.messages[-1]


def test_a_newer_next_secret_replaces_the_proposed_one_in_place(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    known.intra.apps[ID].next = None
    newer = known.intra.show_next(ID)
    assert known.rotate()["action"] == "updated"
    assert known.opened(BRANCH) == newer
    assert len(known.open()) == 1


def test_no_next_secret_is_waited_for_then_a_risk_then_expired(known: RotationWorld) -> None:
    known.intra.shows_before = timedelta(0)
    known.github.workflow_runs["oauth.yaml"] = [(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "success")]
    app = known.intra.apps[ID]
    known.intra.advance(app.switch - known.intra.now - 6 * DAY - timedelta(hours=14))
    row = known.rotate()
    assert row["state"] == "WAITING"
    assert "less than 7 days left" in known.slack.messages[-1]
    known.github.workflow_runs["oauth.yaml"].append((f"{known.intra.now:%Y-%m-%dT%H:%M:%SZ}", "success"))
    told = len(known.slack.messages)
    known.rotate()
    assert len(known.slack.messages) == told, "7 days are told once"
    known.intra.advance(4 * DAY)
    assert known.rotate(code=1)["state"] == "AT_RISK"
    assert "AT_RISK less than 3 days left" in known.slack.messages[-1]
    known.intra.advance(2 * DAY)
    assert known.rotate(code=1)["state"] == "EXPIRED"
    assert "less than 1 day left" in known.slack.messages[-1]
    assert known.slack.messages[-1].endswith("Runbook: docs/runbooks/oauth.md")


def test_a_merge_after_the_switch_still_ends_right_and_was_told(known: RotationWorld) -> None:
    new = next_shows(known)
    known.rotate()
    switch(known, known.intra.overlap + timedelta(hours=1))
    row = known.rotate(code=1)
    assert row["state"] == "EXPIRED"
    assert len(known.open()) == 1
    assert ":rotating_light: mogle/prod: EXPIRED" in known.slack.messages[-1]
    known.merge()
    assert known.opened("main") == new == known.intra.apps[ID].current
    assert known.rotate()["state"] in ("CONFIRMED", "RETIRED")


def test_after_a_missed_switch_the_secret_of_now_is_taken(known: RotationWorld) -> None:
    next_shows(known)
    switch(known)
    assert known.rotate(code=1)["state"] == "EXPIRED"
    assert known.opened(BRANCH) == known.intra.apps[ID].current


def test_a_certificate_pinned_anew_seals_the_open_pull_request_anew_in_place(known: RotationWorld) -> None:
    new = next_shows(known)
    known.rotate()
    key = rsa.generate_private_key(65537, 2048)
    known.pin(certificate_of(key))
    row = known.rotate()
    assert row["action"] == "updated"
    assert len(known.open()) == 1
    assert known.opened(BRANCH, key=key) == new


def test_a_branch_that_moves_meanwhile_is_looked_at_again(known: RotationWorld) -> None:
    new = next_shows(known)
    known.rotate()
    known.intra.apps[ID].next = None
    newer = known.intra.show_next(ID)
    assert newer != new

    def race() -> None:
        head = known.github.head("main")
        known.github.commit(
            BRANCH,
            {"overlays/mogle/prod/x": b"y"},
            "Another run\n\nMade-By: gitops",
            committer=("GitHub", "noreply@github.com"),
            parent=head,
            signed=True,
        )

    known.github.faults = [GitHubFault("POST", "mutation Commit", race)]
    for _ in range(3):
        done = known.run("oauth", "rotate", "mogle")
        if done.code == 0:
            break
    assert known.opened(BRANCH) == newer
    assert len(known.open()) == 1


def test_two_runs_at_once_leave_one_branch_and_one_pull_request(known: RotationWorld, tmp_path: Path) -> None:
    new = next_shows(known)
    clones = (known.checkout, known.clone(tmp_path / "second"))
    for run in [known.start("oauth", "rotate", "mogle", folder=checkout.root) for checkout in clones]:
        _, err = run.communicate(timeout=60)
        assert "Traceback" not in err
        assert run.returncode == 0 or "GitHub: " in err, err
    known.rotate()
    assert len(known.open()) == 1
    assert known.opened(BRANCH) == new
    assert known.github.branches() == ["main", BRANCH]


def test_credentials_are_inherited_by_nothing_that_a_run_starts(known: RotationWorld, tmp_path: Path) -> None:
    next_shows(known)
    shim, log = tmp_path / "shim", tmp_path / "log"
    shim.mkdir()
    git = which("git")
    (shim / "git").write_text(f'#!/bin/sh\n{{ echo "git $*"; env; }} >> {log}\nexec {git} "$@"\n')
    (shim / "git").chmod(0o755)
    with leaks.Watch() as watch:
        run = known.start("oauth", "rotate", "mogle", PATH=f"{shim}:{os.environ['PATH']}")
        assert run.wait(timeout=60) == 0, run.stderr
    assert "git version" in log.read_text(), "GitPython starts it when it is imported"
    for secret in (PASSWORD, SLACK_TOKEN):
        assert secret not in log.read_text()
    assert any(b"kustomize" in line for line, _ in watch.processes), "the watch sees what is started"
    holders = [line for line, environment in watch.processes if b"INTRA42_PASSWORD=" in environment]
    # Empty: in the moment in which it becomes the command.
    assert [line for line in holders if line and b"oauth\0rotate" not in line] == [], "the command alone has them"
    assert holders


def test_a_crash_leaves_no_core(known: RotationWorld, tmp_path: Path) -> None:
    next_shows(known)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    victim: list[subprocess.Popen[str]] = []
    known.intra.faults = [Fault("POST /oauth/token", lambda: victim[0].send_signal(signal.SIGABRT))]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        victim.append(known.start("oauth", "rotate", "mogle"))
        assert victim[0].wait(timeout=60) == -signal.SIGABRT
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    app = known.intra.apps[ID]
    assert leaks.in_files(tmp_path, leaks.patterns([app.current, app.next or ""])) == []
    assert not list(known.checkout.root.glob("core*"))

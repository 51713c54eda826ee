"""Rotations of 42's secrets: the real command against a 42, a GitHub with real git, and a Slack."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from git import Repo
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from pydantic import SecretStr

from gitops.clients.intra42 import Api, RateLimit
from gitops.oauth.browser import NAMES
from gitops.oauth.state import KEEP
from tests import leaks
from tests.fakes.github import Fault as GitHubFault
from tests.fakes.github import GitHub
from tests.fakes.intra42 import PASSWORD, SEED, Fault, new_secret
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.oauth_world import BRANCH, ID, OVERLAY, RotationWorld, certificate_of

pytestmark = pytest.mark.bots

DAY = timedelta(days=1)
REFERENCE = f"{OVERLAY}/oauth-42.yaml"


@pytest.fixture
def world(github: GitHub, tmp_path: Path) -> Iterator[RotationWorld]:
    world = RotationWorld(github, tmp_path / "checkout")
    yield world
    world.close()


@pytest.fixture
def known(oauth_template: Path, tmp_path: Path) -> Iterator[RotationWorld]:
    """The current secret runs as generation 2, and 42 shows no next one yet."""
    github = GitHub(Path(shutil.copytree(oauth_template, tmp_path / "origin.git")))
    world = RotationWorld(github, tmp_path / "checkout", known=True)
    yield world
    world.close()
    github.close()


def next_shows(world: RotationWorld) -> str:
    """Time passes until 42 shows the next secret."""
    app = world.intra.apps[ID]
    world.intra.advance(app.switch - world.intra.shows_before - world.intra.now + timedelta(hours=1))
    assert app.next
    return app.next


def switch(world: RotationWorld, after: timedelta = timedelta(hours=1)) -> None:
    world.intra.advance(world.intra.apps[ID].switch - world.intra.now + after)


def test_a_secret_that_git_does_not_know_is_adopted(world: RotationWorld) -> None:
    row = world.rotate()
    assert (row["state"], row["action"], row["generation"]) == ("PR_OPEN", "opened", 1)
    assert row["trace"] == ["DUE", "FETCHED", "VERIFIED", "SEALED", "PR_OPEN"]
    assert world.opened(BRANCH) == world.intra.apps[ID].current
    assert world.file(REFERENCE, BRANCH).decode() == world.file(REFERENCE).decode().replace("-g1", "-g2")
    listing = f"{OVERLAY}/kustomization.yaml"
    line = "  - sealedsecret-oauth-42-g1.yaml\n"
    assert world.file(listing, BRANCH).decode() == world.file(listing).decode().replace(
        line, line + line.replace("g1", "g2")
    )
    pull = world.github.pulls[1]
    assert (pull.head, pull.title, pull.labels) == (BRANCH, "mogle/prod: 42 secret, generation 2", ["oauth", "prod"])
    assert not pull.auto_merge
    for expected in (ID, world.intra.apps[ID].uid, "1 -> 2", "2026"):
        assert expected in pull.body


def test_a_second_run_writes_nothing_and_asks_no_token_for_the_same_again(world: RotationWorld) -> None:
    world.rotate()
    writes, asked = len(world.github.writes), world.intra.log.count("POST /oauth/token")
    row = world.rotate()
    assert (row["state"], row["action"]) == ("PR_OPEN", "unchanged")
    assert len(world.github.writes) == writes
    assert world.intra.log.count("POST /oauth/token") == asked


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
    assert (row["state"], row["action"]) == ("RETIRED", "opened")
    known.merge()
    assert [path for path in known.tree("main") if path.startswith(f"{OVERLAY}/sealed")] == [
        f"{OVERLAY}/sealedsecret-oauth-42-g3.yaml"
    ]
    assert known.rotate()["state"] == "IDLE"
    writes = len(known.github.writes)
    assert known.rotate()["state"] == "IDLE"
    assert len(known.github.writes) == writes, "nothing new, nothing written"
    assert known.github.branches() == ["main"]
    assert all("less than 7 days left" in message for message in known.slack.messages), "it shows 5 days before"


def test_argo_cd_tells_merged_from_synced_from_running(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    before = known.github.head("main")
    known.merge()
    for sync, health, revision, state in (
        ("Synced", "Healthy", before, "MERGED"),
        ("OutOfSync", "Healthy", None, "MERGED"),
        ("Synced", "Progressing", None, "SYNCED"),
        ("Synced", "Healthy", None, "CONFIRMED"),
    ):
        known.argo_says(sync, health, revision)
        assert known.rotate()["state"] == state
    switch(known, KEEP + timedelta(hours=15))
    known.argo_says("Synced", "Degraded")
    assert known.rotate()["state"] == "SYNCED"
    assert known.open() == [], "the previous generation stays while its successor's pods do not run"
    known.argo_says("Synced", "Healthy")
    assert (known.rotate()["state"], len(known.open())) == ("RETIRED", 1)
    done = known.run("oauth", "rotate", "mogle", ARGOCD_AUTH_TOKEN="wrong")
    assert done.code == 4
    assert "mogle-prod cannot be read" in done.err


def test_a_revert_of_the_rotation_runs_the_previous_secret_and_is_not_undone_by_the_bot(known: RotationWorld) -> None:
    new = next_shows(known)
    known.rotate()
    before = {path: known.file(path) for path in (REFERENCE, f"{OVERLAY}/kustomization.yaml")}
    known.merge()
    sealed = f"{OVERLAY}/sealedsecret-oauth-42-g3.yaml"
    known.github.commit("main", {**before, sealed: None}, "Revert the rotation")
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
    assert "less than 1 days left" in known.slack.messages[-1]
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


def layout(world: RotationWorld) -> None:
    world.intra.layout = lambda text: text.replace('class="copy"', 'class="copy-box"')


def one_date_gone(world: RotationWorld) -> None:
    world.intra.layout = lambda text: text.replace("Valid until", "Valid to")


def wrong_secret(world: RotationWorld) -> None:
    app = world.intra.apps[ID]
    assert app.next
    del app.accepted[app.next]


def anothers_secret(world: RotationWorld) -> None:
    app = world.intra.apps[ID]
    neighbour = next(candidate for candidate in world.intra.apps.values() if candidate.id != ID)
    assert app.next
    app.accepted.pop(app.next)
    app.next = neighbour.current


def other_uid(world: RotationWorld) -> None:
    shown = next(candidate.uid for candidate in world.intra.apps.values() if candidate.id != ID)
    world.intra.layout = lambda text: text.replace(world.intra.apps[ID].uid, shown)


def no_owner(world: RotationWorld) -> None:
    world.intra.faults = [Fault(f"GET /oauth/applications/{ID}", 403)]


def down(world: RotationWorld) -> None:
    world.intra.faults = [Fault("POST /oauth/token", 500, times=99)]


def slow(world: RotationWorld) -> None:
    world.intra.faults = [Fault("POST /oauth/token", "slow", times=99)]


def page_down(world: RotationWorld) -> None:
    world.intra.faults = [Fault("GET /oauth/applications", 502)]


def otp(world: RotationWorld) -> None:
    world.intra.otp = True


def foreign_certificate(world: RotationWorld) -> None:
    world.pin(certificate_of(world.key), fingerprint="ab" * 32)


def expired_certificate(world: RotationWorld) -> None:
    world.pin(certificate_of(world.key, days=-1, begins=-9))


def small_certificate(world: RotationWorld) -> None:
    world.pin(certificate_of(rsa.generate_private_key(65537, 1024)))


def ecdsa_certificate(world: RotationWorld) -> None:
    world.pin(certificate_of(ec.generate_private_key(ec.SECP256R1())))  # type: ignore[arg-type]


BLOCKED: dict[Callable[[RotationWorld], None], tuple[str, str]] = {
    layout: ("layout", "42's page is not as it is known (layout"),
    one_date_gone: ("layout", "saw"),
    wrong_secret: ("refused", f"42 refuses the secret that it shows for application {ID}"),
    anothers_secret: ("mismatch", "opens another one"),
    other_uid: ("mismatch", "correct its application-id or client-id"),
    no_owner: ("login", "must be one of its owners"),
    down: ("unreachable", "42: /oauth/token: no answer within 1.5 s (last: HTTP 500)"),
    slow: ("unreachable", "no answer within 1.5 s (last: ReadTimeout)"),
    page_down: ("unreachable", f"42: /oauth/applications/{ID}: HTTP 502"),
    otp: ("otp", "42 asks for a one-time code; set INTRA42_TOTP_SEED"),
    foreign_certificate: ("certificate", "cluster.yaml pins abab"),
    expired_certificate: ("certificate", "clusters/seoul/sealed-secrets.pem: expired on"),
    small_certificate: ("certificate", "has 1024 bits; expected 2048 or more"),
    ecdsa_certificate: ("certificate", "sealed-secrets needs an RSA key"),
}


@pytest.mark.parametrize("fault", BLOCKED, ids=lambda fault: fault.__name__)
def test_what_cannot_be_right_is_blocked_told_and_never_proposed(
    known: RotationWorld, fault: Callable[[RotationWorld], None]
) -> None:
    next_shows(known)
    fault(known)
    writes = len(known.github.writes)
    reason, message = BLOCKED[fault]
    row = known.rotate(code=1)
    assert (row["state"], row["blocked"]) == ("BLOCKED", reason)
    assert message in row["next"]
    assert f"({reason})" in known.slack.messages[-1]
    assert message in known.slack.messages[-1]
    assert len(known.github.writes) == writes
    app = known.intra.apps[ID]
    patterns = leaks.patterns([app.current, app.next or ""])
    assert leaks.search("row", json.dumps(row).encode(), patterns) == []
    assert leaks.search("slack", known.slack.messages[-1].encode(), patterns) == []


def test_a_secret_that_changes_between_fetch_and_verify_is_read_again(known: RotationWorld) -> None:
    next_shows(known)

    def change() -> None:
        app = known.intra.apps[ID]
        assert app.next
        del app.accepted[app.next]
        known.intra.show_next(ID)

    known.intra.faults = [Fault("POST /oauth/token", change, skip=1)]
    row = known.rotate()
    assert row["trace"] == ["DUE", "FETCHED", "FETCHED", "VERIFIED", "SEALED", "PR_OPEN"]
    assert known.opened(BRANCH) == known.intra.apps[ID].next


@pytest.mark.parametrize("kind", [429, 500, "reset", "cut"])
def test_a_hiccup_of_42_is_retried(known: RotationWorld, kind: int | str) -> None:
    new = next_shows(known)
    known.intra.faults = [Fault(path, kind) for path in ("POST /oauth/token", "GET /oauth/token/info")]
    assert known.rotate(GITOPS_42_DEADLINE="20")["state"] == "PR_OPEN"
    assert known.opened(BRANCH) == new


def test_a_401_is_never_asked_again(known: RotationWorld) -> None:
    next_shows(known)
    wrong_secret(known)
    before = known.intra.log.count("POST /oauth/token")
    known.rotate(code=1)
    assert known.intra.log.count("POST /oauth/token") == before + 2, "what is deployed, and the candidate, once each"


def test_42s_limits_are_kept_over_all_requests(known: RotationWorld) -> None:
    known.intra.limited = True
    api = Api(url=known.intra.url, deadline=10, limit=RateLimit())
    app = known.intra.apps[ID]
    began = time.monotonic()
    for _ in range(3):
        assert api.verify(app.uid, SecretStr(app.current)).uid == app.uid
    assert time.monotonic() - began >= 2, "six requests, two a second"
    assert all("429" not in line for line in known.intra.log)


def test_the_hourly_limit_waits_for_the_oldest_request() -> None:
    now = 0.0
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    limit = RateLimit(clock=lambda: now, sleep=sleep)
    for _ in range(1201):
        limit.wait()
    assert now >= 3600
    assert max(slept) > 2900


def test_one_time_codes_are_made_from_the_seed_by_42s_clock(known: RotationWorld) -> None:
    next_shows(known)
    known.intra.otp = True
    known.intra.skew = timedelta(minutes=7)
    assert known.rotate(INTRA42_TOTP_SEED=SEED)["state"] == "PR_OPEN"
    known.intra.sessions.clear()
    row = known.rotate(code=1, INTRA42_TOTP_SEED="MZXW6YTB")
    assert (row["blocked"], "did not take the one-time code" in row["next"]) == ("otp", True)
    row = known.rotate(code=1, INTRA42_TOTP_SEED="not base32!")
    assert "no base32 seed" in row["next"]


def test_a_wrong_password_is_tried_once(github: GitHub, tmp_path: Path) -> None:
    world = RotationWorld(github, tmp_path / "checkout")
    try:
        for number in range(3):
            world.rotate(code=1, INTRA42_PASSWORD="wrong")
            assert world.intra.log.count("POST /auth/authenticate") == number + 1
        assert "does not take the login and password" in world.slack.messages[-1]
    finally:
        world.close()


def test_a_login_that_needs_scripts_is_done_by_a_browser(known: RotationWorld) -> None:
    if not any(map(which, NAMES)):
        pytest.skip("no Chromium on this machine (apt: chromium)")
    new = next_shows(known)
    known.intra.scripts_needed = True
    known.intra.otp = True
    assert known.rotate(INTRA42_TOTP_SEED=SEED)["state"] == "PR_OPEN"
    assert known.opened(BRANCH) == new
    assert known.rotate(code=1, INTRA42_PASSWORD="wrong")["blocked"] == "login"


def test_without_a_browser_the_login_says_what_it_needs(known: RotationWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    known.intra.scripts_needed = True
    monkeypatch.setattr("gitops.oauth.browser.NAMES", ("no-such-browser",))
    assert "no browser is installed (apt: chromium)" in known.rotate(code=1)["next"]


def test_credentials_go_to_no_other_host(known: RotationWorld) -> None:
    known.intra.faults = []
    page = known.intra._login_page
    known.intra._login_page = lambda message="": page(message).replace(known.intra.url, "http://localhost:1")  # type: ignore[method-assign]
    row = known.rotate(code=1)
    assert "42 points to http://localhost, which is no host of 42 over HTTPS: nothing was sent there" in row["next"]


def test_a_certificate_pinned_anew_seals_the_open_pull_request_anew_in_place(known: RotationWorld) -> None:
    new = next_shows(known)
    known.rotate()
    key = rsa.generate_private_key(65537, 2048)
    known.pin(certificate_of(key))
    row = known.rotate()
    assert row["action"] == "updated"
    assert len(known.open()) == 1
    assert known.opened(BRANCH, key=key) == new


def test_a_clock_of_ours_that_is_behind_does_not_hide_an_end(known: RotationWorld) -> None:
    known.intra.shows_before = timedelta(0)
    known.intra.skew = known.intra.apps[ID].switch - known.intra.now - DAY
    assert known.rotate(code=1)["state"] == "AT_RISK"


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
            {"x": b"y"},
            "Another run\n\nMade-By: gitops",
            committer=("GitHub", "noreply@github.com"),
            parent=head,
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


def test_status_says_the_same_and_writes_nothing(known: RotationWorld) -> None:
    next_shows(known)
    writes = len(known.github.writes)
    row = known.status()
    assert (row["state"], row["generation"], row["application"]) == ("DUE", 2, ID)
    assert 4 < row["days_left"] < 5, "the start of the day on which it ends, wherever a day starts first"
    assert row["rotation"]
    assert row["certificate"]
    done = known.run("oauth", "status", "mogle")
    assert done.out.splitlines()[0].split() == [
        "overlay",
        "application",
        "generation",
        "valid",
        "until",
        "days",
        "left",
        "state",
        "next",
    ]
    assert "mogle/prod  41002        g2" in done.out
    layout(known)
    assert known.status(code=1)["blocked"] == "layout"
    assert len(known.github.writes) == writes
    assert known.slack.messages == []


def test_the_more_careful_date_counts(known: RotationWorld) -> None:
    app = known.intra.apps[ID]
    page = known.status()["valid_until"]
    app.switch -= 3 * DAY
    known.intra.layout = lambda text: text.replace(
        f"{app.switch.day:02}/{app.switch.month:02}/{app.switch.year}", "30/12/2030"
    )
    token = known.status()["valid_until"]
    assert token < page
    known.intra.says_valid_until = False
    assert known.status()["valid_until"].startswith("2030-12-29")


def test_status_without_credentials_shows_what_git_remembers(known: RotationWorld) -> None:
    nobody = {"INTRA42_LOGIN": "", "INTRA42_PASSWORD": "", "GITHUB_TOKEN": ""}

    def status() -> dict[str, Any]:
        done = known.run("oauth", "status", "--output", "json", "mogle", **nobody)
        assert done.code == 0, done.err
        [row] = json.loads(done.out)
        return dict(row)

    row = status()
    assert (row["state"], row["generation"], row["next"]) == (None, 2, "42 was not asked")
    assert "?" in known.run("oauth", "status", **nobody).out
    next_shows(known)
    known.rotate()
    known.merge()
    assert status()["state"] == "CONFIRMED", "two generations: git alone tells"


def test_the_metrics_are_openmetrics(known: RotationWorld, tmp_path: Path) -> None:
    known.run("oauth", "rotate", "mogle", "--metrics", str(tmp_path / "oauth.prom"))
    for text in ((tmp_path / "oauth.prom").read_text(), known.run("oauth", "status", "--output", "openmetrics").out):
        families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
        states = {s.labels["gitops_oauth_state"]: s.value for s in families["gitops_oauth_state"].samples}
        assert [name for name, value in states.items() if value] == ["IDLE"]
        [sample] = families["gitops_oauth_generation"].samples
        assert (sample.labels, sample.value) == ({"service": "mogle", "environment": "prod"}, 2)
        [sample] = families["gitops_oauth_valid_until_timestamp_seconds"].samples
        assert sample.value > known.intra.now.timestamp()


def test_the_run_summary_is_a_table(known: RotationWorld, tmp_path: Path) -> None:
    next_shows(known)
    known.rotate(GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))
    lines = (tmp_path / "summary.md").read_text().splitlines()
    assert lines[0] == "| overlay | application | generation | valid until | days left | state | next |"
    assert "PR_OPEN | #1 opened; a person merges it |" in lines[2]


def test_an_alert_that_slack_does_not_take_is_a_failure(known: RotationWorld) -> None:
    layout(known)
    known.slack.error = "channel_not_found"
    done = known.run("oauth", "rotate", "mogle")
    assert (done.code, done.err.splitlines()[-1]) == (4, "gitops: Slack: channel_not_found; the alert was not sent")


MISSING = {
    "INTRA42_LOGIN": "INTRA42_LOGIN and INTRA42_PASSWORD: one is set without the other; set both",
    "SLACK_TOKEN": "not set: SLACK_TOKEN; without it nobody would hear of a secret that ends",
    "GITHUB_TOKEN": "not set: GITHUB_TOKEN; in Actions the workflow sets them (.github/workflows)",
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_not_set_is_said(world: RotationWorld, name: str) -> None:
    done = world.run("oauth", "rotate", **{name: ""})
    assert (done.code, done.err.splitlines()[-1]) == (2, f"gitops: {MISSING[name]}")


def test_bad_files_are_named_and_stop_no_other(world: RotationWorld) -> None:
    text = world.file(REFERENCE).decode()
    for old, new, message in (
        ("41002", "x", f"{REFERENCE}: data.application-id: String should match pattern"),
        ("secret: mogle-oauth-42-g1", "secret: other", "Secret 'other': expected mogle-oauth-42-g<number>"),
        (
            "secret: mogle-oauth-42-g1",
            "secret: mogle-oauth-42-g7",
            "there is no sealedsecret-oauth-42-g7.yaml beside it",
        ),
    ):
        world.github.commit("main", {REFERENCE: text.replace(old, new).encode()}, "Break it")
        done = world.run("oauth", "rotate")
        assert done.code == 2
        assert message in done.err
    assert "service 'nothing': does not exist" in world.run("oauth", "status", "nothing").err
    assert "has no oauth-42.yaml, so no application of 42" in world.run("oauth", "status", "benefit").err


def provide(world: RotationWorld, value: str, *words: str) -> tuple[int, str, str]:
    done = world.run("oauth", "provide", "mogle", *words, stdin=f"{value}\n")
    return done.code, done.out, done.err


def test_a_person_provides_what_the_page_cannot(known: RotationWorld) -> None:
    value = next_shows(known)
    layout(known)
    with Repo(known.checkout.root) as repo:
        repo.git.fetch("origin")
        repo.git.reset("--hard", "origin/main")
    code, out, err = provide(known, value)
    assert code == 0, err
    assert f"wrote {OVERLAY}/sealedsecret-oauth-42-g3.yaml" in out
    assert leaks.search("output", (out + err).encode(), leaks.patterns([value])) == []
    written = {path: (known.checkout.root / path).read_bytes() for path in (REFERENCE, f"{OVERLAY}/kustomization.yaml")}
    sealed = f"{OVERLAY}/sealedsecret-oauth-42-g3.yaml"
    assert provide(known, value)[0] == 2, "a dirty working copy"
    known.github.commit("main", {**written, sealed: (known.checkout.root / sealed).read_bytes()}, "By hand")
    assert known.opened("main") == value
    known.intra.layout = lambda text: text
    assert known.rotate()["state"] == "CONFIRMED"


def test_what_a_person_provides_is_proved_too(known: RotationWorld) -> None:
    with Repo(known.checkout.root) as repo:
        repo.git.fetch("origin")
        repo.git.reset("--hard", "origin/main")
    neighbour = next(candidate for candidate in known.intra.apps.values() if candidate.id != ID)
    for value, code, message in (
        ("", 2, "not a secret of 42: 0 characters"),
        ("hunter2", 2, "not a secret of 42: 7 characters; expected s-s4t2ud- or s-s4t2af- and 64 hex digits"),
        (new_secret(), 1, "42 refuses the secret"),
        (neighbour.current, 1, "opens another one"),
        (known.intra.apps[ID].current, 2, "holds this very secret already"),
    ):
        done = provide(known, value)
        assert (done[0], message in done[2]) == (code, True), done
        assert not Repo(known.checkout.root).is_dirty(untracked_files=True)
    assert "environments with one: prod" in provide(known, "x", "--environment", "staging")[2]
    assert (
        "cluster 'moon': no folder clusters/moon; there are: lab, seoul" in provide(known, "x", "--cluster", "moon")[2]
    )

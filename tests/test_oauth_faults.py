"""What is wrong at 42, with its secrets or with the certificate: the rotation is blocked, told and never proposed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from shutil import which

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from gitops.clients.intra42 import Api, RateLimit
from gitops.oauth.browser import NAMES
from tests import leaks
from tests.fakes.github import GitHub
from tests.fakes.intra42 import SEED, Fault
from tests.fakes.intra42_answers import ANSWERS
from tests.frozen import ROOT
from tests.oauth_world import (
    BRANCH,
    DAY,
    ID,
    RotationWorld,
    certificate_of,
    layout,
    next_shows,
)

pytestmark = pytest.mark.bots


def one_date_gone(world: RotationWorld) -> None:
    world.intra.layout = lambda text: text.replace("Valid until", "Valid to")


def wrong_secret(world: RotationWorld) -> None:
    app = world.intra.apps[ID]
    assert app.next
    del app.accepted[app.next]


def anothers_secret(world: RotationWorld) -> None:
    app = world.intra.apps[ID]
    neighbour = next(app for app in world.intra.apps.values() if app.id != ID)
    assert app.next
    app.accepted.pop(app.next)
    app.next = neighbour.current


def other_uid(world: RotationWorld) -> None:
    shown = next(app.uid for app in world.intra.apps.values() if app.id != ID)
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
    layout: ("layout", "42's page cannot be read in one way alone: "),
    one_date_gone: ("layout", "a date in words that are not known"),
    wrong_secret: ("refused", f"42 refuses the secret that it shows for application {ID}"),
    anothers_secret: ("mismatch", "opens another one"),
    other_uid: ("mismatch", "correct its application-id or client-id"),
    no_owner: ("owner", "must be one of its owners"),
    down: ("unreachable", "42: /oauth/token: no answer within 1.5 s (last: HTTP 500)"),
    slow: ("unreachable", "no answer within 1.5 s (last: ReadTimeout)"),
    page_down: ("unreachable", f"42: /oauth/applications/{ID}: HTTP 502"),
    otp: ("otp", "42 asks for a one-time code; set INTRA42_TOTP_SEED"),
    foreign_certificate: ("certificate", "is not the one that cluster.yaml pins; expected abab"),
    expired_certificate: ("certificate", "clusters/seoul/sealed-secrets.pem: expired on"),
    small_certificate: ("certificate", "its RSA key is too short; expected 2048 bits or more, found 1024"),
    ecdsa_certificate: ("certificate", "expected an RSA key, as sealed-secrets needs, found"),
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
    assert known.intra.log.count("POST /oauth/token") == before + 2, "what is deployed, and the next one, once each"


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


@pytest.fixture
def waits(known: RotationWorld, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the login waited for a next code: 42's clock goes on instead."""
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        known.intra.advance(timedelta(seconds=seconds))

    monkeypatch.setattr("gitops.oauth.login.pause", wait)
    return waited


def test_one_time_codes_are_made_from_the_seed_by_42s_clock(known: RotationWorld, waits: list[float]) -> None:
    next_shows(known)
    known.intra.otp = True
    known.intra.skew = timedelta(minutes=7)
    assert known.rotate(INTRA42_TOTP_SEED=SEED)["state"] == "PR_OPEN"
    known.intra.sessions.clear()
    row = known.rotate(code=1, INTRA42_TOTP_SEED="MZXW6YTB")
    assert (row["blocked"], "did not take the one-time code" in row["next"]) == ("otp", True)
    assert waits == [pytest.approx(30 - known.intra.now.timestamp() % 30, abs=30)]
    row = known.rotate(code=1, INTRA42_TOTP_SEED="not base32!")
    assert "no base32 seed" in row["next"]


def test_a_code_that_was_used_within_its_30_seconds_is_followed_by_the_next(
    known: RotationWorld, waits: list[float]
) -> None:
    """By another run, or by Keycloak's own form a moment before."""
    next_shows(known)
    known.intra.otp, known.intra.obstacle = True, "keycloak code"
    assert known.rotate(INTRA42_TOTP_SEED=SEED)["state"] == "PR_OPEN"
    assert (len(known.intra.used_codes), len(waits)) == (2, 1)
    known.intra.sessions.clear()
    assert known.rotate(INTRA42_TOTP_SEED=SEED)["state"] == "PR_OPEN"
    assert (len(known.intra.used_codes), len(waits)) == (4, 3)
    assert all(0 < seconds <= 30 for seconds in waits)


OBSTACLES = {
    "update-password": "update-password",
    "terms": "terms",
    "profile": "action",
    "codes to set up": "otp",
    "disabled": "disabled",
    "422": "session",
    "maintenance": "maintenance",
    "maintenance of the pages": "maintenance",
    "consent": "consent",
    "wall": "wall",
    "wall before the pages": "wall",
    "not an owner": "owner",
}


def test_each_obstacle_of_a_login_has_a_reason_and_a_fix_of_its_own(known: RotationWorld) -> None:
    assert OBSTACLES.keys() == ANSWERS.keys()
    runbook = (ROOT / "docs/runbooks/oauth.md").read_text()
    for obstacle, reason in OBSTACLES.items():
        known.intra.obstacle = obstacle
        row = known.status(code=1)
        assert (obstacle, row["blocked"]) == (obstacle, reason), row["next"]
        assert f"\n## BLOCKED ({reason})\n" in runbook
    known.intra.obstacle = ""
    assert known.status()["blocked"] is None


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


def test_a_clock_of_ours_that_is_behind_does_not_hide_an_end(known: RotationWorld) -> None:
    known.intra.shows_before = timedelta(0)
    known.intra.skew = known.intra.apps[ID].switch - known.intra.now - DAY
    assert known.rotate(code=1)["state"] == "AT_RISK"

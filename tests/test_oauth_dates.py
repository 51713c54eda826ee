"""Dates of 42: a next secret that is accepted from a day on, what is dead, and whose end is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gitops.oauth.state import KEEP
from tests.fakes.intra42 import Fault
from tests.oauth_world import BRANCH, DAY, ID, RotationWorld, next_shows, switch

pytestmark = pytest.mark.bots
NOBODY = {"INTRA42_LOGIN": "", "INTRA42_PASSWORD": "", "GITHUB_TOKEN": ""}


def scheduled_runs(world: RotationWorld, count: int) -> list[str]:
    """So many runs, six hours apart, which all must be green and say nothing. Returns the states, each once."""
    states: list[str] = []
    for _ in range(count):
        row = world.rotate()
        if [row["state"]] != states[-1:]:
            states.append(row["state"])
        if row["state"] == "PR_OPEN":
            world.merge()
            world.argo_says("success")
        world.intra.advance(timedelta(hours=6))
    return states


def until_of(world: RotationWorld) -> float:
    """What the metrics tell of the end of what is deployed."""
    text = world.run("oauth", "status", "--output", "openmetrics", "mogle").out
    families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    [sample] = families["gitops_oauth_valid_until_timestamp_seconds"].samples
    return float(sample.value)


def test_a_next_secret_with_a_date_is_waited_for_in_silence_and_then_deployed(known: RotationWorld) -> None:
    known.intra.accepts_before = 2 * DAY
    new = next_shows(known)
    assert scheduled_runs(known, 1) == ["SCHEDULED"]
    known.intra.advance(DAY + timedelta(hours=18))
    states = scheduled_runs(known, 6)
    assert states == ["SCHEDULED", "PR_OPEN", "CONFIRMED"]
    assert [message for message in known.slack.messages if ":warning:" in message or ":rotating" in message] == []
    assert known.opened("main") == new
    assert "42 accepts the next secret from" not in str(known.status()["next"])


def test_the_date_of_a_next_secret_is_said(known: RotationWorld) -> None:
    known.intra.accepts_before = 2 * DAY
    next_shows(known)
    row = known.status()
    day = known.intra.apps[ID].switch - 2 * DAY
    assert (row["state"], f"42 accepts the next secret from {day:%Y-%m-%d} on" in row["next"]) == ("SCHEDULED", True)


def missed_switch(world: RotationWorld) -> str:
    """42 switched, nobody merged, and the old secret is dead. Returns the current one."""
    next_shows(world)
    switch(world, world.intra.overlap + timedelta(hours=1))
    return world.intra.apps[ID].current


def test_what_is_dead_gives_way_to_the_current_secret_while_the_next_one_waits_for_its_date(
    known: RotationWorld,
) -> None:
    current = missed_switch(known)
    known.intra.accepts_before = 2 * DAY
    known.intra.show_next(ID)
    assert known.rotate(code=1)["state"] == "EXPIRED"
    assert known.opened(BRANCH) == current
    known.merge()
    assert known.rotate()["state"] == "SCHEDULED"


def test_what_is_dead_gives_way_to_the_current_secret_while_the_next_one_is_refused(known: RotationWorld) -> None:
    current = missed_switch(known)
    upcoming = known.intra.show_next(ID)
    del known.intra.apps[ID].accepted[upcoming]
    assert known.rotate(code=1)["state"] == "EXPIRED"
    assert known.opened(BRANCH) == current
    known.merge()
    row = known.rotate(code=1)
    assert (row["state"], row["blocked"]) == ("BLOCKED", "refused"), "then the next one is told again"


def test_the_end_that_is_told_is_that_of_what_is_deployed(known: RotationWorld) -> None:
    known.intra.accepts_before = timedelta(days=6)
    next_shows(known)
    end = known.intra.apps[ID].switch + timedelta(days=14)
    known.rotate()
    known.merge()
    row = known.status()
    assert (row["valid_until"][:10], row["at_least"]) == (f"{end - DAY:%Y-%m-%d}", False)
    [offline] = json.loads(known.run("oauth", "status", "--output", "json", "mogle", **NOBODY).out)
    assert (offline["valid_until"], offline["at_least"]) == (row["valid_until"], False), "and not the one before it"


def test_offline_an_end_that_nobody_knows_is_a_lower_bound(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    known.merge()
    [offline] = json.loads(known.run("oauth", "status", "--output", "json", "mogle", **NOBODY).out)
    assert offline["at_least"]
    assert ">= " in known.run("oauth", "status", "mogle", **NOBODY).out


def test_of_what_is_dead_no_end_in_the_future_is_told(known: RotationWorld) -> None:
    missed_switch(known)
    assert until_of(known) <= known.intra.now.timestamp()
    assert known.status(code=1)["days_left"] <= 0
    known.intra.apps[ID].accepted.clear()
    known.merge() if known.open() else None
    assert until_of(known) <= known.intra.now.timestamp(), "nor where 42 refuses what it shows"


def test_a_single_401_is_asked_again(known: RotationWorld) -> None:
    for path in ("POST /oauth/token", "GET /oauth/token/info"):
        known.intra.faults = [Fault(path, 401)]
        assert known.rotate()["state"] == "IDLE"
    known.intra.faults = [Fault("POST /oauth/token", 401, times=2)]
    assert known.rotate(code=1)["state"] == "EXPIRED"


@pytest.mark.parametrize("word", [0, -1, 1, 10**12, 10**18])
def test_what_the_token_says_and_cannot_mean_is_no_date(known: RotationWorld, word: int) -> None:
    page = known.status()["valid_until"]
    known.intra.valid_until_word = word
    row = known.status()
    assert (row["state"], row["valid_until"]) == ("IDLE", page)


def test_a_date_that_may_be_the_month_first_is_told_by_the_token_or_refused(known: RotationWorld) -> None:
    app = known.intra.apps[ID]
    known.intra.now, app.switch = datetime(2031, 1, 20, 12, tzinfo=UTC), datetime(2031, 2, 3, tzinfo=UTC)
    row = known.status()
    assert row["valid_until"] == "2031-02-02T10:00:00+00:00", "3/2 is in February, as the token says"
    known.intra.says_valid_until = False
    row = known.status(code=1)
    assert (row["blocked"], "can be d/m/Y and m/d/Y" in row["next"]) == ("layout", True)
    app.switch = datetime(2031, 2, 13, tzinfo=UTC)
    assert known.status()["blocked"] is None, "13 is no month"


def test_no_next_secret_three_days_before_the_end_is_said_with_what_to_do(known: RotationWorld) -> None:
    known.intra.shows_before = timedelta(0)
    known.intra.advance(known.intra.apps[ID].switch - known.intra.now - 3 * DAY)
    row = known.rotate(code=1)
    assert row["state"] == "AT_RISK"
    assert "the runbook's section 'No next secret shows'" in known.slack.messages[-1]
    assert known.open() == []


def test_clocks_that_differ_are_said(known: RotationWorld) -> None:
    known.intra.skew = timedelta(hours=5)
    assert "ahead of ours; the later one counts" in known.status()["next"]
    known.intra.skew = timedelta(hours=-5)
    assert "behind ours; the later one counts" in known.status()["next"]
    known.intra.skew = timedelta(0)
    assert "clock" not in known.status()["next"]


def test_a_previous_generation_stays_as_long_as_before(known: RotationWorld) -> None:
    known.intra.accepts_before = 2 * DAY
    next_shows(known)
    known.intra.advance(3 * DAY)
    assert known.rotate()["state"] == "PR_OPEN"
    known.merge()
    known.argo_says("success")
    switch(known)
    assert known.rotate()["state"] == "CONFIRMED"
    known.intra.advance(KEEP)
    assert known.rotate()["state"] == "RETIRED"

"""What is merged is followed to the pods, and whom it concerns hears of it: the command as its workflow runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.github import Fault as GitHubFault
from tests.fakes.github_rulesets import MEMBER
from tests.oauth_world import BRANCH, RotationWorld, next_shows, switch
from tests.test_oauth_merge import LISTING, by_hand

pytestmark = pytest.mark.bots
HOURS = timedelta(hours=1)
ARRIVES = "main has what 42 accepts: its pods have to take it, see docs/runbooks/application-not-healthy.md"
OWNER, PLATFORM = "mogle-dev", "platform-alerts"


def deliver(world: RotationWorld, *, code: int = 0, **env: str) -> dict[str, Any]:
    """A run of the workflow `deliver`, which is given nothing of 42's."""
    asked = len(world.intra.log)
    nothing = dict.fromkeys(world.intra.environment, "")
    done = world.run("oauth", "deliver", "--output", "json", "mogle", **{**nothing, **env})
    assert done.code == code, (done.code, done.out, done.err)
    assert len(world.intra.log) == asked
    [row] = json.loads(done.out)
    return dict(row)


def test_a_rotation_is_merged_delivered_and_told_without_a_person(known: RotationWorld) -> None:
    new = next_shows(known)
    known.rotate()
    assert "#1, it merges once its checks passed" in known.slack.told(OWNER)[-1]
    assert deliver(known)["state"] == "PR_OPEN"
    known.checks_pass()
    assert (deliver(known)["action"], known.opened("main")) == ("merged", new)
    assert "#1 is merged" in known.slack.told(OWNER)[-1]
    assert deliver(known)["state"] == "MERGED"
    known.argo_says("in_progress")
    assert deliver(known)["state"] == "SYNCED"
    known.argo_says("success")
    told = len(known.slack.told(OWNER))
    for _ in range(2):
        assert deliver(known)["state"] == "CONFIRMED"
    assert known.slack.told(OWNER)[told:] == ["mogle/prod: delivered: every pod holds generation 3"]
    assert "every pod holds generation 3" in known.github.pulls[1].comments[-1]


@pytest.mark.parametrize("method", ["squash", "merge"])
def test_a_delivery_is_told_where_a_person_edited_the_pull_request(known: RotationWorld, method: str) -> None:
    next_shows(known)
    known.rotate()
    known.github.pulls[1].body = "It is Thursday."
    known.merge(delivered=False, ago=3 * HOURS, method=method)
    assert deliver(known, code=1)["state"] == "STUCK"
    assert "not delivered for 3 h" in known.slack.told(OWNER)[-1]


def old_success(world: RotationWorld) -> None:
    """What Argo CD said of the commit before."""


def a_member_says_success(world: RotationWorld) -> None:
    commit = world.github.head("main") or ""
    world.github.deployments.says("mogle-prod", "success", commit, actor=MEMBER)


def nothing_ever(world: RotationWorld) -> None:
    world.github.deployments.kept.clear()


CLUSTERS: dict[Callable[[RotationWorld], None], tuple[str, str]] = {
    old_success: ("has not synced this generation yet", "OutOfSync, or Unknown"),
    a_member_says_success: ("has not synced this generation yet", "Argo CD's App alone is believed"),
    nothing_ever: ("nothing is known of the cluster", "away"),
    lambda world: world.argo_says("error"): ("has not synced this generation yet", "its sync failed"),
    lambda world: world.argo_says("failure"): ("Synced, its pods not Healthy yet", "Degraded"),
    lambda world: world.argo_says("in_progress"): ("Synced, its pods not Healthy yet", "not opened, not rolled"),
}


@pytest.mark.parametrize("cluster", CLUSTERS, ids=[words for _, words in CLUSTERS.values()])
def test_what_does_not_arrive_in_an_hour_is_told_to_its_owner_and_the_platform(
    known: RotationWorld, cluster: Callable[[RotationWorld], None]
) -> None:
    next_shows(known)
    known.rotate()
    known.merge(delivered=False, ago=3 * HOURS)
    cluster(known)
    before = [len(known.slack.told(channel)) for channel in (OWNER, PLATFORM)]
    said, _ = CLUSTERS[cluster]
    for _ in range(2):
        assert deliver(known, code=1)["state"] == "STUCK"
    for channel, count in zip((OWNER, PLATFORM), before, strict=True):
        [message] = known.slack.told(channel)[count:]
        assert f"mogle/prod: STUCK merged and not delivered for 3 h: {said}" in message, "once, a quarter of an hour"
    row = known.rotate(code=1)
    assert (row["state"], row["generation"]) == ("STUCK", 3)
    assert "STUCK" in known.slack.told(PLATFORM)[-1], "four times a day until it is mended"
    known.argo_says("success")
    assert known.rotate()["state"] == "CONFIRMED"


def test_what_ends_is_what_the_pods_hold_and_not_what_main_says(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    known.merge(delivered=False, ago=2 * HOURS)
    known.argo_says("in_progress")
    known.intra.advance(timedelta(days=3))
    assert known.rotate(code=1)["state"] == "AT_RISK"
    switch(known)
    row = known.rotate(code=1)
    assert row["state"] == "EXPIRED"
    assert "Synced, its pods not Healthy yet" in row["next"]
    assert row["next"].endswith(ARRIVES)
    known.argo_says("success")
    assert known.rotate()["state"] == "CONFIRMED"


def test_after_a_late_merge_nobody_is_sent_to_42_for_what_main_has(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    switch(known, known.intra.overlap + timedelta(hours=1))
    assert "has to merge" in known.rotate(code=1)["next"]
    known.merge(delivered=False)
    known.argo_says("in_progress")
    row = known.rotate(code=1)
    assert row["state"] == "EXPIRED", "what the pods hold is dead"
    assert row["next"].endswith(ARRIVES)
    assert "no next secret" not in row["next"], "it comes with the next rotation, in nine days"
    known.argo_says("success")
    assert known.rotate()["state"] == "CONFIRMED"


def test_pods_that_are_well_no_more_are_told_too(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    known.merge(ago=3 * HOURS)
    assert known.rotate()["state"] == "CONFIRMED"
    known.argo_says("failure")
    assert known.rotate()["state"] == "SYNCED", "a rollout may take as long as any"


def test_an_open_pull_request_that_does_not_merge_is_told(
    known: RotationWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_shows(known)
    known.rotate()
    monkeypatch.setattr("gitops.oauth.state.SLOW", timedelta(0))
    row = known.rotate(code=1)
    assert (row["state"], "its checks have not passed" in row["next"]) == ("STUCK", True)
    by_hand(known)
    assert known.rotate()["state"] == "PR_OPEN", "a person takes the time that it takes"


def test_only_what_is_exactly_a_rotation_is_merged_without_asking_42(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    known.checks_pass()
    for spoil in (
        lambda: by_hand(known),
        lambda: known.github.commit("main", {LISTING: known.file(LISTING) + b"# a bump\n"}, "Bump"),
        lambda: known.github.commit(BRANCH, {"README.md": b"x"}, "By hand"),
    ):
        head = known.github.head("main")
        spoil()
        known.checks_pass()
        assert deliver(known)["action"] in (None, "unchanged")
        known.github.git("update-ref", "refs/heads/main", str(head))
    assert len(known.open()) == 1


def test_a_secret_that_was_proved_long_ago_is_left_to_a_run_that_asks_42(
    known: RotationWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_shows(known)
    known.rotate()
    known.checks_pass()
    monkeypatch.setattr("gitops.oauth.deliver.FRESH", timedelta(seconds=-10))
    assert deliver(known)["action"] == "unchanged"
    assert known.rotate()["action"] == "merged"


def test_a_channel_that_takes_no_message_is_told_to_the_platform(known: RotationWorld) -> None:
    known.slack.channels = {PLATFORM}
    next_shows(known)
    done = known.run("oauth", "rotate", "mogle")
    assert (done.code, "channel_not_found" in done.err) == (4, True)
    assert "#mogle-dev could not be told:\nmogle/prod: 42's new secret is in #1" in known.slack.told(PLATFORM)[-1]


def test_what_github_does_not_answer_is_no_delivery(known: RotationWorld) -> None:
    known.github.faults.append(GitHubFault("GET", "/deployments", 404))
    done = known.run("oauth", "deliver", "mogle", INTRA42_LOGIN="", INTRA42_PASSWORD="")
    assert (done.code, "GET /deployments" in done.err) == (4, True)

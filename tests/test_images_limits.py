"""What waits though it is newer: too young, a new major version, more pull requests than may be open."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops.images import order, policy, wording
from gitops.images.reasons import MajorStays, RejectionReason, TooYoung
from gitops.images.target import ImagePlan
from tests.fakes.github_rulesets import BOT_ACTOR
from tests.image_planner import NOW, Situation, plans, winners
from tests.image_world import NOW as TODAY
from tests.image_world import PROD, ImageWorld

FIRST = "3.0.0 30d"
OLD_ENOUGH: dict[str, Any] = {"minimum-release-age": "2d"}


def decide(folder: Path, own: dict[str, Any], registry: str, ran: str = FIRST) -> ImagePlan:
    return plans(Situation(policies={"staging": own}, registry=registry, ran={"staging": ran}), folder)["staging"]


DIRECT: dict[str, tuple[dict[str, Any], str, str]] = {
    "semver": ({"semver": {}}, "3.0.0", "3.1.0"),
    "pattern": ({"pattern": {"match": r"b-(\d+)", "order": "numerical", "group": 1}}, "b-1", "b-2"),
    "newest": ({"newest": {}}, "one", "two"),
    "digest": ({"digest": {"tag": "edge"}}, "edge=one", "edge=two"),
}


@pytest.mark.parametrize("way", DIRECT)
def test_no_policy_takes_what_was_pushed_a_moment_ago(tmp_path: Path, way: str) -> None:
    own, runs, newer = DIRECT[way]
    for span, waits in (("47h", True), ("2d", False)):
        pushed = f"{newer} {span}" if way == "digest" else f"{runs} 30d, {newer} {span}"
        made = decide(tmp_path, {**own, **OLD_ENOUGH}, pushed, f"{runs} 30d")
        tag = newer.partition("=")[0]
        assert made.no_change == (TooYoung(tag, NOW + timedelta(hours=1)) if waits else None)
        assert (made.winner is None) == waits


def test_an_older_one_that_is_old_enough_is_taken_meanwhile(tmp_path: Path) -> None:
    made = decide(tmp_path, {"semver": {}, **OLD_ENOUGH}, "3.0.0 30d, 3.1.0 3d, 3.2.0 1h")
    assert winners({"staging": made}) == {"staging": "3.1.0"}
    [young] = [own for own in made.assessments if own.image.tag == "3.2.0"]
    assert young.rejection
    assert wording.rejection(young.rejection) == "too young until 2026-11-27T11:00+00:00"


def test_without_an_age_a_clock_that_is_ahead_holds_nothing_back(tmp_path: Path) -> None:
    situation = Situation(policies={"staging": {"semver": {}}}, registry="3.1.0 0m", ran={"staging": FIRST})
    assert winners(plans(situation, tmp_path)) == {"staging": "3.1.0"}


@pytest.mark.parametrize("tag", ["4.0.0", "v4.0.0", "12.1.0"])
def test_a_new_major_version_stays_where_the_policy_takes_none(tmp_path: Path, tag: str) -> None:
    registry = f"3.0.0 30d, 3.0.1 2d, {tag} 1d"
    assert winners({"staging": decide(tmp_path, {"semver": {}}, registry)}) == {"staging": tag}
    made = decide(tmp_path, {"semver": {}, "majors": "never"}, registry)
    assert winners({"staging": made}) == {"staging": "3.0.1"}
    reasons = {own.image.tag: own.rejection.reason for own in made.assessments if own.rejection}
    assert reasons[tag] is RejectionReason.MAJOR


def test_a_promotion_leaves_a_major_version_where_it_is(tmp_path: Path) -> None:
    policies: dict[str, dict[str, Any]] = {
        "staging": {"semver": {}},
        "prod": {"promote": {"from": "staging", "soak": "1d"}, "majors": "never"},
    }
    ran = {"staging": f"{FIRST}, 3.1.0 9d, 4.0.0 5d", "prod": FIRST}
    made = plans(Situation(policies=policies, registry="4.0.0 6d", ran=ran), tmp_path)["prod"]
    assert winners({"prod": made}) == {"prod": "3.1.0"}, "the newest below it goes on"
    ran["staging"] = f"{FIRST}, 4.0.0 5d"
    made = plans(Situation(policies=policies, registry="4.0.0 6d", ran=ran), tmp_path)["prod"]
    assert "4.0.0 is a new major version: it stays in staging" in wording.no_change(made.no_change)
    assert MajorStays("staging", "4.0.0") in (made.no_change, getattr(made.no_change, "waits", None))


def test_the_major_version_of_a_pattern_is_that_of_its_group() -> None:
    own = policy.Policy.model_validate({"pattern": {"match": r"app-(.*)", "order": "semver", "group": 1}})
    assert order.is_major(own, "app-1.9.0", "app-2.0.0")
    assert not order.is_major(own, "app-1.9.0", "app-1.10.0")
    assert not order.is_major(own, "latest", "app-2.0.0"), "of no version nothing is known"


@pytest.mark.bots
def test_a_major_version_by_hand_is_proposed_and_left_to_a_person(images: ImageWorld) -> None:
    images.policy(staging={"semver": {}, "auto-merge": True, "majors": "by-hand"})
    images.ecr.push("mogle", "4.0.0")
    assert images.bump()["staging"]["action"] == "opened"
    assert "A new major version: a person merges it" in images.github.pulls[1].body
    head = images.github.pulls[1].last_head
    images.github.rules.checked(head)
    for name in ("main-gate", "freeze"):
        images.github.rules.status(head, name, "success", BOT_ACTOR)
    assert images.bump()["staging"]["action"] == "unchanged", "green, and left to a person"
    images.policy(staging={"semver": {}, "auto-merge": True})
    assert images.bump()["staging"]["action"] in ("updated", "merged"), "which the policy alone decides"


@pytest.mark.bots
def test_more_pull_requests_than_may_be_open_wait_and_are_told(images: ImageWorld) -> None:
    images.pin(PROD, "3.0.1", images.ecr.push("mogle", "3.0.1"), TODAY - timedelta(days=9))
    images.policy(staging={"semver": {}}, prod={"semver": {}})
    images.write(".github/images.yaml", "open-pull-requests-limit: 1\n")
    images.ecr.push("mogle", "3.1.0", pushed=TODAY - timedelta(days=1))
    rows = images.bump()
    assert {name: row["action"] for name, row in rows.items()} == {"prod": "opened", "staging": "nothing"}
    told = "waits for its turn: 1 pull request is open, 1 may be (.github/images.yaml)"
    assert rows["staging"]["why"] == told
    # A rollback takes nobody's place, though nothing goes forward beside it.
    assert images.run("images", "rollback", "mogle", "--reason", "x").code == 0
    images.ecr.push("mogle", "3.2.0")
    rows = images.bump()
    assert (rows["prod"]["action"], rows["staging"]["why"]) == ("unchanged", told)
    # What is open already is kept up to date.
    images.github.pulls[2].state = "closed"
    rows = images.bump()
    assert {name: row["action"] for name, row in rows.items()} == {"prod": "updated", "staging": "nothing"}
    # What ends in a run makes room in that very run.
    images.policy(staging={"semver": {}}, prod={"semver": {"range": "<3.1.0"}})
    rows = images.bump()
    assert {name: row["action"] for name, row in rows.items()} == {"prod": "withdrawn", "staging": "opened"}


@pytest.mark.bots
def test_limits_that_cannot_be_read_are_said(images: ImageWorld) -> None:
    images.write(".github/images.yaml", "open-pull-requests-limit: 0\n")
    done = images.run("images", "bump")
    assert (done.code, ".github/images.yaml: open-pull-requests-limit" in done.err) == (2, True), done.err
    assert images.github.writes == []
    with pytest.raises(ValueError, match="minimum-release-age belongs to the environment that it promotes from"):
        policy.Policy.model_validate({"promote": {"from": "staging", "soak": "1d"}, "minimum-release-age": "1d"})

"""A promotion takes what was Healthy: what Argo CD told GitHub, and what of it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.github_rulesets import ADMIN, BOT_ACTOR, MEMBER, WORKFLOW
from tests.image_world import NOW, PROD, REPOSITORY, STAGING, ImageWorld

pytestmark = pytest.mark.bots

Told = Sequence[tuple[float, str]]

# What Argo CD told GitHub (hours ago, state) of the image that staging got two days ago, and prod's note then.
HEALTH: dict[str, tuple[Told, str]] = {
    "nothing": ((), "nothing tells whether mogle-staging is Healthy with 3.1.0"),
    "Healthy too short": (((48, "in_progress"), (20, "success")), "was Healthy with 3.1.0 for 20h of 1d"),
    "crash-loops": (((48, "in_progress"), (47, "failure")), "mogle-staging is Degraded with 3.1.0 since"),
    "soaked, and Degraded now": (((48, "success"), (1, "failure")), "mogle-staging is Degraded with 3.1.0 since"),
    "cannot be synced": (((48, "success"), (1, "error")), "mogle-staging cannot be synced with 3.1.0 since"),
    "Degraded for a moment": (((48, "success"), (0.1, "failure")), "mogle-staging is starting pods, with 3.1.0 since"),
    "starts pods": (((48, "success"), (0.1, "in_progress")), "mogle-staging is starting pods, with 3.1.0 since"),
    "starts pods for ever": (((48, "in_progress"),), "and comes to no end: it is stuck"),
    "starts pods again and again": (
        ((48, "in_progress"), (40, "failure"), (1, "in_progress"), (0.2, "failure"), (0.1, "in_progress")),
        "and comes to no end: it is stuck",
    ),
    "crashes again and again": (
        ((48, "success"), (9, "failure"), (0.2, "in_progress"), (0.1, "failure")),
        "mogle-staging is Degraded with 3.1.0 since",
    ),
    "Healthy in parts": (
        ((48, "success"), (36, "failure"), (12, "success"), (8, "failure"), (7, "success")),
        "was Healthy with 3.1.0 for 23h of 1d",
    ),
}


@pytest.mark.parametrize("name", HEALTH)
def test_what_was_not_healthy_for_the_soak_time_is_not_promoted(images: ImageWorld, name: str) -> None:
    told, note = HEALTH[name]
    now = datetime.now(UTC)  # of this test, and not of when its file was read
    images.pin(STAGING, "3.1.0", images.ecr.push("mogle", "3.1.0"), now - timedelta(days=2), health=None)
    commit = images.github.head("main") or ""
    for hours, state in told:
        images.github.deployments.says("mogle-staging", state, commit, now - timedelta(hours=hours))
    row = images.bump()["prod"]
    assert row["action"] == "nothing"
    assert note in row["note"]


def test_health_counts_where_it_was_in_parts_and_on_later_commits_of_the_same_image(images: ImageWorld) -> None:
    soaked = images.ecr.push("mogle", "3.1.0")
    images.pin(STAGING, "3.1.0", soaked, NOW - timedelta(hours=40))
    first = images.github.head("main") or ""
    images.github.deployments.says("mogle-staging", "failure", first, NOW - timedelta(hours=25))
    # Another change of the overlay: its image is the same.
    again = images.github.commit("main", {f"{STAGING}.note": b""}, "Another change")
    images.github.deployments.says("mogle-staging", "in_progress", again, NOW - timedelta(hours=12))
    images.github.deployments.says("mogle-staging", "success", again, NOW - timedelta(hours=11))
    assert images.bump()["prod"]["winner"] == f"{REPOSITORY}:3.1.0@{soaked}"


def test_nobody_but_argo_cd_vouches_for_health(images: ImageWorld) -> None:
    images.pin(STAGING, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(days=2), health=None)
    commit = images.github.head("main") or ""
    for actor in (MEMBER, BOT_ACTOR, WORKFLOW, ADMIN):
        images.github.deployments.says("mogle-staging", "success", commit, NOW - timedelta(days=2), actor)
    assert "nothing tells" in images.bump()["prod"]["note"]
    # Argo CD adds its word to the deployment that it finds there, whoever made it.
    images.github.deployments.says("mogle-staging", "success", commit, NOW - timedelta(days=2))
    assert "nothing tells" in images.bump(ARGOCD_APP="another")["prod"]["note"]
    assert images.bump()["prod"]["action"] == "opened"


def test_a_policy_may_go_by_the_time_alone_where_nothing_is_known(images: ImageWorld) -> None:
    images.policy(staging={"semver": {}}, prod={"promote": {"from": "staging", "soak": "1d", "health": "if-known"}})
    images.pin(STAGING, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(days=2), health=None)
    commit = images.github.head("main") or ""
    images.github.deployments.says("mogle-staging", "failure", commit, NOW - timedelta(hours=1))
    assert "is Degraded with 3.1.0" in images.bump()["prod"]["note"]
    images.github.deployments.kept.clear()
    assert images.bump()["prod"]["action"] == "opened"


def test_an_older_image_that_was_healthy_is_promoted_while_the_newest_is_not(images: ImageWorld) -> None:
    good = images.ecr.push("mogle", "3.1.0")
    images.pin(STAGING, "3.1.0", good, NOW - timedelta(days=9))
    images.pin(STAGING, "3.2.0", images.ecr.push("mogle", "3.2.0"), NOW - timedelta(days=3), health="failure")
    assert images.bump()["prod"]["winner"] == f"{REPOSITORY}:3.1.0@{good}"
    # And not where it was Degraded when it was replaced.
    images.github.deployments.says(
        "mogle-staging", "failure", images.github.git("rev-parse", "main~1"), NOW - timedelta(days=4)
    )
    assert images.bump()["prod"]["action"] != "opened"


PROMOTE = {"promote": {"from": "staging", "soak": "1d"}}


def test_a_prerelease_stays_where_it_is_tried_and_goes_on_by_its_releases_name(images: ImageWorld) -> None:
    images.policy(staging={"semver": {"prereleases": True}}, prod=PROMOTE)
    tried = images.ecr.push("mogle", "3.1.0-rc.1", "3.1.0")
    images.pin(STAGING, "3.1.0-rc.1", tried, NOW - timedelta(days=9))
    assert "3.1.0-rc.1 is a pre-release: it stays in staging" in images.bump()["prod"]["note"]
    images.policy(staging={"semver": {}}, prod={"promote": {**PROMOTE["promote"], "prereleases": True}})
    assert images.bump()["prod"]["winner"] == f"{REPOSITORY}:3.1.0-rc.1@{tried}"
    # Its digest soaked, by whatever tag, and the tag that prod gets is the last one.
    images.policy(staging={"semver": {}}, prod=PROMOTE)
    images.pin(STAGING, "3.1.0", tried, NOW - timedelta(hours=1))
    assert images.bump()["prod"]["winner"] == f"{REPOSITORY}:3.1.0@{tried}"
    images.pin(PROD, "3.1.0-rc.1", tried, NOW)
    assert images.bump()["prod"]["winner"] == f"{REPOSITORY}:3.1.0@{tried}"


def test_a_hotfix_in_prod_is_no_reason_for_a_downgrade(images: ImageWorld) -> None:
    images.pin(STAGING, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(days=9))
    images.pin(PROD, "3.1.1", images.ecr.push("mogle", "3.1.1"), NOW - timedelta(hours=1))
    row = images.bump()["prod"]
    assert (row["action"], row["note"]) == ("nothing", "runs 3.1.1, which is newer than 3.1.0")


def test_what_was_brought_again_is_promoted(images: ImageWorld) -> None:
    again = images.ecr.push("mogle", "3.1.0")
    before = images.file(STAGING).decode()
    images.pin(STAGING, "3.1.0", again, NOW - timedelta(days=19))
    images.write(STAGING, before)
    images.pin(STAGING, "3.1.0", again, NOW - timedelta(days=3))
    assert images.bump()["prod"]["winner"] == f"{REPOSITORY}:3.1.0@{again}"


def test_prods_image_that_the_registry_lost_is_told(images: ImageWorld) -> None:
    images.pin(PROD, "3.1.0", f"sha256:{'9' * 64}", NOW - timedelta(hours=1))
    done = images.run("images", "bump")
    assert done.code != 0
    assert "mogle/prod: the running image 3.1.0@sha256:999999999999 is gone from the registry" in done.err

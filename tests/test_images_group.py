"""One pull request for a service's environments or a team's services: what it holds, and what it leaves out."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from gitops.images import edit
from gitops.manifests.image import Image
from tests.attacks.github_world import protect
from tests.fakes.github_repository import BOT, GITHUB, Pull
from tests.image_world import NOW, PROD, REPOSITORY, STAGING, ImageWorld
from tests.test_images_further import FurtherWorld
from tests.test_images_people import FULL, passes

pytestmark = pytest.mark.bots

ANY: dict[str, Any] = {"semver": {}}
AUTO, BY_HAND = "bump/mogle/_auto", "bump/mogle/_by-hand"
OWNER = 'team: community\ncontact: "#mogle-dev"\ndescription: Umbrellas\n'
UMBRELLA = "overlays/umbrella/staging/kustomization.yaml"


def group(images: ImageWorld, way: str | None, **more: Any) -> None:
    settings = {"open_pull_requests_limit": 10, **more, **({"group": way} if way else {})}
    lines = [f"{key.replace('_', '-')}: {value}\n" for key, value in settings.items()]
    images.write(".github/images.yaml", "".join(lines))


def bump(images: ImageWorld, code: int = 0, *names: str) -> dict[str, dict[str, Any]]:
    done = images.run("images", "bump", "--output", "json", *names)
    assert done.code == code, done.err
    return {f"{row['service']}/{row['environment']}": row for row in json.loads(done.out)}


def actions(rows: dict[str, dict[str, Any]]) -> dict[str, tuple[str, int]]:
    return {name: (row["action"], row["pull_request"]) for name, row in rows.items()}


def tags(images: ImageWorld, branch: str) -> dict[str, str]:
    return {path.split("/")[2]: edit.read(images.file(path, branch), path).image.tag for path in (STAGING, PROD)}


def pull_of(images: ImageWorld, branch: str) -> Pull:
    return next(pull for pull in images.github.pulls.values() if (pull.head, pull.state) == (branch, "open"))


def both(images: ImageWorld) -> None:
    """Both environments of mogle are proposed 3.1.0, together."""
    images.policy(staging=ANY, prod=ANY)
    group(images, "service")
    images.ecr.push("mogle", "3.1.0")
    assert actions(bump(images)) == {"mogle/staging": ("opened", 1), "mogle/prod": ("opened", 1)}


def umbrella(images: ImageWorld) -> None:
    """umbrella 1.0.0 in staging, of mogle's team."""
    name = REPOSITORY.replace("mogle", "umbrella")
    first = images.ecr.push("umbrella", "1.0.0", pushed=NOW - timedelta(days=30))
    changed = edit.replace(images.file(UMBRELLA), UMBRELLA, Image(name, "1.0.0", first))
    files: dict[str, bytes | None] = {UMBRELLA: changed, "overlays/umbrella/owner.yaml": OWNER.encode()}
    files["overlays/umbrella/images.yaml"] = b"staging: {semver: {}, auto-merge: true}\n"
    images.github.commit("main", files, "Pin", when=(NOW - timedelta(days=9)).isoformat())


def test_a_services_environments_are_one_pull_request_that_a_second_run_leaves(images: ImageWorld) -> None:
    both(images)
    assert images.open() == [BY_HAND]
    assert tags(images, BY_HAND) == {"staging": "3.1.0", "prod": "3.1.0"}
    pull = pull_of(images, BY_HAND)
    assert pull.title == "mogle/prod: 3.1.0; mogle/staging: 3.1.0"
    assert "## `mogle/staging`" in pull.body
    writes = len(images.github.writes)
    assert set(actions(bump(images)).values()) == {("unchanged", 1)}
    assert len(images.github.writes) == writes
    assert json.loads(images.run("images", "status", "--output", "json").out)[0]["pull_request"] == 1
    images.github.merge(1)
    assert {row["note"] for row in bump(images).values()} >= {"no image is newer than what runs"}


@FULL
def test_one_member_that_changes_changes_the_pull_request_and_no_other_image(images: ImageWorld) -> None:
    both(images)
    images.policy(staging=ANY, prod={"semver": {"range": "<3.2.0"}})
    images.ecr.push("mogle", "3.2.0")
    assert set(actions(bump(images)).values()) == {("updated", 1)}
    assert tags(images, BY_HAND) == {"staging": "3.2.0", "prod": "3.1.0"}
    images.policy(staging=ANY, prod={"semver": {"range": "<3.1.0"}})
    assert bump(images)["mogle/staging"]["action"] == "updated"
    assert tags(images, BY_HAND) == {"staging": "3.2.0", "prod": "3.0.0"}


def test_what_merges_by_itself_takes_no_prod_along(images: ImageWorld) -> None:
    protect(images.github, "main")
    images.policy(staging={**ANY, "auto-merge": True}, prod=ANY)
    group(images, "service")
    images.ecr.push("mogle", "3.1.0")
    assert actions(bump(images)) == {"mogle/staging": ("opened", 2), "mogle/prod": ("opened", 1)}
    assert images.open() == [AUTO, BY_HAND]
    assert tags(images, AUTO) == {"staging": "3.1.0", "prod": "3.0.0"}
    for branch in (AUTO, BY_HAND):
        passes(images.github, pull_of(images, branch))
    assert {name: row["action"] for name, row in bump(images).items()} == {
        "mogle/staging": "merged",
        "mogle/prod": "unchanged",
    }
    # One that a person merges from now on moves to the other, and the first has lost its reason.
    images.ecr.push("mogle", "3.2.0")
    bump(images)
    assert images.open() == [AUTO, BY_HAND]
    images.policy(staging=ANY, prod=ANY)
    rows = bump(images)
    assert (rows["mogle/staging"]["action"], rows["mogle/_auto"]["action"]) == ("updated", "withdrawn")
    assert images.open() == [BY_HAND]


def test_a_decline_of_the_group_is_one_of_each_and_stays_so_without_it(images: ImageWorld) -> None:
    both(images)
    images.github.pulls[1].state = "closed"
    for way in ("service", "team", None):
        group(images, way)
        rows = bump(images)
        assert {name: row["winner"] for name, row in rows.items()} == {"mogle/prod": None, "mogle/staging": None}, way
        assert images.open() == []
    group(images, "service")
    new = images.ecr.push("mogle", "3.1.1")
    assert {row["winner"] for row in bump(images).values()} == {f"{REPOSITORY}:3.1.1@{new}"}


def test_what_was_declined_alone_is_left_out_of_the_group(images: ImageWorld) -> None:
    images.policy(staging=ANY, prod=ANY)
    images.ecr.push("mogle", "3.1.0")
    bump(images)
    pull_of(images, "bump/mogle/prod").state = "closed"
    group(images, "service")
    rows = bump(images)
    assert (rows["mogle/prod"]["winner"], rows["mogle/staging"]["action"]) == (None, "opened")
    assert images.open() == [BY_HAND]
    assert tags(images, BY_HAND) == {"staging": "3.1.0", "prod": "3.0.0"}
    done = images.run("images", "undecline", "mogle", "--environment", "prod")
    assert done.out == "mogle/prod: the next run may propose 3.1.0 again\n", done.err
    bump(images)
    assert tags(images, BY_HAND) == {"staging": "3.1.0", "prod": "3.1.0"}


@FULL
def test_a_groups_decline_is_taken_back_for_all_of_it(images: ImageWorld) -> None:
    both(images)
    images.github.pulls[1].state = "closed"
    done = images.run("images", "undecline", "mogle")
    assert done.out.count("the next run may propose 3.1.0 again") == 2, done.err
    assert set(actions(bump(images)).values()) == {("opened", 2)}


def test_switched_on_and_off_it_takes_the_other_forms_pull_requests_back(images: ImageWorld) -> None:
    images.policy(staging=ANY, prod=ANY)
    images.ecr.push("mogle", "3.1.0")
    bump(images)
    assert images.open() == ["bump/mogle/prod", "bump/mogle/staging"]
    for way, branches in (
        ("service", [BY_HAND]),
        ("team", ["bump/_community/_by-hand"]),
        (None, ["bump/mogle/prod", "bump/mogle/staging"]),
    ):
        # In one run, though one alone has room.
        group(images, way, open_pull_requests_limit=len(branches))
        bump(images)
        assert images.open() == branches
        assert [
            name for name in images.github.git("branch", "--format=%(refname:short)").split() if "bump" in name
        ] == (branches)
    assert all("withdrawn" in pull.labels for pull in images.github.pulls.values() if pull.state == "closed")


def test_a_persons_commit_stops_the_group_and_its_own_alone_stops_one_member(images: ImageWorld) -> None:
    both(images)
    images.github.commit(BY_HAND, {STAGING: images.file(STAGING, BY_HAND) + b"# mine\n"}, "Mine")
    images.ecr.push("mogle", "3.2.0")
    assert set(actions(bump(images)).values()) == {("stopped", 1)}
    assert tags(images, BY_HAND) == {"staging": "3.1.0", "prod": "3.1.0"}
    images.github.merge(1)
    images.github.git("update-ref", "-d", f"refs/heads/{BY_HAND}")
    assert set(actions(bump(images)).values()) == {("opened", 2)}
    group(images, None)
    bump(images)
    images.github.commit("bump/mogle/prod", {PROD: images.file(PROD, "bump/mogle/prod") + b"# mine\n"}, "Mine")
    group(images, "service")
    rows = bump(images)
    assert (rows["mogle/prod"]["action"], rows["mogle/staging"]["action"]) == ("stopped", "opened")
    assert images.open() == [BY_HAND, "bump/mogle/prod"]
    assert tags(images, BY_HAND) == {"staging": "3.2.0", "prod": "3.1.0"}


@FULL
def test_who_is_held_or_goes_back_by_hand_is_left_out(images: ImageWorld) -> None:
    images.pin(PROD, "3.0.1", images.ecr.push("mogle", "3.0.1"), NOW - timedelta(days=9))
    both(images)
    assert images.run("images", "rollback", "mogle", "--reason", "x").code == 0
    rows = bump(images)
    assert ("waits for #2" in rows["mogle/prod"]["why"], rows["mogle/staging"]["action"]) == (True, "updated")
    assert tags(images, BY_HAND) == {"staging": "3.1.0", "prod": "3.0.1"}
    images.github.merge(2)
    rows = bump(images)
    assert "held on 3.0.0" in rows["mogle/prod"]["note"]
    assert rows["mogle/staging"]["action"] == "unchanged"
    images.write("overlays/mogle/images.yaml", "staging: {\n")
    bump(images, 2)
    assert images.open() == [BY_HAND], "what cannot be read may ask for it"


@pytest.mark.parametrize("objection", ["draft", pytest.param("opposed", marks=FULL)])
def test_what_a_person_objects_to_does_not_merge_with_others(images: ImageWorld, objection: str) -> None:
    images.policy(staging={**ANY, "auto-merge": True})
    images.ecr.push("mogle", "3.1.0")
    bump(images)
    setattr(images.github.pulls[1], objection, True if objection == "draft" else {"teacher"})
    group(images, "service")
    assert "left to people" in bump(images)["mogle/staging"]["why"]
    assert images.open() == ["bump/mogle/staging"]


def test_a_teams_services_are_one_pull_request_which_counts_once(images: ImageWorld) -> None:
    protect(images.github, "main")
    umbrella(images)
    images.policy(staging={**ANY, "auto-merge": True}, prod=ANY)
    group(images, "team", open_pull_requests_limit=2)
    images.ecr.push("mogle", "3.1.0")
    images.ecr.push("umbrella", "1.1.0")
    rows = bump(images)
    assert rows["mogle/staging"]["pull_request"] == rows["umbrella/staging"]["pull_request"]
    assert images.open() == ["bump/_community/_auto", "bump/_community/_by-hand"]
    auto = pull_of(images, "bump/_community/_auto")
    assert auto.title == "mogle/staging: 3.1.0; umbrella/staging: 1.1.0"
    # One service alone that is asked for keeps its mates in.
    writes = len(images.github.writes)
    assert set(bump(images, 0, "umbrella")) == {"mogle/staging", "mogle/prod", "umbrella/staging"}
    assert images.github.writes[writes:] == []
    # One of them whose file cannot be read does not stop the others.
    images.write("overlays/umbrella/images.yaml", "staging: {\n")
    rows = bump(images, 2)
    assert rows["mogle/staging"]["action"] == "updated"
    assert auto.title == "mogle/staging: 3.1.0"
    passes(images.github, auto)
    assert bump(images, 2)["mogle/staging"]["action"] == "merged"


@pytest.mark.parametrize(
    "path",
    ["overlays/benefit/staging/kustomization.yaml", pytest.param("overlays/mogle/staging/ingress.yaml", marks=FULL)],
)
def test_what_looks_like_the_bots_commit_is_a_persons_where_it_leaves_the_group(images: ImageWorld, path: str) -> None:
    umbrella(images)
    images.policy(staging=ANY)
    group(images, "team")
    images.ecr.push("mogle", "3.1.0")
    bump(images)
    branch, by_bot = "bump/_community/_by-hand", "Bump\n\nMade-By: gitops"
    images.github.commit(branch, {path: images.file(path) + b"# x\n"}, by_bot, BOT, GITHUB, signed=True)
    row = bump(images)["mogle/staging"]
    assert (row["action"], "a person's commit" in row["why"]) == ("stopped", True)


def test_two_images_of_one_overlay_are_changed_in_one_file(images: ImageWorld) -> None:
    FurtherWorld(images)
    images.policy(staging={**ANY, "images": {"migrate": ANY}})
    group(images, "service")
    images.ecr.push("mogle", "3.1.0")
    images.ecr.push("migrate", "1.1.0")
    bump(images)
    assert images.open() == [BY_HAND]
    content = images.file(STAGING, BY_HAND)
    assert [edit.read(content, STAGING, entry).image.tag for entry in ("app", "migrate")] == ["3.1.0", "1.1.0"]


def test_a_way_that_is_none_is_said(images: ImageWorld) -> None:
    group(images, "cluster")
    done = images.run("images", "bump")
    assert (done.code, ".github/images.yaml: group" in done.err) == (2, True), done.err
    assert images.github.writes == []


def test_what_a_group_declined_stays_so_where_its_marker_was_edited(images: ImageWorld) -> None:
    both(images)
    pull = pull_of(images, BY_HAND)
    pull.state, pull.body = "closed", pull.body.replace("gitops-images", "gitops-image")
    rows = bump(images)
    assert {name: row["winner"] for name, row in rows.items()} == {"mogle/staging": None, "mogle/prod": None}
    assert "it was of 3.1.0, which stays declined" in rows["mogle/prod"]["warnings"][0]

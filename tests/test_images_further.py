"""More than one image an overlay: each is followed, proposed, declined, taken back and held by itself."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops.check.architecture import _platforms
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.images import edit, entry, policy
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from tests.image_world import NOW, PROD, REPOSITORY, STAGING, ImageWorld
from tests.test_images_hold import window

MIGRATE = REPOSITORY.replace("mogle", "migrate")
ANY = {"semver": {"range": "*"}}
PATCH = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {initContainers: [{name: migrate, image: migrate}]}}}
"""
ENTRIES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,63}", fullmatch=True).filter(lambda name: name != entry.MAIN)


class FurtherWorld:
    """mogle 3.0.0 with an init container `migrate` 1.0.0, in both environments."""

    def __init__(self, images: ImageWorld) -> None:
        self.images, self.github = images, images.github
        self.first = images.ecr.push("migrate", "1.0.0", pushed=NOW - timedelta(days=30))
        changed: dict[str, bytes | None] = {}
        for path in (STAGING, PROD):
            text = images.file(path).decode().replace("patches:\n", "patches:\n  - path: migrate.yaml\n")
            text += (
                f'  - name: migrate # first\n    newName: {MIGRATE}\n    newTag: "1.0.0"\n    digest: {self.first}\n'
            )
            changed |= {path: text.encode(), path.replace("kustomization", "migrate"): PATCH.encode()}
        self.github.commit("main", changed, "Migrate", when=(NOW - timedelta(days=9)).isoformat())

    def pin(self, path: str, tag: str, digest: str, ago: timedelta) -> None:
        """A person pins `migrate` on main, of which Argo CD tells GitHub at once."""
        changed = edit.replace(self.images.file(path), path, Image(MIGRATE, tag, digest), "migrate")
        commit = self.github.commit("main", {path: changed}, "Pin", when=(NOW - ago).isoformat())
        application = Overlay("mogle", path.split("/")[2]).application
        self.github.deployments.says(application, "success", commit, NOW - ago)

    def bump(self, code: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
        done = self.images.run("images", "bump", "--output", "json")
        assert done.code == code, done.err
        return {(row["environment"], row["image"]): row for row in json.loads(done.out)}

    def proposed(self, branch: str, name: str) -> str:
        path = f"overlays/{branch.partition('/')[2].partition('_')[0]}/kustomization.yaml"
        return edit.read(self.images.file(path, branch), path, name).image.tag


@pytest.fixture
def world(images: ImageWorld) -> FurtherWorld:
    return FurtherWorld(images)


@pytest.mark.bots
def test_each_image_has_a_pull_request_of_its_own_and_a_merge_of_one_leaves_the_other(world: FurtherWorld) -> None:
    world.images.policy(staging={**ANY, "images": {"migrate": ANY}})
    world.images.ecr.push("mogle", "3.1.0")
    world.images.ecr.push("migrate", "1.1.0")
    rows = world.bump()
    assert {key: row["action"] for key, row in rows.items()} == {
        ("staging", "app"): "opened",
        ("staging", "migrate"): "opened",
    }
    assert world.images.open() == ["bump/mogle/staging", "bump/mogle/staging_migrate"]
    pulls = {pull.head: pull for pull in world.github.pulls.values()}
    further = pulls["bump/mogle/staging_migrate"]
    assert further.title == "mogle/staging migrate: 1.1.0"
    assert "`gitops images rollback mogle --image migrate`" in further.body
    assert world.proposed("bump/mogle/staging", "migrate") == "1.0.0"
    assert world.proposed(further.head, "app") == "3.0.0"
    assert (world.proposed("bump/mogle/staging", "app"), world.proposed(further.head, "migrate")) == ("3.1.0", "1.1.0")
    assert {row["action"] for row in world.bump().values()} == {"unchanged"}
    world.github.merge(rows["staging", "app"]["pull_request"])
    assert world.bump()["staging", "migrate"]["action"] == "updated"
    assert world.proposed(further.head, "app") == "3.1.0"
    changed = world.github.git("diff", "--unified=0", f"main...{further.head}").splitlines()
    assert len([line for line in changed if line.startswith("+ ")]) == 2, "its tag and its digest alone"
    world.github.merge(rows["staging", "migrate"]["pull_request"])
    assert {row["note"] for row in world.bump().values()} == {"no image is newer than what runs"}


@pytest.mark.bots
def test_what_is_declined_of_one_is_not_of_the_other(world: FurtherWorld) -> None:
    world.images.policy(staging={**ANY, "images": {"migrate": ANY}})
    world.images.ecr.push("mogle", "3.1.0")
    world.images.ecr.push("migrate", "1.1.0")
    number = world.bump()["staging", "migrate"]["pull_request"]
    world.github.pulls[number].state = "closed"
    rows = world.bump()
    assert (rows["staging", "migrate"]["winner"], rows["staging", "app"]["action"]) == (None, "unchanged")
    new = world.images.ecr.push("migrate", "1.1.1")
    assert world.bump()["staging", "migrate"]["winner"] == f"{MIGRATE}:1.1.1@{new}"


@pytest.mark.bots
def test_a_promotion_takes_the_same_entry_of_the_other_environment(world: FurtherWorld) -> None:
    way = {"promote": {"from": "staging", "soak": "1d"}}
    world.images.policy(staging={**ANY, "images": {"migrate": ANY}}, prod={**way, "images": {"migrate": way}})
    new = world.images.ecr.push("migrate", "1.1.0")
    world.pin(STAGING, "1.1.0", new, timedelta(days=2))
    rows = world.bump()
    assert rows["prod", "migrate"]["winner"] == f"{MIGRATE}:1.1.0@{new}"
    assert world.images.open() == ["bump/mogle/prod_migrate"]
    assert rows["prod", "app"]["winner"] is None


@pytest.mark.bots
def test_one_image_goes_back_and_is_held_and_may_be_merged_in_a_freeze(world: FurtherWorld) -> None:
    world.images.policy(prod={**ANY, "images": {"migrate": ANY}})
    world.pin(PROD, "1.1.0", world.images.ecr.push("migrate", "1.1.0"), timedelta(hours=5))
    freeze = window(NOW - timedelta(hours=1), NOW + timedelta(hours=2))
    world.images.write(".github/freezes.yaml", freeze)
    done = world.images.run("images", "rollback", "mogle", "--image", "migrate", "--reason", "it fails")
    assert (done.code, "opened: mogle/prod migrate back to 1.0.0" in done.out) == (0, True), done.err
    [pull] = world.github.pulls.values()
    assert (pull.head, world.proposed(pull.head, "migrate")) == ("rollback/mogle/prod_migrate", "1.0.0")
    world.images.run("images", "freeze")
    assert world.github.statuses[pull.last_head][0]["state"] == "success"
    world.github.merge(pull.number)
    world.images.write(".github/freezes.yaml", "freezes: []\n")
    kept = yaml.safe_load(world.images.file("overlays/mogle/prod/hold_migrate.yaml"))
    assert (kept["tag"], kept["reason"]) == ("1.0.0", "it fails")
    world.images.ecr.push("mogle", "3.1.0")
    rows = world.bump()
    assert "held on 1.0.0 until" in rows["prod", "migrate"]["note"]
    assert rows["prod", "app"]["action"] == "opened", "what holds one image holds no other"


@pytest.mark.bots
def test_an_entry_or_a_hold_that_is_not_there_stops_its_own_overlay_alone(world: FurtherWorld) -> None:
    world.images.policy(staging={**ANY, "images": {"migrated": ANY}}, prod=ANY)
    world.images.ecr.push("mogle", "3.1.0")
    done = world.images.run("images", "bump")
    assert done.code == 2
    assert f"{STAGING}:" in done.err
    assert "image 'migrated' is not in `images:`; found app, migrate" in done.err
    assert world.images.open() == ["bump/mogle/prod", "bump/mogle/staging"]
    world.images.write("overlays/mogle/prod/hold_migrate.yaml", "tag: x\nreason: x\nuntil: 2030-01-01T00:00:00Z\n")
    done = world.images.run("images", "bump")
    expected = "overlays/mogle/prod/hold_migrate.yaml: holds no image; expected one of overlays/mogle/prod/hold.yaml"
    assert (done.code, expected in done.err) == (2, True), done.err


@given(first=ENTRIES, second=ENTRIES)
def test_no_two_entries_share_a_branch_or_a_file(first: str, second: str) -> None:
    overlay = Overlay("mogle", "prod")
    branches = {entry.branch("bump", overlay, name) for name in (entry.MAIN, first, second)}
    files = {entry.hold_file(overlay, name) for name in (entry.MAIN, first, second)}
    assert len(branches) == len(files) == len({entry.MAIN, first, second})
    assert all(branch.partition("/")[2].partition("_")[0] == "mogle/prod" for branch in branches)


@pytest.mark.parametrize("name", ["a.lock", "a..b", "ghcr.io/x/y:z", "-", ".", "@{x", "A", "a_b", "x" * 64])
def test_every_branch_is_a_name_that_git_takes(name: str) -> None:
    branch = entry.branch("bump", Overlay("mogle", "prod"), name)
    subprocess.run(["git", "check-ref-format", "--branch", branch], check=True, capture_output=True)


BAD = {
    "the main image": ("prod: {newest: {}, images: {app: {newest: {}}}}", "app is the environment's own image"),
    "one in another": ("prod: {newest: {}, images: {a: {newest: {}, images: {}}}}", "prod.images.a.images"),
    "no way": ("prod: {newest: {}, images: {a: {}}}", "expected exactly one of semver"),
    "a promotion from nowhere": (
        "staging: {newest: {}}\nprod: {newest: {}, images: {a: {promote: {from: staging, soak: 1d}}}}",
        "image a: prod promotes from 'staging', which has no policy here",
    ),
    "prod by itself": (
        "prod: {newest: {}, images: {a: {newest: {}, auto-merge: true}}}",
        "image a: prod: auto-merge is",
    ),
    "no name of an entry": ('prod: {newest: {}, images: {"a b": {newest: {}}}}', "images.a b"),
    "a key that is not there": (
        "prod: {newest: {}, images: {a: {newest: {}, cosign-key: x.pub}}}",
        "prod: cosign-key 'x.pub': no such file beside it",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_policy_of_further_images_that_cannot_hold_is_said(tmp_path: Path, fault: str) -> None:
    text, message = BAD[fault]
    for environment in ("staging", "prod"):
        (tmp_path / "overlays/mogle" / environment).mkdir(parents=True)
        (tmp_path / "overlays/mogle" / environment / "kustomization.yaml").touch()
    (tmp_path / "overlays/mogle/images.yaml").write_text(text)
    with pytest.raises(InputError) as raised:
        policy.read(Checkout(tmp_path), tmp_path / "overlays/mogle")
    assert message in str(raised.value)


def test_a_further_image_is_taken_for_the_platforms_of_its_environment() -> None:
    text = {"platforms": ["linux/arm64"], "newest": {}, "images": {"a": {"newest": {}}, "b": {**AMD64, "newest": {}}}}
    entries = policy.EnvironmentPolicy.model_validate(text).entries
    assert {name: own.platforms for name, own in entries.items()} == {
        "app": ("linux/arm64",),
        "a": ("linux/arm64",),
        "b": ("linux/amd64",),
    }
    assert not _platforms(text), "the gate finds no processor for such pods"
    assert _platforms({**text, "images": {"a": {"newest": {}}}}) == ["linux/arm64"]


AMD64 = {"platforms": ["linux/amd64"]}


@pytest.mark.bots
def test_what_a_person_asks_for_is_for_the_image_that_is_named(world: FurtherWorld) -> None:
    way = {"promote": {"from": "staging", "soak": "1d"}}
    world.images.policy(staging={**ANY, "images": {"migrate": ANY}}, prod={**way, "images": {"migrate": way}})
    world.pin(STAGING, "1.1.0", world.images.ecr.push("migrate", "1.1.0"), timedelta(hours=1))
    told = "mogle/prod has more than one image that this may mean: app and migrate; say which: --image app"
    for words in (("hold", "mogle", "--reason", "x"), ("unhold", "mogle"), ("promote", "mogle")):
        done = world.images.run("images", *words)
        assert (done.code, told in done.err) == (2, True), done.err
        done = world.images.run("images", *words, "--image", "migrated")
        assert (done.code, "expected one of app, migrate" in done.err) == (2, True), done.err
    assert world.github.writes == []

    done = world.images.run("images", "promote", "mogle", "--image", "migrate")
    assert "opened: mogle/prod migrate to 1.1.0" in done.out, done.err
    assert world.proposed("promote/mogle/prod_migrate", "migrate") == "1.1.0"
    done = world.images.run("images", "hold", "mogle", "--image", "migrate", "--reason", "x")
    assert "opened: mogle/prod migrate stays on 1.0.0 until" in done.out, done.err
    world.github.merge(2)
    done = world.images.run("images", "promote", "mogle", "--image", "migrate")
    assert "gitops images unhold mogle --environment prod --image migrate ends that" in done.err
    done = world.images.run("images", "unhold", "mogle", "--image", "migrate")
    assert "opened: mogle/prod migrate is held on 1.0.0 no more" in done.out, done.err


@pytest.mark.bots
def test_what_is_let_be_proposed_again_is_of_one_image_where_several_were_declined(world: FurtherWorld) -> None:
    world.images.policy(staging={**ANY, "images": {"migrate": ANY}})
    world.images.ecr.push("mogle", "3.1.0")
    world.images.ecr.push("migrate", "1.1.0")
    world.bump()
    for pull in world.github.pulls.values():
        pull.state = "closed"
    done = world.images.run("images", "undecline", "mogle")
    assert (done.code, "that this may mean: app and migrate; say which: --image app" in done.err) == (2, True)
    assert [pull.labels for pull in world.github.pulls.values() if "withdrawn" in pull.labels] == []
    done = world.images.run("images", "undecline", "mogle", "--image", "migrate")
    assert done.out == "mogle/staging migrate: the next run may propose 1.1.0 again\n", done.err
    # Of one image alone nothing has to be said.
    done = world.images.run("images", "undecline", "mogle")
    assert "mogle/staging: the next run may propose 3.1.0 again" in done.out, done.err

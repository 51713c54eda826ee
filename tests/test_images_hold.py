"""Rollbacks and their holds, and freezes: the real command against moto's ECR and a GitHub with real git."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import yaml
from git import Repo

from gitops.images import edit, memory
from gitops.manifests.image import Image
from gitops.repository.versions import Version
from tests.attacks.github_world import merge, protect
from tests.fakes import act
from tests.fakes.github import TOKEN
from tests.fakes.github_rulesets import BOT_ACTOR, MEMBER
from tests.image_world import NOW, PROD, REPOSITORY, STAGING, ImageWorld

pytestmark = pytest.mark.bots


def test_rollback_opens_a_pull_request_and_its_hold_is_kept_until_its_end(images: ImageWorld) -> None:
    newer = images.ecr.push("mogle", "3.1.0")
    images.pin(PROD, "3.1.0", newer, NOW - timedelta(hours=1))
    done = images.run("images", "rollback", "mogle", "--reason", 'logins fail: "500"', "--for", "2d")
    assert done.code == 0, done.err
    assert "opened: mogle/prod back to 3.0.0" in done.out
    pull = images.github.pulls[1]
    assert (pull.head, pull.title, pull.labels) == (
        "rollback/mogle/prod",
        "mogle/prod: back to 3.0.0",
        ["images", "rollback"],
    )
    assert images.run("images", "rollback", "mogle", "--reason", 'logins fail: "500"', "--for", "2d").code == 0
    assert len(images.github.pulls) == 1
    images.github.merge(1)
    images.pin(STAGING, "3.1.0", newer, NOW - timedelta(days=9))
    row = images.bump()["prod"]
    assert row["action"] == "nothing"
    assert "held on 3.0.0 until" in row["note"]
    assert 'logins fail: "500"' in row["note"]
    hold = yaml.safe_load(images.file("overlays/mogle/prod/hold.yaml"))
    over = images.file("overlays/mogle/prod/hold.yaml").decode().replace(str(hold["until"].year), "2020")
    images.write("overlays/mogle/prod/hold.yaml", over)
    images.pin(STAGING, "3.2.0", images.ecr.push("mogle", "3.2.0"), NOW - timedelta(days=2))
    row = images.bump()["prod"]
    assert row["winner"].startswith(f"{REPOSITORY}:3.2.0@"), row
    head = images.github.pulls[row["pull_request"]].head
    assert images.github.git("diff", "--name-status", f"main...{head}").split() == [
        "D", "overlays/mogle/prod/hold.yaml", "M", PROD,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ran", "former"),
    [
        ("A", ""),
        ("A B", "A"),
        ("A B C", "B A"),
        ("A B A", ""),
        ("A B C A", ""),
        ("A B C B", "A"),
        ("A B A C", "A"),
        ("A B A B", "A"),
        ("", ""),
    ],
)
def test_what_a_rollback_left_is_no_way_back(ran: str, former: str) -> None:
    past = [memory.PastImage(cast("Version", None), Image("mogle", tag, "")) for tag in ran.split()]
    assert [image.tag for image in memory.former_images(past[::-1])] == former.split()


def test_a_second_rollback_does_not_bring_back_what_failed(images: ImageWorld) -> None:
    images.pin(PROD, "3.0.1", images.ecr.push("mogle", "3.0.1"), NOW - timedelta(hours=9))
    before = images.file(PROD)
    images.pin(PROD, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(hours=3))
    images.write(PROD, before.decode())
    done = images.run("images", "rollback", "mogle", "--reason", "x")
    assert (done.code, "back to 3.0.0" in done.out) == (0, True), done.err
    # A person may want it all the same.
    named = images.run("images", "rollback", "mogle", "--reason", "x", "--to", "3.1.0")
    assert "back to 3.1.0" in named.out


def test_a_rollback_leaves_out_what_the_registry_lost(images: ImageWorld) -> None:
    kept = images.file(PROD).decode()
    images.pin(PROD, "3.0.1", f"sha256:{'9' * 64}", NOW - timedelta(hours=9))
    images.pin(PROD, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(hours=3))
    named = images.run("images", "rollback", "mogle", "--reason", "x", "--to", "3.0.1")
    assert (named.code, "gone from the registry; found 3.0.1@sha256:999999999999" in named.err) == (2, True), named.err
    assert images.github.writes == []
    done = images.run("images", "rollback", "mogle", "--reason", "x")
    assert "back to 3.0.0" in done.out, done.err
    assert images.proposed(1) == edit.read(kept.encode(), PROD).image


def test_a_rollback_without_credentials_of_aws_says_that_nobody_was_asked(images: ImageWorld) -> None:
    images.pin(PROD, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(hours=3))
    away = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    done = images.run("images", "rollback", "mogle", "--reason", "x", **away)
    assert (done.code, "back to 3.0.0" in done.out) == (0, True), done.err
    assert "could not be asked whether it still has 3.0.0" in done.err


def test_rollback_says_what_it_cannot_do(images: ImageWorld) -> None:
    done = images.run("images", "rollback", "mogle", "--reason", "x", "--to", "0.1.0")
    assert (done.code, "0.1.0 never ran here; expected what main's history has: 2.14.0" in done.err) == (2, True), (
        done.err
    )
    done = images.run("images", "rollback", "nothing", "--reason", "x")
    assert "overlays/nothing/prod/kustomization.yaml: no such overlay on main" in done.err
    assert (
        "--for '1 day': not a duration"
        in images.run("images", "rollback", "mogle", "--reason", "x", "--for", "1 day").err
    )
    assert images.github.writes == []


def window(start: datetime, end: datetime) -> str:
    seoul = [(moment + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S") for moment in (start, end)]
    return f"freezes:\n  - {{name: evaluation day, from: {seoul[0]}, to: {seoul[1]}, time-zone: Asia/Seoul}}\n"


def test_in_a_freeze_nothing_is_opened_and_every_open_pull_request_fails_its_status(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.bump()
    images.github.commit("student/fix", {"README.md": b"x"}, "Fix", parent=images.github.head("main"))
    images.github._open({"head": "student/fix", "base": "main", "title": "Fix"})
    newer = images.ecr.push("mogle", "3.2.0")
    images.pin(PROD, "3.2.0", newer)
    images.run("images", "rollback", "mogle", "--reason", "x")
    images.write(".github/freezes.yaml", window(NOW - timedelta(hours=1), NOW + timedelta(hours=2)))
    row = images.bump()["staging"]
    assert (row["action"], row["why"].startswith("frozen: evaluation day until")) == ("unchanged", True)
    assert images.proposed(1).tag == "3.1.0"
    assert "#1: failure: evaluation day" in images.run("images", "freeze").out

    def states() -> dict[str, str]:
        heads = {pull.head: pull.last_head for pull in images.github.pulls.values()}
        return {head: images.github.statuses[sha][0]["state"] for head, sha in heads.items()}

    expected = {"bump/mogle/staging": "failure", "student/fix": "failure", "rollback/mogle/prod": "success"}
    assert states() == expected
    writes = len(images.github.writes)
    assert images.run("images", "freeze").out == "nothing changed\n"
    assert len(images.github.writes) == writes
    images.write(".github/freezes.yaml", window(NOW - timedelta(hours=3), NOW - timedelta(hours=1)))
    assert images.run("images", "freeze").code == 0
    assert set(states().values()) == {"success"}
    # Nothing may look again before it begins.
    images.write(".github/freezes.yaml", window(NOW + timedelta(hours=1), NOW + timedelta(hours=2)))
    assert images.run("images", "freeze").code == 0
    assert states() == expected
    images.write(".github/freezes.yaml", window(NOW + timedelta(hours=2), NOW + timedelta(hours=3)))
    assert images.run("images", "freeze").code == 0
    assert set(states().values()) == {"success"}
    assert images.bump()["staging"]["action"] == "updated"


def test_a_rollback_in_a_freeze_may_be_merged_by_the_run_that_opens_it(images: ImageWorld) -> None:
    protect(images.github, "main")
    images.pin(PROD, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(hours=3))
    images.write(".github/freezes.yaml", window(NOW - timedelta(hours=1), NOW + timedelta(hours=2)))
    assert images.run("images", "rollback", "mogle", "--reason", "x").code == 0
    pull = images.github.pulls[1]
    [status] = images.github.statuses[pull.last_head]
    assert (status["context"], status["state"]) == ("freeze", "success")
    assert status["description"] == "a rollback may be merged in evaluation day"
    images.github.rules.checked(pull.last_head)
    images.github.rules.status(pull.last_head, "main-gate", "success", BOT_ACTOR)
    assert merge(images.github, pull, TOKEN) == ""


def test_what_a_person_opens_is_judged_as_the_app_by_the_event(images: ImageWorld, tmp_path: Path) -> None:
    """Also where somebody has set the same words already: the ruleset takes the App's alone."""
    github = images.github
    protect(github, "main")
    github.tokens["ghp-person"] = MEMBER
    images.pin(PROD, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(hours=3))
    images.write(".github/freezes.yaml", window(NOW - timedelta(hours=1), NOW + timedelta(hours=2)))
    assert images.run("images", "rollback", "mogle", "--reason", "x", GITHUB_TOKEN="ghp-person").code == 0
    pull = github.pulls[1]
    assert pull.last_head not in github.statuses
    said = "a rollback may be merged in evaluation day"
    github.rules.status(pull.last_head, "freeze", "success", MEMBER, said)
    github.rules.checked(pull.last_head)
    github.rules.status(pull.last_head, "main-gate", "success", BOT_ACTOR)
    assert "freeze" in merge(github, pull, "ghp-person")
    Repo.clone_from(github.clone_url, tmp_path / "runner").close()
    payload = {"pull_request": {"number": 1}}
    done = act.run(
        tmp_path / "runner", "freeze.yaml", "pull_request_target", job="freeze", github=github, payload=payload
    )
    assert done.code == 0, done.text
    assert merge(github, pull, "ghp-person") == ""


def test_what_the_bot_opens_before_a_window_may_not_be_merged_in_it(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.write(".github/freezes.yaml", window(NOW + timedelta(minutes=40), NOW + timedelta(hours=2)))
    assert images.bump()["staging"]["action"] == "opened"
    [status] = images.github.statuses[images.github.pulls[1].last_head]
    assert (status["context"], status["state"]) == ("freeze", "failure")
    images.ecr.push("mogle", "3.2.0")
    images.write(".github/freezes.yaml", "freezes: []\n")
    assert images.bump()["staging"]["action"] == "updated"
    [status] = images.github.statuses[images.github.pulls[1].last_head]
    assert (status["state"], status["description"]) == ("success", "no freeze")


BAD_FREEZES = {
    "no zone": (
        "{name: x, from: 2026-01-01T00:00:00, to: 2026-01-02T00:00:00, time-zone: Mars/Base}",
        "not a time zone",
    ),
    "an offset": (
        "{name: x, from: 2026-01-01T00:00:00Z, to: 2026-01-02T00:00:00Z, time-zone: UTC}",
        "leave their offset",
    ),
    "backwards": ("{name: x, from: 2026-01-03T00:00:00, to: 2026-01-02T00:00:00, time-zone: UTC}", "is not before"),
}


@pytest.mark.parametrize("fault", BAD_FREEZES)
def test_a_freeze_that_cannot_be_read_stops_the_run(images: ImageWorld, fault: str) -> None:
    line, message = BAD_FREEZES[fault]
    images.write(".github/freezes.yaml", f"freezes:\n  - {line}\n")
    images.ecr.push("mogle", "3.1.0")
    for verb in ("bump", "freeze"):
        done = images.run("images", verb)
        assert done.code == 2
        assert done.err.startswith("gitops: .github/freezes.yaml: freezes.0")
        assert message in done.err
    assert images.github.writes == []

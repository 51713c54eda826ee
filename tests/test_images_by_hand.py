"""`gitops images hold|unhold|undecline|promote|rollback`: what a person asks for, also from a laptop."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from git import Repo

from gitops.clients.github import person
from gitops.ground.errors import InputError
from gitops.images import edit
from tests.fakes.github_rulesets import MEMBER
from tests.image_world import NOW, PROD, STAGING, ImageWorld

HOLD = "overlays/mogle/prod/hold.yaml"


@pytest.mark.bots
def test_hold_and_unhold_are_pull_requests_that_the_bot_follows(images: ImageWorld) -> None:
    soaked = images.ecr.push("mogle", "3.1.0")
    images.pin(STAGING, "3.1.0", soaked, NOW - timedelta(days=3))
    done = images.run(
        "images", "hold", "mogle", "--reason", "an exam: nothing new", "--until", "2999-01-31T18:00:00+09:00"
    )
    assert done.code == 0, done.err
    assert "opened: mogle/prod stays on 3.0.0 until 2999-01-31T18:00+09:00" in done.out
    row = images.bump()["prod"]
    assert (row["action"], "waits for #1, a hold by hand" in row["why"]) == ("nothing", True)
    images.github.merge(1)
    kept = yaml.safe_load(images.file(HOLD))
    assert (kept["tag"], kept["reason"]) == ("3.0.0", "an exam: nothing new")
    assert "held on 3.0.0 until" in images.bump()["prod"]["note"]
    again = images.run(
        "images", "hold", "mogle", "--reason", "an exam: nothing new", "--until", "2999-01-31T18:00:00+09:00"
    )
    assert (again.code, "is held so already" in again.err) == (2, True)
    assert "held on 3.0.0; gitops images unhold mogle" in images.run("images", "promote", "mogle").err
    done = images.run("images", "unhold", "mogle")
    assert "opened: mogle/prod is held on 3.0.0 no more" in done.out, done.err
    assert images.github.git("diff", "--name-status", "main...hold/mogle/prod") == f"D\t{HOLD}"
    images.github.merge(2)
    assert images.bump()["prod"]["action"] == "opened"
    assert images.run("images", "unhold", "mogle").err == f"gitops: {HOLD}: there is no hold on main to end\n"


IMPOSSIBLE = {
    ("mogle", "--until", "2999-01-31T18:00:00"): "a moment to come with its zone",
    ("mogle", "--until", "2001-01-31T18:00:00Z"): "a moment to come with its zone",
    ("mogle", "--for", "soon"): "not a duration",
    ("mogle", "--tag", "2.0.0"): "rollback mogle --environment prod --to 2.0.0 goes there",
    ("benefit",): "no policy for prod; without one the bot changes no image there",
    ("nothing",): "does not exist",
}


@pytest.mark.bots
def test_a_hold_says_what_it_cannot_do(images: ImageWorld) -> None:
    for words, told in IMPOSSIBLE.items():
        done = images.run("images", "hold", *words, "--reason", "x")
        assert (done.code, told in done.err) == (2, True), done.err
    assert images.github.writes == []


@pytest.mark.bots
def test_what_was_declined_is_proposed_again_where_a_person_asks_for_it(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.bump()
    images.github.pulls[1].state = "closed"
    assert images.bump()["staging"]["winner"] is None
    done = images.run("images", "undecline", "mogle")
    assert done.code == 0, done.err
    assert done.out == "mogle/staging: the next run may propose 3.1.0 again\nmogle/prod: nothing was declined\n"
    assert images.bump()["staging"]["pull_request"] == 2
    assert images.run("images", "undecline", "mogle", "--environment", "staging").out == (
        "mogle/staging: nothing was declined\n"
    )


@pytest.mark.bots
def test_what_was_taken_back_on_main_is_named_with_what_brings_it_back(images: ImageWorld) -> None:
    before = images.file(STAGING).decode()
    images.pin(STAGING, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(days=2))
    images.write(STAGING, before)
    done = images.run("images", "undecline", "mogle", "--environment", "staging")
    assert "3.1.0 was taken back on main; gitops images rollback mogle --environment staging --to 3.1.0" in done.out


@pytest.mark.bots
def test_a_promotion_by_hand_says_which_soak_it_passes_over(images: ImageWorld) -> None:
    fresh = images.ecr.push("mogle", "3.1.0")
    images.pin(STAGING, "3.1.0", fresh, NOW - timedelta(hours=2))
    assert images.bump()["prod"]["action"] == "nothing"
    done = images.run("images", "promote", "mogle", "--from", "staging", "--to", "prod")
    assert done.code == 0, done.err
    assert "opened: mogle/prod to 3.1.0" in done.out
    assert "by hand, as it would wait: 3.1.0 has not run in staging for 1d" in done.out
    pull = images.github.pulls[1]
    assert (pull.head, pull.title) == ("promote/mogle/prod", "mogle/prod: 3.1.0")
    assert "without that it would wait: `3.1.0 has not run in staging for 1d`" in pull.body
    assert images.github.git("diff", "--name-only", "main...promote/mogle/prod") == PROD
    assert images.run("images", "promote", "mogle").code == 0
    assert len(images.github.pulls) == 1
    images.github.merge(1)
    assert edit.read(images.file(PROD), PROD).image.digest == fresh
    assert "runs 3.1.0 already" in images.run("images", "promote", "mogle").err


@pytest.mark.bots
def test_what_must_not_run_is_promoted_by_nobody(images: ImageWorld) -> None:
    arm = images.ecr.push("mogle", "3.1.0", platforms=("linux/arm64",))
    images.pin(STAGING, "3.1.0", arm, NOW - timedelta(hours=2))
    done = images.run("images", "promote", "mogle")
    assert (done.code, "3.1.0: not built for linux/amd64" in done.err) == (2, True), done.err
    assert images.github.writes == []


@pytest.mark.bots
def test_a_laptop_needs_no_more_than_origin_and_a_signed_in_gh(
    images: ImageWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GITHUB_API_URL stays: it is the fake's, and no github.com."""
    token = "gho-of-a-person-who-signed-in"
    images.github.tokens[token] = MEMBER
    images.pin(PROD, "3.1.0", images.ecr.push("mogle", "3.1.0"), NOW - timedelta(hours=3))
    programs = tmp_path / "programs"
    programs.mkdir()
    gh = programs / "gh"
    gh.write_text(f'#!/bin/sh\n[ "$1 $2" = "auth token" ] && [ -z "$GITHUB_TOKEN" ] && echo {token}\n')
    gh.chmod(0o755)
    path = {"PATH": f"{programs}:/usr/bin:/bin"}
    nothing = {"GITHUB_REPOSITORY": "", "GITHUB_TOKEN": ""}
    for words in (
        ("rollback", "mogle", "--reason", "x"),
        ("hold", "mogle", "--environment", "staging", "--reason", "x"),
    ):
        done = images.run("images", *words, **nothing, **path)
        assert done.code == 0, done.err
        assert token not in done.out + done.err
    assert images.open() == ["hold/mogle/staging", "rollback/mogle/prod"]
    gh.write_text("#!/bin/sh\necho not logged in >&2; exit 1\n")
    for away in (path, {"PATH": "/usr/bin:/bin"}):
        done = images.run("images", "hold", "mogle", "--reason", "x", **nothing, **away)
        assert (done.code, "sign in with: gh auth login, or set GITHUB_TOKEN" in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    ("address", "repository"),
    [
        ("https://github.com/42/gitops", "42/gitops"),
        ("https://github.com/42/gitops.git/", "42/gitops"),
        ("https://someone:gho-secret@github.com/42/git.ops.git", "42/git.ops"),
        ("git@github.com:42/gitops.git", "42/gitops"),
        ("ssh://git@github.com:22/42/gitops.git", "42/gitops"),
        ("https://gitlab.com/42/gitops", None),
        ("https://someone:gho-secret@example.com/42/gitops", None),
        ("/srv/git/42/gitops.git", None),
        ("https://[::1/42/gitops", None),
        ("https://github.com/42", None),
    ],
)
def test_which_repository_origin_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, repository: str | None
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    with Repo.init(tmp_path) as repo:
        repo.create_remote("origin", address)
    if repository:
        assert person.hub_of(tmp_path).settings.repository == repository
        return
    with pytest.raises(InputError, match="origin is no repository of GitHub") as caught:
        person.hub_of(tmp_path)
    assert "gho-secret" not in str(caught.value)
    monkeypatch.setenv("GITHUB_REPOSITORY", "42/gitops")
    assert person.hub_of(tmp_path).settings.repository == "42/gitops"

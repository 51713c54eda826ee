"""What is told of a rotation (status, metrics, summary, alerts), and what a person provides or sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from git import Repo
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests import leaks
from tests.fakes.intra42 import new_secret
from tests.oauth_world import (
    DAY,
    ID,
    OVERLAY,
    REFERENCE,
    RotationWorld,
    layout,
    next_shows,
)

pytestmark = pytest.mark.bots


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
    later = f"{app.switch + 13 * DAY:%Y-%m-%d}"
    known.intra.layout = lambda text: text.replace(f"{app.switch:%d/%m/%Y}", later)
    token = known.status()["valid_until"]
    assert token < page
    known.intra.says_valid_until = False
    assert known.status()["valid_until"].startswith(f"{app.switch + 12 * DAY:%Y-%m-%d}")


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
    assert status()["state"] == "MERGED", "two generations: git tells no more"


def test_metrics_that_cannot_be_written_are_said(known: RotationWorld, tmp_path: Path) -> None:
    known.run("oauth", "rotate", "mogle", "--metrics", str(tmp_path / "folder/oauth.prom"))
    assert (tmp_path / "folder/oauth.prom").exists()
    (tmp_path / "file").touch()
    ran = known.run("oauth", "rotate", "mogle", "--metrics", str(tmp_path / "file/oauth.prom"))
    assert ran.code == 2
    assert "oauth.prom: cannot be written: " in ran.err


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
    assert "`PR_OPEN`" in lines[2]
    assert "#1 opened; its checks, then its merge` |" in lines[2]


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
def test_what_is_not_set_is_said(rotation: RotationWorld, name: str) -> None:
    done = rotation.run("oauth", "rotate", **{name: ""})
    assert (done.code, done.err.splitlines()[-1]) == (2, f"gitops: {MISSING[name]}")


def test_bad_files_are_named_and_stop_no_other(rotation: RotationWorld) -> None:
    text = rotation.file(REFERENCE).decode()
    for old, new, message in (
        ("41002", "x", f"{REFERENCE}: data.application-id: String should match pattern"),
        ("secret: mogle-oauth-42-g1", "secret: other", "expected mogle-oauth-42-g<number>, found 'other'"),
        (
            "secret: mogle-oauth-42-g1",
            "secret: mogle-oauth-42-g7",
            "there is no sealedsecret-oauth-42-g7.yaml beside it",
        ),
    ):
        rotation.github.commit("main", {REFERENCE: text.replace(old, new).encode()}, "Break it")
        done = rotation.run("oauth", "rotate")
        assert done.code == 2
        assert message in done.err
    assert "service 'nothing': does not exist" in rotation.run("oauth", "status", "nothing").err
    assert "has no oauth-42.yaml, so no application of 42" in rotation.run("oauth", "status", "benefit").err


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
    known.argo_says("success")
    assert known.rotate()["state"] == "CONFIRMED"


def test_what_a_person_provides_is_proved_too(known: RotationWorld) -> None:
    with Repo(known.checkout.root) as repo:
        repo.git.fetch("origin")
        repo.git.reset("--hard", "origin/main")
    neighbour = next(app for app in known.intra.apps.values() if app.id != ID)
    for value, code, message in (
        ("", 2, "64 hex digits, found 0 characters"),
        ("hunter2", 2, "not a secret of 42; expected s-s4t2ud- or s-s4t2af- and 64 hex digits, found 7 char"),
        (new_secret(), 1, "42 refuses the secret"),
        (neighbour.current, 1, "opens another one"),
        (known.intra.apps[ID].current, 2, "holds this very secret already"),
    ):
        done = provide(known, value)
        assert (done[0], message in done[2]) == (code, True), done
        assert not Repo(known.checkout.root).is_dirty(untracked_files=True)
    told = provide(known, "x", "--environment", "staging")[2]
    assert "overlays/mogle/staging: has no application of 42; expected an environment that has one: prod" in told
    told = provide(known, "x", "--cluster", "moon")[2]
    assert "cluster 'moon': does not exist; there are: lab, seoul" in told

"""What runs, what is newer and what it waits for: `gitops images status`, and the dashboard on GitHub."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops.ground.errors import ExternalError
from gitops.images import dashboard, status
from gitops.images.report import BumpReport
from gitops.images.status import OverlayStatus
from gitops.manifests.overlay import Overlay
from gitops.repository.pulls import Outcome, PullAction
from tests.fakes.github import TOKEN
from tests.fakes.github_access import APP_RIGHTS
from tests.fakes.github_rulesets import BOT_ACTOR
from tests.image_planner import Situation, plans
from tests.image_world import NOW as TODAY
from tests.image_world import PROD, STAGING, ImageWorld

FIRST = "3.0.0 30d"
SEMVER: dict[str, Any] = {"semver": {}}
PROMOTE: dict[str, Any] = {"promote": {"from": "staging", "soak": "1d"}}


def told(folder: Path, environment: str = "staging", own: dict[str, Any] | None = None, **facts: Any) -> OverlayStatus:
    """The status of one environment, after a run that wrote nothing. `own`: staging's policy."""
    policies = {"staging": own or SEMVER, "prod": PROMOTE}
    ran = {"staging": FIRST, "prod": FIRST, **facts.pop("ran", {})}
    situation = Situation(policies=policies, ran=ran, **{"registry": "3.0.0 30d", **facts})
    return status.of(BumpReport(overlay=Overlay("mogle", environment), plan=plans(situation, folder)[environment]))


NEW = "3.0.0 30d, 3.1.0 1d"
# The environment, what is so, and what is said of what is newer.
WAITS: dict[str, tuple[str, dict[str, Any], list[tuple[str, str]]]] = {
    "nothing newer": ("staging", {}, []),
    "newer": ("staging", {"registry": NEW}, [("3.1.0", "will be proposed by the next run")]),
    "too young": (
        "staging",
        {"registry": NEW, "own": {**SEMVER, "minimum-release-age": "2d"}},
        [("3.1.0", "3.1.0 is too young until 2026-11-26T12:00+00:00")],
    ),
    "held": (
        "staging",
        {"registry": NEW, "held": {"staging": ("3.0.0", timedelta(days=1))}},
        [("3.1.0", "held on 3.0.0 until 2026-11-26T12:00+00:00: it fails")],
    ),
    "declined": (
        "staging",
        {"registry": NEW, "declined": {"staging": "3.1.0"}},
        [("3.1.0", "held: a person took 3.1.0 back (#7)")],
    ),
    "not built": (
        "staging",
        {"registry": NEW, "platforms": {"3.1.0": "linux/arm64"}},
        [("", "no newer image passes its checks"), ("3.1.0", "not built for linux/amd64")],
    ),
    "soaking": (
        "prod",
        {"ran": {"staging": "3.0.0 30d, 3.1.0 6h"}},
        [("3.1.0", "soaks in staging until 2026-11-26 06:00 UTC")],
    ),
    "soaking, and Healthy in parts": (
        "prod",
        {"ran": {"staging": "3.0.0 30d, 3.1.0 2d"}, "health": {"staging": "success 30d, failure 40h, success 6h"}},
        [("3.1.0", "soaks in staging until 2026-11-26 06:00 UTC, if it stays Healthy")],
    ),
    "not Healthy": (
        "prod",
        {"ran": {"staging": "3.0.0 30d, 3.1.0 2d"}, "health": {"staging": "success 30d, failure 40h"}},
        [("3.1.0", "mogle-staging is Degraded with 3.1.0 since 2026-11-23T20:00+00:00")],
    ),
    "the newer one behind what is promoted": (
        "prod",
        {"ran": {"staging": "3.0.0 30d, 3.1.0 9d, 3.2.0 6h"}},
        [("3.1.0", "will be proposed by the next run"), ("3.2.0", "soaks in staging until 2026-11-26 06:00 UTC")],
    ),
    "taken back": (
        "prod",
        {"ran": {"staging": "3.0.0 30d, 3.1.0 9d, 3.0.0 8d"}},
        [],
    ),
}


@pytest.mark.parametrize("case", WAITS)
def test_what_is_newer_and_what_it_waits_for(tmp_path: Path, case: str) -> None:
    environment, facts, expected = WAITS[case]
    own = told(tmp_path, environment, **facts)
    assert [(waiting.tag, waiting.why) for waiting in own.waiting] == expected
    assert own.runs
    assert own.since


def test_what_was_done_about_it_is_said(tmp_path: Path) -> None:
    situation = Situation(policies={"staging": {**SEMVER, "auto-merge": True}}, registry=NEW, ran={"staging": FIRST})
    plan = plans(situation, tmp_path)["staging"]
    opened = BumpReport(overlay=plan.overlay, plan=plan, outcome=Outcome(PullAction.OPENED, 3), pull=3)
    assert status.of(opened).waiting[0].why == "proposed, waits for its checks"
    frozen = BumpReport(overlay=plan.overlay, plan=plan, pull=3, frozen="frozen: evaluation day until tomorrow")
    assert status.of(frozen).waiting[0].why == "frozen: evaluation day until tomorrow"
    failed = BumpReport(overlay=plan.overlay, plan=plan, error=ExternalError("ECR answered\nmuch"))
    assert (status.of(failed).waiting, status.of(failed).trouble) == ((), "ECR answered")


def test_the_dashboard_names_everything_and_does_nothing(tmp_path: Path) -> None:
    """What others wrote (tags, reasons, names) mentions nobody and closes nothing there."""
    busy = told(tmp_path, "staging", registry=NEW, declined={"staging": "3.1.0"})
    quiet = told(tmp_path, "prod")
    evil = OverlayStatus(Overlay("x", "prod"), "x/prod", None, None, (), 4, "@everyone closes #1 <script> `x`")
    text = dashboard.body([quiet, busy, evil])
    assert text.index("To be seen to") < text.index("Waiting") < text.index("Up to date")
    for line in (
        "- `mogle/staging` runs `3.0.0` since 2026-10-26 12:00 UTC",
        "  - `3.1.0`: `held: a person took 3.1.0 back (#7)`",
        "- `x/prod` runs what cannot be read (#4)",
        "  - `` @everyone closes #1 <script> `x` ``",
    ):
        assert line in text.splitlines()
    assert dashboard.body([quiet, busy, evil]) == text


def test_a_dashboard_of_any_number_of_overlays_fits_an_issue(tmp_path: Path) -> None:
    own = told(tmp_path, "staging", registry=NEW)
    text = dashboard.body([own] * 2000)
    assert 50_000 < len(text) < 65_536
    assert text.endswith("And more than fits here: `gitops images status`.")


@pytest.mark.bots
def test_the_dashboard_is_one_issue_that_is_written_only_where_something_changed(images: ImageWorld) -> None:
    images.policy(staging=SEMVER, prod=PROMOTE)
    images.bump()
    [issue] = images.github.issues.issues.values()
    assert "Up to date" in issue.body
    images.ecr.push("mogle", "3.1.0", pushed=TODAY - timedelta(hours=1))
    images.bump()
    assert "`3.1.0`: `proposed, waits for a person`" in issue.body
    writes = len(images.github.writes)
    images.bump()
    assert len(images.github.writes) == writes, "nothing new, nothing written"
    # A run that looks at one service alone, or writes nothing, says nothing of all.
    said = issue.body
    for words in (["mogle"], ["--dry-run"]):
        assert images.run("images", "bump", *words).code == 0
    # Closed by a person it stays closed, and is kept up to date; one that another opened with the label is not ours.
    images.github.issues.open("mine", [dashboard.LABEL], user="student")
    issue.state = "closed"
    images.pin(STAGING, "3.0.1", images.ecr.push("mogle", "3.0.1"), TODAY - timedelta(hours=2))
    images.bump()
    assert issue.body != said
    assert (issue.state, len(images.github.issues.issues)) == ("closed", 2)
    # Where the App may not write issues the pull requests come all the same, and the run says what is missing.
    images.github.tokens[TOKEN] = replace(BOT_ACTOR, rights=APP_RIGHTS - {"issues"})
    images.ecr.push("mogle", "3.2.0")
    done = images.run("images", "bump")
    assert (done.code, "Issues: write" in done.err) == (4, True), done.err
    assert images.proposed(1).tag == "3.2.0"


@pytest.mark.bots
def test_status_is_for_people_and_for_programs_and_writes_nothing(images: ImageWorld) -> None:
    images.policy(staging=SEMVER, prod=PROMOTE)
    images.pin(STAGING, "3.1.0", images.ecr.push("mogle", "3.1.0"), TODAY - timedelta(hours=3))
    done = images.run("images", "status", "mogle", "--output", "json")
    rows = {row["environment"]: row for row in json.loads(done.out)}
    assert [waiting["tag"] for waiting in rows["prod"]["waiting"]] == ["3.1.0"]
    assert rows["prod"]["waiting"][0]["why"].startswith("soaks in staging until ")
    assert rows["staging"]["since"] == (TODAY - timedelta(hours=3)).replace(microsecond=0).isoformat()
    text = images.run("images", "status").out
    assert "mogle/prod" in text
    assert "3.1.0 soaks in staging until" in text
    assert images.github.writes == []
    lost = f"sha256:{'9' * 64}"
    images.pin(PROD, "3.0.5", lost, TODAY - timedelta(hours=1))
    done = images.run("images", "status")
    assert (done.code, "is gone from the registry" in done.out) == (1, True)
    assert images.run("images", "status", "nothing").code == 2

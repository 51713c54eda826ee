"""The dead man's check, run as its CronJob runs it, against GitHub's Actions API and a Slack."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from gitops.oauth.cli import WORKFLOW
from tests.conftest import ROOT, Ran
from tests.fakes.github import TOKEN, GitHub
from tests.fakes.slack import Slack

pytestmark = pytest.mark.bots
FOLDER = ROOT / "overlays/oauth-watch/prod"


@pytest.fixture
def slack() -> Iterator[Slack]:
    fake = Slack()
    yield fake
    fake.close()


def watch(github: GitHub, slack: Slack, **env: str) -> Ran:
    """With exactly the environment that the CronJob gives, and the addresses of the fakes."""
    job = yaml.safe_load((FOLDER / "cronjob.yaml").read_text())
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    known = {each["name"]: each.get("value", "") for each in container["env"]}
    known |= {"GITHUB_REPOSITORY": github.name, "GITHUB_TOKEN": TOKEN, **slack.environment}
    known |= {"GITHUB_API_URL": github.environment["GITHUB_API_URL"], "PATH": os.environ["PATH"], **env}
    words = [sys.executable, *container["command"][1:-1], str(FOLDER / "watch.py")]
    done = subprocess.run(words, env=known, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def ran(github: GitHub, *runs: tuple[float, str]) -> None:
    """Runs of the workflow: hours ago, and how each ended."""
    now = datetime.now(UTC)
    listed = [(f"{now - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}", how) for hours, how in runs]
    github.workflow_runs["oauth.yaml"] = listed


def test_a_schedule_that_runs_is_fine(github: GitHub, slack: Slack) -> None:
    ran(github, (40, "success"), (5, "success"), (1, "failure"))
    done = watch(github, slack)
    assert (done.code, done.out) == (0, "oauth.yaml last succeeded 5 h ago: fine\n")
    assert slack.messages == []


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([(26, "success")], "last succeeded 26 h ago; at most 24 h is expected"),
        ([(26, "success"), (1, "failure")], "last succeeded 26 h ago"),
        ([(1, "failure")], "never succeeded"),
        ([], "never succeeded"),
    ],
)
def test_a_schedule_that_stopped_is_told(
    github: GitHub, slack: Slack, runs: list[tuple[float, str]], message: str
) -> None:
    ran(github, *runs)
    assert watch(github, slack).code == 0
    assert f":rotating_light: the workflow oauth.yaml {message}" in slack.messages[0]
    assert "docs/runbooks/oauth.md, 'The schedule has stopped'" in slack.messages[0]


def test_what_cannot_be_looked_at_is_told_too(github: GitHub, slack: Slack) -> None:
    assert watch(github, slack, GITHUB_TOKEN="wrong").code == 1
    assert "cannot be looked at (HTTP Error 401" in slack.messages[0]
    assert watch(github, slack, GITHUB_API_URL="http://127.0.0.1:1").code == 1
    assert "cannot be looked at" in slack.messages[1]


def test_a_slack_that_does_not_take_it_fails_the_job(github: GitHub, slack: Slack) -> None:
    slack.error = "invalid_auth"
    done = watch(github, slack)
    assert (done.code, done.err) == (1, "Slack was not told: Slack: invalid_auth\n")


@pytest.mark.docs
def test_the_runbook_has_the_section_that_it_names() -> None:
    assert "\n## The schedule has stopped\n" in (ROOT / "docs/runbooks/oauth.md").read_text()


def test_it_watches_the_repository_that_the_cluster_reads_and_the_workflow_that_rotates() -> None:
    job = yaml.safe_load((FOLDER / "cronjob.yaml").read_text())
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    known = {each["name"]: each.get("value", "") for each in container["env"]}
    url = yaml.safe_load((ROOT / "clusters/seoul/cluster.yaml").read_text())["data"]["repoURL"]
    assert url == f"https://github.com/{known['GITHUB_REPOSITORY']}.git"
    assert known["WORKFLOW"] == WORKFLOW
    assert (ROOT / ".github/workflows" / WORKFLOW).exists()

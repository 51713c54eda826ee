"""The workflow files themselves, run by act (the one of images.yaml's bump runs in tests/lab/test_images.py)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Repo

from tests import leaks
from tests.conftest import ROOT
from tests.fakes import act
from tests.fakes.aws import Ecr
from tests.fakes.github import TOKEN, GitHub
from tests.fakes.intra42 import LOGIN, PASSWORD
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.oauth_world import BRANCH, ID, World

pytestmark = pytest.mark.bots

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))


@pytest.fixture
def runner(github: GitHub, tmp_path: Path) -> Path:
    Repo.clone_from(github.clone_url, tmp_path / "runner").close()
    return tmp_path / "runner"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_no_workflow_has_rights_that_it_does_not_name_or_an_action_that_can_move(file: Path) -> None:
    text = file.read_text()
    workflow: dict[str, Any] = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert all("permissions" in job and "timeout-minutes" in job for job in workflow["jobs"].values())
    for name, comment in re.findall(r"^ +(?:- )?uses: ([^\s#]+)(.*)", text, re.MULTILINE):
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}", name), name
        assert re.search(r"# v\d+\.\d+\.\d+", comment), f"{name}: its version stands beside its commit"


def test_the_freeze_job_sets_its_status(github: GitHub, ecr: Ecr, runner: Path) -> None:
    github.commit("student/fix", {"README.md": b"x"}, "Fix", parent=github.head("main"))
    github._open({"head": "student/fix", "base": "main", "title": "Fix"})
    done = act.run(runner, "images.yaml", "schedule", job="freeze", github=github, ecr=ecr)
    assert done.code == 0, done.text
    assert "#1: " in done.text
    [status] = github.statuses[github.pulls[1].last_head]
    assert status["context"] == "freeze"


def test_a_service_builds_labels_pushes_and_tells_the_platform(
    github: GitHub, ecr: Ecr, runner: Path, tmp_path: Path
) -> None:
    inputs = {"image": "mogle", "version": "v1.2.3", "tell": github.name, "platforms": "linux/amd64", "context": "."}
    built = tmp_path / "built"
    done = act.run(
        runner,
        "build.yaml",
        "workflow_call",
        job="image",
        github=github,
        ecr=ecr,
        payload={"inputs": inputs},
        environment={"STANDIN_BUILT": str(built)},
    )
    assert done.code == 0, done.text
    lines = built.read_text().splitlines()
    assert lines[:2] == ["111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/mogle:v1.2.3", "linux/amd64"]
    labels = dict(line.strip().split("=", 1) for line in lines[2:] if line.strip())
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.source"].endswith("/platform/gitops")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"])
    assert github.dispatches == [{"event_type": "image-pushed", "client_payload": {"image": "mogle"}}]


def test_the_rotation_proposes_and_its_log_tells_no_value(github: GitHub, tmp_path: Path) -> None:
    world = World(github, tmp_path / "checkout")
    try:
        Repo.clone_from(github.clone_url, tmp_path / "oauth").close()
        hidden = {"INTRA42_LOGIN": LOGIN, "INTRA42_PASSWORD": PASSWORD, "SLACK_TOKEN": SLACK_TOKEN}
        known = {name: value for name, value in world.environment.items() if name not in {*hidden, "GITHUB_TOKEN"}}
        done = act.run(
            tmp_path / "oauth", "oauth.yaml", "schedule", job="rotate", github=github, secrets=hidden, environment=known
        )
        assert done.code == 0, done.text
        app = world.intra.apps[ID]
        assert world.opened(BRANCH) == app.current
        assert "PR_OPEN" in done.text
        wanted = leaks.patterns([app.current, PASSWORD, *world.intra.seen])
        assert [line for line in done.text.splitlines() if leaks.search("", line.encode(), wanted)] == []
        assert "::add-mask::" not in done.text or "***" in done.text
    finally:
        world.close()


def test_a_pull_request_is_checked_and_told_of_without_any_secret(github: GitHub, runner: Path, tmp_path: Path) -> None:
    path = "overlays/mogle/prod/ingress.yaml"
    content = (runner / path).read_text().replace("www.mogle.example.com", "benefit.example.org")
    head = github.commit("student/fix", {path: content.encode()}, "Fix", parent=github.head("main"))
    github._open({"head": "student/fix", "base": "main", "title": "Fix"})
    with Repo(runner) as repo:  # act checks out what is there
        repo.git.fetch("--quiet", "origin")
        repo.git.checkout("--quiet", "--detach", head)
    artifacts = tmp_path / "artifacts"
    environment = {"STANDIN_ARTIFACTS": str(artifacts)}
    pull_request = {"pull_request": {"head": {"sha": head}}}
    checked = act.run(
        runner,
        "check.yaml",
        "pull_request",
        job="check",
        github=github,
        payload=pull_request,
        environment=environment,
    )
    assert checked.code != 0, checked.text
    expected = f"{path}:18: error: lb-duplicate: Ingress web: benefit.example.org/ belongs to benefit-prod/web"
    assert expected in checked.text, checked.text
    assert github.writes == []
    with Repo(runner) as repo:
        repo.git.checkout("--quiet", "origin/main")
    told = act.run(
        runner,
        "comment.yaml",
        "workflow_run",
        job="comment",
        github=github,
        environment=environment,
        payload={"workflow_run": {"event": "pull_request", "id": 7, "head_sha": head}},
        secrets={"GITHUB_TOKEN": TOKEN},
    )
    assert told.code == 0, told.text
    [comment] = github.pulls[1].comments
    assert "### What this change does: 1 of 1 rendered Applications change: 1 changed" in comment
    assert ":warning: **mogle-prod**: removes host www.mogle.example.com" in comment
    assert f"SARIF for refs/pull/1/head at {head} (gitops)" in told.text
    [result] = json.loads((artifacts / "uploaded.sarif").read_text())["runs"][0]["results"]
    assert result["ruleId"] == "lb-duplicate"


def test_what_runs_a_forks_code_has_no_secret_and_no_right_to_write() -> None:
    for file in WORKFLOWS:
        workflow: dict[str, Any] = yaml.safe_load(file.read_text())
        events = {str(key): value for key, value in workflow.items()}["True"]  # YAML 1.1 reads `on` so
        assert "pull_request_target" not in events
        if "pull_request" in events:
            assert "secrets." not in file.read_text()
            assert "github.token" not in file.read_text()
            assert {right for job in workflow["jobs"].values() for right in job["permissions"].values()} <= {"read"}

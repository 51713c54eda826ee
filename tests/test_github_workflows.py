"""gate.yaml, settings.yaml, exceptions.yaml and secrets.yaml themselves, run by act."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from git import Repo

from tests.fakes import act
from tests.fakes.github import TOKEN, Fault, GitHub
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.fakes.slack import Slack
from tests.frozen import ROOT
from tests.world import run_here

FILE = "overlays/mogle/prod/kustomization.yaml"

pytestmark = pytest.mark.bots


@pytest.fixture
def slack() -> Iterator[Slack]:
    fake = Slack()
    yield fake
    fake.close()


@pytest.fixture
def runner(github: GitHub, tmp_path: Path) -> Path:
    Repo.clone_from(github.clone_url, tmp_path / "runner").close()
    return tmp_path / "runner"


def scheduled(runner: Path, workflow: str, job: str, github: GitHub, slack: Slack) -> act.Done:
    """A job that runs by the clock and tells Slack."""
    told = {"SLACK_API_URL": slack.url}
    secrets = {"SLACK_TOKEN": SLACK_TOKEN}
    return act.run(runner, workflow, "schedule", job=job, github=github, secrets=secrets, environment=told)


def test_drift_is_told_by_the_scheduled_run(github: GitHub, slack: Slack, runner: Path) -> None:
    done = scheduled(runner, "settings.yaml", "verify", github, slack)
    assert done.code == 1
    assert "ruleset main: create" in slack.messages[0]
    assert github.writes == []


def test_an_exception_that_has_ended_is_told_by_the_scheduled_run(github: GitHub, slack: Slack, runner: Path) -> None:
    path = "policies/exceptions/guard-rails.mogle-prod.ResourceQuota.tenant.yaml"
    content = b"reason: an opening with many visitors\nowner: community\nuntil: 2026-01-01\n"
    (runner / path).write_bytes(content)
    done = scheduled(runner, "exceptions.yaml", "tell", github, slack)
    assert done.code == 1
    assert f"{path} (community): ended, until 2026-01-01" in slack.messages[0]
    assert github.writes == []


def test_what_a_sealed_secret_needs_is_told_by_the_scheduled_run(github: GitHub, slack: Slack, runner: Path) -> None:
    path = "overlays/oauth-watch/prod/sealedsecret-slack.yaml"
    text = (runner / path).read_text()
    (runner / path).write_text(
        text.replace("  annotations:\n", '  annotations:\n    gitops/valid-until: "2026-01-01"\n', 1)
    )
    done = scheduled(runner, "secrets.yaml", "tell", github, slack)
    assert done.code == 1
    assert f"{path} ended on 2026-01-01: seal the next one" in slack.messages[0]
    assert github.writes == []


# The scheduled run, too: a push whose message has `[skip ci]` has none.
@pytest.mark.parametrize(
    ("event", "ended", "told"),
    [
        ("schedule", "failure", True),
        pytest.param("push", "failure", True, marks=pytest.mark.matrix),
        pytest.param("push", "cancelled", True, marks=pytest.mark.matrix),
        pytest.param("push", "success", False, marks=pytest.mark.matrix),
    ],
)
def test_a_red_main_is_told(github: GitHub, slack: Slack, runner: Path, event: str, ended: str, told: bool) -> None:
    main = str(github.head("main"))
    github.finished[1] = (main, ended, event, "main")
    # A later commit that touches nothing of it is green.
    github.finished[2] = ("0" * 40, "success", "push", "main")
    done = act.run(
        runner,
        "gate.yaml",
        "workflow_run",
        job="main",
        github=github,
        secrets={"SLACK_TOKEN": SLACK_TOKEN, "GITHUB_TOKEN": TOKEN},
        environment={"SLACK_API_URL": slack.url},
        payload={"workflow_run": {"event": event, "conclusion": "failure", "head_branch": "main", "id": 1}},
    )
    assert (done.code != 0, bool(slack.messages)) == (told, told), done.text
    if told:
        assert f"main is red at {main[:12]}" in slack.messages[0]


@pytest.mark.parametrize(("event", "branch"), [("pull_request", "main"), ("push", "student/fix")])
def test_the_run_of_another_is_none_of_mains(github: GitHub, slack: Slack, event: str, branch: str) -> None:
    github.finished[1] = ("1" * 40, "failure", event, branch)
    environment = {**github.environment, **slack.environment}
    done = run_here(ROOT, ["github", "main", "1"], None, environment)
    assert (done.code, slack.messages) == (0, []), done.err


@pytest.mark.parametrize("passes", [pytest.param(True, marks=pytest.mark.matrix), False])
def test_main_says_of_a_pull_request_what_its_own_gate_says(github: GitHub, runner: Path, passes: bool) -> None:
    added = "# Nothing but a comment.\n" if passes else "  - https://example.org/deployment.yaml\n"
    content = (runner / FILE).read_text().replace("resources:\n", f"resources:\n{added}")
    head = github.commit("student/fix", {FILE: content.encode()}, "Fix", parent=github.head("main"))
    github._open({"head": "student/fix", "base": "main", "title": "Fix"})
    # Whatever the pull request's own workflows said.
    ended = {"event": "pull_request", "conclusion": "success", "head_sha": head, "id": 1}
    done = act.run(
        runner,
        "gate.yaml",
        "workflow_run",
        job="report",
        github=github,
        secrets={"GITHUB_TOKEN": TOKEN},
        payload={"workflow_run": ended},
    )
    said = {status["context"]: status["state"] for status in github.statuses[head]}
    assert said == {"main-gate": "success" if passes else "failure", "freeze": "success"}, done.text


@pytest.mark.parametrize("kind", [422, "reset", 500])
def test_where_github_fails_just_there_the_status_is_set_when_it_answers_again(github: GitHub, kind: int | str) -> None:
    head = str(github.head("main"))
    asked = ["github", "gate", head, "success"]
    github.faults.append(Fault("POST", f"/statuses/{head}", 422))
    done = run_here(ROOT, asked, None, github.environment)
    assert (done.code, github.statuses.get(head, [])) == (4, []), done.err
    github.faults.append(Fault("POST", f"/statuses/{head}", kind))
    done = run_here(ROOT, [*asked, "--patience", "60"], None, github.environment)
    assert done.code == 0, done.err
    assert [status["state"] for status in github.statuses[head]] == ["success"]


def test_what_works_on_a_strangers_files_has_no_secret_and_what_has_one_runs_no_strangers_file() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/gate.yaml").read_text())["jobs"]
    assert jobs["judge"]["permissions"] == {"contents": "read"}
    assert "environment" not in jobs["judge"]
    assert "secrets." not in yaml.safe_dump(jobs["judge"])
    for name in ("report", "main"):
        text = yaml.safe_dump(jobs[name])
        assert "git fetch" not in text
        assert "gitops check" not in text
        assert not any("ref" in step.get("with", {}) for step in jobs[name]["steps"])

"""The workflow files and actions themselves, run by act (images.yaml's bump in tests/lab/test_images.py).

What check.yaml runs for which change is tested in tests/test_checks.py.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Repo

from gitops.repository import freeze
from tests import leaks
from tests.fakes import act
from tests.fakes.aws import Ecr
from tests.fakes.github import GitHub
from tests.fakes.intra42 import LOGIN, PASSWORD
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.frozen import ROOT
from tests.oauth_world import BRANCH, ID, RotationWorld
from tests.year.workflow import Workflow

pytestmark = pytest.mark.bots

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))


@pytest.fixture
def runner(github: GitHub, tmp_path: Path) -> Path:
    Repo.clone_from(github.clone_url, tmp_path / "runner").close()
    return tmp_path / "runner"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_no_workflow_has_rights_that_it_does_not_name(file: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    assert all("permissions" in job and "timeout-minutes" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_no_action_of_others_can_move_and_our_own_are_there(file: Path) -> None:
    for name, comment in re.findall(r"^ +(?:- )?uses: ([^\s#]+)(.*)", file.read_text(), re.MULTILINE):
        if name.startswith("./"):
            assert ROOT / name / "action.yml" in ACTIONS
            continue
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}", name), name
        assert re.search(r"# v\d+\.\d+\.\d+", comment), f"{name}: its version stands beside its commit"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_what_a_job_sets_up_is_set_up_in_one_place(file: Path) -> None:
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        used = [step.get("uses", "").partition("@")[0] for step in job["steps"]]
        assert not any(name.startswith("actions/cache") for name in used)
        assert not any(step.get("run", "").startswith("make ") for step in job["steps"])
        # Its files are the checkout's: nothing may write there in between.
        if "./.github/actions/setup" in used:
            assert used[:2] == ["actions/checkout", "./.github/actions/setup"]


def test_the_bots_token_never_has_all_rights_of_the_app() -> None:
    action = yaml.safe_load((ROOT / ".github/actions/bot-token/action.yml").read_text())
    assert action["inputs"]["contents"]["required"] is True
    [step] = action["runs"]["steps"]
    asked = {name.removeprefix("permission-") for name in step["with"] if name.startswith("permission-")}
    assert asked == set(action["inputs"]) - {"client-id", "private-key"}


def test_one_job_freezes_what_waits_and_looks_for_images(github: GitHub, ecr: Ecr, runner: Path) -> None:
    policies = [path for path in github.git("ls-tree", "-r", "--name-only", "main").split() if "images.yaml" in path]
    github.commit("main", dict.fromkeys(policies), "Nobody follows an image")
    github.commit("student/fix", {"README.md": b"x"}, "Fix", parent=github.head("main"))
    github._open({"head": "student/fix", "base": "main", "title": "Fix"})
    done = act.run(runner, "images.yaml", "schedule", job="bump", github=github, ecr=ecr)
    assert done.code == 0, done.text
    assert "#1: " in done.text
    assert re.search(r"overlay +runs +proposed", done.text)
    [status] = github.statuses[github.pulls[1].last_head]
    assert status["context"] == "freeze"


IMAGES = Workflow.read(ROOT / ".github/workflows/images.yaml")


def told(context: str, state: str, *branches: str) -> dict[str, Any]:
    event = {"context": context, "state": state, "branches.*.name": list(branches)}
    return {"github.event_name": "status", **{f"github.event.{name}": value for name, value in event.items()}}


@pytest.mark.parametrize(
    ("event", "starts"),
    [
        *(
            ({"github.event_name": name}, True)
            for name in ("schedule", "workflow_dispatch", "repository_dispatch", "push")
        ),
        (told("main-gate", "success", "bump/mogle/staging"), True),
        (told("main-gate", "success", "student/fix", "bump/mogle/staging"), True),
        (told("main-gate", "failure", "bump/mogle/staging"), False),
        (told("freeze", "success", "bump/mogle/staging"), False),
        (told("main-gate", "success", "student/fix"), False),
        (told("main-gate", "success"), False),
    ],
)
def test_images_are_looked_for_when_something_happened(event: dict[str, Any], starts: bool) -> None:
    [job] = IMAGES.jobs
    assert job.starts(event) is starts


def test_a_freeze_is_said_before_it_begins_whenever_the_schedule_looks() -> None:
    """GitHub starts a schedule up to a quarter of an hour late, in these tests (tests/year)."""
    moment, gaps = datetime(2027, 1, 1, tzinfo=UTC), []
    while moment < datetime(2027, 1, 8, tzinfo=UTC):
        following = min(cron.after(moment) for cron in IMAGES.crons)
        gaps.append(following - moment)
        moment = following
    assert max(gaps) + timedelta(minutes=15) <= freeze.AHEAD


def test_a_service_builds_labels_and_pushes_without_any_secret(
    github: GitHub, ecr: Ecr, runner: Path, tmp_path: Path
) -> None:
    assert "secrets" not in (ROOT / ".github/workflows/build.yaml").read_text()
    inputs = {"image": "mogle", "version": "v1.2.3", "platforms": "linux/amd64", "context": "."}
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
    assert github.requests == []


def test_the_rotation_proposes_and_its_log_tells_no_value(github: GitHub, tmp_path: Path) -> None:
    world = RotationWorld(github, tmp_path / "checkout")
    try:
        Repo.clone_from(github.clone_url, tmp_path / "oauth").close()
        secrets = {"INTRA42_LOGIN": LOGIN, "INTRA42_PASSWORD": PASSWORD, "SLACK_TOKEN": SLACK_TOKEN}
        environment = {
            name: value for name, value in world.environment.items() if name not in {*secrets, "GITHUB_TOKEN"}
        }
        done = act.run(
            tmp_path / "oauth",
            "oauth.yaml",
            "schedule",
            job="rotate",
            github=github,
            secrets=secrets,
            environment=environment,
        )
        assert done.code == 0, done.text
        app = world.intra.apps[ID]
        assert world.opened(BRANCH) == app.current
        assert "PR_OPEN" in done.text
        patterns = leaks.patterns([app.current, PASSWORD, *world.intra.seen])
        assert [line for line in done.text.splitlines() if leaks.search("", line.encode(), patterns)] == []
        assert "add-mask" not in done.text, "act gives a step a terminal, which a person may look at"
        world.checks_pass()
        given = {"SLACK_TOKEN": SLACK_TOKEN}
        done = act.run(
            tmp_path / "oauth",
            "deliver.yaml",
            "schedule",
            job="deliver",
            github=github,
            secrets=given,
            environment={name: value for name, value in environment.items() if not name.startswith("INTRA42")},
        )
        assert done.code == 0, done.text
        assert world.opened("main") == app.current, "merged by the workflow that asks nothing of 42"
        assert leaks.search("", done.text.encode(), patterns) == []
    finally:
        world.close()

"""check.yaml, run by act: which tests a change gets, what the one required check says, what main keeps for others."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Repo

from gitops.images import edit
from gitops.manifests.image import Image
from tests.artifacts import event, kept
from tests.fakes import act
from tests.fakes.github import TOKEN, GitHub
from tests.frozen import ROOT

pytestmark = pytest.mark.bots

WORKFLOW = ROOT / ".github/workflows/check.yaml"
SETUP = ROOT / ".github/actions/setup/action.yml"
INGRESS = "overlays/mogle/prod/ingress.yaml"
KUSTOMIZATION = "overlays/mogle/prod/kustomization.yaml"
# make says what it would run, and runs only itself.
DRY = {"MAKEFLAGS": "n"}
LIVE, PRODUCT, DOCS = "pytest -m live", "pytest -n auto -m 'bots and not matrix'", "pytest -m docs"


class Runner:
    """A clone that check.yaml runs in, at what GitHub would check out."""

    def __init__(self, github: GitHub, folder: Path) -> None:
        self.github, self.folder, self.artifacts = github, folder, folder.with_name("artifacts")
        Repo.clone_from(github.clone_url, folder).close()

    def text(self, path: str) -> str:
        return (self.folder / path).read_text()

    def check_out(self, revision: str) -> None:
        with Repo(self.folder) as repo:
            repo.git.fetch("--quiet", "origin")
            repo.git.checkout("--quiet", "--detach", revision)

    def propose(self, files: dict[str, str], branch: str = "student/fix") -> str:
        """Open a pull request with these files, and stand at its head."""
        contents: dict[str, bytes | None] = {path: content.encode() for path, content in files.items()}
        head = self.github.commit(branch, contents, "Fix", parent=self.github.head("main"))
        self.github._open({"head": branch, "base": "main", "title": "Fix"})
        self.check_out(head)
        return head

    def run(
        self, event: str, payload: dict[str, Any], *, job: str = "check", environment: dict[str, str] | None = None
    ) -> act.Done:
        environment = {"STANDIN_ARTIFACTS": str(self.artifacts), **(environment or {})}
        return act.run(
            self.folder,
            "check.yaml",
            event,
            job=job,
            github=self.github,
            payload=payload,
            environment=environment,
            # Tests run in it, and in as many processes as this machine has cores.
            timeout=550,
        )


@pytest.fixture
def runner(github: GitHub, tmp_path: Path) -> Runner:
    return Runner(github, tmp_path / "runner")


def pull(head: str) -> dict[str, Any]:
    return {"pull_request": {"number": 1, "head": {"sha": head}, "base": {"ref": "main"}}}


def jobs() -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return dict(workflow["jobs"])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([KUSTOMIZATION], {LIVE}),
        ([KUSTOMIZATION, ".github/CODEOWNERS"], {LIVE}),
        (["docs/runbooks/gate.md"], {DOCS}),
        ([KUSTOMIZATION, "scripts/gitops/cli.py"], {PRODUCT}),
    ],
)
def test_a_pull_request_gets_the_tests_that_it_can_break(runner: Runner, files: list[str], expected: set[str]) -> None:
    head = runner.propose({path: f"{runner.text(path)}\n" for path in files})
    done = runner.run("pull_request", pull(head), job="tests", environment=DRY)
    assert done.code == 0, done.text
    assert {command for command in (LIVE, PRODUCT, DOCS) if command in done.text} == expected


def test_a_bots_pull_request_passes_from_end_to_end(github: GitHub, runner: Runner) -> None:
    # The frozen platform has a stub of that overlay's script, which the tests of the live tree would try.
    owners = re.sub(r"(?m)^/overlays/oauth-watch/.*\n", "", runner.text(".github/CODEOWNERS"))
    gone = dict.fromkeys(github.git("ls-tree", "-r", "--name-only", "main", "overlays/oauth-watch/").splitlines())
    github.commit("main", {**gone, ".github/CODEOWNERS": owners.encode()}, "Without oauth-watch")
    before = runner.text(KUSTOMIZATION).encode()
    image = edit.read(before, KUSTOMIZATION).image
    bumped = edit.replace(before, KUSTOMIZATION, Image(image.name, image.tag, f"sha256:{'e' * 64}"))
    head = runner.propose({KUSTOMIZATION: bumped.decode()}, "bump/mogle/prod")
    done = runner.run("pull_request", pull(head))
    assert done.code == 0, done.text
    assert "1 file differs from origin/main: make test-live" in done.text
    assert re.search(r"\d+ passed", done.text)
    assert "gate: success, tests: success" in done.text


def test_the_merge_queue_is_looked_at_from_its_own_base(github: GitHub, runner: Runner) -> None:
    # The first entry of the queue changes the product; this is the second, on top of it.
    first = github.commit("queue/1", {"scripts/new.py": b""}, "First", parent=github.head("main"))
    second = github.commit(
        "queue/2", {KUSTOMIZATION: f"{runner.text(KUSTOMIZATION)}\n".encode()}, "Second", parent=first
    )
    runner.check_out(second)
    payload = {"merge_group": {"base_sha": first, "head_sha": second, "base_ref": "refs/heads/main"}}
    done = runner.run("merge_group", payload, environment=DRY)
    assert done.code == 0, done.text
    assert "gate: success, tests: success" in done.text
    assert LIVE in done.text
    assert PRODUCT not in done.text
    assert f"gitops preview: {second} against {first}" in done.text
    assert "cache: save" not in done.text


def test_a_push_to_main_is_looked_at_from_what_was_there_before(github: GitHub, runner: Runner) -> None:
    before = github.head("main")
    github.commit("main", {"docs/runbooks/gate.md": b"# The gate\n"}, "First")
    after = github.commit("main", {KUSTOMIZATION: f"{runner.text(KUSTOMIZATION)}\n".encode()}, "Second")
    runner.check_out(after)
    payload = {"before": before, "after": after, "ref": "refs/heads/main"}
    done = runner.run("push", payload, job="tests", environment=DRY)
    assert done.code == 0, done.text
    assert {command for command in (LIVE, PRODUCT, DOCS) if command in done.text} == {LIVE, DOCS}


def test_the_schedule_tests_everything(runner: Runner) -> None:
    done = runner.run("schedule", {}, job="tests", environment=DRY)
    assert done.code == 0, done.text
    assert PRODUCT in done.text


def test_the_required_check_is_there_for_every_change() -> None:
    workflow: dict[str, Any] = {str(key): value for key, value in yaml.safe_load(WORKFLOW.read_text()).items()}
    events = workflow["True"]  # YAML 1.1 reads `on` so
    # No filter by path or type: a required check that does not run is waited for for ever. Main alone requires it.
    assert events["pull_request"] == {"branches": ["main"]}
    assert events["merge_group"] is None
    assert events["push"] == {"branches": ["main"]}
    check = workflow["jobs"]["check"]
    assert check["name"] == "check"
    assert "strategy" not in check
    # A job that is skipped or left out would count as passed.
    assert check["if"] == "always()"
    assert set(check["needs"]) == workflow["jobs"].keys() - {"check"}
    assert [name for name, job in workflow["jobs"].items() if "if" in job] == ["check"]
    assert "continue-on-error" not in WORKFLOW.read_text()


@pytest.mark.parametrize("gate", ["success", "failure", "cancelled", "skipped", ""])
@pytest.mark.parametrize("tests", ["success", "failure", "cancelled", "skipped", ""])
def test_the_required_check_passes_only_where_both_passed(gate: str, tests: str) -> None:
    [step] = jobs()["check"]["steps"]
    assert step["env"] == {"GATE": "${{ needs.gate.result }}", "TESTS": "${{ needs.tests.result }}"}
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], env={"GATE": gate, "TESTS": tests}, capture_output=True, text=True
    )
    assert (done.returncode == 0) == (gate == tests == "success")
    assert done.stdout == f"gate: {gate}, tests: {tests}\n"


def test_a_finding_fails_the_required_check_and_is_told_without_any_secret(github: GitHub, runner: Runner) -> None:
    content = runner.text(INGRESS).replace("www.mogle.example.com", "benefit.example.org")
    head = runner.propose({INGRESS: content})
    checked = runner.run("pull_request", pull(head), environment=DRY)
    assert checked.code != 0, checked.text
    assert checked.jobs == {"gate": "failed", "tests": "succeeded", "check": "failed"}, checked.text
    assert github.writes == []
    runner.check_out("origin/main")
    # What a stranger's run would add: an unpacking action wrote it where the next step finds its program.
    github.artifacts[7, "preview"] = kept(runner.artifacts / "preview", {"x/../../.venv/bin/evil": b"x"})
    commented = act.run(
        runner.folder,
        "comment.yaml",
        "workflow_run",
        job="comment",
        github=github,
        environment={"STANDIN_ARTIFACTS": str(runner.artifacts)},
        payload=event(7, head, "student/fix", github.name, 1),
        secrets={"GITHUB_TOKEN": TOKEN},
    )
    assert commented.code == 0, commented.text
    assert not (ROOT / ".venv/bin/evil").exists(), "the stand-in's .venv is a link to ours"
    [comment] = github.pulls[1].comments
    assert "### What this change does: 1 of 1 rendered Applications change: 1 changed" in comment
    assert ":warning: **`mogle-prod`**: `removes host www.mogle.example.com`" in comment
    assert f"SARIF for refs/pull/1/head at {head} (gitops)" in commented.text
    [result] = json.loads((runner.artifacts / "uploaded.sarif").read_text())["runs"][0]["results"]
    assert result["ruleId"] == "lb-duplicate"
    assert result["message"]["text"].startswith("Ingress web: benefit.example.org/ belongs to benefit-prod/web")
    [place] = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == INGRESS
    assert place["physicalLocation"]["region"]["startLine"] == 18


def test_what_runs_a_forks_code_has_no_secret_and_no_right_to_write() -> None:
    actions = "".join(file.read_text() for file in (ROOT / ".github/actions").glob("*/action.yml"))
    assert "secrets." not in actions
    assert "github.token" not in actions
    for file in (ROOT / ".github/workflows").glob("*.yaml"):
        workflow: dict[str, Any] = yaml.safe_load(file.read_text())
        events = {str(key): value for key, value in workflow.items()}["True"]
        if "pull_request_target" in events:  # of this event a checkout that names nothing is main's
            assert file.name == "freeze.yaml"
            assert "ref:" not in file.read_text()
            continue
        if "pull_request" in events:
            assert "secrets." not in file.read_text()
            assert "github.token" not in file.read_text()
            assert "bot-token" not in file.read_text()
            for job in workflow["jobs"].values():
                assert set(job["permissions"].values()) <= {"read"}


def test_what_is_saved_is_what_is_restored_and_main_alone_saves() -> None:
    steps = yaml.safe_load(SETUP.read_text())["runs"]["steps"]
    cached: dict[str, list[Any]] = {"restore": [], "save": []}
    for step in steps:
        if kind := re.match(r"actions/cache/(\w+)@", step.get("uses", "")):
            cached[kind[1]].append(step)
    restored = {step["id"]: step for step in cached["restore"]}
    assert {step["with"]["path"] for step in restored.values()} == {".venv", ".tools/cache"}
    assert len(cached["save"]) == len(restored)
    for step in cached["save"]:
        [name] = re.findall(r"^\$\{\{ steps\.(\w+)\.outputs\.cache-primary-key \}\}$", step["with"]["key"])
        assert step["with"]["path"] == restored[name]["with"]["path"]
        assert step["if"] == f"github.ref == 'refs/heads/main' && steps.{name}.outputs.cache-hit != 'true'"


def test_main_fills_the_caches_under_the_keys_that_pull_requests_ask_for(github: GitHub, runner: Runner) -> None:
    head = runner.propose({KUSTOMIZATION: f"{runner.text(KUSTOMIZATION)}\n"})
    missed = DRY | {"STANDIN_CACHE": "stale"}
    asked = runner.run("pull_request", pull(head), job="tests", environment=missed)
    assert "cache: save" not in asked.text
    keys = set(re.findall(r"\| cache: restore (\S+)", asked.text))
    assert {key.partition("-")[0] for key in keys} == {"packages", "tools"}
    before, after = github.head("main"), github.merge(1)
    runner.check_out(after)
    payload = {"before": before, "after": after, "ref": "refs/heads/main"}
    filled = runner.run("push", payload, job="tests", environment=missed)
    assert filled.code == 0, filled.text
    assert set(re.findall(r"\| cache: save (\S+)", filled.text)) == keys

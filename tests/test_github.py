"""`gitops github`: the settings as files, against a GitHub that refuses what the real one refuses."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.clients.github import ACTIONS_APP, CHECK, STATUSES
from gitops.github import declared
from gitops.github.plan import FieldDifference, differences
from gitops.ground.checkout import Checkout
from tests.conftest import Ran
from tests.fakes.github import Fault, GitHub
from tests.fakes.github_rulesets import ADMIN, BOT_APP, Actor
from tests.fakes.server import Server, answer
from tests.fakes.slack import Slack
from tests.frozen import ROOT
from tests.world import run_here

pytestmark = pytest.mark.bots

TOKEN = "ghp-operator"
READER = "ghs-reader"
RULESETS = ["bots", "main", "queue", "review", "tags"]


class Operator:
    """An administrator at a checkout, whose GitHub has no setting of ours yet."""

    def __init__(self, github: GitHub, slack: Slack, folder: Path) -> None:
        self.github, self.slack, self.folder = github, slack, folder
        github.tokens |= {TOKEN: ADMIN, READER: Actor("gitops-bot[bot]", "write", BOT_APP)}

    def run(self, *words: str, token: str = TOKEN, **env: str) -> Ran:
        environment = {**self.github.environment, **self.slack.environment, "GITHUB_TOKEN": token, **env}
        return run_here(self.folder, ["github", *words], None, {"GITOPS_GITHUB_PAUSE": "0", **environment})

    def ruleset(self, name: str) -> dict[str, Any]:
        return next(ruleset for ruleset in self.github.rules.rulesets.values() if ruleset["name"] == name)

    def rule(self, name: str, kind: str) -> dict[str, Any]:
        parameters: dict[str, Any] = next(
            rule["parameters"] for rule in self.ruleset(name)["rules"] if rule["type"] == kind
        )
        return parameters


@pytest.fixture
def operator(github: GitHub, tmp_path: Path) -> Iterator[Operator]:
    folder = tmp_path / "checkout"
    for path in ROOT.glob(".github/[rew]*/*.*"):  # rulesets, environments, workflows
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / ".github/settings.json").write_bytes((ROOT / ".github/settings.json").read_bytes())
    # Somebody took the tick from each environment's page.
    github.rules.no_bypass |= {path.stem for path in ROOT.glob(".github/environments/*.json")}
    (folder / "overlays").mkdir()
    (folder / "scripts/tools").mkdir(parents=True)
    (folder / "scripts/tools/tools.yaml").write_text("")
    slack = Slack()
    yield Operator(github, slack, folder)
    slack.close()


def test_applied_once_it_is_as_declared_and_a_second_run_writes_nothing(operator: Operator) -> None:
    planned = operator.run("plan")
    assert planned.code == 0
    assert [line.split()[:3] for line in planned.out.splitlines() if line.startswith("ruleset")] == [
        ["ruleset", name, "create"] for name in RULESETS
    ]
    assert operator.run("verify").code == 1
    done = operator.run("apply")
    assert done.code == 0, done.err
    assert sorted(ruleset["name"] for ruleset in operator.github.rules.rulesets.values()) == RULESETS
    writes = len(operator.github.writes)
    assert operator.run("apply").code == 0
    verified = operator.run("verify", "--tell", "--output", "json")
    assert (verified.code, json.loads(verified.out), operator.slack.messages) == (0, [], [])
    assert len(operator.github.writes) == writes
    checks = operator.rule("main", "required_status_checks")["required_status_checks"]
    assert {check["context"]: check["integration_id"] for check in checks} == {
        CHECK: ACTIONS_APP,
        **dict.fromkeys(STATUSES, BOT_APP),
    }


def _change(path: str, value: object) -> Callable[[Operator], None]:
    """Someone changes a rule of a ruleset: `ruleset/rule/parameter`."""
    name, kind, parameter = path.split("/")

    def change(operator: Operator) -> None:
        operator.rule(name, kind)[parameter] = value

    return change


def _drop_rule(operator: Operator) -> None:
    operator.ruleset("main")["rules"] = [
        r for r in operator.ruleset("main")["rules"] if r["type"] != "non_fast_forward"
    ]


def _bypass(operator: Operator) -> None:
    operator.ruleset("main")["bypass_actors"].append(
        {"actor_type": "RepositoryRole", "actor_id": 5, "bypass_mode": "always"}
    )


def _any_app(operator: Operator) -> None:
    del operator.rule("main", "required_status_checks")["required_status_checks"][0]["integration_id"]


def _second_source(operator: Operator) -> None:
    operator.rule("main", "required_status_checks")["required_status_checks"].append({"context": "check"})


def _delete(operator: Operator) -> None:
    rulesets = operator.github.rules.rulesets
    del rulesets[operator.ruleset("review")["id"]]


DRIFT: dict[str, tuple[Callable[[Operator], None], str]] = {
    "a ruleset switched off": (lambda o: o.ruleset("main").update(enforcement="disabled"), "enforcement"),
    "a ruleset deleted": (_delete, "review"),
    "a ruleset for another branch": (
        lambda o: o.ruleset("main")["conditions"]["ref_name"].update(exclude=["refs/heads/main"]),
        "conditions.ref_name.exclude",
    ),
    "a rule dropped": (_drop_rule, "rules[non_fast_forward]"),
    "a bypass": (_bypass, "bypass_actors[RepositoryRole 5]"),
    "a check from any App": (_any_app, "integration_id"),
    "the same check twice": (_second_source, "[check, again check]"),
    "no code owner": (_change("review/pull_request/require_code_owner_review", False), "require_code_owner_review"),
    "stale approvals": (_change("review/pull_request/dismiss_stale_reviews_on_push", False), "dismiss_stale"),
    "something that is not declared": (_change("review/pull_request/new_leniency", True), "new_leniency"),
    "an environment for every branch": (lambda o: o.github.rules.environments.update(gate=None), "every branch"),
    "an environment for one branch more": (
        lambda o: (o.github.rules.environments["gate"] or {}).update({9: "student/*"}),
        "student/*",
    ),
    "an environment for a tag of main's name, too": (
        lambda o: (o.github.rules.environments["gate"] or {}).update({9: "tag main"}),
        '"tag main"',
    ),
    "an environment for a tag of main's name": (
        lambda o: o.github.rules.environments.update(gate={9: "tag main"}),
        '"tag main"',
    ),
    "actions that can move": (lambda o: o.github.rules.actions.update(sha_pinning_required=False), "sha_pinning"),
    "a token that may write": (
        lambda o: o.github.rules.workflow_token.update(default_workflow_permissions="write"),
        "default_workflow_permissions",
    ),
    "another default branch": (lambda o: o.github.rules.settings.update(default_branch="evil"), "default_branch"),
    "a workflow switched off": (
        lambda o: o.github.rules.holdings.disabled.update({".github/workflows/gate.yaml": "disabled_manually"}),
        "disabled_manually",
    ),
    "merge commits": (lambda o: o.github.rules.settings.update(allow_merge_commit=True), "allow_merge_commit"),
}


@pytest.mark.parametrize("drift", DRIFT)
def test_drift_is_told_and_mended(operator: Operator, drift: str) -> None:
    operator.run("apply")
    change, named = DRIFT[drift]
    change(operator)
    verified = operator.run("verify", "--tell")
    assert verified.code == 1
    assert named in verified.out
    [message] = operator.slack.messages
    assert message.startswith(":warning: GitHub is not set as declared: ")
    assert message.endswith("Runbook: docs/runbooks/github.md")
    assert operator.run("apply").code == 0
    assert operator.run("verify").code == 0


def test_what_fails_on_the_way_is_said_and_a_second_run_goes_on(operator: Operator) -> None:
    operator.github.faults = [Fault("POST", "/rulesets", 422, skip=2)]
    done = operator.run("apply", "--output", "json")
    assert done.code == 4
    states = [change["state"] for change in json.loads(done.out)]
    assert states == ["done", "done", "failed", *["not tried"] * (len(states) - 3)]
    assert "ruleset queue: not set (GitHub: POST /rulesets: 422 Validation Failed)" in done.err
    assert f"{len(states) - 2} of {len(states)} changes not made" in done.err
    done = operator.run("apply", "--output", "json")
    assert (done.code, {change["state"] for change in json.loads(done.out)}) == (0, {"done"})
    assert operator.run("verify").code == 0


@pytest.mark.parametrize("number", [pytest.param(n, marks=[] if n == 4 else pytest.mark.matrix) for n in range(14)])
def test_an_answer_that_is_lost_leaves_nothing_that_a_second_run_does_not_mend(operator: Operator, number: int) -> None:
    operator.github.faults = [Fault("POST|PUT|PATCH", ".*", 500, skip=number, times=99, after=True)]
    operator.run("apply")
    operator.github.faults = []
    assert operator.run("apply").code == 0
    assert operator.run("verify").code == 0


def test_an_undeclared_ruleset_is_drift_and_deleted_only_when_asked(operator: Operator) -> None:
    operator.run("apply")
    stray = {**operator.ruleset("queue"), "name": "stray"}
    operator.github.rules.keep({name: stray[name] for name in declared.Ruleset.model_fields}, 9)
    assert "ruleset stray: delete" in operator.run("verify").err
    left = operator.run("apply")
    assert (left.code, "not declared and left: ruleset stray" in left.err) == (1, True)
    assert operator.run("apply", "--prune").code == 0
    assert operator.run("verify").code == 0


def test_who_may_bypass_is_shown_to_editors_alone_and_that_is_said(operator: Operator) -> None:
    operator.run("apply")
    seen = operator.run("verify", token=READER)
    assert seen.code == 0
    assert "not shown to this token: ruleset.main.bypass_actors" in seen.err
    # That the ruleset was edited is shown to all.
    operator.github.workflow_runs["settings.yaml"] = [("2026-10-01T00:00:00Z", "success")]
    operator.github.branch_runs["settings.yaml"] = [("2026-11-02T00:00:00Z", "success")]
    verified = operator.run("verify", "--tell", token=READER)
    assert "ruleset main: edited since it was verified last" in verified.err
    assert "who may bypass is hidden from this run: ruleset main: edited since" in operator.slack.messages[0]
    # The run that told succeeds, so that the next is silent.
    assert verified.code == 0
    operator.github.workflow_runs["settings.yaml"].append(("2026-11-02T00:00:00Z", "success"))
    assert operator.run("verify", "--tell", token=READER).code == 0
    assert len(operator.slack.messages) == 1
    # With drift beside it, it is none.
    operator.ruleset("main")["enforcement"] = "disabled"
    operator.github.workflow_runs["settings.yaml"].pop()
    assert operator.run("verify", "--tell", token=READER).code == 1
    assert operator.slack.messages[1].count("\n") == len(RULESETS) + 1


def test_only_an_administrator_applies(operator: Operator) -> None:
    done = operator.run("apply", token=READER)
    assert done.code == 4
    assert operator.github.rules.rulesets == {}


def test_a_plan_without_a_merge_queue_is_told_so(operator: Operator) -> None:
    operator.github.rules.plan = "team"
    done = operator.run("apply")
    assert done.code == 4
    assert "Invalid rule 'merge_queue'" in done.err


BAD_FILES = {
    "no JSON": (".github/rulesets/main.json", "{", "not JSON"),
    "nested": (".github/rulesets/main.json", "[" * 100_000, "not JSON"),
    "another name": (".github/rulesets/main.json", None, "expected main, found other"),
    "a field that is none": (".github/settings.json", '{"repo": {}}', "repo"),
    "an environment for all": (".github/environments/gate.json", None, "custom_branch_policies"),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_file_that_is_wrong_is_named_and_nothing_is_asked(operator: Operator, fault: str) -> None:
    path, text, named = BAD_FILES[fault]
    file = operator.folder / path
    replaced = (
        file.read_text().replace('"name": "main"', '"name": "other"', 1).replace('policies": true', 'policies": false')
    )
    file.write_text(replaced if text is None else text)
    done = operator.run("apply")
    assert done.code == 2
    assert path in done.err
    assert named in done.err
    assert operator.github.requests == []


def test_the_bots_app_has_to_be_known(operator: Operator) -> None:
    done = operator.run("plan", BOT_APP_ID="")
    assert (done.code, "not set: BOT_APP_ID" in done.err) == (2, True)


def test_every_environment_of_a_workflow_is_declared_and_for_main_alone() -> None:
    environments = {file.stem: json.loads(file.read_text()) for file in (ROOT / declared.ENVIRONMENTS).glob("*.json")}
    assert all(
        entry["deployment_branch_policies"] == [{"name": "main", "type": "branch"}] for entry in environments.values()
    )
    for file in (ROOT / ".github/workflows").glob("*.yaml"):
        # build.yaml runs in the services' repositories, which have environments of their own.
        if file.name == "build.yaml":
            continue
        for name, job in yaml.safe_load(file.read_text())["jobs"].items():
            used = job.get("environment", {})
            environment = used if isinstance(used, str) else used.get("name", "")
            secrets = set(re.findall(r"secrets\.([A-Z0-9_]+)", json.dumps(job)))
            if secrets and (ROOT / declared.ENVIRONMENTS / f"{environment}.json").exists():
                assert secrets <= set(environments[environment]["secrets"]), f"{file.name} {name}"
            elif environment:
                assert environment in environments, f"{file.name} {name}"


def test_the_required_check_is_a_job_and_every_file_is_what_github_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT_APP_ID", str(BOT_APP))
    wish = declared.read(Checkout(ROOT))
    assert sorted(wish.rulesets) == RULESETS
    assert CHECK in yaml.safe_load((ROOT / ".github/workflows/check.yaml").read_text())["jobs"]
    bypassing = {name: ruleset["bypass_actors"] for name, ruleset in wish.rulesets.items()}
    assert bypassing["main"] == []
    assert all(actor["actor_id"] == BOT_APP for actor in chain.from_iterable(bypassing.values()))


def test_a_difference_is_a_field_and_order_says_nothing() -> None:
    declared_rules = [{"type": "deletion"}, {"type": "update", "parameters": {"x": False}}]
    actual = [{"type": "update", "parameters": None}, {"type": "deletion", "parameters": {"y": 1}}]
    assert list(differences({"rules": declared_rules}, {"rules": actual})) == [
        FieldDifference("rules[deletion].parameters.y", None, 1)
    ]


ANSWERS: dict[str, tuple[int, bytes, dict[str, str], str]] = {
    "a page": (200, b"<html>Hello</html>", {}, "the answer is none of its API"),
    "half of an answer": (200, b'{"a": ', {}, "the answer is none of its API"),
    "nothing": (200, b"null", {}, "the answer is none of its API"),
    "another's list": (200, b"[]", {}, "the answer is none of its API"),
    "another address": (301, b"{}", {"Location": "https://example.com/"}, "the answer is none of its API"),
    "a page that is not there": (404, b'{"message": "Not Found"}', {}, "404 Not Found; there is none, or this token"),
    "a right that is missing": (403, b'{"message": "Forbidden"}', {}, "403 Forbidden"),
    "a quota that is used up": (
        403,
        b'{"message": "API rate limit exceeded"}',
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{time.time() + 3000:.0f}"},
        "this token asked too often; run it again in ",
    ),
}


@pytest.mark.parametrize("given", ANSWERS)
@pytest.mark.parametrize("words", [["plan"], ["gate", "a" * 40, "success"], ["main", "7"]], ids=lambda words: words[0])
def test_an_answer_that_is_none_of_githubs_is_one_line(operator: Operator, given: str, words: list[str]) -> None:
    status, content, headers, told = ANSWERS[given]
    server = Server(lambda request: answer(request, status, content, "application/json", headers))
    try:
        done = operator.run(*words, GITHUB_API_URL=server.url)
    finally:
        server.close()
    assert done.code == 4
    assert done.out == ""
    assert done.err.startswith("gitops: GitHub: ")
    assert done.err.count("\n") == 1
    assert told in done.err

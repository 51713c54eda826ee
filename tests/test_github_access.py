"""What gets in beside the rules: `gitops github verify` sees it, and says what it needs to see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import yaml

from gitops.github import access
from tests.fakes.github import Fault
from tests.fakes.github_access import APP_RIGHTS, NEEDED
from tests.fakes.github_rulesets import BOT_ACTOR
from tests.frozen import ROOT
from tests.test_github import READER, Operator, operator

__all__ = ["operator"]

pytestmark = pytest.mark.bots


def _unknown_owner(operator: Operator) -> None:
    operator.github.rules.holdings.unknown_owners.add("@ft-platform/benefit")


def _no_owners(operator: Operator) -> None:
    operator.github.commit("main", {".github/CODEOWNERS": None}, "Nobody is asked")


def _many_secrets(operator: Operator) -> None:
    operator.github.rules.holdings.secrets += [f"S{n}" for n in range(150)]


# What someone does on GitHub's pages, and what is said of it.
DRIFT: dict[str, tuple[Callable[[Operator], object], str]] = {
    "a secret of the repository": (lambda o: o.github.rules.holdings.secrets.append("EVIL"), "secret EVIL: delete"),
    "the last of many secrets": (_many_secrets, "secret S149: delete"),
    "a secret of the organisation": (
        lambda o: o.github.rules.holdings.organisation_secrets.append("SHARED"),
        "secret SHARED of the organisation: delete",
    ),
    "a secret of an environment that is not declared": (
        lambda o: (
            o.github.rules.environments.update(forgotten=None),
            o.github.rules.holdings.environment_secrets.update(forgotten=["EVIL"]),
        ),
        "secret EVIL of the environment forgotten: delete",
    ),
    "a secret that an environment does not declare": (
        lambda o: o.github.rules.holdings.environment_secrets.update(gate=["BOT_PRIVATE_KEY", "EVIL"]),
        "secret EVIL of the environment gate: delete",
    ),
    "a variable": (lambda o: o.github.rules.holdings.variables.append("EVIL"), "variable EVIL: delete"),
    "a variable that is gone": (
        lambda o: o.github.rules.holdings.variables.remove("AWS_REGION"),
        "variable AWS_REGION: create",
    ),
    "an environment that administrators bypass": (
        lambda o: o.github.rules.no_bypass.remove("oauth"),
        "environment's can_admins_bypass oauth: update",
    ),
    "a person with more than write": (
        lambda o: o.github.rules.holdings.people.update(student="admin"),
        "person student: update",
    ),
    "a team with more than write": (
        lambda o: o.github.rules.holdings.teams.update(community="maintain"),
        "team community: update",
    ),
    "a team with more than is declared": (
        lambda o: o.github.rules.holdings.teams.update(platform="admin"),
        "team platform: update",
    ),
    "a team with less than is declared": (
        lambda o: o.github.rules.holdings.teams.update(platform="push"),
        "team platform: update",
    ),
    "a key that may push": (
        lambda o: o.github.rules.holdings.keys.append(("ci", False)),
        "deploy key that may push ci (1): delete",
    ),
    "an owner that GitHub does not know": (_unknown_owner, "CODEOWNERS line 3, column 20: update"),
    "no CODEOWNERS": (_no_owners, "CODEOWNERS CODEOWNERS: update"),
}


@pytest.mark.parametrize("drift", DRIFT)
def test_what_a_person_has_to_mend_is_told_and_left_by_apply(operator: Operator, drift: str) -> None:
    assert operator.run("apply").code == 0
    assert operator.run("verify").code == 0
    change, phrase = DRIFT[drift]
    change(operator)
    verified = operator.run("verify", "--tell")
    assert verified.code == 1
    assert phrase in verified.err
    assert f":warning: GitHub is not set as declared: {phrase}" in operator.slack.messages[0]
    writes = len(operator.github.writes)
    left = operator.run("apply", "--prune")
    assert left.code == 1
    [by_hand] = [line for line in left.err.splitlines() if "a person has to set by hand: " in line]
    assert phrase.rpartition(": ")[0] in by_hand
    assert len(operator.github.writes) == writes


def test_a_key_that_may_only_read_and_a_teams_write_are_no_drift(operator: Operator) -> None:
    operator.run("apply")
    operator.github.rules.holdings.keys.append(("argo-cd", True))
    operator.github.rules.holdings.teams["bots"] = "push"
    operator.github.rules.holdings.environment_secrets["gate"] = ["BOT_PRIVATE_KEY"]
    operator.github.rules.environments["a branch's"] = None
    # Of a branch alone, or of GitHub itself.
    operator.github.rules.holdings.disabled[".github/workflows/of-a-branch.yaml"] = "disabled_manually"
    assert operator.run("verify").code == 0


def test_of_a_workflow_that_github_does_not_know_yet_nothing_is_said(operator: Operator) -> None:
    operator.run("apply")
    (operator.folder / ".github/workflows/new.yaml").write_text("on: push\n")
    verified = operator.run("verify")
    assert verified.code == 0
    assert "not shown to this token: workflow..github/workflows/new.yaml" in verified.err


def test_where_github_does_not_say_who_bypasses_an_environment_that_is_said(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.run("apply")
    described = operator.github.rules._described
    monkeypatch.setattr(
        operator.github.rules,
        "_described",
        lambda name: {key: value for key, value in described(name).items() if key != "can_admins_bypass"},
    )
    verified = operator.run("verify")
    assert verified.code == 0
    assert "not shown to this token: environment.oauth.can_admins_bypass" in verified.err


def test_the_scheduled_run_sees_all_but_the_variables(operator: Operator) -> None:
    operator.run("apply")
    seen = operator.run("verify", token=READER)
    assert seen.code == 0
    assert "not shown to this token: variables" in seen.err
    operator.github.rules.holdings.secrets.append("EVIL")
    assert operator.run("verify", token=READER).code == 1


@pytest.mark.parametrize("path", sorted(access.RIGHTS.keys() - {"/actions/variables"}))
@pytest.mark.parametrize("status", [403, 404])
def test_a_token_without_a_right_is_told_which(operator: Operator, path: str, status: int) -> None:
    """GitHub says 404 where a person may not see it, and 403 to an App."""
    operator.run("apply")
    if status == 403:
        operator.github.tokens[READER] = replace(BOT_ACTOR, rights=APP_RIGHTS - {NEEDED[path]})
    else:
        operator.github.faults = [Fault("GET", f"GET .*{path.replace('NAME', 'gate')}$", 404)]
    done = operator.run("verify", token=READER)
    if (path, status) == ("/codeowners/errors", 404):
        assert "CODEOWNERS CODEOWNERS: update" in done.err
        return
    assert (done.code, done.out) == (4, "")
    assert done.err.count("\n") == 1
    assert f"{status} " in done.err
    assert "give the token the right " in done.err
    assert "(docs/runbooks/github.md)" in done.err


def test_the_docs_name_every_right_and_the_workflow_asks_for_it() -> None:
    runbook = (ROOT / "docs/runbooks/github.md").read_text()
    for path, right in access.RIGHTS.items():
        assert re.search(rf"^\| `GET [^|]*{path}`[^|]*\| {right} \|$", runbook, re.MULTILINE), path
    workflow = yaml.safe_load((ROOT / ".github/workflows/settings.yaml").read_text())
    [given] = [step["with"] for step in workflow["jobs"]["verify"]["steps"] if step.get("id") == "app"]
    # Every App has Metadata, and no action can ask for Variables.
    for right in {right.partition(":")[0].lower() for right in access.RIGHTS.values()} - {"metadata", "variables"}:
        assert given[right] == "read"


def test_the_fake_asks_for_the_rights_that_we_know() -> None:
    assert {path: right.partition(":")[0].lower() for path, right in access.RIGHTS.items()} == NEEDED


def test_every_variable_of_a_workflow_is_declared() -> None:
    settings = json.loads((ROOT / ".github/settings.json").read_text())
    texts = [
        file.read_text()
        for file in ROOT.glob(".github/workflows/*.yaml")
        # It runs in the services' repositories, which have variables of their own.
        if file.name != "build.yaml"
    ]
    assert sorted(set(re.findall(r"vars\.(\w+)", "".join(texts)))) == sorted(settings["variables"])

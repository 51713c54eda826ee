"""The actions of others: their pins, runtimes, inputs and outputs against tests/fakes/actions/facts.yaml."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import action_facts
from tests.action_facts import Pin
from tests.fakes.act import ACTIONS
from tests.frozen import ROOT

FILES = [*ROOT.glob(".github/workflows/*.yaml"), *ROOT.glob(".github/actions/*/action.yml")]
FACTS = action_facts.read()
STAND_INS = sorted(ACTIONS.rglob("action.yml"))


def steps(file: Path) -> Iterator[dict[str, Any]]:
    """Every step of a workflow or an action."""
    document = yaml.safe_load(file.read_text())
    for job in document.get("jobs", {"": document.get("runs")}).values():
        yield from job["steps"]


def third_party(file: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every step that uses an action of others, with that action's facts."""
    for step in steps(file):
        name = step.get("uses", "./").partition("@")[0]
        if not name.startswith("./"):
            yield step, FACTS["actions"][name]


def refused(facts: dict[str, Any]) -> list[str]:
    """Which actions run on what hosted runners start no more, or on what nobody has looked at."""
    return [
        name for name, action in facts["actions"].items() if facts["runtimes"].get(action["runtime"]) != "in service"
    ]


def test_the_facts_are_those_of_the_pins() -> None:
    recorded = {Pin(name, action["commit"], action["version"]) for name, action in FACTS["actions"].items()}
    # Renew them: .venv/bin/python -m tests.action_facts
    assert recorded == action_facts.pins()


def test_every_action_runs_on_a_runtime_that_is_in_service() -> None:
    assert refused(FACTS) == []


@pytest.mark.parametrize("runtime", ["node20", "node16", "node26", "docker"])
def test_a_runtime_that_ended_or_is_unknown_is_refused(runtime: str) -> None:
    actions = {**FACTS["actions"], "some/action": {"runtime": runtime}}
    assert refused({**FACTS, "actions": actions}) == ["some/action"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_each_action_gets_inputs_that_it_has_and_all_that_it_needs(file: Path) -> None:
    for step, action in third_party(file):
        given = set(step.get("with", {}))
        assert given <= set(action["inputs"]), step["uses"]
        assert {name for name, default in action["inputs"].items() if default == "required"} <= given, step["uses"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_each_output_that_is_read_is_one_of_the_action(file: Path) -> None:
    by_id = {step["id"]: action for step, action in third_party(file) if "id" in step}
    for step, output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", file.read_text()):
        assert step not in by_id or output in by_id[step]["outputs"], f"{step}.{output}"


@pytest.mark.parametrize("file", sorted(ROOT.glob(".github/workflows/*.yaml")), ids=lambda file: file.stem)
def test_each_job_has_the_rights_that_its_actions_need(file: Path) -> None:
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        for step in job["steps"]:
            name = step.get("uses", "./").partition("@")[0]
            needs = FACTS["actions"].get(name, {}).get("needs", {})
            assert needs.items() <= job["permissions"].items(), name


@pytest.mark.parametrize("file", STAND_INS, ids=lambda file: str(file.parent.relative_to(ACTIONS)))
def test_a_stand_in_takes_and_gives_what_the_action_does(file: Path) -> None:
    stand_in = yaml.safe_load(file.read_text())
    [(name, action)] = [
        (name, action)
        for name, action in FACTS["actions"].items()
        if name.partition("/")[2] == str(file.parent.relative_to(ACTIONS))
    ]
    assert stand_in["name"] == f"stand-in for {name}"
    for word, described in (stand_in.get("inputs") or {}).items():
        assert word in action["inputs"], word
        # A default is the action's own; what is required there is required here.
        assert described.get("default", action["inputs"][word]) == action["inputs"][word], word
        assert described.get("required", False) or action["inputs"][word] != "required", word
    assert set(stand_in.get("outputs") or {}) <= set(action["outputs"])


def test_facts_are_read_from_the_commit_that_the_tag_names(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    (tmp_path / "save").mkdir()
    (tmp_path / "save/action.yml").write_text(
        "inputs: {key: {required: true}, depth: {default: 1}, empty: {default: null}}\n"
        "outputs: {hit: {description: x}}\nruns: {using: node24, main: a.js, post: b.js}\n"
    )
    for words in (
        ["init", "--quiet"],
        ["config", "uploadpack.allowFilter", "true"],
        ["config", "uploadpack.allowAnySHA1InWant", "true"],
        ["add", "."],
        ["commit", "--quiet", "-m", "x"],
        ["tag", "-a", "v1.0.0", "-m", "x"],
    ):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    remote = f"file://{tmp_path}"
    assert action_facts.observe(Pin("some/action/save", commit, "v1.0.0"), remote) == {
        "commit": commit,
        "version": "v1.0.0",
        "runtime": "node24",
        "post": True,
        "inputs": {"key": "required", "depth": "1", "empty": None},
        "outputs": ["hit"],
    }
    with pytest.raises(AssertionError, match=r"v1\.0\.0 is not"):
        action_facts.observe(Pin("some/action/save", "0" * 40, "v1.0.0"), remote)

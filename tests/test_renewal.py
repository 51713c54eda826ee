"""Every pin is renewed by Renovate (.github/renovate.json), and none with what is younger than some days."""

from __future__ import annotations

import json
import re

import yaml

from tests.frozen import ROOT

CONFIGURATION = json.loads((ROOT / ".github/renovate.json").read_text())
# What a manager of Renovate's finds: where, and what stands in our repository for it.
MANAGED = {
    "github-actions": ".github/workflows/*.yaml",
    "gomod": "scripts/tools/*/go.mod",
    "pip-compile": "requirements.lock",
    "npm": "tests/fakes/github-schema/package.json",
    "custom.regex": ".github/workflows/build.yaml",
}


def test_every_kind_of_pin_is_renewed_in_a_group() -> None:
    assert set(CONFIGURATION["enabledManagers"]) == set(MANAGED)
    assert all(list(ROOT.glob(pattern)) for pattern in MANAGED.values())
    groups = [rule for rule in CONFIGURATION["packageRules"] if "groupName" in rule]
    assert set().union(*(rule["matchManagers"] for rule in groups)) == set(MANAGED)


def test_every_image_of_a_workflow_is_pinned_and_renewed() -> None:
    """An action that starts a container of its own takes the newest one where it is not told which."""
    [manager] = CONFIGURATION["customManagers"]
    [files], [pattern] = manager["managerFilePatterns"], manager["matchStrings"]
    renewed = re.compile(pattern.replace("(?<", "(?P<"))
    started = 0
    for file in ROOT.glob(".github/workflows/*.yaml"):
        assert re.search(files.strip("/"), str(file.relative_to(ROOT)))
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            assert not {"container", "services"} & job.keys(), "pin its image, and have it renewed"
            for step in job["steps"]:
                assert not step.get("uses", "").startswith("docker://")
                if "setup-buildx-action" in step.get("uses", ""):
                    started += 1
                    assert renewed.fullmatch(step["with"]["driver-opts"])
    assert started
    [rule] = [rule for rule in CONFIGURATION["packageRules"] if rule.get("matchManagers") == ["custom.regex"]]
    assert rule["pinDigests"] is True


def test_nothing_young_is_taken_and_nothing_merges_by_itself() -> None:
    assert CONFIGURATION["minimumReleaseAge"] == "7 days"
    # What says nothing of its age counts as young.
    assert CONFIGURATION["minimumReleaseAgeBehaviour"] == "timestamp-required"
    # A pull request waits for the age, and is not opened before.
    assert CONFIGURATION["internalChecksFilter"] == "strict"
    assert CONFIGURATION["automerge"] is False
    assert not any({"minimumReleaseAge", "automerge"} & rule.keys() for rule in CONFIGURATION["packageRules"])


def test_the_lock_is_made_by_the_command_that_renovate_repeats() -> None:
    [pattern] = CONFIGURATION["pip-compile"]["managerFilePatterns"]
    assert re.search(pattern.strip("/"), "requirements.lock")
    variables = (ROOT / "Makefile").read_text().replace("\\\n  ", "")
    [command] = re.findall(r"^LOCK := (.+)$", variables, re.MULTILINE)
    assert (ROOT / "requirements.lock").read_text().splitlines()[1] == f"#    {command}"
    # An option that Renovate does not know ends its work on the file.
    known = {"--universal", "--python-version", "--generate-hashes", "--all-extras", "--output-file"}
    assert {word.partition("=")[0] for word in command.split() if word.startswith("-")} == known

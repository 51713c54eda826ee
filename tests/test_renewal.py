"""Every pin is renewed by Renovate (.github/renovate.json), and none with what is younger than some days."""

from __future__ import annotations

import json
import re

import yaml

from gitops.cluster import support
from tests.frozen import ROOT, platform

CONFIGURATION = json.loads((ROOT / ".github/renovate.json").read_text())
# What a manager of Renovate's finds: where, and what stands in our repository for it.
MANAGED = {
    "github-actions": ".github/workflows/*.yaml",
    "gomod": "scripts/tools/*/go.mod",
    "pip-compile": "requirements.lock",
    "npm": "tests/fakes/github-schema/package.json",
    "custom.regex": "apps/platform/*/application.yaml",
}


def test_every_kind_of_pin_is_renewed_in_a_group() -> None:
    assert set(CONFIGURATION["enabledManagers"]) == set(MANAGED)
    assert all(list(ROOT.glob(pattern)) for pattern in MANAGED.values())
    groups = [rule for rule in CONFIGURATION["packageRules"] if "groupName" in rule]
    assert set().union(*(rule["matchManagers"] for rule in groups)) == set(MANAGED)


def manager(named: str) -> tuple[list[re.Pattern[str]], re.Pattern[str]]:
    """The files of a manager of our own, by the begin of its description, and what it finds in them."""
    [own] = [item for item in CONFIGURATION["customManagers"] if item["description"].startswith(named)]
    [pattern] = own["matchStrings"]
    return [re.compile(files.strip("/")) for files in own["managerFilePatterns"]], re.compile(
        pattern.replace("(?<", "(?P<")
    )


def test_every_image_of_a_workflow_is_pinned_and_renewed() -> None:
    """An action that starts a container of its own takes the newest one where it is not told which."""
    [files], renewed = manager("The image in which BuildKit runs")
    started = 0
    for file in ROOT.glob(".github/workflows/*.yaml"):
        assert files.search(str(file.relative_to(ROOT)))
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            assert not {"container", "services"} & job.keys(), "pin its image, and have it renewed"
            for step in job["steps"]:
                assert not step.get("uses", "").startswith("docker://")
                if "setup-buildx-action" in step.get("uses", ""):
                    started += 1
                    assert renewed.fullmatch(step["with"]["driver-opts"])
    assert started
    rules = [rule for rule in CONFIGURATION["packageRules"] if rule.get("matchDatasources") == ["docker"]]
    assert [rule["pinDigests"] for rule in rules] == [True]


def test_all_that_the_platform_reads_of_others_is_renewed() -> None:
    """Each tag of another's repository, and each image: what nobody renews ends with its support."""
    files, tags = manager("What Argo CD reads of other projects")
    names = set()
    for file in (ROOT / "apps/platform").rglob("*.yaml"):
        path, text = str(file.relative_to(ROOT)), file.read_text()
        matches = list(tags.finditer(text))
        assert len(matches) == text.count("targetRevision: refs/tags/"), path
        assert not matches or any(pattern.search(path) for pattern in files), path
        names |= {match["depName"] for match in matches}
    assert names
    files, images = manager("Images of the platform's own objects")
    for file in (ROOT / "apps/platform").rglob("kustomization.yaml"):
        path, text = str(file.relative_to(ROOT)), file.read_text()
        assert len(list(images.finditer(text))) == text.count("newName:") == text.count("newTag:"), path
        assert "newName:" not in text or any(pattern.search(path) for pattern in files), path
    grouped = set().union(*(rule.get("matchPackageNames", []) for rule in CONFIGURATION["packageRules"]))
    assert names <= grouped, "each with the tool that the lab is built from"


def test_a_new_version_of_eks_is_proposed_and_waits_for_a_person() -> None:
    [files], versions = manager("The version of EKS")
    file = platform().root / "clusters/seoul/cluster.yaml"
    assert files.search("clusters/seoul/cluster.yaml")
    [match] = versions.finditer(file.read_text())
    assert match["currentValue"] in support.calendar().ends
    [rule] = [rule for rule in CONFIGURATION["packageRules"] if rule.get("matchPackageNames") == ["amazon-eks"]]
    assert rule["dependencyDashboardApproval"] is True


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

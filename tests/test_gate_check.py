"""The gate itself: the clean tree, a sample of the mistakes, exceptions, the baseline, SARIF."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from git import Repo

from gitops.check import apis
from gitops.check.schema import Schemas
from gitops.clients.kubernetes import Cluster
from gitops.exceptions import files as exceptions
from gitops.ground.checkout import Checkout
from gitops.lab import lab as labs
from gitops.lab.layout import Lab, find_labs
from gitops.manifests.findings import RULES, Finding, Unit, in_order
from gitops.manifests.forms import LISTS
from gitops.manifests.lines import Place
from gitops.manifests.places import Places
from gitops.manifests.reach import Reach
from tests import catalogue, lifecycle, list_types
from tests.conftest import commit_all, gitops
from tests.frozen import platform

pytestmark = pytest.mark.bots


TEAM = "community"


# Not among the mistakes, each with its own test here, in test_gate_bad_input.py or in test_lb.py.
ELSEWHERE = {"render-hangs", "submodule", "exception-ends", "lb-forecast", "object-size"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[catalogue.Gate]:
    made = catalogue.Gate(tmp_path_factory.mktemp("gate"))
    yield made
    labs.reset(Lab(made.checkout, catalogue.LAB))


# -- the catalogue


def test_the_catalogue_has_a_mistake_for_every_rule() -> None:
    names = catalogue.mistakes()
    assert len(names) >= 80
    seeded = {catalogue.read(name).rule for name in names}
    assert seeded | ELSEWHERE == set(RULES)
    sampled = {catalogue.read(name).rule for name in catalogue.SAMPLE}
    assert len(sampled) >= 14


@pytest.mark.parametrize("name", catalogue.SAMPLE)
def test_a_mistake_is_found_on_its_line(gate: catalogue.Gate, name: str) -> None:
    outcome = gate.outcome(name)
    assert outcome.caught, f"expected {outcome.expected}, found {outcome.findings}"


def test_what_a_server_that_stays_was_asked_is_gone_for_the_next_check(gate: catalogue.Gate) -> None:
    """A claim's own protection would keep it, as no controller runs that lifts it."""
    asked = [gate.outcome("disk-of-another-class").findings for _ in range(2)]
    assert [finding.rule for finding in asked[0]] == ["policy"]
    assert asked[1] == asked[0]


def test_the_clean_tree_has_no_finding(gate: catalogue.Gate) -> None:
    assert gate.check(everything=True) == []


@pytest.mark.matrix
@pytest.mark.parametrize("name", [name for name in catalogue.mistakes() if name not in catalogue.SAMPLE])
def test_every_other_mistake_is_found_on_its_line(gate: catalogue.Gate, name: str) -> None:
    outcome = gate.outcome(name)
    assert outcome.caught, f"expected {outcome.expected}, found {outcome.findings}"


def test_the_smallest_catalogue_runs_to_its_closing_line(capfd: pytest.CaptureFixture[str]) -> None:
    """What `make catalogue` runs, of one mistake."""
    assert catalogue.main(["quota-removed"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "catalogue: seeded=1 caught=1 false=0"


# -- the command


def test_a_check_says_where_why_and_how_to_fix_it_and_leaves_nothing(scratch: Checkout) -> None:
    catalogue.make(scratch.root, catalogue.read("image-without-a-digest"))
    catalogue.make(scratch.root, catalogue.read("leaked-42-secret"))
    secret = re.search(r"s-s4t2ud-\S+", (scratch.root / "overlays/mogle/prod/settings.env").read_text())
    assert secret
    done = gitops(
        scratch,
        "check",
        "--base",
        "HEAD",
        "--sarif",
        "findings.sarif",
        GITHUB_STEP_SUMMARY=str(scratch.root / "summary.md"),
    )
    assert done.code == 1, done.err
    assert done.err.startswith("gitops check: the working copy against HEAD\n")
    assert "1 folder checked: 2 errors, 0 warnings" in done.err
    assert re.search(
        r"^overlays/mogle/prod/kustomization.yaml:20: error: policy: Deployment web: image-digest: "
        r"at containers\[app\]\.image.* is not pinned; .*\n    why: The cluster refuses it.*\n    fix: ",
        done.out,
        re.MULTILINE,
    )
    assert "overlays/mogle/prod/settings.env:2: error: leaked-secret" in done.out
    written = [(scratch.root / name).read_text() for name in ("summary.md", "findings.sarif")]
    everything = "".join([done.out, done.err, *written])
    assert secret[0][9:25] not in everything
    # The control plane of a check is gone with it.
    assert find_labs(scratch) == []
    assert not [line for line in _processes() if str(scratch.root) in line]


def _processes() -> list[str]:
    return [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]


def test_sarif_is_what_github_reads(scratch: Checkout) -> None:
    catalogue.make(scratch.root, catalogue.read("host-of-another-service"))
    done = gitops(scratch, "check", "--base", "HEAD", "--offline", "--sarif", "out.sarif")
    assert done.code == 1
    document = json.loads((scratch.root / "out.sarif").read_text())
    assert document["version"] == "2.1.0"
    [run] = document["runs"]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == set(RULES)
    [result] = run["results"]
    [location] = result["locations"]
    assert result["ruleId"] == "lb-duplicate" == run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "overlays/mogle/prod/ingress.yaml"
    assert location["physicalLocation"]["region"]["startLine"] == 18
    assert result["partialFingerprints"]["gitops/v1"]


def test_known_findings_are_told_and_do_not_fail(scratch: Checkout) -> None:
    catalogue.make(scratch.root, catalogue.read("host-of-another-service"))
    first = gitops(scratch, "check", "--base", "HEAD", "--offline", "--write-baseline")
    assert first.code == 0, first.err
    assert "baseline.yaml: 1 finding is known from now on" in first.err
    second = gitops(scratch, "check", "--base", "HEAD", "--offline")
    assert (second.code, second.out) == (0, "")
    assert "0 errors, 0 warnings, 1 known (baseline)" in second.err
    # On another line it is the same one; another one is new.
    file = scratch.root / "overlays/mogle/prod/ingress.yaml"
    file.write_text("# moved\n" + file.read_text().replace("api.mogle.example.com", "mogle.example.net"))
    third = gitops(scratch, "check", "--base", "HEAD", "--offline", "--output", "json")
    assert third.code == 1
    assert [finding["rule"] for finding in json.loads(third.out)] == ["lb-certificate"]
    (scratch.root / "baseline.yaml").write_text("findings: [{rule: x}]\n")
    broken = gitops(scratch, "check", "--base", "HEAD", "--offline")
    assert broken.code == 2
    assert "baseline.yaml: findings.0.file: Field required" in broken.err


def test_nothing_to_check_is_quick_and_good(scratch: Checkout) -> None:
    (scratch.root / "README.md").write_text("words\n")
    done = gitops(scratch, "check", "--base", "HEAD")
    assert (done.code, done.out) == (0, "")
    assert "0 folders checked: 0 errors, 0 warnings" in done.err


def test_a_secret_that_was_taken_out_again_is_in_the_history(scratch: Checkout) -> None:
    base = Repo(scratch.root).head.commit.hexsha
    catalogue.make(scratch.root, catalogue.read("leaked-42-secret"))
    commit_all(scratch)
    (scratch.root / "overlays/mogle/prod/settings.env").unlink()
    commit_all(scratch)
    done = gitops(scratch, "check", "--base", base, "--offline")
    assert done.code == 1
    assert re.search(r"settings.env:2: error: leaked-secret: .* \(commit [0-9a-f]{12}\)", done.out)


# -- exceptions


def excepted(root: Path, until: date, *, name: str = "image-digest.mogle-prod.Deployment.web.yaml") -> None:
    content = f"reason: the registry forgets digests\nowner: {TEAM}\nuntil: {until}\n"
    (root / exceptions.FOLDER / name).write_text(content)
    file = root / exceptions.LIST
    file.write_text(file.read_text().replace("files: []", f"files: [{name}]"))


def test_an_exception_holds_for_its_object_until_its_day(gate: catalogue.Gate) -> None:
    """In the policies themselves: the API server is asked with the exceptions that the change has."""
    today = datetime.now(UTC).date()
    for until, expected in (
        (today + timedelta(days=100), []),
        (today + timedelta(days=10), ["exception-ends"]),
        (today, ["exception-ends"]),
        (today - timedelta(days=1), ["policy", "exception"]),
    ):
        with gate.with_mistake("image-without-a-digest"):
            excepted(gate.checkout.root, until)
            assert [finding.rule for finding in gate.check()] == expected
    with gate.with_mistake("image-without-a-digest"):
        excepted(gate.checkout.root, today + timedelta(days=100), name="image-digest.mogle-prod.Deployment.other.yaml")
        assert [finding.rule for finding in gate.check()] == ["policy"]


def test_a_service_may_end_by_an_exception(gate: catalogue.Gate) -> None:
    with gate.with_mistake("environment-removed"):
        excepted(
            gate.checkout.root,
            date(2999, 1, 1),
            name="removed-folder.benefit-staging.Application.benefit-staging.yaml",
        )
        policies = gate.checkout.root / "overlays/benefit/images.yaml"
        whole = policies.read_text()
        try:
            policies.write_text(whole[: whole.index("staging:")] + "prod: {semver: {range: 1.x}}\n")
            assert gate.check() == []
        finally:
            policies.write_text(whole)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mogle.yaml", "", "not named for what it allows"),
        ("nothing.a-prod.Deployment.web.yaml", "", "nothing is no policy"),
        ("image-digest.a-prod.Deployment.web.yaml", "reason: too long a reason\n", "owner: Field required"),
        (
            "image-digest.a-prod.Deployment.web.yaml",
            "reason: short\nowner: community\nuntil: 2999-01-01\n",
            "at least 10",
        ),
        (
            "image-digest.a-prod.Deployment.web.yaml",
            "reason: long enough now\nowner: nobody\nuntil: 2999-01-01\n",
            "owner nobody is no team",
        ),
        (
            "image-digest.a-prod.Deployment.web.yaml",
            "reason: long enough now\nowner: community\nuntil: 2999-01-01\n",
            "is not listed",
        ),
        (
            "image-digest.a-prod.Deployment.web.yaml",
            "reason: long enough now\nowner: community\nuntil: soon\n",
            "until",
        ),
    ],
)
def test_a_bad_exception_is_a_finding(scratch: Checkout, name: str, content: str, message: str) -> None:
    (scratch.root / exceptions.FOLDER / name).write_text(content)
    made = exceptions.read(scratch, {"image-digest"}, date(2026, 1, 1))
    assert made.allowed == []
    findings = made.findings
    assert any(message in finding.what for finding in findings), findings
    assert all(str(scratch.root) not in finding.what for finding in findings)


# -- tables


def served_apis(cluster: Cluster) -> Iterator[str]:
    """Version and kind, such as `policy/v1 PodDisruptionBudget`, of everything that an API server serves by a group."""
    for group in cluster.get("/apis")["groups"]:
        for version in group["versions"]:
            for resource in cluster.get(f"/apis/{version['groupVersion']}")["resources"]:
                yield f"{version['groupVersion']} {resource['kind']}"


def test_the_lists_without_an_order_are_those_of_the_published_schema() -> None:
    assert LISTS.read_text() == list_types.text(), "run: .venv/bin/python -m tests.lifecycle"


def test_the_table_of_apis_is_that_of_the_pinned_kubernetes(gate: catalogue.Gate) -> None:
    text = lifecycle.TABLE.read_text()
    assert f"version: {lifecycle.api_version()}\n" in text
    # And the API server of that version agrees: it serves nothing that the table calls removed.
    gate.check(everything=True)
    served = set(served_apis(Cluster(Lab(gate.checkout, catalogue.LAB).kubeconfig)))
    removed = {
        name
        for name, life in apis.table().items()
        if "removed" in life and tuple(map(int, life["removed"].split("."))) <= (1, 36)
    }
    assert "policy/v1beta1 PodDisruptionBudget" in removed
    assert served & removed == set()


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((1, 19), []),
        ((1, 20), ["api-warning"]),
        ((1, 21), ["api-warning"]),
        ((1, 23), ["api-warning"]),
        ((1, 24), ["api-removed"]),
        ((1, 36), ["api-removed"]),
    ],
)
def test_an_api_is_told_of_one_version_before_it_goes(version: tuple[int, int], expected: list[str]) -> None:
    checkout = platform()
    item = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}}
    unit = Unit("overlays/a/prod", (item,), Places(checkout, "overlays/a/prod", Reach()))
    assert [finding.rule for finding in apis.check(unit, Schemas(checkout), version)] == expected


def test_findings_are_each_told_once() -> None:
    place = Place("base/web/deployment.yaml", 3)
    many = [Finding("policy", place, "x", "fix", f"overlays/{n}/prod") for n in range(50)]
    assert in_order([*many, Finding("pod", place, "its pods: x", "fix")]) == [many[0]]


def test_the_first_line_comes_before_anything_is_loaded() -> None:
    """It is printed by the command's own module, which loads nothing that takes its time."""
    code = "import sys, gitops.check.cli, gitops.preview.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"jsonschema_rs", "kubernetes", "boto3", "git"}.isdisjoint(done.stdout.split())


def test_a_check_loads_no_client_of_what_it_does_not_ask() -> None:
    """A quarter of its time went there: it reads the bots' files, and asks neither GitHub nor 42."""
    code = "import sys, gitops.check.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"github", "requests", "kubernetes", "boto3", "nacl", "jwt"}.isdisjoint(done.stdout.split())

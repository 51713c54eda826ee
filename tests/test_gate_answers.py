"""What the API server says in English, and where in the object that is."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.check import answers
from gitops.clients.kubernetes import ClusterError
from gitops.ground.errors import ExternalError
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.render import build
from tests.frozen import platform

UNIT = "overlays/mogle/prod"


@pytest.fixture(scope="module")
def unit() -> Unit:
    checkout = platform()
    return Unit.of(Graph(checkout), build(checkout, checkout.root, UNIT))


@pytest.fixture(scope="module")
def deployment(unit: Unit) -> dict[str, Any]:
    [item] = unit.kind("Deployment")
    return item


def refused(unit: Unit, item: dict[str, Any], status: int, reason: str, *causes: tuple[str, str]) -> list[Finding]:
    return list(answers.refusal(unit, item, ClusterError("PATCH x", status, reason, causes), ()))


def test_a_policys_refusal_names_the_policy_and_the_field(unit: Unit, deployment: dict[str, Any]) -> None:
    reason = (
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'image-digest' with binding 'services' "
        "denied request: at containers[app].image: x is not pinned"
    )
    [finding] = refused(unit, deployment, 422, reason)
    assert (finding.rule, finding.policy, finding.place.file) == (
        "policy",
        "image-digest",
        f"{UNIT}/kustomization.yaml",
    )
    assert finding.problem == "at containers[app].image: x is not pinned"


def test_a_refusal_of_another_that_says_the_policys_name_is_no_policys() -> None:
    """The check waits for a policy by its name: another's words with that name in them are no answer."""
    policy = "ValidatingAdmissionPolicy 'gitops-check-ready' with binding 'gitops-check-ready' denied request: no"
    assert answers.denial(ClusterError("POST x", 422, policy)) == answers.Denial("gitops-check-ready", "no")
    assert answers.denial(ClusterError("POST x", 403, 'configmaps "gitops-check-ready" is forbidden: exceeded')) is None


def test_each_cause_is_a_finding_of_its_own(unit: Unit, deployment: dict[str, Any]) -> None:
    findings = refused(unit, deployment, 422, "invalid", ("spec.replicas", "must be positive"), ("metadata.name", "no"))
    assert [finding.problem for finding in findings] == ["spec.replicas: must be positive", "metadata.name: no"]
    assert {finding.rule for finding in findings} == {"api-server"}


def test_unknown_fields_are_named(unit: Unit, deployment: dict[str, Any]) -> None:
    reason = 'strict decoding error: unknown field "spec.replica", unknown field "spec.template.spec.node"'
    findings = refused(unit, deployment, 400, reason)
    assert [finding.problem for finding in findings] == [
        "spec.replica: unknown field spec.replica",
        "spec.template.spec.node: unknown field spec.template.spec.node",
    ]


@pytest.mark.parametrize(("status", "reason"), [(0, "connection refused"), (503, "etcd is away"), (500, "panic")])
def test_a_server_that_is_away_is_no_verdict(unit: Unit, deployment: dict[str, Any], status: int, reason: str) -> None:
    with pytest.raises(ExternalError, match=reason):
        refused(unit, deployment, status, reason)


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("spec.template.spec.containers[0].image", ("spec", "template", "spec", "containers", 0, "image")),
        ("spec.template.spec.containers[app].image", ("spec", "template", "spec", "containers", 0, "image")),
        ("spec.template.spec.containers[none].image", ("spec", "template", "spec", "containers")),
        ("metadata.labels[app.kubernetes.io/name]", ("metadata", "labels", "app.kubernetes.io/name")),
    ],
)
def test_the_servers_words_for_a_place_are_a_path(
    deployment: dict[str, Any], field: str, path: tuple[str | int, ...]
) -> None:
    assert answers.field_path(deployment, field) == path


@pytest.mark.parametrize(
    "value",
    ["{'x': 1, " + "'y' " * 2_000 + "}", '"' + "a" * 5_000 + '"', "[" + "1," * 3_000 + "]"],
    ids=["an object", "a text", "a list"],
)
def test_of_a_long_value_nothing_else_is_cut(unit: Unit, deployment: dict[str, Any], value: str) -> None:
    words = (
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true, "
        + "as it says here " * 30
        + "at last"
    )
    field = "spec.template.spec.containers[0].securityContext"
    [finding] = refused(unit, deployment, 422, "x", (field, f"Invalid value: {value}: {words}"))
    assert finding.problem.endswith(f": {words}")
    assert len(finding.problem) < len(words) + 250

"""The token that EKS gives a service's pods, on a real API server: let through, and nothing that is like it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gitops.manifests.objects import Object
from tests.frozen import platform
from tests.policy_server import PolicyServer, pod, policy_server, workload

pytestmark = pytest.mark.bots

# As EKS's webhook writes them into the pods of a ServiceAccount with a role.
GIVEN = {
    "eks-pod-identity-token": {"audience": "pods.eks.amazonaws.com", "path": "eks-pod-identity-token"},
    "aws-iam-token": {"audience": "sts.amazonaws.com", "path": "token"},
}


@pytest.fixture(scope="module")
def policies() -> Iterator[PolicyServer]:
    with policy_server(platform()) as server:
        yield server


def volumes(name: str, *sources: Object) -> Object:
    made = pod()
    made["spec"]["volumes"] = [{"name": name, "projected": {"sources": list(sources)}}]
    return made


@pytest.mark.parametrize("name", GIVEN)
def test_the_token_that_eks_gives_a_pod_is_let_through_and_no_template_may_bring_it(
    policies: PolicyServer, name: str
) -> None:
    made = volumes(name, {"serviceAccountToken": {**GIVEN[name], "expirationSeconds": 86400}})
    assert policies.refusal(made) is None
    refusal = policies.refusal(workload("Deployment", made))
    assert refusal
    assert refusal.policy == "no-token"


def test_a_token_that_is_not_quite_that_is_refused(policies: PolicyServer) -> None:
    [(name, token), (second, _)] = GIVEN.items()
    for made in (
        volumes("tmp", {"serviceAccountToken": token}),
        volumes(second, {"serviceAccountToken": token}),
        volumes(name, {"serviceAccountToken": {**token, "path": "token"}}),
        volumes(name, {"serviceAccountToken": {**token, "audience": "https://kubernetes.default.svc"}}),
        volumes(name, {"serviceAccountToken": {"path": token["path"]}}),
        volumes(name, {"serviceAccountToken": token}, {"serviceAccountToken": {**token, "path": "second"}}),
        volumes(name, {"serviceAccountToken": token}, {"secret": {"name": "x"}}),
    ):
        refusal = policies.refusal(made)
        assert refusal, made
        assert refusal.policy == "no-token", refusal.text

"""What a service may keep, on a real API server: the disk of its component, and the token that EKS gives its pods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest

from gitops.manifests.objects import Object
from tests.frozen import platform
from tests.policy_server import PolicyServer, pod, policy_server, workload

pytestmark = pytest.mark.bots

CLAIM: Object = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {
        "storageClassName": "retained",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    },
}
SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "of-another"}
# As EKS's webhook writes them into the pods of a ServiceAccount with a role.
GIVEN = {
    "eks-pod-identity-token": {"audience": "pods.eks.amazonaws.com", "path": "eks-pod-identity-token"},
    "aws-iam-token": {"audience": "sts.amazonaws.com", "path": "token"},
}


@pytest.fixture(scope="module")
def policies() -> Iterator[PolicyServer]:
    with policy_server(platform()) as server:
        yield server


def test_the_disk_of_the_component_is_accepted(policies: PolicyServer) -> None:
    assert policies.refusal(deepcopy(CLAIM)) is None


OTHER_CLAIMS: dict[str, Callable[[Object], object]] = {
    "a second one": lambda claim: claim["metadata"].update(name="more"),
    "of no class": lambda claim: claim["spec"].pop("storageClassName"),
    "of another class": lambda claim: claim["spec"].update(storageClassName="gp2"),
    "for many nodes": lambda claim: claim["spec"].update(accessModes=["ReadWriteMany"]),
    "for many nodes beside": lambda claim: claim["spec"].update(accessModes=["ReadWriteOnce", "ReadWriteMany"]),
    "without a file system": lambda claim: claim["spec"].update(volumeMode="Block"),
    "a volume by its name": lambda claim: claim["spec"].update(volumeName="pvc-of-another"),
    "a volume by its labels": lambda claim: claim["spec"].update(selector={"matchLabels": {"a": "b"}}),
    "filled from a snapshot": lambda claim: claim["spec"].update(dataSource=SNAPSHOT),
    "filled from a snapshot by reference": lambda claim: claim["spec"].update(dataSourceRef=SNAPSHOT),
    "of a class by annotation": lambda claim: claim["metadata"].update(
        annotations={"volume.beta.kubernetes.io/storage-class": "gp2"}
    ),
}


@pytest.mark.parametrize("change", OTHER_CLAIMS)
def test_every_other_disk_is_refused(policies: PolicyServer, change: str) -> None:
    claim = deepcopy(CLAIM)
    OTHER_CLAIMS[change](claim)
    refusal = policies.refusal(claim)
    assert refusal
    assert refusal.policy == "volume-claim", refusal.text


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

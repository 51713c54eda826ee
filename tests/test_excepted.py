"""What an exception covers on a real API server: the workload that it names and what that makes, nothing of another."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from gitops.lab.process import wait_until
from gitops.manifests.objects import Object
from tests.frozen import platform
from tests.policy_server import SERVICE, PolicyServer, pod, policy_server, workload

pytestmark = pytest.mark.bots

POLICY = "image-digest"
HASH = "6d4cf56db6"
EXCEPTED = ("Deployment.web", "CronJob.tick", "StatefulSet.db", "Job.once")
LISTED: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "policy-exceptions", "namespace": "kube-system"},
    "data": {f"{POLICY}.{SERVICE.namespace}.{name}.yaml": "reason: x\n" for name in EXCEPTED},
}


def bad(kind: str, name: str, owner: str = "", *, controller: bool = True) -> Object:
    """An object whose image has no digest. `owner`: Kind/name of what made it."""
    pods = pod()
    for container in (*pods["spec"]["containers"], *pods["spec"]["initContainers"]):
        container["image"] = "ghcr.io/ft-platform/app:1.0"
    item = workload(kind, pods)
    metadata: dict[str, Any] = {"name": name}
    if owner:
        owner_kind, _, owner_name = owner.partition("/")
        api = "batch/v1" if owner_kind in ("Job", "CronJob") else "apps/v1"
        reference = {"apiVersion": api, "kind": owner_kind, "name": owner_name, "uid": "1", "controller": controller}
        metadata["ownerReferences"] = [reference]
    return {**deepcopy(item), "metadata": metadata}


@pytest.fixture(scope="module")
def policies() -> Iterator[PolicyServer]:
    with policy_server(platform()) as server:
        assert server.refusal(bad("Deployment", "web")), "before there is an exception"
        server.server.apply(LISTED)
        wait_until("the exceptions are known", lambda: not server.refusal(bad("Deployment", "web")), seconds=60)
        yield server


COVERED = {
    "a Deployment's ReplicaSet": bad("ReplicaSet", f"web-{HASH}", "Deployment/web"),
    "its pod": bad("Pod", f"web-{HASH}-x7k2p", f"ReplicaSet/web-{HASH}"),
    "a CronJob": bad("CronJob", "tick"),
    "its Job": bad("Job", "tick-29403390", "CronJob/tick"),
    "its Job's pod": bad("Pod", "tick-29403390-x7k2p", "Job/tick-29403390"),
    "a StatefulSet's pod": bad("Pod", "db-0", "StatefulSet/db"),
    "a Job's pod": bad("Pod", "once-x7k2p", "Job/once"),
}


@pytest.mark.parametrize("what", COVERED)
def test_an_exception_for_a_workload_covers_what_it_makes(policies: PolicyServer, what: str) -> None:
    assert policies.refusal(COVERED[what]) is None


OTHERS = {
    "a pod of a name that begins alike": bad("Pod", f"web-{HASH}-x7k2p"),
    "a pod of another Deployment": bad("Pod", f"web-admin-{HASH}-x7k2p", f"ReplicaSet/web-admin-{HASH}"),
    "a pod that names an owner which does not control it": bad(
        "Pod", "web-x", f"ReplicaSet/web-{HASH}", controller=False
    ),
    "a ReplicaSet by itself": bad("ReplicaSet", f"web-{HASH}"),
    "a ReplicaSet of another Deployment": bad("ReplicaSet", f"web-admin-{HASH}", "Deployment/web-admin"),
    "another Deployment": bad("Deployment", "web-admin"),
    "a Deployment that says it was made": bad("Deployment", "web-admin", "Deployment/web"),
    "a Job by itself": bad("Job", "tick-29403390"),
    "a Job of another CronJob": bad("Job", "tick-tock-29403390", "CronJob/tick-tock"),
    "a pod of a Job that no minute names": bad("Pod", "tick-tock-x7k2p", "Job/tick-tock"),
    "a pod of another StatefulSet": bad("Pod", "db-old-0", "StatefulSet/db-old"),
    "a pod of another kind's namesake": bad("Pod", "web-0", "StatefulSet/web"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_it_covers_nothing_of_another(policies: PolicyServer, what: str) -> None:
    refusal = policies.refusal(OTHERS[what])
    assert refusal, "accepted"
    assert refusal.policy == POLICY, refusal.text

"""What is there by an exception that has ended, on a real API server: it may shrink, be written about, let go of and
deleted, whatever policy it breaks and whatever kind it is; nothing bad is brought in by changing it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from gitops.check.known_bad import BAD_PODS, known_bad
from gitops.clients.kubernetes import ClusterError
from gitops.lab.process import wait_until
from gitops.manifests.objects import Object
from gitops.manifests.render import in_parallel
from tests.frozen import platform
from tests.policy_server import WORKLOADS, PolicyServer, Refusal, alone, pod, policy_server, workload

pytestmark = pytest.mark.bots

OLD, GOOD = "old", "good"
LABELLED = {"template": {"metadata": {"labels": {"changed": "yes"}}}}
HARMLESS = {"example.com/note": "seen"}
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "made-it", "uid": "1"}
# What controllers and people do to what is there, by the kind's own way to fewer pods.
FEWER: dict[str, Object] = {
    "ReplicationController": {"replicas": 0},
    "Deployment": {"replicas": 0, "paused": True},
    "ReplicaSet": {"replicas": 0},
    "StatefulSet": {"replicas": 0},
    "DaemonSet": {"minReadySeconds": 1},
    "Job": {"parallelism": 0, "suspend": True},
    "CronJob": {"suspend": True},
}
KEPT: dict[str, Object] = {
    "a note": {"metadata": {"annotations": HARMLESS}},
    "a label": {"metadata": {"labels": HARMLESS}},
    "a finalizer": {"metadata": {"finalizers": ["example.com/hold"]}},
    "an owner": {"metadata": {"ownerReferences": [OWNER]}},
    "no owner and no finalizer": {"metadata": {"ownerReferences": None, "finalizers": None}},
}
REVISION = {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}}}
PAIRS = list(itertools.product(BAD_PODS, WORKLOADS))
# What else a policy refuses, and a change that is as bad.
FURTHER: dict[tuple[str, str], Object] = {
    ("disruption-budget", "PodDisruptionBudget"): {"spec": {"minAvailable": 2}},
    ("ingress-class", "Ingress"): {"spec": {"ingressClassName": "another"}},
    ("kinds", "Role"): {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    ("kinds", "EndpointSlice"): {"endpoints": [{"addresses": ["10.0.0.9"]}]},
    ("kinds", "Endpoints"): {"subsets": [{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 80}]}]},
    ("kinds", "StatefulSet"): {"spec": {"replicas": 3}},
    ("kinds", "DaemonSet"): {"spec": {"minReadySeconds": 1}},
    ("kinds", "PodTemplate"): {"template": {"metadata": {"labels": {"changed": "yes"}}}},
    ("kinds", "ReplicationController"): {"spec": {"replicas": 3}},
    ("service-account", "ServiceAccount"): {
        "metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/third"}}
    },
    ("service-inside", "Service"): {"spec": {"externalIPs": ["203.0.113.7"]}},
    ("volume-claim", "PersistentVolumeClaim"): {"spec": {"storageClassName": "gp2"}},
}


def spoilt(policy: str, kind: str, name: str = OLD) -> Object:
    made = pod()
    BAD_PODS[policy](made["spec"])
    return {**deepcopy(workload(kind, made)), "metadata": {"name": name}}


def further(policy: str, kind: str) -> Object:
    [item] = [bad.item for bad in known_bad() if (bad.policy, bad.item["kind"]) == (policy, kind)]
    annotations = item["metadata"].get("annotations")
    return {**item, "metadata": {"name": OLD} | ({"annotations": annotations} if annotations else {})}


def changed_template(kind: str, template: Object) -> Object:
    """A merge patch of an object's template."""
    if kind == "PodTemplate":
        return {"template": template}
    spec = {"template": template}
    return {"spec": {"jobTemplate": {"spec": spec}} if kind == "CronJob" else spec}


@pytest.fixture(scope="module")
def policies() -> Iterator[PolicyServer]:
    """Everything is there, each thing in the namespace of the policy that it breaks, and no exception is left."""
    bad = [(policy, spoilt(policy, kind)) for policy, kind in PAIRS]
    bad += [(policy, further(policy, kind)) for policy, kind in FURTHER]
    listed: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap"}
    listed["metadata"] = {"name": "policy-exceptions", "namespace": "kube-system"}
    names = {f"{policy}.{alone(policy)}.{item['kind']}.{OLD}.yaml": "reason: x\n" for policy, item in bad}
    policy, first = bad[0]
    everything = [(alone(policy), item) for policy, item in bad]
    for policy_name, kind in PAIRS:
        everything.append((alone(policy_name), {**workload(kind, pod()), "metadata": {"name": GOOD}}))
    with policy_server(platform()) as server:
        server.server.apply({**listed, "data": names})
        wait_until("the exceptions are known", lambda: not server.refusal(first, alone(policy)), seconds=60)
        in_parallel(lambda entry: _bring(server, *entry), everything)
        server.server.apply(listed)
        # Of a name that is taken the API server speaks after the policies.
        wait_until("they have ended", lambda: refuser(server.refusal(first, alone(policy))) == policy, seconds=60)
        yield server


def _bring(server: PolicyServer, namespace: str, item: Object) -> None:
    server.server.apply({**item, "metadata": {**item["metadata"], "namespace": namespace}})


def test_every_policy_with_exceptions_is_tried(policies: PolicyServer) -> None:
    tried = {policy for policy, _ in [*PAIRS, *FURTHER]}
    assert tried == set(policies.policies) - {"namespace-labels"}


@pytest.mark.parametrize(("policy", "kind"), PAIRS, ids=lambda value: value)
def test_what_is_there_may_shrink_and_go(policies: PolicyServer, policy: str, kind: str) -> None:
    item, namespace = spoilt(policy, kind), alone(policy)
    patches = {**KEPT, "its revision": REVISION} | ({"fewer": {"spec": FEWER[kind]}} if kind in FEWER else {})
    for what, patch in patches.items():
        assert policies.refusal_of_change(item, namespace, patch) is None, what
    if kind != "PodTemplate":
        assert policies.refusal_of_change(item, namespace, {"status": {}}, part="/status") is None
    if "replicas" in FEWER.get(kind, {}):
        assert policies.refusal_of_change(item, namespace, {"spec": {"replicas": 0}}, part="/scale") is None
    _deleted(policies, item, namespace)


def _deleted(policies: PolicyServer, item: Object, namespace: str) -> None:
    path = policies.server.path({**item, "metadata": {**item["metadata"], "namespace": namespace}})
    policies.server.cluster.ask("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]})


# A Job's template, and of a pod all but its images, are the API's own to keep.
TEMPLATES = [(policy, kind) for policy, kind in PAIRS if kind not in ("Pod", "Job")]


@pytest.mark.parametrize(("policy", "kind"), TEMPLATES, ids=lambda value: value)
def test_no_change_brings_a_bad_template(policies: PolicyServer, policy: str, kind: str) -> None:
    """Neither into what was good nor again into what was bad."""
    good = {**workload(kind, pod()), "metadata": {"name": GOOD}}
    made = pod()
    BAD_PODS[policy](made["spec"])
    brought = changed_template(kind, {"spec": made["spec"]})
    assert refuser(policies.refusal_of_change(good, alone(policy), brought)) == policy
    again = changed_template(kind, {"metadata": {"labels": {"changed": "yes"}}})
    assert refuser(policies.refusal_of_change(spoilt(policy, kind), alone(policy), again)) == policy


@pytest.mark.parametrize("policy", [policy for policy in BAD_PODS if policy.startswith("image-")])
def test_a_pod_gets_no_bad_image(policies: PolicyServer, policy: str) -> None:
    made = pod()
    BAD_PODS[policy](made["spec"])
    brought = {"spec": {"containers": [{"name": "app", "image": made["spec"]["containers"][0]["image"]}]}}
    good = {**pod(), "metadata": {"name": GOOD}}
    assert refuser(policies.refusal_of_change(good, alone(policy), brought, kind="strategic")) == policy


def refuser(refusal: Refusal | None) -> str:
    return refusal.policy if refusal else "nobody"


@pytest.mark.parametrize(("policy", "kind"), FURTHER, ids=lambda value: value)
def test_what_else_is_there_may_be_let_go_of_and_may_not_become_as_bad(
    policies: PolicyServer, policy: str, kind: str
) -> None:
    item, namespace = further(policy, kind), alone(policy)
    for what, patch in KEPT.items():
        # A label of such a kind moves traffic: whose endpoints it has.
        free = policy != "kinds" or what not in ("a label", "a note")
        assert refuser(policies.refusal_of_change(item, namespace, patch)) == ("nobody" if free else policy), what
    keeper = "api" if kind == "PersistentVolumeClaim" else policy
    assert refuser(policies.refusal_of_change(item, namespace, FURTHER[policy, kind])) == keeper
    _deleted(policies, item, namespace)


def test_a_claim_gets_its_volume(policies: PolicyServer) -> None:
    bound = {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "pvc-1"}}
    item = further("volume-claim", "PersistentVolumeClaim")
    assert policies.refusal_of_change(item, alone("volume-claim"), bound) is None


INSTRUCTIONS: dict[str, tuple[Callable[[], Object], str]] = {
    "scheduling": (lambda: spoilt("scheduling", "Pod"), "karpenter.sh/do-not-disrupt"),
    "ingress-class": (lambda: further("ingress-class", "Ingress"), "alb.ingress.kubernetes.io/group.name"),
    "service-inside": (
        lambda: further("service-inside", "Service"),
        "service.beta.kubernetes.io/aws-load-balancer-type",
    ),
}


@pytest.mark.parametrize("value", ["true", ""])
@pytest.mark.parametrize("policy", INSTRUCTIONS)
def test_an_instruction_for_a_controller_is_no_note(policies: PolicyServer, policy: str, value: str) -> None:
    make, annotation = INSTRUCTIONS[policy]
    patch = {"metadata": {"annotations": {annotation: value}}}
    assert refuser(policies.refusal_of_change(make(), alone(policy), patch)) == policy


def test_a_check_judges_what_an_earlier_one_left_as_if_it_were_new(policies: PolicyServer) -> None:
    item = further("service-account", "ServiceAccount")
    item["metadata"]["namespace"] = alone("service-account")
    assert policies.server.cluster.find(policies.server.path(item))
    assert not policies.server.apply_prerequisites([item])
    with pytest.raises(ClusterError):
        policies.server.apply(item)

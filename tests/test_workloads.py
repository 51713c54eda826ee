"""Why an Application is not well, by what its objects say themselves, whole and each cause once."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.clients import workloads
from gitops.clients.kubernetes import Cluster

Object = dict[str, Any]
LONG = "pods are forbidden: ValidatingAdmissionPolicy 'no-token' with binding 'no-token' denied request: " + "x" * 500
PROBE = "Readiness probe failed: HTTP probe failed with statuscode: 503"


class Namespace(Cluster):
    """An API server whose one namespace has these, by the resource."""

    def __init__(self, **objects: list[Object]) -> None:
        self.objects = objects

    def items(self, path: str, **query: str) -> list[Object]:
        return self.objects.get(path.rpartition("/")[2], [])


def pod(name: str = "web-1", *, scheduled: str = "True", containers: list[Object] | None = None) -> Object:
    conditions = [
        {"type": "PodScheduled", "status": scheduled, "reason": "Unschedulable", "message": "0/9 nodes are available"},
        {"type": "Ready", "status": "False", "message": "containers with unready status: [app]"},
    ]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": containers or []}
    return {"metadata": {"name": name}, "status": status}


def waits(reason: str, message: str = "") -> list[Object]:
    return [{"name": "app", "state": {"waiting": {"reason": reason, "message": message}}}]


def warning(kind: str, name: str, reason: str, message: str, at_second: int = 0) -> Object:
    when = f"2026-01-01T00:00:{at_second:02}Z"
    about = {"kind": kind, "name": name}
    return {"involvedObject": about, "reason": reason, "message": message, "lastTimestamp": when}


def says(name: str, condition: str, status: str, message: str) -> list[Object]:
    """An object with one condition."""
    conditions = [{"type": condition, "status": status, "message": message}]
    return [{"metadata": {"name": name}, "status": {"conditions": conditions}}]


CASES: dict[str, tuple[Namespace, list[str]]] = {
    "a Secret that is missing": (
        Namespace(pods=[pod(containers=waits("CreateContainerConfigError", 'secret "s" not found'))]),
        ['pod web-1: app: CreateContainerConfigError: secret "s" not found'],
    ),
    "an image that cannot be had, of three pods": (
        Namespace(pods=[pod(f"web-{n}", containers=waits("ImagePullBackOff", "no such tag")) for n in (1, 2, 3)]),
        ["pod web-1 and 2 more: app: ImagePullBackOff: no such tag"],
    ),
    "a probe that fails": (
        Namespace(
            pods=[pod()],
            events=[
                warning(
                    "Pod", "web-1", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 2
                ),
                warning("Pod", "web-1", "Unhealthy", "an older one", 1),
                warning("Pod", "web-2", "Unhealthy", "of another"),
            ],
        ),
        [f"pod web-1: Unhealthy: {PROBE}"],
    ),
    "a pod that is not ready and says no more": (
        Namespace(pods=[pod()]),
        ["pod web-1: containers with unready status: [app]"],
    ),
    "a program that ends": (
        Namespace(
            pods=[
                pod(
                    containers=[
                        {"name": "app", "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
                        | {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}
                    ]
                )
            ]
        ),
        ["pod web-1: app: CrashLoopBackOff: back-off 10s", "pod web-1: app: OOMKilled, exit code 137"],
    ),
    "no node": (Namespace(pods=[pod(scheduled="False")]), ["pod web-1: Unschedulable: 0/9 nodes are available"]),
    "pods that a policy refuses": (
        Namespace(deployments=says("web", "ReplicaFailure", "True", LONG)),
        [f"Deployment web: {LONG}"],
    ),
    "pods of a Job that a policy refuses": (
        Namespace(jobs=[{"metadata": {"name": "tick"}}], events=[warning("Job", "tick", "FailedCreate", LONG)]),
        [f"Job tick: FailedCreate: {LONG}"],
    ),
    "pods of a StatefulSet that a policy refuses": (
        Namespace(
            statefulsets=[{"metadata": {"name": "db"}, "spec": {"replicas": 2}, "status": {"readyReplicas": 1}}],
            events=[warning("StatefulSet", "db", "FailedCreate", LONG)],
        ),
        [f"StatefulSet db: FailedCreate: {LONG}"],
    ),
    "a Job that failed": (
        Namespace(jobs=says("tick", "Failed", "True", "limit")),
        ["Job tick: limit"],
    ),
    "an autoscaler without metrics": (
        Namespace(horizontalpodautoscalers=says("web", "ScalingActive", "False", "no metrics")),
        ["HorizontalPodAutoscaler web: no metrics"],
    ),
    "a disk that nobody makes": (
        Namespace(
            persistentvolumeclaims=[{"metadata": {"name": "data"}, "status": {"phase": "Pending"}}],
            events=[warning("PersistentVolumeClaim", "data", "ProvisioningFailed", 'storageclass "x" not found')],
        ),
        ['PersistentVolumeClaim data: ProvisioningFailed: storageclass "x" not found'],
    ),
    "a disk that is not there yet": (
        Namespace(persistentvolumeclaims=[{"metadata": {"name": "data"}, "status": {"phase": "Pending"}}]),
        ["PersistentVolumeClaim data: Pending, no volume yet"],
    ),
    "an Ingress that no load balancer takes": (
        Namespace(
            ingresses=[{"metadata": {"name": "web"}, "status": {"loadBalancer": {}}}],
            events=[warning("Ingress", "web", "FailedBuildModel", "no certificate found for host")],
        ),
        ["Ingress web: FailedBuildModel: no certificate found for host"],
    ),
    "warnings of what is well by now": (
        Namespace(
            jobs=[{"metadata": {"name": "tick"}, "status": {"succeeded": 1}}],
            ingresses=[{"metadata": {"name": "web"}, "status": {"loadBalancer": {"ingress": [{"hostname": "x"}]}}}],
            events=[
                warning("Job", "tick", "FailedCreate", "quota"),
                warning("Ingress", "web", "FailedBuildModel", "x"),
            ],
        ),
        [],
    ),
    "what goes or is done": (
        Namespace(
            pods=[
                {**pod(), "metadata": {"name": "web-1", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
                {"metadata": {"name": "tick-1"}, "status": {"phase": "Succeeded"}},
            ]
        ),
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_cause_is_said_whole_and_once(case: str) -> None:
    namespace, told = CASES[case]
    assert [reason.text for reason in workloads.reasons(namespace, "x-prod")] == told


@pytest.mark.parametrize(
    ("reason", "lasting"),
    [
        ("CreateContainerConfigError", True),
        ("InvalidImageName", True),
        ("ErrImageNeverPull", True),
        ("ImagePullBackOff", False),
        ("CrashLoopBackOff", False),
    ],
)
def test_only_a_change_brings_what_is_not_there(reason: str, lasting: bool) -> None:
    [told] = workloads.reasons(Namespace(pods=[pod(containers=waits(reason))]), "x-prod")
    assert told.lasting is lasting

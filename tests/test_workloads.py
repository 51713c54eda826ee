"""Why an Application is not well, by what its objects say themselves, whole and each cause once."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.clients import workloads
from gitops.clients.kubernetes import Cluster
from gitops.clients.workloads import Lasts

Object = dict[str, Any]
LONG = "pods are forbidden: ValidatingAdmissionPolicy 'no-token' with binding 'no-token' denied request: " + "x" * 500
PROBE = "Readiness probe failed: HTTP probe failed with statuscode: 503"


class Namespace(Cluster):
    """An API server whose one namespace has these, by the resource."""

    def __init__(self, **objects: list[Object]) -> None:
        self.objects = objects

    def items(self, path: str, **query: str) -> list[Object]:
        return self.objects.get(path.rpartition("/")[2], [])

    def find(self, path: str) -> Object | None:
        return next(iter(self.objects.get(path.split("/")[3], [])), None)


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
    "a namespace that does not come to its end": (
        Namespace(
            namespaces=[
                {
                    "status": {
                        "phase": "Terminating",
                        "conditions": [
                            {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "all deleted"},
                            {"type": "NamespaceContentRemaining", "status": "True", "message": "configmaps remain"},
                            {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "x in 1 instances"},
                        ],
                    }
                }
            ]
        ),
        ["Namespace x-prod: it is being terminated: x in 1 instances"],
    ),
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
    "an Ingress of which nobody says a word": (
        Namespace(ingresses=[{"metadata": {"name": "web"}, "spec": {"ingressClassName": "nginx"}}]),
        ["Ingress web: no load balancer has taken it yet (its class: nginx)"],
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


def autoscaler(reason: str, message: str) -> Namespace:
    [own] = says("web", "AbleToScale", "False", message)
    own["status"]["conditions"][0]["reason"] = reason
    return Namespace(horizontalpodautoscalers=[own])


def refuses(message: str) -> Namespace:
    return Namespace(deployments=says("web", "ReplicaFailure", "True", message))


PAUSED: Object = {"metadata": {"name": "web"}, "spec": {"paused": True}}
# k8s.io/kubernetes, pkg/controller/podautoscaler, of a target that is not there, and of a failing call.
GONE = 'the HPA controller was unable to get the target\'s current scale: deployments.apps "shop" not found'
AWAY = "the HPA controller was unable to get the target's current scale: Internal error"
LASTING = {
    "a Secret that is not there": (
        Namespace(pods=[pod(containers=waits("CreateContainerConfigError"))]),
        Lasts.FOR_GOOD,
    ),
    "an image that has no name": (Namespace(pods=[pod(containers=waits("InvalidImageName"))]), Lasts.FOR_GOOD),
    "an image that is never pulled": (Namespace(pods=[pod(containers=waits("ErrImageNeverPull"))]), Lasts.FOR_GOOD),
    "an image that is not there": (Namespace(pods=[pod(containers=waits("ImagePullBackOff"))]), Lasts.MAYBE),
    "a program that crashes": (Namespace(pods=[pod(containers=waits("CrashLoopBackOff"))]), Lasts.MAYBE),
    "a pod that no node takes": (Namespace(pods=[pod(scheduled="False")]), Lasts.FOR_ROOM),
    "pods that a policy refuses": (refuses(LONG), Lasts.FOR_GOOD),
    "pods that a webhook refuses": (refuses('admission webhook "x" denied the request: no'), Lasts.FOR_GOOD),
    "pods that Pod Security refuses": (refuses('violates PodSecurity "restricted:latest"'), Lasts.FOR_GOOD),
    "pods that a quota refuses": (refuses("exceeded quota: tenant"), Lasts.FOR_ROOM),
    "a policy that starts": (refuses("denied request: failed to configure binding"), Lasts.FOR_ROOM),
    "a Deployment that is paused": (Namespace(deployments=[PAUSED]), Lasts.FOR_GOOD),
    "an autoscaler of nothing": (autoscaler("FailedGetScale", GONE), Lasts.FOR_GOOD),
    "an autoscaler whose target nobody could read": (autoscaler("FailedGetScale", AWAY), Lasts.MAYBE),
    "an autoscaler of two": (autoscaler("InvalidSelector", "ambiguous"), Lasts.FOR_GOOD),
    "an autoscaler of no pods": (autoscaler("ScalingDisabled", "the replica count is zero"), Lasts.FOR_GOOD),
    "an autoscaler without metrics": (autoscaler("FailedGetResourceMetric", "metrics not found"), Lasts.MAYBE),
}


@pytest.mark.parametrize("what", LASTING)
def test_what_ends_by_itself_is_told_from_what_only_a_change_ends(what: str) -> None:
    namespace, lasts = LASTING[what]
    [told] = workloads.reasons(namespace, "x-prod")
    assert told.lasts is lasts

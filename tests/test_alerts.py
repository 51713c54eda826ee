"""What Slack is told, asked of Argo CD's own program: each kind of fault within a minute of being knowable, no more."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import runbooks
from tests.argocd_notifications import Notifications, health

pytestmark = pytest.mark.bots

Object = dict[str, Any]
COMMIT = "a" * 40


def ago(seconds: int) -> str:
    """A time, for `timed`."""
    return f"@{seconds}@"


def timed(document: Object) -> Object:
    """The same with its times, counted from now."""

    def time(match: re.Match[str]) -> str:
        return (datetime.now(UTC) - timedelta(seconds=int(match[1]))).strftime("%Y-%m-%dT%H:%M:%SZ")

    timed: Object = json.loads(re.sub(r"@(\d+)@", time, json.dumps(document)))
    return timed


def condition(kind: str, status: str, message: str = "", reason: str = "", seconds: int = 5) -> Object:
    return {"type": kind, "status": status, "message": message, "reason": reason, "lastTransitionTime": ago(seconds)}


def deployment(*conditions: Object, **counts: int) -> Object:
    """Of two pods, all of them there where nothing else is said."""
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2} | counts
    status = {"observedGeneration": 1, "conditions": list(conditions), **counts}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "generation": 1}} | {
        "spec": {"replicas": 2},
        "status": status,
    }


def claim(phase: str) -> Object:
    meta = {"name": "data", "creationTimestamp": "2026-01-02T03:04:05Z"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "status": {"phase": phase}}


def ingress(address: str = "") -> Object:
    meta = {"name": "web", "creationTimestamp": "2026-01-02T03:04:05Z"}
    status = {"loadBalancer": {"ingress": [{"hostname": address}]} if address else {}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "status": status}


def autoscaler(scaling: Object) -> Object:
    able = condition("AbleToScale", "True", "recommended size matches current size", "ReadyForNewScale")
    status = {"conditions": [able, scaling]}
    meta = {"name": "web"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "status": status}


def cron_job(*, last: str = "", good: str = "", active: bool = False, suspend: bool = False) -> Object:
    times = {"lastScheduleTime": last, "lastSuccessfulTime": good}
    status: Object = {name: value for name, value in times.items() if value}
    status |= {"active": [{"name": "tick-1"}]} if active else {}
    spec = {"schedule": "0 * * * *", "suspend": suspend}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": spec, "status": status}


DENIED = (
    "pods \"web-1\" is forbidden: ValidatingAdmissionPolicy 'no-token' with binding 'no-token' denied request: at x"
)
CONFIGURES = "ValidatingAdmissionPolicy 'no-token' with binding 'no-token' denied request: failed to configure binding"
QUOTA = 'pods "web-1" is forbidden: exceeded quota: tenant'
FEWER = {"availableReplicas": 1}
SHORT = "1 of 2 pods are available"
OBJECTS: dict[str, tuple[Object, str, str]] = {
    "pods that a policy refuses": (
        deployment(condition("ReplicaFailure", "True", DENIED), updatedReplicas=1),
        "Progressing",
        f"FailedCreate: {DENIED}",
    ),
    "pods that a quota refuses": (
        deployment(condition("ReplicaFailure", "True", QUOTA), updatedReplicas=1),
        "Progressing",
        f"FailedCreate: {QUOTA}",
    ),
    "a pod that died": (
        deployment(condition("Available", "False"), **FEWER),
        "Progressing",
        "1 of 2 pods are available",
    ),
    "a rollout": (deployment(condition("Available", "True"), **FEWER), "Progressing", "Waiting for rollout to finish"),
    "new pods that do not come": (
        deployment(condition("Progressing", "False", reason="ProgressDeadlineExceeded"), **FEWER),
        "Degraded",
        "exceeded its progress deadline",
    ),
    "a rollout that somebody paused": (
        {**deployment(condition("Progressing", "Unknown", reason="DeploymentPaused")), "spec": {"paused": True}},
        "Suspended",
        "it is paused: no new pods start",
    ),
    "all pods": (deployment(condition("Available", "True")), "Healthy", ""),
    "a disk": (claim("Bound"), "Healthy", ""),
    "no disk yet": (claim("Pending"), "Progressing", "since 2026-01-02T03:04:05Z it has no volume"),
    "a disk that is lost": (claim("Lost"), "Degraded", "its volume is lost"),
    "an Ingress with an address": (ingress(address="x.example.net"), "Healthy", ""),
    "an Ingress that no load balancer took": (ingress(), "Progressing", "since 2026-01-02T03:04:05Z no load balancer"),
    "an autoscaler that scales": (
        autoscaler(condition("ScalingActive", "True", reason="ValidMetricFound")),
        "Healthy",
        "",
    ),
    "an autoscaler in the first half of a minute": (
        autoscaler(condition("ScalingActive", "False", "no metrics", "FailedGetResourceMetric")),
        "Progressing",
        "no metrics",
    ),
    "an autoscaler without metrics": (
        autoscaler(condition("ScalingActive", "False", "no metrics", "FailedGetResourceMetric", 70)),
        "Degraded",
        "no metrics",
    ),
    "an autoscaler of what somebody set to 0 pods": (
        autoscaler(condition("ScalingActive", "False", "scaling is disabled", "ScalingDisabled")),
        "Degraded",
        "it scales nothing: somebody set its pods to 0",
    ),
    "a CronJob that never ran": (cron_job(), "Healthy", ""),
    "a CronJob that runs": (
        cron_job(last="2026-01-02T00:00:00Z", active=True),
        "Healthy",
        "a run goes on, of 2026-01-02T00:00:00Z",
    ),
    "a CronJob whose first run failed": (cron_job(last="2026-01-01T00:00:00Z"), "Degraded", "its last run, of 2026"),
    "a CronJob whose last run failed": (
        cron_job(last="2026-01-02T00:00:00Z", good="2026-01-01T00:01:00Z"),
        "Degraded",
        "its last run, of 2026-01-02T00:00:00Z, failed",
    ),
    "a CronJob whose run failed this second": (cron_job(last=ago(5), good=ago(65)), "Degraded", "its last run, of 2"),
    "a CronJob whose last run was good": (
        cron_job(last="2026-01-02T00:00:00Z", good="2026-01-02T00:01:00Z"),
        "Healthy",
        "",
    ),
    "a CronJob that is suspended": (cron_job(last="2026-01-02T00:00:00Z", suspend=True), "Healthy", ""),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_each_object_says_whether_it_works_and_since_when_it_does_not(what: str, tmp_path: Path) -> None:
    document, status, message = OBJECTS[what]
    said, words = health(timed(document), tmp_path)
    assert said == status
    assert message in words


@pytest.fixture(scope="module")
def notifications(tmp_path_factory: pytest.TempPathFactory) -> Notifications:
    return Notifications.make(tmp_path_factory.mktemp("notifications"))


def application(health: str = "Healthy", sync: str = "Synced", *resources: Object, **status: Any) -> Object:
    """As the controller keeps it; its last sync ended an hour ago. `changed` is how many seconds it has this health."""
    synced = {"phase": "Succeeded", "startedAt": ago(3600), "finishedAt": ago(3600), "syncResult": {"revision": COMMIT}}
    meta = {"name": "x-prod", "namespace": "argocd", "annotations": status.pop("annotations", {})}
    spec = {"project": "services", "source": {"path": "overlays/x/prod"}, "destination": {"namespace": "x-prod"}}
    kept: Object = {"health": {"status": health, "lastTransitionTime": ago(status.pop("changed", 100))}}
    kept |= {
        "sync": {"status": sync, "revision": COMMIT},
        "operationState": synced,
        "resources": list(resources),
        **status,
    }
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": meta, "spec": spec, "status": kept}


def resource(kind: str, health: str, message: str = "") -> Object:
    return {"kind": kind, "name": "web", "health": {"status": health, "message": message}}


def broken(kind: str) -> Object:
    return application("Degraded", "Synced", resource(kind, "Degraded"))


def since(seconds: int, words: str, kind: str = "Deployment") -> Object:
    return resource(kind, "Progressing", f"since {ago(seconds)} {words}")


def shortage(seconds: int, words: str) -> Object:
    return application("Progressing", "Synced", since(seconds, words))


def told_before(number: int) -> Object:
    told = f'{{"on-trouble:[{number}]:health-degraded:nil:slack:platform-alerts":1}}'
    return {"notified.notifications.argoproj.io": told}


def unknown(message: str, seconds: int) -> Object:
    """What could not be compared since then."""
    conditions = [{"type": "ComparisonError", "message": message, "lastTransitionTime": ago(seconds)}]
    return application("Healthy", "Unknown", conditions=conditions)


def syncing(message: str, retries: int, phase: str = "Running", began: int = 60) -> Object:
    return {"operationState": {"phase": phase, "message": message, "retryCount": retries, "startedAt": ago(began)}}


FULL = f"FailedCreate: {QUOTA}"
RUNNING = resource("CronJob", "Healthy", "a run goes on, of 2026-01-02T00:00:00Z")
STATES: dict[str, tuple[Object, str]] = {
    # Faults.
    "pods that a policy refuses": (
        application("Degraded", "Synced", resource("Deployment", "Degraded")),
        "health-degraded",
    ),
    "a Job that failed": (broken("Job"), "health-degraded"),
    "a run that failed": (broken("CronJob"), "health-degraded"),
    "a failed run after which another goes on": (
        application("Healthy", "Synced", RUNNING, annotations=told_before(2)),
        "health-degraded",
    ),
    "a failed run after which another was good": (
        application("Healthy", "Synced", resource("CronJob", "Healthy"), annotations=told_before(2)),
        "well-again",
    ),
    "a seal that nothing opens": (
        application("Degraded", "Synced", resource("SealedSecret", "Degraded")),
        "health-degraded",
    ),
    "a quota that is full": (shortage(70, FULL), "health-degraded"),
    "pods that do not come back": (shortage(190, SHORT), "health-degraded"),
    "a disk that nobody makes": (
        application("Progressing", "Synced", since(190, "it has no volume", "PersistentVolumeClaim")),
        "health-degraded",
    ),
    "a rollout that somebody paused": (
        application("Suspended", "Synced", resource("Deployment", "Suspended", f"since {ago(190)} it is paused")),
        "health-degraded",
    ),
    "an Ingress that nobody serves": (
        application("Progressing", "Synced", since(190, "no load balancer has taken it", "Ingress")),
        "health-degraded",
    ),
    "an autoscaler of no pods": (
        application("Degraded", "Synced", resource("HorizontalPodAutoscaler", "Degraded")),
        "health-degraded",
    ),
    "a controller of seals that is dead": (
        application("Progressing", "Synced", resource("SealedSecret", "Progressing")),
        "health-degraded",
    ),
    "a folder that does not render": (
        unknown("`kustomize build x` failed exit status 1: no file", 1),
        "render-failed",
    ),
    "an object that a policy refuses": (unknown(DENIED, 1), "render-failed"),
    "a repository that is away": (
        unknown("connection refused", 70),
        "render-failed",
    ),
    "an object that the API server refuses": (
        application("Healthy", "OutOfSync", **syncing("Service x is invalid: port", 2)),
        "sync-failed",
    ),
    "a sync that fails each time": (application("Healthy", "OutOfSync", **syncing("timeout", 4)), "sync-failed"),
    "a namespace that does not come to its end": (
        application("Missing", "OutOfSync", **syncing("waiting for healthy state of /Namespace/x", 0, began=130)),
        "sync-failed",
    ),
    "a namespace that goes": (
        application("Missing", "OutOfSync", **syncing("waiting for healthy state of /Namespace/x", 0, began=60)),
        "",
    ),
    "a sync that was given up": (application("Healthy", "OutOfSync", **syncing("no", 0, "Failed")), "sync-failed"),
    "what was told and is not over": (
        application("Progressing", "Synced", annotations=told_before(2)),
        "health-degraded",
    ),
    "what was told and is over": (application(annotations=told_before(2)), "well-again"),
    "a sync that failed, and pods that come": (
        application("Progressing", "Synced", annotations=told_before(1)),
        "sync-failed",
    ),
    "a sync that failed, and is over": (application(annotations=told_before(1)), "well-again"),
    "a folder that renders again, and is not synced yet": (
        application("Healthy", "OutOfSync", annotations=told_before(0)),
        "render-failed",
    ),
    "pods that crash, between two crashes": (
        application(changed=30, annotations=told_before(2)),
        "health-degraded",
    ),
    # None.
    "a run that goes on": (application("Healthy", "Synced", RUNNING), ""),
    "a run that ended this second": (
        application("Degraded", "Synced", resource("CronJob", "Degraded"), changed=0),
        "",
    ),
    "all is well": (application(), ""),
    "a rollout": (application("Progressing", "Synced", resource("Deployment", "Progressing", "Waiting")), ""),
    "a rollout at its quota's edge": (shortage(50, FULL), ""),
    "a node that was lost this minute": (shortage(170, SHORT), ""),
    "a seal that was synced this minute": (
        application(
            "Progressing",
            "Synced",
            resource("SealedSecret", "Progressing"),
            operationState={"phase": "Succeeded", "finishedAt": ago(20), "startedAt": ago(25)},
        ),
        "",
    ),
    "an Application that is Degraded tells of itself": (broken("Application"), ""),
    "a repo-server that starts": (unknown("connection refused", 30), ""),
    "an Ingress that is new": (
        application("Progressing", "Synced", since(60, "no load balancer has taken it", "Ingress")),
        "",
    ),
    "a sync that is tried again": (application("Healthy", "OutOfSync", **syncing("timeout", 1)), ""),
    "a policy that starts": (unknown(CONFIGURES, 30), ""),
    "a policy that starts, for pods": (shortage(5, f"FailedCreate: {CONFIGURES}"), ""),
}


@pytest.mark.parametrize("what", STATES)
def test_a_fault_is_told_and_what_passes_is_not(notifications: Notifications, what: str) -> None:
    state, sends = STATES[what]
    assert notifications.sent(timed(state)) == ([sends] if sends else [])


def test_the_message_says_what_since_when_and_what_to_type_first(notifications: Notifications) -> None:
    state = application("Progressing", "Synced", since(190, SHORT), resource("Service", "Healthy"))
    head, reason, rest = notifications.blocks("health-degraded", timed(state))
    assert head == ":warning: x-prod is Degraded."
    assert reason.startswith("Deployment web: since 2")
    assert reason.endswith(SHORT)
    assert "First: kubectl --namespace x-prod get pods,events" in rest


# What is typed first. Of commits, those of the bases and policies too.
FIRST = r"^First: (git log .* -- overlays/x/prod base policies apps|kubectl --namespace (x-prod|argocd) get pods.*)$"
# What each message is made of, by the template.
MESSAGES = (
    ("render-failed", unknown("`kustomize build x` failed exit status 1: no file", 1)),
    ("render-failed", unknown(DENIED, 1)),
    ("render-failed", unknown('failed calling webhook "x": connection refused', 70)),
    ("render-failed", unknown("connection refused", 70)),
    ("sync-failed", application("Healthy", "OutOfSync", **syncing("Service x is invalid: port", 2))),
    ("health-degraded", broken("Deployment")),
    ("well-again", application()),
)


@pytest.mark.parametrize(("template", "state"), MESSAGES[:-1], ids=[template for template, _ in MESSAGES[:-1]])
def test_each_message_says_since_when_what_to_type_and_which_runbook_begins_with_it(
    notifications: Notifications, template: str, state: Object
) -> None:
    head, reason, rest = notifications.blocks(template, timed(state))
    assert reason
    assert re.search(r"^Since 20\d\d-", rest)
    assert re.search(FIRST, rest, re.M)
    [file] = re.findall(r"^Runbook: docs/runbooks/([\w-]+\.md)$", rest, re.M)
    assert head.replace("x-prod", "NAME") in runbooks.seen(runbooks.FOLDER / file)


def test_runbooks_begin_with_the_messages_word_for_word(notifications: Notifications) -> None:
    sent = {notifications.message(template, timed(state)) for template, state in MESSAGES}
    assert len(sent) == len(MESSAGES) - 1, "what a webhook refuses is refused"
    sent |= {text.replace("x-prod", "argocd") for text in sent} | {text.replace("x-prod", "NAME") for text in sent}
    sent |= {text.replace("argocd", "sealed-secrets") for text in sent}
    quoted = itertools.chain.from_iterable(runbooks.seen(file) for file in runbooks.FILES)
    messages = {text for text in quoted if text.startswith(runbooks.RENDERED)}
    assert messages - sent == set()

"""A wait that cannot end says so at once; one that is slow goes on."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.clients import argocd
from gitops.clients.argocd import waits
from gitops.clients.kubernetes import Cluster
from gitops.ground.errors import NotHealthyError

OLD, NEW = "a" * 40, "b" * 40
DENIED = "deployments.apps is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' denied request: at image"
ELSEWHERE = (
    "application destination server 'x' and namespace 'x' do not match any of the allowed destinations in project 's'"
)
UNRENDERED = "rpc error: code = Unknown desc = `kustomize build overlays/x/prod` failed exit status 1: no file"


class Scripted(Cluster):
    """An API server that shows one status after the other, and the last one for ever."""

    def __init__(self, *statuses: dict[str, Any], services: dict[str, Any] | None = None) -> None:
        self.statuses = list(statuses)
        self.services = services
        # What its namespace has, by the resource.
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.patched: list[str] = []
        self.annotations: list[dict[str, str]] = []

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        if path != argocd.APPLICATIONS:
            return self.objects.get(path.rpartition("/")[2], [])
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        spec = {"project": "services", "destination": {"namespace": "x-prod"}}
        return [{"metadata": {"name": "x-prod"}, "spec": spec, "status": status}]

    def find(self, path: str, **query: str) -> dict[str, Any] | None:
        return self.services

    def patch(self, path: str, body: dict[str, Any], *, kind: str = "merge", **query: str) -> dict[str, Any]:
        self.patched.append(path)
        self.annotations.append(body["metadata"]["annotations"])
        return {}


def status(
    sync: str, revision: str, *, error: str = "", invalid: str = "", failed: str = "", synced: str = ""
) -> dict[str, Any]:
    resources = [{"kind": "Deployment", "name": "web", "status": "SyncFailed", "message": failed}] if failed else []
    return {
        "sync": {"status": sync, "revision": revision},
        "health": {"status": "Healthy"},
        "conditions": [
            {"type": kind, "message": message}
            for kind, message in (("ComparisonError", error), ("InvalidSpecError", invalid))
            if message
        ],
        "operationState": {"phase": "Running", "syncResult": {"revision": synced or revision, "resources": resources}},
    }


def with_operation(item: dict[str, Any], **operation: Any) -> dict[str, Any]:
    return {**item, "operationState": {**item["operationState"], **operation}}


def with_health(item: dict[str, Any], health: str, *resources: dict[str, Any]) -> dict[str, Any]:
    return {**item, "health": {"status": health}, "resources": list(resources)}


GOOD = status("Synced", NEW)
APPLY_FAILED = {"message": "one or more objects failed to apply, reason: quota"}


@pytest.mark.parametrize(
    "refused",
    [
        status("Unknown", NEW, error=DENIED),
        status("Unknown", "refs/heads/main", error=UNRENDERED),
        status("OutOfSync", NEW, failed=DENIED),
        status("Unknown", OLD, invalid=ELSEWHERE),
        status("Unknown", OLD, invalid="application repo https://x/y is not permitted in project 's'"),
        status("OutOfSync", NEW, failed="resource batch:Job is not permitted in project services"),
        status("OutOfSync", NEW, failed='Service "x" is invalid: spec.ports[0].port: Invalid value: 70000'),
        # Of an older commit; asked to look again it says the same of the newest.
        status("Unknown", OLD, error=DENIED),
        with_operation(status("OutOfSync", NEW), phase="Failed", message="not permitted"),
        with_operation(status("OutOfSync", NEW), retryCount=4, message="could not build it"),
    ],
)
def test_a_refusal_ends_the_wait_with_its_reason(refused: dict[str, Any]) -> None:
    with pytest.raises(NotHealthyError, match=r"refused(.|\n)*x-prod: .*(denied|build|permitted|invalid|allowed)"):
        argocd.wait_for(Scripted(refused), ["x-prod"], seconds=30, revision=NEW)


@pytest.mark.parametrize(
    "slow",
    [
        status("Unknown", OLD, error=DENIED),
        status("OutOfSync", NEW, failed=DENIED, synced=OLD),
        status("Unknown", "refs/heads/main", error=UNRENDERED),
        status("Unknown", NEW, error="rpc error: code = Unavailable desc = connection refused"),
        status("OutOfSync", NEW, failed='pods "x" is forbidden: exceeded quota: pods'),
        status("OutOfSync", NEW, failed="the server could not find the requested resource"),
        status("OutOfSync", NEW),
        status("Unknown", OLD, invalid=ELSEWHERE),
        status("Unknown", NEW, invalid="Application referencing project s which does not exist"),
        status("Unknown", NEW, invalid='there are no clusters with this name: "x"'),
        with_operation(status("OutOfSync", OLD), phase="Failed", **APPLY_FAILED),
        with_operation(status("OutOfSync", NEW), retryCount=3, **APPLY_FAILED),
        with_operation(status("OutOfSync", NEW, synced=OLD), retryCount=9, **APPLY_FAILED),
    ],
)
def test_what_may_still_end_is_waited_for(slow: dict[str, Any]) -> None:
    assert argocd.wait_for(Scripted(slow, GOOD), ["x-prod"], seconds=30, revision=NEW) < 30


def test_a_refusal_without_a_commit_is_asked_about_again() -> None:
    cluster = Scripted(status("Unknown", "refs/heads/main", error=UNRENDERED), GOOD)
    argocd.wait_for(cluster, ["x-prod"], seconds=30, revision=NEW)
    assert cluster.patched == [f"{argocd.APPLICATIONS}/x-prod"]


def test_an_application_set_that_contradicts_itself_ends_the_wait() -> None:
    error = {"type": "ErrorOccurred", "status": "True", "reason": "ApplicationValidationError", "message": "duplicate"}
    services = {"metadata": {}, "status": {"conditions": [error]}}
    with pytest.raises(NotHealthyError, match="ApplicationSet services: duplicate"):
        argocd.wait_for(Scripted(status("Synced", OLD), services=services), ["x-prod"], seconds=30, revision=NEW)


def test_an_application_set_with_an_error_that_passes_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cache had no project yet when it was made: by itself it tries again after three minutes."""
    monkeypatch.setattr(waits, "_SET_PAUSE", 0.0)
    message = 'error getting project services: AppProject.argoproj.io "services" not found'
    reason = "ApplicationParamsGenerationError"
    error = {"type": "ErrorOccurred", "status": "True", "reason": reason, "message": message}
    services = {"metadata": {}, "status": {"conditions": [error]}}
    late = status("OutOfSync", OLD)
    cluster = Scripted(late, late, GOOD, services=services)
    argocd.wait_for(cluster, ["x-prod"], seconds=30, revision=NEW)
    assert cluster.patched == [argocd.SERVICES, argocd.SERVICES]


def test_what_older_projects_and_policies_refused_is_tried_again_first() -> None:
    early = status("OutOfSync", NEW, failed=DENIED)
    again = {**early, "operationState": {**early["operationState"], "retryCount": 1}}
    root = argocd.AppStatus("root", "platform", "OutOfSync", "Healthy", OLD, "")
    service = argocd.applications(Scripted(early))[0]
    refusals = waits._Refusals(Scripted(early), NEW)
    refusals.check([root, service])
    refusals.check([service])
    with pytest.raises(NotHealthyError, match="denied"):
        refusals.check(argocd.applications(Scripted(again)))


def test_what_does_not_come_to_the_commit_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argo CD tells nothing of a render that failed the first time; a hard refresh is answered at once."""
    monkeypatch.setattr(waits, "_PATIENCE", 0.0)
    silent, told = status("Synced", OLD), status("Unknown", "refs/heads/main", error=UNRENDERED)
    cluster = Scripted(silent, silent, silent, told)
    with pytest.raises(NotHealthyError, match=r"refused(.|\n)*x-prod: .*kustomize build"):
        argocd.wait_for(cluster, ["x-prod"], seconds=30, revision=NEW)
    assert cluster.annotations == [{"argocd.argoproj.io/refresh": "hard"}]


def test_nothing_is_asked_of_what_comes_in_time() -> None:
    cluster = Scripted(status("Synced", OLD), GOOD)
    argocd.wait_for(cluster, ["x-prod"], seconds=30, revision=NEW)
    assert cluster.annotations == []


WAITING = {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}
MISSING = {
    "metadata": {"name": "web-1"},
    "status": {"containerStatuses": [{"name": "app", "state": {"waiting": WAITING}}]},
}
PROGRESSING = with_health(GOOD, "Progressing")
UNOPENED = {"kind": "SealedSecret", "name": "s", "health": {"status": "Degraded", "message": "no key could decrypt"}}
SCALES = {"kind": "HorizontalPodAutoscaler", "name": "web", "health": {"status": "Degraded", "message": "no metrics"}}
FULL = {
    "metadata": {"name": "web"},
    "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: tenant"}]},
}
NO_TARGET = {"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": 'scale "shop" not found'}
OF_NOTHING = {"metadata": {"name": "web"}, "status": {"conditions": [NO_TARGET]}}
AWAY = status("Unknown", OLD, error="rpc error: repository not found")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be said for a while is said for long enough at the second look."""
    for name in ("_LOOK", "_LASTS", "_MINUTE_LASTS"):
        monkeypatch.setattr(waits, name, 0.0)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("stays", "objects", "reason"),
    [
        (PROGRESSING, {"pods": [MISSING]}, 'pod web-1: app: CreateContainerConfigError: secret "s" not found'),
        (PROGRESSING, {"deployments": [FULL]}, "Deployment web: exceeded quota"),
        (
            PROGRESSING,
            {"horizontalpodautoscalers": [OF_NOTHING]},
            'HorizontalPodAutoscaler web: scale "shop" not found',
        ),
        (with_health(GOOD, "Degraded", UNOPENED), {}, "SealedSecret s: no key could decrypt"),
        (AWAY, {}, "repository not found"),
    ],
    ids=[
        "a Secret that is not there",
        "a quota that is full",
        "an autoscaler of nothing",
        "a seal that nothing opens",
        "nothing to compare with",
    ],
)
def test_what_only_a_change_ends_is_not_waited_for(
    stays: dict[str, Any], objects: dict[str, list[dict[str, Any]]], reason: str
) -> None:
    cluster = Scripted(stays)
    cluster.objects = objects
    with pytest.raises(NotHealthyError, match=r"waiting does not help(.|\n)*x-prod: ") as stopped:
        argocd.wait_for(cluster, ["x-prod"], seconds=30, revision=NEW)
    assert reason in str(stopped.value)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("passing", "pods"),
    [
        # Pods of what ran before.
        (with_health(status("Synced", OLD), "Progressing"), [MISSING]),
        (with_health(status("OutOfSync", NEW), "Progressing"), [MISSING]),
        (with_health(GOOD, "Degraded", SCALES), []),
        (PROGRESSING, [{**MISSING, "metadata": {"name": "web-1", "deletionTimestamp": "2026-01-01T00:00:00Z"}}]),
    ],
    ids=["another commit", "not applied yet", "an autoscaler without metrics", "a pod that goes"],
)
def test_what_passes_is_waited_for(passing: dict[str, Any], pods: list[dict[str, Any]]) -> None:
    cluster = Scripted(passing, passing, passing, GOOD)
    cluster.objects["pods"] = pods
    assert argocd.wait_for(cluster, ["x-prod"], seconds=30, revision=NEW) < 30


def test_what_many_objects_say_is_said_once_with_their_number() -> None:
    missing = [{"kind": "NetworkPolicy", "name": f"p{n}", "health": {"status": "Missing"}} for n in range(16)]
    [half_up] = argocd.applications(Scripted(with_health(status("OutOfSync", NEW), "Missing", UNOPENED, *missing)))
    assert half_up.message == "SealedSecret s: no key could decrypt; NetworkPolicy p0 and 15 more: Missing"


def test_what_is_not_as_git_has_it_is_named_where_nothing_else_is_told() -> None:
    changed = [{"kind": "Deployment", "name": name, "status": "OutOfSync"} for name in ("web", "cache")]
    same = {"kind": "Service", "name": "web", "status": "Synced"}
    [edited] = argocd.applications(Scripted(with_health(status("OutOfSync", NEW), "Healthy", same, *changed)))
    assert argocd.describe(edited) == "OutOfSync, Healthy: Deployment web and 1 more: not as git has it"


def test_a_reason_must_be_said_without_a_break() -> None:
    cluster = Scripted(PROGRESSING, PROGRESSING, GOOD)
    cluster.objects["pods"] = [MISSING]
    assert argocd.wait_for(cluster, ["x-prod"], seconds=30, revision=NEW) < 30


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("patience", [1.0, 0.0])
def test_without_a_commit_it_is_waited_for_where_all_may_only_be_starting(patience: float) -> None:
    """A push of another service waits for all; a cluster that is made needs its time."""
    cluster = Scripted(PROGRESSING)
    cluster.objects["pods"] = [MISSING]
    with pytest.raises(NotHealthyError, match="waiting does not help" if patience else "not Synced and Healthy within"):
        argocd.wait_for(cluster, ["x-prod"], seconds=0.5, patience=patience)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("name", ["root", "y-prod"])
def test_an_application_that_nobody_makes_is_not_waited_for(name: str) -> None:
    with pytest.raises(NotHealthyError, match=rf"waiting does not help(.|\n)*{name}: no such Application"):
        argocd.wait_for(Scripted(GOOD), ["x-prod", name], seconds=30, revision=NEW)


@pytest.mark.usefixtures("soon")
def test_what_the_root_has_not_made_yet_is_waited_for() -> None:
    root = argocd.AppStatus("root", "platform", "OutOfSync", "Healthy", OLD, "")
    waits._Stuck(Scripted(GOOD), NEW, 1.0).check([root], ["y-prod"])
    with pytest.raises(NotHealthyError, match="y-prod: no such Application, and nothing in apps/ makes it"):
        waits._Stuck(Scripted(GOOD), NEW, 1.0).check([], ["y-prod"])


@pytest.mark.usefixtures("soon")
def test_what_argo_cd_could_not_compare_before_is_asked_for_again() -> None:
    """Its cause may be over, and by itself Argo CD looks after minutes."""
    cluster = Scripted(AWAY, GOOD)
    argocd.wait_for(cluster, ["x-prod"], seconds=30, patience=1.0)
    assert cluster.annotations == [{"argocd.argoproj.io/refresh": "normal"}]
    with pytest.raises(NotHealthyError, match=r"waiting does not help(.|\n)*repository not found"):
        argocd.wait_for(Scripted(AWAY), ["x-prod"], seconds=30, patience=1.0)

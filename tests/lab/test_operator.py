"""An operator at night: something is broken, and the runbook's own commands, as written, name it and mend it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from gitops.lab.bootstrap import missing_nodes
from tests.conftest import commit_all
from tests.lab.operating import MENDED, NAMED, Breakage, Operator, break_overlays, patch, told, until_named
from tests.lab.running import Running
from tests.lab.test_drills import OVER, Slack
from tests.lab.test_lab import until

pytestmark = [pytest.mark.lab, pytest.mark.matrix]

# Seconds until what is a fault only once it has lasted a minute is named.
MINUTES = 180.0
_NO_ROOM = patch("ResourceQuota", '{op: replace, path: /spec/hard/pods, value: "0"}')
_ROLLOUT = patch("Deployment", "{op: add, path: /spec/template/spec/terminationGracePeriodSeconds, value: 61}")
_PORT = patch("Service", "{op: replace, path: /spec/ports/0/port, value: 70000}")
_NOWHERE = patch("Deployment", "{op: add, path: /spec/template/spec/nodeSelector, value: {kubernetes.io/arch: s390x}}")
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: extra}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: "ghcr.io/ft-platform/app:1"}]}}}
"""
BREAKAGES = (
    Breakage("jobs-bot-prod", "resources:\n", "resources:\n  - gone.yaml\n", "gone.yaml"),
    Breakage("benefit-staging", "newName: ", "newName: registry.example.com/", "is from another registry; allowed are"),
    Breakage("umbrella-prod", "patches:\n", f"patches:\n{_PORT}", "70000"),
    Breakage(
        "umbrella-staging", "resources:\n", "resources:\n  - extra.yaml\n", "is not permitted in project services"
    ),
    Breakage("benefit-prod", "patches:\n", f"patches:\n{_NO_ROOM}{_ROLLOUT}", "exceeded quota: tenant"),
    Breakage("mogle-prod", "patches:\n", f"patches:\n{_NOWHERE}", "Unschedulable: 0/9 nodes are available: "),
    Breakage("mogle-staging", "oauth-42-g1", "oauth-42-g9", 'secret "mogle-oauth-42-g9" not found', "oauth-42.yaml"),
)


def test_what_overlays_broke_is_named_at_once_and_reverted_by_the_runbook(operator: Operator) -> None:
    (operator.root / "overlays/umbrella/staging/extra.yaml").write_text(JOB)
    break_overlays(operator, BREAKAGES, "break seven")
    began = time.monotonic()
    pushed = operator.types("gitops lab push")
    stopped = time.monotonic() - began
    assert pushed.code == 1
    assert "refused, so that waiting does not help" in pushed.err
    assert stopped < NAMED, pushed.err
    until_named(operator, BREAKAGES)
    seconds = time.monotonic() - began
    log, reverted, again = operator.follows("application-not-healthy.md", "It does not render")
    assert "break seven" in log.out
    assert (reverted.code, again.code) == (0, 0), reverted.err + again.err
    whole = time.monotonic() - began
    print(
        f"seven overlays: push ended after {stopped:.0f} s, all named after {seconds:.0f} s, mended after {whole:.0f} s"
    )
    assert whole < NAMED + MENDED


PARTS = (
    "argocd-repo-server",
    "argocd-application-controller",
    "argocd-applicationset-controller",
    "argocd-notifications",
    "sealed-secrets",
    "metrics-server",
    "kwok",
)


@pytest.mark.parametrize("part", PARTS)
def test_a_dead_part_is_named_and_started_again_by_the_runbook(operator: Operator, part: str) -> None:
    operator.kill(part)
    began = time.monotonic()
    status, up = operator.follows("dead-part.md", "")
    assert status.code == 1
    assert f"{part} is dead; its log ends:" in status.err
    assert up.code == 0, up.err
    assert operator.types("gitops lab status").code == 0
    seconds = time.monotonic() - began
    print(f"{part}: named and mended after {seconds:.0f} s")
    assert seconds < MENDED


def test_an_autoscaler_that_nobody_measures_for_is_named_and_mended_by_the_runbook(operator: Operator) -> None:
    operator.kill("metrics-server")
    began = time.monotonic()
    until("it is named", lambda: "unable to get metrics" in told(operator), MINUTES)
    named = time.monotonic() - began
    measured, described = operator.follows("degraded.md", "An autoscaler", name="mogle-prod")
    assert measured.code == 1
    assert "FailedGetResourceMetric" in described.out
    [up] = operator.follows("degraded.md", "An autoscaler", 1)
    assert up.code == 0, up.err
    until("it is over", lambda: operator.types("gitops lab status").code == 0, MENDED)
    print(f"an autoscaler: named after {named:.0f} s, mended after {time.monotonic() - began:.0f} s")


# A run each minute, that waits for a Secret until its time is over.
FAILING = (
    ('"41 */6 * * *"', '"* * * * *"'),
    ("  jobTemplate:\n    spec:\n", "  jobTemplate:\n    spec:\n      activeDeadlineSeconds: 20\n"),
    ("{name: slack, key: token}", "{name: gone, key: token}"),
)


def test_runs_that_failed_are_told_once_and_mended_by_the_runbook(operator: Operator) -> None:
    slack, lab = Slack(operator.running), operator.running.lab
    file = operator.root / "overlays/oauth-watch/prod/cronjob.yaml"
    text = file.read_text()
    for old, new in FAILING:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    commit_all(lab.checkout, "runs that fail")
    assert operator.types("gitops lab push").code == 0
    began = time.monotonic()
    until("it is named", lambda: "CronJob cron: its last run, of" in told(operator), MINUTES)
    named = time.monotonic() - began
    jobs, described = operator.follows("degraded.md", "A CronJob", name="oauth-watch-prod")
    assert "Failed" in jobs.out
    assert "gone" in described.out
    first = failed_runs(operator)
    until("another failed as well", lambda: failed_runs(operator) - first, MINUTES)
    until("it is Degraded again", lambda: "CronJob cron: its last run, of" in told(operator), MINUTES)
    reverted, pushed = operator.follows("degraded.md", "By what the pods say")
    assert reverted.code == 0, reverted.err
    assert "its last run, of" in pushed.err
    until("Slack hears of it", lambda: slack.messages("oauth-watch-prod"), MINUTES)
    [message] = slack.messages("oauth-watch-prod")
    assert "its last run, of" in message["blocks"]
    [again] = operator.follows("degraded.md", "A CronJob", 1, name="oauth-watch-prod")
    assert again.code == 0, again.err
    until("it is over", lambda: operator.types("gitops lab status").code == 0, MENDED)
    until("Slack hears of its end", lambda: len(slack.messages("oauth-watch-prod")) > 1, 2 * MINUTES)
    assert OVER in slack.messages("oauth-watch-prod")[1]["text"]
    print(f"failed runs: named after {named:.0f} s, mended after {time.monotonic() - began:.0f} s")


def failed_runs(operator: Operator) -> set[str]:
    """The names of the Jobs that failed."""
    jobs = operator.running.cluster.get("/apis/batch/v1/namespaces/oauth-watch-prod/jobs")["items"]
    return {job["metadata"]["name"] for job in jobs if '"Failed"' in json.dumps(job["status"])}


def test_lost_nodes_are_named_and_brought_back_by_the_runbook(operator: Operator) -> None:
    running = operator.running
    for name in ("lab-a-1", "lab-a-2", "lab-b-1"):
        running.cluster.delete(f"/api/v1/nodes/{name}")
    began = time.monotonic()
    nodes, status = operator.follows("lost-nodes.md", "")
    assert "lab-a-1 " not in nodes.out
    assert "lab-c-1 " in nodes.out
    assert "3 nodes are missing: lab-a-1, lab-a-2, lab-b-1" in status.err
    [up] = operator.follows("lost-nodes.md", "", 1)
    assert up.code == 0, up.err
    assert missing_nodes(running.cluster, running.lab.settings().nodes_per_zone) == {}
    assert operator.types("gitops lab status").code == 0
    seconds = time.monotonic() - began
    print(f"lost nodes: mended after {seconds:.0f} s")
    assert seconds < MENDED


def test_exceptions_that_are_gone_come_back_by_themselves(operator: Operator) -> None:
    """docs/runbooks/refused.md: without them every change of every service is refused."""
    path = "/api/v1/namespaces/kube-system/configmaps/policy-exceptions"
    operator.running.cluster.delete(path)
    until("they are back", lambda: operator.running.cluster.find(path) is not None, MENDED)


UNPINNED = "umbrella-staging"


def test_the_end_of_an_exception_lets_the_old_pods_go(operator: Operator) -> None:
    """With the real controllers: what an exception let in shrinks to nothing, and pods that keep the policy come."""
    running = operator.running
    checkout, overlay = running.lab.checkout, operator.root / "overlays/umbrella/staging/kustomization.yaml"
    pinned = overlay.read_text()
    name = f"image-digest.{UNPINNED}.Deployment.web.yaml"
    exception, listed = (operator.root / "policies/exceptions" / file for file in (name, "kustomization.yaml"))
    before = listed.read_text()
    exception.write_text("reason: the registry has no digests\nowner: umbrella\nuntil: 2999-01-01\n")
    listed.write_text(before.replace("files: []", f"files: [{name}]"))
    commit_all(checkout, "an exception")
    assert operator.types("gitops lab push").code == 0
    overlay.write_text("".join(line for line in pinned.splitlines(True) if "digest: sha256:" not in line))
    commit_all(checkout, "an image without a digest")
    assert operator.types("gitops lab push").code == 0
    [(old, unpinned)] = replica_sets(running).items()
    assert "@sha256:" not in str(unpinned["spec"]["template"])
    exception.unlink()
    listed.write_text(before)
    commit_all(checkout, "the exception ends")
    assert operator.types("gitops lab push").code == 0
    overlay.write_text(pinned)
    commit_all(checkout, "the digest")
    began = time.monotonic()
    pushed = operator.types("gitops lab push")
    assert pushed.code == 0, pushed.err
    until("the old pods are gone", lambda: old not in replica_sets(running), MENDED)
    [new] = replica_sets(running).values()
    assert "@sha256:" in str(new["spec"]["template"])
    print(f"an exception ended: all pods replaced after {time.monotonic() - began:.0f} s")


def replica_sets(running: Running) -> dict[str, Any]:
    """Those that shall have pods, or have some."""
    sets = running.cluster.items(f"/apis/apps/v1/namespaces/{UNPINNED}/replicasets")
    return {item["metadata"]["name"]: item for item in sets if item["spec"]["replicas"] or item["status"]["replicas"]}

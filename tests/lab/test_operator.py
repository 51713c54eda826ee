"""An operator at night: something is broken, and the runbook's own commands, as written, name it and mend it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from git import Repo

from gitops.lab import process
from gitops.lab.bootstrap import missing_nodes
from tests import runbooks
from tests.conftest import GITOPS, Ran, commit_all, gitops
from tests.lab.running import Running
from tests.lab.test_drills import OVER, Slack
from tests.lab.test_lab import until

pytestmark = [pytest.mark.lab, pytest.mark.matrix]

# Seconds until the cause is named, and until all is well after the first command that mends it.
NAMED, MENDED = 120.0, 180.0
# And for what is a fault only once it has lasted a minute.
MINUTES = 180.0


class Operator:
    """A person in the lab's checkout, with a terminal as the runbooks have it."""

    def __init__(self, running: Running) -> None:
        self.running, self.root = running, running.lab.checkout.root
        who = {f"GIT_{role}_NAME": "test" for role in ("AUTHOR", "COMMITTER")}
        who |= {f"GIT_{role}_EMAIL": "test@example.com" for role in ("AUTHOR", "COMMITTER")}
        path = f"{GITOPS.parent}:{running.lab.checkout.tools / 'bin'}:{os.environ['PATH']}"
        self.env = {**os.environ, **who, "PATH": path}
        self.env |= {"GITOPS_LAB_NAME": running.lab.name, "KUBECONFIG": str(running.lab.kubeconfig)}

    def types(self, line: str, *, name: str = "") -> Ran:
        """One line of a runbook; `name` stands for its NAME."""
        argv = ["bash", "-c", line.replace("NAME", name or "NAME")]
        done = subprocess.run(argv, cwd=self.root, env=self.env, capture_output=True, text=True, timeout=400)
        return Ran(done.returncode, done.stdout, done.stderr)

    def follows(self, file: str, section: str, block: int = 0, *, name: str = "") -> list[Ran]:
        """All lines of one block of a section's commands."""
        return [self.types(line, name=name) for line in runbooks.commands(file, section, block)]

    def kill(self, part: str) -> None:
        """End a part of the lab, and all that belongs to it."""
        for victim in process.running(self.running.lab)[part]:
            victim.kill()
        until(f"{part} ended", lambda: part not in process.running(self.running.lab))


@pytest.fixture
def operator(running: Running) -> Iterator[Operator]:
    """The lab runs what the checkout has, before and after."""
    first = gitops(running.lab.checkout, "lab", "push", "--name", running.lab.name, timeout=400)
    assert first.code == 0, first.err
    yield Operator(running)
    with Repo(running.work) as repo:
        repo.git.fetch("origin")
        repo.git.reset("--hard", "origin/main")


@dataclass(frozen=True)
class Breakage:
    """An edit of an overlay, and what of the reason must be named, whole."""

    application: str
    old: str
    new: str
    reason: str
    file: str = "kustomization.yaml"


def patch(kind: str, *operations: str) -> str:
    """A patch of the first of a kind, before the other patches."""
    lines = "".join(f"      - {operation}\n" for operation in operations)
    return f"  - target: {{kind: {kind}}}\n    patch: |\n{lines}"


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
    for breakage in BREAKAGES:
        service, _, environment = breakage.application.rpartition("-")
        file = operator.root / "overlays" / service / environment / breakage.file
        text = file.read_text()
        assert breakage.old in text
        file.write_text(text.replace(breakage.old, breakage.new, 1))
    (operator.root / "overlays/umbrella/staging/extra.yaml").write_text(JOB)
    commit_all(operator.running.lab.checkout, "break seven")
    began = time.monotonic()
    pushed = operator.types("gitops lab push")
    stopped = time.monotonic() - began
    assert pushed.code == 1
    assert "refused, so that waiting does not help" in pushed.err
    assert stopped < NAMED, pushed.err

    def named() -> bool:
        [status] = operator.follows("application-not-healthy.md", "Which ones, and why")
        said = " ".join(status.out.split())  # a cell may be wrapped
        return status.code == 1 and all(breakage.reason in said for breakage in BREAKAGES)

    until("each cause is named", named, NAMED)
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


def told(operator: Operator) -> str:
    """What the lab's status says, as one line: a cell may be wrapped."""
    return " ".join(operator.types("gitops lab status").out.split())


def test_lost_nodes_are_named_and_brought_back_by_the_runbook(operator: Operator) -> None:
    running = operator.running
    for name in ("lab-a-1", "lab-a-2", "lab-b-1"):
        running.cluster.delete(f"/api/v1/nodes/{name}")
    began = time.monotonic()
    nodes, _ = operator.follows("lost-nodes.md", "")
    assert "lab-a-1 " not in nodes.out
    assert "lab-c-1 " in nodes.out
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

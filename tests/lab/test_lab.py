"""The platform on real components. One lab for the whole run; each test leaves every Application Healthy."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster, ClusterError, apply
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError
from gitops.ground.errors import NotHealthyError
from gitops.lab import lab as labs
from gitops.lab import process
from gitops.lab.bootstrap import START_UP_MS
from gitops.lab.layout import DOORS, Lab
from gitops.lab.parts import PARTS
from gitops.manifests import kustomize
from tests.conftest import GITOPS, gitops
from tests.frozen import platform
from tests.lab.running import Running
from tests.zones import TOLERATION_SECONDS, is_ready, living_pods, lose_zone

pytestmark = pytest.mark.lab

PUSH_SECONDS = 60.0  # far below the poll's 180 s, so the webhook did it; `make bench` holds it to 15 s
MEMORY = 4e9


def until(what: str, check: Any, seconds: float = 60) -> float:
    return process.wait_until(what, check, seconds=seconds)


def pods(running: Running, namespace: str) -> list[dict[str, Any]]:
    return living_pods(running.cluster, namespace)


def test_every_application_is_synced_and_healthy(running: Running) -> None:
    apps = argocd.applications(running.cluster)
    assert len(apps) == 18
    assert [app.name for app in apps if not app.good] == []
    assert {app.project for app in apps} == {"add-ons", "platform", "services", "waves"}
    status = gitops(running.lab.checkout, "lab", "status", "--name", "test", "--output", "json")
    assert status.code == 0, status.err
    facts = json.loads(status.out)
    print(f"lab: memory={facts['memory_bytes'] / 2**20:.0f} MiB")
    assert facts["memory_bytes"] < MEMORY
    assert all(part["alive"] for part in facts["parts"])


def test_a_second_up_changes_nothing(running: Running) -> None:
    before = {part.name: part.pid for part in labs.status(running.lab)}
    again = gitops(running.lab.checkout, "lab", "up", "--name", "test")
    assert again.code == 0, again.err
    assert "is already up" in again.out
    assert {part.name: part.pid for part in labs.status(running.lab)} == before


def network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def test_everything_runs_in_the_labs_own_network(running: Running) -> None:
    groups = process.running(running.lab)
    inside = network_of(groups["network"][0].pid)
    assert inside != network_of(os.getpid())
    assert set(groups) == set(PARTS)
    for part, group in groups.items():
        assert {network_of(member.pid) for member in group} == {inside}, part
    # What the machine's own network has of it: the doors.
    members = {member.pid for member in itertools.chain.from_iterable(groups.values())}
    listening = [one for one in psutil.net_connections("tcp") if one.pid in members and one.status == "LISTEN"]
    ports = running.lab.settings().ports
    assert sorted(one.laddr for one in listening) == sorted(("127.0.0.1", ports[door]) for door in DOORS)
    sockets = Path(f"/proc/{groups['network'][0].pid}/net/unix").read_text().splitlines()[1:]
    names = {line.split()[-1] for line in sockets if len(line.split()) > 7}
    assert {name for name in names if name.startswith("/")} == set(), "a fixed path would be shared by all labs"
    assert names >= {"argocd/ask-pass.sock", "redis.sock"}


def test_a_push_is_synced_and_healthy_within_seconds(running: Running) -> None:
    running.edit("umbrella-staging", "labels:\n", "commonAnnotations: {example.com/push: one}\nlabels:\n")
    took = running.wait("umbrella-staging", revision=running.push())
    print(f"push to Synced and Healthy: {took:.1f} s")
    assert took < PUSH_SECONDS
    [deployment] = running.cluster.items("/apis/apps/v1/namespaces/umbrella-staging/deployments")
    assert deployment["metadata"]["annotations"]["example.com/push"] == "one"
    # The bases were not touched: no other service was rendered again for it.
    assert running.app("benefit-prod").revision != running.app("umbrella-staging").revision


def test_a_manual_change_is_healed(running: Running) -> None:
    path = "/apis/apps/v1/namespaces/mogle-staging/deployments/web"
    image = running.cluster.get(path)["spec"]["template"]["spec"]["containers"][0]["image"]
    # One that the policies take; what they refuse nobody can do by hand either.
    container = {"name": "app", "image": f"ghcr.io/ft-platform/by-hand:1@sha256:{'b' * 64}"}
    running.cluster.patch(path, {"spec": {"template": {"spec": {"containers": [container]}}}}, kind="strategic")
    until("healed", lambda: running.cluster.get(path)["spec"]["template"]["spec"]["containers"][0]["image"] == image)
    running.wait("mogle-staging")


def test_a_deleted_file_is_pruned(running: Running) -> None:
    path = "/api/v1/namespaces/benefit-staging/configmaps/extra"
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}, "data": {"a": "b"}}
    (running.overlay("benefit-staging") / "extra.yaml").write_text(yaml.safe_dump(extra))
    running.edit("benefit-staging", "resources:\n", "resources:\n  - extra.yaml\n")
    running.wait("benefit-staging", revision=running.push())
    assert running.cluster.find(path)
    (running.overlay("benefit-staging") / "extra.yaml").unlink()
    running.edit("benefit-staging", "  - extra.yaml\n", "")
    running.wait("benefit-staging", revision=running.push())
    assert running.cluster.find(path) is None


def test_a_broken_overlay_breaks_no_other_service_is_named_and_reverts(running: Running) -> None:
    hostile = "missing.yaml <!channel> :tada: *bold*"
    running.edit("jobs-bot-prod", "resources:\n", f"resources:\n  - '{hostile}'\n")
    running.edit("notice-bot-prod", "labels:\n", "commonAnnotations: {example.com/push: other}\nlabels:\n")
    revision = running.push("break jobs-bot")
    running.wait("notice-bot-prod", revision=revision)
    until("jobs-bot named", lambda: "missing.yaml" in running.app("jobs-bot-prod").message)
    assert len([pod for pod in pods(running, "jobs-bot-prod") if is_ready(pod)]) == 1, "what ran must go on running"
    status = gitops(running.lab.checkout, "lab", "status", "--name", "test")
    assert status.code == 1
    assert "jobs-bot-prod: Unknown" in status.err
    slack = running.lab.slack_file
    until("Slack told", lambda: slack.exists() and "missing.yaml" in slack.read_text())
    told = [json.loads(line) for line in slack.read_text().splitlines() if "missing.yaml" in line]
    assert told[0]["text"].startswith(":x: jobs-bot-prod does not render")
    texts = [block["text"] for block in json.loads(told[0]["blocks"])]
    # What kustomize said is plain text alone.
    assert [text["type"] for text in texts if hostile in text["text"]] == ["plain_text"]
    assert [text["type"] for text in texts] == ["mrkdwn", "plain_text", "mrkdwn"]
    assert "channel>" not in told[0]["text"]
    assert told[0]["unfurl_links"] == "false"
    subprocess.run(["git", "revert", "--no-edit", "HEAD"], cwd=running.work, check=True, capture_output=True, env={
        **os.environ, "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "t@example.com",
        "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "t@example.com",
    })  # fmt: skip
    running.wait("jobs-bot-prod", "notice-bot-prod", revision=running.push("revert"))


def test_a_charts_name_beside_a_kustomization_makes_no_chart_of_it(running: Running) -> None:
    """The gate refuses it before. Argo CD's discovery takes the last file of both for what the folder is."""
    chart = running.overlay("mogle-staging") / "zChart.yaml"
    chart.write_text("apiVersion: v2\nname: evil\nversion: 1.0.0\n")
    running.wait("mogle-staging", revision=running.push())
    application = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/mogle-staging"
    assert running.cluster.get(application)["status"]["sourceType"] == "Kustomize"
    chart.unlink()
    running.wait("mogle-staging", revision=running.push())


def test_a_pod_waits_for_a_secret_that_is_missing(running: Running) -> None:
    running.edit("mogle-staging", "resources:\n", "# no seal\nresources:\n")
    running.edit("mogle-staging", "secret: mogle-oauth-42-g1", "secret: mogle-oauth-42-g9", file="oauth-42.yaml")
    running.push("name a Secret that does not exist")

    def waiting() -> bool:
        statuses = str([pod.get("status") for pod in pods(running, "mogle-staging")])
        return 'secret "mogle-oauth-42-g9" not found' in statuses

    until("a pod names what it misses", waiting)
    serving = [pod for pod in pods(running, "mogle-staging") if is_ready(pod)]
    assert len(serving) >= 2, "maxUnavailable 0: the old pods serve"
    running.edit("mogle-staging", "secret: mogle-oauth-42-g9", "secret: mogle-oauth-42-g1", file="oauth-42.yaml")
    running.wait("mogle-staging", revision=running.push("name the one that does"))


JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: extra}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: "ghcr.io/ft-platform/app:1"}]}}}
"""


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (("newName: ", "newName: registry.example.com/"), "image-registry"),
        (("resources:\n", "resources:\n  - missing.yaml\n"), "missing.yaml"),
        (("resources:\n", "resources:\n  - extra.yaml\n"), "Job is not permitted in project services"),
    ],
    ids=["an image that the policies refuse", "a folder that does not render", "a kind that the project refuses"],
)
def test_a_wait_for_what_is_refused_ends_at_once(running: Running, edit: tuple[str, str], reason: str) -> None:
    (running.overlay("umbrella-staging") / "extra.yaml").write_text(JOB)
    running.edit("umbrella-staging", *edit)
    revision = running.push(reason)
    began = time.monotonic()
    try:
        with pytest.raises(NotHealthyError) as refused:
            running.wait("umbrella-staging", revision=revision, seconds=300)
        assert "umbrella-staging: " in str(refused.value)
        assert reason in str(refused.value)
        # Without it the wait would last its 300 s: Argo CD tries a refused sync again for minutes.
        assert time.monotonic() - began < 60
    finally:
        running.edit("umbrella-staging", edit[1], edit[0])
        (running.overlay("umbrella-staging") / "extra.yaml").unlink()
        # What the old commit was refused for does not end the wait for the new one.
        running.wait("umbrella-staging", revision=running.push("revert"))


def overlays() -> list[str]:
    files = platform().overlays.glob("*/*/kustomization.yaml")
    return sorted(f"{file.parent.parent.name}-{file.parent.name}" for file in files)


@pytest.mark.parametrize("name", overlays())
def test_every_overlay_passes_the_api_server_and_pod_security(running: Running, name: str) -> None:
    rendered = kustomize.build(Checkout(running.work), running.overlay(name), tools=running.lab.checkout)
    kubectl = running.lab.checkout.tool("kubectl")
    apply(kubectl, running.lab.kubeconfig, rendered, dry_run=True)
    for item in rendered:
        if item["kind"] in ("Deployment", "CronJob"):
            template = item["spec"].get("jobTemplate", item)["spec"]["template"]
            meta = {"name": "dry-run", "namespace": name, "labels": template["metadata"]["labels"]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
            apply(kubectl, running.lab.kubeconfig, [pod], dry_run=True)


def test_the_same_dry_run_refuses_what_is_not_restricted(running: Running) -> None:
    [deployment] = running.cluster.items("/apis/apps/v1/namespaces/mogle-prod/deployments")
    spec = deployment["spec"]["template"]["spec"]
    spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dry-run"}, "spec": spec}
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        running.cluster.create("/api/v1/namespaces/mogle-prod/pods", pod, dryRun="All")
    # Of a Deployment Pod Security only warns.
    meta = {"name": "dry-run", "namespace": "mogle-prod"}
    labels = {"matchLabels": {"a": "b"}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    warned = {"selector": labels, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": warned}
    with pytest.raises(CommandError, match="would violate PodSecurity"):
        apply(running.lab.checkout.tool("kubectl"), running.lab.kubeconfig, [body], dry_run=True)
    typo = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "mogle-prod"}, "dat": {}}
    with pytest.raises(CommandError, match="dat"):
        apply(running.lab.checkout.tool("kubectl"), running.lab.kubeconfig, [typo], dry_run=True)


def test_pods_are_replaced_and_policies_hold_without_any_configmap_of_argo_cd(running: Running) -> None:
    path = "/api/v1/namespaces/argocd/configmaps"
    kept = [item for item in running.cluster.items(path) if item["metadata"]["name"].startswith("argocd")]
    before = {pod["metadata"]["name"] for pod in pods(running, "jobs-bot-prod")}
    try:
        for item in running.cluster.items(path):
            running.cluster.delete(f"{path}/{item['metadata']['name']}")
        for name in before:
            running.cluster.delete(f"/api/v1/namespaces/jobs-bot-prod/pods/{name}")

        def replaced() -> bool:
            new = [pod for pod in pods(running, "jobs-bot-prod") if pod["metadata"]["name"] not in before]
            return len(new) == len(before) and all(map(is_ready, new))

        until("the pods are replaced", replaced)
        [deployment] = running.cluster.items("/apis/apps/v1/namespaces/jobs-bot-prod/deployments")
        container = {"name": "app", "image": "ghcr.io/ft-platform/app:1.0"}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        address = f"/apis/apps/v1/namespaces/jobs-bot-prod/deployments/{deployment['metadata']['name']}"
        with pytest.raises(ClusterError, match="image-digest"):
            running.cluster.patch(address, patch, kind="strategic")
    finally:
        # Argo CD may have healed some of them itself.
        bodies = []
        for item in kept:
            meta = {key: value for key, value in item["metadata"].items() if key in ("name", "namespace", "labels")}
            bodies.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": item.get("data") or {}})
        apply(running.lab.checkout.tool("kubectl"), running.lab.kubeconfig, bodies)
    # What it could not compare meanwhile it would try again after minutes.
    names = ["root", *overlays()]
    for name in names:
        annotations = {"argocd.argoproj.io/refresh": "hard"}
        running.cluster.patch(f"{argocd.APPLICATIONS}/{name}", {"metadata": {"annotations": annotations}})
    running.wait(*names, seconds=180)


def test_a_service_in_demand_gets_more_pods(running: Running) -> None:
    name = "evaluation-metrics-staging"
    autoscaler = f"/apis/autoscaling/v2/namespaces/{name}/horizontalpodautoscalers/web"
    least = running.cluster.get(autoscaler)["spec"]["minReplicas"]
    assert len(pods(running, name)) == least
    for pod in pods(running, name):
        busy = {"metadata": {"annotations": {"kwok.x-k8s.io/usage-cpu": "500m"}}}
        running.cluster.patch(f"/api/v1/namespaces/{name}/pods/{pod['metadata']['name']}", busy)
    took = until("more pods are ready", lambda: sum(map(is_ready, pods(running, name))) > least, seconds=90)
    print(f"ten times the use to more ready pods: {took:.1f} s")
    # Argo CD does not fight over replicas: git has none.
    running.wait(name)
    assert len(pods(running, name)) > least


def test_another_lab_runs_beside_it(running: Running) -> None:
    """Its first Application suffices: that all turn Healthy is what `running` has shown."""
    second = Lab(running.lab.checkout, "other")
    up = subprocess.Popen([str(GITOPS), "lab", "up", "--name", "other"], cwd=running.lab.checkout.root)
    try:
        until("its root Application is Synced", lambda: other_root(second), seconds=120)
        assert set(process.running(second)) == set(process.running(running.lab)) == set(PARTS)
    finally:
        up.kill()
        up.wait()
        assert gitops(running.lab.checkout, "lab", "down", "--name", "other").code == 0
    assert process.running(second) == {}
    running.wait("root", *overlays())


def other_root(lab: Lab) -> bool:
    if "kube-controller-manager" not in process.running(lab):
        return False
    try:
        applications = argocd.applications(Cluster(lab.kubeconfig))
    except (ClusterError, OSError):
        return False
    return any(app.name == "root" and app.sync == "Synced" for app in applications)


def test_a_drained_node_moves_its_pods_and_keeps_the_budgets(running: Running) -> None:
    node = pods(running, "benefit-prod")[0]["spec"]["nodeName"]
    least = {"ready": 99}
    kubectl = [str(running.lab.checkout.tool("kubectl")), "--kubeconfig", str(running.lab.kubeconfig)]
    flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s"]
    drain = subprocess.Popen([*kubectl, "drain", node, *flags], stderr=subprocess.PIPE)
    try:
        while drain.poll() is None:
            least["ready"] = min(least["ready"], sum(is_ready(pod) for pod in pods(running, "benefit-prod")))
            time.sleep(0.1)
        assert drain.returncode == 0, drain.stderr.read() if drain.stderr else ""
        assert least["ready"] >= 2, "the budget allows one of three to be away"
        on_node = running.cluster.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")
        assert [pod for pod in on_node if "deletionTimestamp" not in pod["metadata"]] == []
        until("moved", lambda: sum(is_ready(pod) for pod in pods(running, "benefit-prod")) >= 3)
    finally:
        running.cluster.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": None}})
    running.wait(*overlays())


def test_a_lost_zones_pods_run_elsewhere_within_the_tolerations(running: Running) -> None:
    with lose_zone(running.cluster, "mogle-prod") as lost:
        print(f"lost zone: {lost.seconds:.1f} s after it was noticed as many pods were ready elsewhere")
        # The tolerations, a pod's start, and what eviction and scheduling take on 2 busy cores.
        assert lost.seconds < TOLERATION_SECONDS + START_UP_MS / 1000 + 10
    running.wait(*overlays())
    # Without an address metrics-server would ask them no more, and their next pods would have no metrics.
    for node in lost.nodes:
        addresses = running.cluster.get(f"/api/v1/nodes/{node}")["status"]["addresses"]
        assert {"type": "InternalIP", "address": "127.0.0.1"} in addresses


def test_a_dead_part_is_named_with_its_log_and_up_starts_it_again(running: Running) -> None:
    [server, *_] = process.running(running.lab)["argocd-server"]
    server.send_signal(signal.SIGKILL)
    until("dead", lambda: "argocd-server" not in process.running(running.lab))
    status = gitops(running.lab.checkout, "lab", "status", "--name", "test")
    assert status.code == 1
    assert "argocd-server is dead; its log" in status.err
    assert "gitops lab up" in status.err
    assert gitops(running.lab.checkout, "lab", "up", "--name", "test").code == 0
    assert "argocd-server" in process.running(running.lab)


def test_down_leaves_no_process_and_up_resumes(running: Running) -> None:
    done = gitops(running.lab.checkout, "lab", "down", "--name", "test")
    assert done.code == 0, done.err
    assert process.running(running.lab) == {}
    up = subprocess.Popen([str(GITOPS), "lab", "up", "--name", "test"], cwd=running.lab.checkout.root)
    until("half up", lambda: "kube-apiserver" in process.running(running.lab))
    up.kill()
    up.wait()
    assert gitops(running.lab.checkout, "lab", "down", "--name", "test").code == 0
    assert process.running(running.lab) == {}
    again = gitops(running.lab.checkout, "lab", "up", "--name", "test")
    assert again.code == 0, again.err
    running.wait("root", *overlays())

"""Argo CD with a thousand Applications: two shards as processes, and how long a push takes until it is Synced.

A shard has whole clusters, so the lab's one cluster is registered twice, under two addresses, and each shard has one.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from git import Repo

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster, apply
from gitops.cluster import scale
from gitops.ground.progress import Progress
from gitops.lab import lab as labs
from gitops.lab import process
from gitops.lab.layout import Lab
from gitops.lab.part import Part
from gitops.lab.parts import all_parts
from tests.bench_report import Report
from tests.conftest import commit_all
from tests.frozen import TEST, clone

FULL, SMALLEST = 1000, 4
# Seconds: a person who pushed waits for the first; nobody waits for the second, as `base/` changes once in a while.
ONE_LIMIT, ALL_LIMIT = 20.0, 600.0
SHARDS = 2
IN_CLUSTER = "https://kubernetes.default.svc"
_CONTROLLER = "argocd-application-controller"


@dataclass(frozen=True)
class Many:
    """A running lab with many Applications, and a working copy of its origin."""

    lab: Lab
    cluster: Cluster
    work: Path
    count: int

    def folder(self, number: int) -> Path:
        return self.work / f"scale/{number:05}"

    def write(self, number: int, value: str) -> None:
        """One object, which says what was pushed last."""
        folder = self.folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        metadata = {"name": f"app-{number:05}"}
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}
        (folder / "configmap.yaml").write_text(yaml.safe_dump(item))
        (folder / "kustomization.yaml").write_text("resources: [configmap.yaml]\n")

    def push(self, message: str) -> None:
        with Repo(self.work) as repo:
            repo.git.add("--all")
            repo.index.commit(message, author=TEST, committer=TEST)
            repo.git.push("--quiet", "origin", "HEAD:refs/heads/main")

    def having(self, value: str) -> int:
        """How many objects in the cluster say this."""
        listed = (self.cluster.items(f"/api/v1/namespaces/{name}/configmaps") for name in ("scale-0", "scale-1"))
        items = itertools.chain.from_iterable(listed)
        return sum((item.get("data") or {}).get("value") == value for item in items)


def measure(count: int, report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(clone(Path(folder) / "clone"), "scale")
        _one_overlay(lab)
        try:
            labs.up(lab, Progress())
            many = _prepare(lab, Path(folder) / "work", count)
            _shard(lab)
            _measure(many, report)
        finally:
            labs.down(lab)


def _one_overlay(lab: Lab) -> None:
    first, *others = sorted(lab.checkout.overlays.glob("*/prod"))
    for service in lab.checkout.overlays.iterdir():
        if service.is_dir() and service != first.parent:
            shutil.rmtree(service)
    if staging := first.parent / "staging":
        shutil.rmtree(staging, ignore_errors=True)
    commit_all(lab.checkout, f"one of {len(others) + 1} services")


def _prepare(lab: Lab, work: Path, count: int) -> Many:
    Repo.clone_from(lab.origin, work).close()
    many = Many(lab, Cluster(lab.kubeconfig), work, count)
    for number in range(count):
        many.write(number, "first")
    many.push("many Applications")
    settings = lab.settings()
    second = f"https://127.0.0.1:{settings.ports['api']}"
    authority = base64.b64encode(lab.ca.read_bytes()).decode()
    config = {"bearerToken": settings.token, "tlsClientConfig": {"caData": authority}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "second",
            "namespace": "argocd",
            "labels": {"argocd.argoproj.io/secret-type": "cluster"},
        },
        "stringData": {"name": "second", "server": second, "config": json.dumps(config)},
    }
    project = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "scale", "namespace": "argocd"},
        "spec": {
            "sourceRepos": [lab.repo_url],
            "destinations": [{"server": server, "namespace": "scale-*"} for server in (IN_CLUSTER, second)],
        },
    }
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"scale-{i}"}} for i in range(SHARDS)]
    made = [_application(lab, number, (IN_CLUSTER, second)[number % SHARDS]) for number in range(count)]
    apply(lab.checkout.tool("kubectl"), lab.kubeconfig, [secret, project, *spaces, *made], timeout=600)
    return many


def _application(lab: Lab, number: int, server: str) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": f"scale-{number:05}",
            "namespace": "argocd",
            "annotations": {"argocd.argoproj.io/manifest-generate-paths": "."},
        },
        "spec": {
            "project": "scale",
            "source": {
                "repoURL": lab.repo_url,
                "targetRevision": "refs/heads/main",
                "path": f"scale/{number:05}",
            },
            "destination": {"server": server, "namespace": f"scale-{number % SHARDS}"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "syncOptions": ["ServerSideApply=true"]},
        },
    }


def _shard(lab: Lab) -> None:
    """Two controllers in the place of the lab's one, with the settings for so many Applications."""
    [part] = [part for part in all_parts(lab) if part.name == _CONTROLLER]
    for victim in process.running(lab)[_CONTROLLER]:
        victim.kill()
    process.wait_until("it ended", lambda: _CONTROLLER not in process.running(lab), seconds=30)
    step = scale.step_for(FULL)
    assert step
    flags = [
        f"--status-processors={step.settings['controller.status.processors']}",
        f"--operation-processors={step.settings['controller.operation.processors']}",
        "--sharding-method=round-robin",
    ]
    limits = {
        "ARGOCD_K8S_CLIENT_QPS": step.settings["controller.k8s.client.qps"],
        "ARGOCD_K8S_CLIENT_BURST": step.settings["controller.k8s.client.burst"],
    }
    for number in range(SHARDS):
        _start(lab, _of_shard(part, number, flags, limits))


def _of_shard(part: Part, number: int, flags: list[str], limits: dict[str, str]) -> Part:
    # The second one's metrics have no port of their own: 0 takes any.
    argv = [word if number == 0 or "--metrics-port" not in str(word) else "--metrics-port=0" for word in part.argv]
    sharding = {"ARGOCD_CONTROLLER_REPLICAS": str(SHARDS), "ARGOCD_CONTROLLER_SHARD": str(number)}
    return replace(part, name=f"{part.name}-{number}", argv=[*argv, *flags], env={**part.env, **limits, **sharding})


def _start(lab: Lab, part: Part) -> None:
    process.start(lab, part.name, part.argv, part.env)


def _measure(many: Many, report: Report) -> None:
    names = [f"scale-{number:05}" for number in range(many.count)]
    first = _until(lambda: many.having("first"), many.count)
    argocd.wait_for(many.cluster, names, seconds=ALL_LIMIT)
    many.write(0, "one")
    began = time.monotonic()
    many.push("one")
    _until(lambda: many.having("one"), 1)
    one = time.monotonic() - began
    for number in range(many.count):
        many.write(number, "all")
    began = time.monotonic()
    many.push("all")
    _until(lambda: many.having("all"), many.count)
    every = time.monotonic() - began
    report.row("scale", applications=many.count, shards=SHARDS, first=first, one=one, all=every)
    what = f"s from a push to one of {many.count} Applications / its limit of {ONE_LIMIT:g} s"
    report.ratio("scale-one", one, ONE_LIMIT, 1.0, what)
    what = f"s from a push to all of {many.count} Applications / its limit of {ALL_LIMIT:g} s"
    report.ratio("scale-all", every, ALL_LIMIT, 1.0, what)


def _until(count: Callable[[], int], enough: int) -> float:
    return process.wait_until(f"{enough} of them", lambda: count() >= enough, seconds=3 * ALL_LIMIT, every=0.5)

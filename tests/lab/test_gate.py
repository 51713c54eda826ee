"""The gate against the real thing: our renders are Argo CD's, and what the check refuses the cluster refuses too."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from git import Repo

from gitops.clients.kubernetes import ClusterError
from gitops.ground.checkout import Checkout
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import renderer
from gitops.manifests.render import build
from tests import generated
from tests.frozen import TEST
from tests.lab.running import Running
from tests.policy_server import DIGEST, pod, workload

pytestmark = pytest.mark.lab

TRACKING = "argocd.argoproj.io/tracking-id"
GENERATED = 200
BRANCH = "faithful"


def manifests(running: Running, token: str, application: str) -> list[dict[str, Any]]:
    """What repo-server renders for an Application, without Argo CD's own mark."""
    url = f"{running.lab.url('argocd')}/api/v1/applications/{application}/manifests"
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60, verify=running.ca)
    answer.raise_for_status()
    objects = [json.loads(text) for text in answer.json()["manifests"]]
    for item in objects:
        annotations = item["metadata"].get("annotations") or {}
        assert annotations.pop(TRACKING).startswith(f"{application}:")
        if not annotations:
            item["metadata"].pop("annotations", None)
    return objects


# The folders of the lab's own Applications.
PLATFORM = {
    "clusters/lab": "root",
    "clusters/lab/platform": "platform",
    "clusters/lab/objects": "cluster",
    "apps/platform/sealed-secrets/objects": "sealed-secrets",
}


def ours(checkout: Checkout, root: Path, unit: str) -> list[dict[str, Any]]:
    with renderer(checkout) as renders:
        rendered = build(renders, root, unit)
    assert rendered.error is None, rendered.error
    objects = rendered.objects()
    for item in objects:
        if not item["metadata"].get("annotations"):
            item["metadata"].pop("annotations", None)
    return objects


def _sorted(items: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True) for item in items)


def test_every_overlay_renders_as_argocd_renders_it(running: Running) -> None:
    with Repo(running.work) as repo:
        repo.git.fetch("--quiet", "origin")
        assert not repo.git.diff("origin/main")
    token = running.token()
    for unit in Graph(Checkout(running.work)).units:
        application = PLATFORM.get(unit) or "-".join(unit.split("/")[1:])
        if unit.startswith("overlays/") or unit in PLATFORM:
            assert _sorted(ours(running.lab.checkout, running.work, unit)) == _sorted(
                manifests(running, token, application)
            )


def test_two_hundred_generated_overlays_render_as_argocd_renders_them(running: Running, tmp_path: Path) -> None:
    work = tmp_path / "work"
    Repo.clone_from(running.lab.origin, work).close()
    shutil.rmtree(work / "overlays")
    units = [str(generated.overlay(work, number).relative_to(work)) for number in range(GENERATED)]
    with Repo(work) as repo:
        repo.git.add("--all", "--force")
        commit = repo.index.commit("generated", author=TEST, committer=TEST).hexsha
        repo.git.push("--quiet", "--force", "origin", f"HEAD:refs/heads/{BRANCH}")
    space = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
    template = running.cluster.get(f"{space}/mogle-prod")["spec"]
    names = {unit: "-".join(unit.split("/")[1:]) for unit in units}
    # Compared alone, never synced. No controller needs to look at them meanwhile.
    for unit, name in names.items():
        source = {**template["source"], "path": unit, "targetRevision": commit}
        destination = {**template["destination"], "namespace": name}
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "annotations": {"argocd.argoproj.io/skip-reconcile": "true"}},
        }
        running.cluster.create(
            space, {**body, "spec": {"project": "services", "source": source, "destination": destination}}
        )
    token = running.token()
    try:
        with ThreadPoolExecutor(4) as pool:
            theirs = list(pool.map(lambda name: _patiently(running, token, name), names.values()))
        different = [
            unit
            for unit, rendered in zip(units, theirs, strict=True)
            if _sorted(ours(running.lab.checkout, work, unit)) != _sorted(rendered)
        ]
        assert different == []
        assert sum(len(rendered) for rendered in theirs) > 10 * GENERATED
    finally:
        for name in names.values():
            running.cluster.delete(f"{space}/{name}")


def _patiently(running: Running, token: str, name: str) -> list[dict[str, Any]]:
    """The server's own cache may not have seen a new Application for a moment."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return manifests(running, token, name)
        except requests.HTTPError as error:
            if error.response.status_code not in (403, 404) or time.monotonic() > deadline:
                raise AssertionError(error.response.text) from None
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("policy", "container", "spec"),
    [
        (None, {}, {}),
        ("image-registry", {"image": f"registry.example.com/app:1.0@{DIGEST}"}, {}),
        ("image-digest", {"image": "ghcr.io/ft-platform/app:1.0"}, {}),
        ("image-latest", {"image": f"ghcr.io/ft-platform/app:latest@{DIGEST}"}, {}),
        ("image-latest", {"image": f"ghcr.io/ft-platform/app@{DIGEST}"}, {}),
        ("resources-set", {"resources": {"limits": {"memory": "16Mi"}}}, {}),
        ("no-privileged", {"securityContext": {"privileged": True}}, {}),
        ("image-registry", {"image": f"ghcr.io/stranger/app:1.0@{DIGEST}"}, {}),
        ("no-host", {}, {"hostNetwork": True}),
        ("no-host", {}, {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}),
        ("no-token", {}, {"automountServiceAccountToken": True}),
        ("scheduling", {}, {"tolerations": [{"operator": "Exists"}]}),
        ("volumes", {}, {"volumes": [{"name": "x", "persistentVolumeClaim": {"claimName": "x"}}]}),
    ],
)
def test_the_cluster_refuses_what_the_check_refuses(
    running: Running, policy: str | None, container: Any, spec: Any
) -> None:
    made = pod()
    made["spec"]["containers"][0].update(container)
    made["spec"].update(spec)
    item = workload("Deployment", made)
    path = "/apis/apps/v1/namespaces/mogle-prod/deployments"
    if policy is None:
        assert running.cluster.ask("POST", path, item) == []
        return
    with pytest.raises(ClusterError, match=f"ValidatingAdmissionPolicy '{policy}' .* denied request: at "):
        running.cluster.ask("POST", path, item)
    # In a namespace that is no service's they are not in force, and nothing else minds a Deployment.
    assert running.cluster.ask("POST", path.replace("mogle-prod", "kube-system"), item) == []

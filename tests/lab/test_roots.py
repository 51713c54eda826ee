"""The two roots: the platform's own Applications come in waves, and no commit that mends one is kept waiting."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from git import Repo

from gitops.clients import argocd
from gitops.lab import process
from gitops.manifests import yamlfile
from tests.lab.running import Running

pytestmark = pytest.mark.lab

ROOTS = ("root", "platform")
APPLICATION = "apps/platform/cluster/application.yaml"
# Seconds within which a commit that mends the platform has to be there.
CONVERGED = 120.0  # on a quiet machine; another may take twice as long


def operation(running: Running, name: str) -> dict[str, str]:
    state: dict[str, str] = running.cluster.get(f"{argocd.APPLICATIONS}/{name}")["status"]["operationState"]
    return state


def platform(running: Running) -> list[str]:
    """The Applications of the second root."""
    files = sorted((running.work / "apps/platform").glob("*/*.yaml"))
    documents = (yaml.safe_load(file.read_text()) for file in files)
    return [item["metadata"]["name"] for item in documents if item["kind"] == "Application"]


def test_argo_cd_brought_every_definition_but_its_own(running: Running) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sealedsecrets.bitnami.com"
    managers = {entry["manager"] for entry in running.cluster.get(path)["metadata"]["managedFields"]}
    assert "argocd-controller" in managers
    assert "kubectl" not in managers


def test_argo_cd_has_itself_and_shares_no_setting_with_the_root(running: Running) -> None:
    assert running.app("argocd").good
    for name in ("argocd-cm", "argocd-cmd-params-cm", "argocd-notifications-cm", "argocd-rbac-cm"):
        item = running.cluster.get(f"/api/v1/namespaces/argocd/configmaps/{name}")
        assert item["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"].startswith("root:"), name
    own = running.cluster.get("/apis/apps/v1/namespaces/argocd/statefulsets/argocd-application-controller")
    assert own["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"].startswith("argocd:")


# What an Application brings, and an Application of the next wave.
BROUGHT = {
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/image-digest": "sealed-secrets-definitions",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sealedsecrets.bitnami.com": "sealed-secrets",
    "/apis/apps/v1/namespaces/kube-system/deployments/sealed-secrets-controller": "argocd",
}


@pytest.mark.parametrize("path", BROUGHT)
def test_a_wave_came_when_the_one_before_was_there(running: Running, path: str) -> None:
    item = running.cluster.get(path)
    later = running.cluster.get(f"{argocd.APPLICATIONS}/{BROUGHT[path]}")
    assert item["metadata"]["creationTimestamp"] <= later["metadata"]["creationTimestamp"]


def _path(work: Path) -> None:
    file = work / APPLICATION
    text = file.read_text()
    file.write_text(text.replace("path: clusters/set-in-clusters/objects", "path: clusters/set-in-clusters/nowhere"))
    assert file.read_text() != text


def _never_ready(work: Path) -> None:
    """An Application before all others, with a Deployment that names a Secret that nobody makes."""
    file = work / APPLICATION
    document = yamlfile.parse_all(file.read_text(), APPLICATION)[0]
    document["metadata"] = {"name": "early", "annotations": {"argocd.argoproj.io/sync-wave": "-9"}}
    document["spec"]["source"]["path"] = "early"
    document["spec"]["project"] = "add-ons"
    source = yaml.safe_load((work / "clusters/lab/platform/repository.yaml").read_text())["data"]["repoURL"]
    document["spec"]["source"]["repoURL"] = source
    (work / "apps/platform/early.yaml").write_text(yaml.safe_dump(document))
    listed = work / "apps/platform/kustomization.yaml"
    listed.write_text(listed.read_text().replace("resources:\n", "resources:\n  - early.yaml\n"))
    (work / "early").mkdir()
    labels = {"app": "early"}
    value = {"secretKeyRef": {"name": "never", "key": "made"}}
    container = {"name": "a", "image": "a:1", "env": [{"name": "A", "valueFrom": value}]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "early", "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    (work / "early/deployment.yaml").write_text(yaml.safe_dump(deployment))
    (work / "early/kustomization.yaml").write_text("resources: [deployment.yaml]\n")


def _another_kind(work: Path) -> None:
    """Beside the Applications, in the first wave: what is never Healthy and never Degraded."""
    seal = {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {
            "name": "never",
            "namespace": "argocd",
            "annotations": {"argocd.argoproj.io/sync-wave": "-9"},
        },
        "spec": {"encryptedData": {}},
    }
    folder = work / "clusters/lab/platform"
    (folder / "never.yaml").write_text(yaml.safe_dump(seal))
    listed = folder / "kustomization.yaml"
    listed.write_text(listed.read_text().replace("resources:\n", "resources:\n  - never.yaml\n"))


BREAKS = {"no such folder": _path, "never ready": _never_ready, "another kind": _another_kind}


# One of them in every run: each waits out a minute.
SAMPLE = "never ready"


@pytest.mark.parametrize(
    "how", [SAMPLE, *(pytest.param(how, marks=pytest.mark.matrix) for how in BREAKS if how != SAMPLE)]
)
def test_a_first_wave_that_breaks_holds_no_commit_that_mends_it(running: Running, how: str) -> None:
    with Repo(running.work) as repo:
        good = repo.head.commit
        BREAKS[how](running.work)
        broken = running.push(f"broken: {how}")
        process.wait_until(
            "the second root has taken the broken commit up",
            lambda: running.app("platform").revision == broken and operation(running, "platform")["phase"] == "Running",
            seconds=60,
        )
        repo.git.rm("-r", "--quiet", ".")
        repo.git.checkout(good.hexsha, "--", ".")
        mended = running.push("mended")
    took = running.wait(*ROOTS, "cluster", "sealed-secrets", revision=mended, seconds=2 * CONVERGED)
    running.wait(*platform(running))
    print(f"{how}: {took:.0f} s from the commit that mends it to Healthy")

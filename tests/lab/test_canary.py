"""A canary, made as docs/runbooks/services.md says, is deployed by the real Argo CD."""

from __future__ import annotations

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.ground.progress import Progress
from gitops.lab import lab as labs
from tests.lab.running import Running
from tests.lab.test_lab import until
from tests.test_canary import CANARY, add
from tests.zones import is_ready, living_pods

pytestmark = [pytest.mark.lab, pytest.mark.matrix]

NAME = "umbrella-canary"


def test_a_canary_is_deployed_beside_staging_and_prod(running: Running) -> None:
    with Repo(running.work) as repo:
        repo.git.pull("--quiet", "origin", "main")
        before = repo.git.rev_parse("HEAD")
    add(Checkout(running.work))
    try:
        took = running.wait(NAME, revision=running.push("umbrella gets a canary"), seconds=240)
        print(f"a canary: healthy={took:.0f}s after its folder was pushed")
        pods = living_pods(running.cluster, NAME)
        assert pods
        assert all(map(is_ready, pods))
        for pod in pods:
            assert pod["metadata"]["labels"]["environment"] == "canary"
            assert pod["spec"]["priorityClassName"] == "prod"
        namespace = running.cluster.get(f"/api/v1/namespaces/{NAME}")
        assert namespace["metadata"]["labels"]["environment"] == "canary"
    finally:
        with Repo(running.work) as repo:
            repo.git.rm("-r", "--quiet", CANARY)
            repo.git.checkout(before, "--", "overlays")
        revision = running.push("no canary any more")
        until("its Application is gone", lambda: NAME not in applications(running), seconds=240)
        running.cluster.delete(f"/api/v1/namespaces/{NAME}")
        running.wait("umbrella-staging", "umbrella-prod", revision=revision, seconds=240)
        labs.wait_synced(running.lab, Progress(quiet=True))


def applications(running: Running) -> set[str]:
    listed = running.cluster.items("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications")
    return {item["metadata"]["name"] for item in listed}

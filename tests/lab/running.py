"""The one lab of a test run, for every test that needs it, wherever it stands."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import requests
from git import Repo

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster
from gitops.ground.progress import Progress
from gitops.lab import control
from gitops.lab import lab as labs
from gitops.lab.layout import Lab
from tests.conftest import gitops
from tests.forward import forward
from tests.frozen import TEST, clone

NAME = "test"


class InLab(Protocol):
    """A lab, and the way into its API."""

    lab: Lab
    cluster: Cluster


class Running:
    """The one lab of the test run, and a working copy of its origin."""

    def __init__(self, lab: Lab, work: Path) -> None:
        self.lab, self.work = lab, work
        self.cluster = Cluster(lab.kubeconfig)
        self.ca = str(lab.ca)

    def push(self, message: str = "change") -> str:
        """Commit everything in the working copy and push it to the origin's main."""
        with Repo(self.work) as repo:
            repo.git.add("--all")
            commit = repo.index.commit(message, author=TEST, committer=TEST)
            repo.git.push("origin", "HEAD:refs/heads/main")
            return commit.hexsha

    def wait(self, *names: str, revision: str | None = None, seconds: float = 90) -> float:
        return argocd.wait_for(
            self.cluster, names, seconds=seconds, revision=revision, alive=lambda: control.check_alive(self.lab)
        )

    def app(self, name: str) -> argocd.AppStatus:
        return next(app for app in argocd.applications(self.cluster) if app.name == name)

    def token(self) -> str:
        """Argo CD's own, for its API."""
        secret = self.cluster.get("/api/v1/namespaces/argocd/secrets/argocd-initial-admin-secret")
        password = base64.b64decode(secret["data"]["password"]).decode()
        login = {"username": "admin", "password": password}
        answer = requests.post(f"{self.lab.url('argocd')}/api/v1/session", json=login, timeout=20, verify=self.ca)
        answer.raise_for_status()
        return str(answer.json()["token"])

    def overlay(self, name: str) -> Path:
        service, _, environment = name.rpartition("-")
        return self.work / "overlays" / service / environment

    def edit(self, name: str, old: str, new: str, file: str = "kustomization.yaml") -> None:
        path = self.overlay(name) / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    checkout = clone(tmp_path_factory.mktemp("lab") / "clone")
    lab = Lab(checkout, NAME)
    demo = gitops(checkout, "lab", "demo", "--name", NAME, timeout=580)
    try:
        assert demo.code == 0, demo.err
        print(demo.out)
        # New pods have no metrics for some seconds, and their HorizontalPodAutoscaler says so.
        labs.wait_synced(lab, Progress(quiet=True))
        work = tmp_path_factory.mktemp("origin") / "work"
        Repo.clone_from(lab.origin, work).close()
        yield Running(lab, work)
    finally:
        labs.down(lab)
        shutil.rmtree(lab.folder, ignore_errors=True)


@pytest.fixture
def sealed_secrets(running: Running) -> Iterator[str]:
    """Where the lab's sealed-secrets controller answers during the test."""
    with forward(running.lab, "sealed-secrets") as url:
        yield url

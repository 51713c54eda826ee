"""From an image in the registry to new pods, through the workflow file itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from git import Repo

from gitops.clients.kubernetes import Cluster
from gitops.ground.progress import Progress
from gitops.images import edit
from gitops.images.policy import Newest, Policy
from gitops.images.promotion import argo_objection
from gitops.images.reasons import NotRunning
from gitops.images.target import FollowedOverlay
from gitops.lab import lab as labs
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository.history import History
from tests.lab.running import Running
from tests.loops import image_loop, running_images

pytestmark = pytest.mark.lab


def test_an_image_in_the_registry_becomes_pods_by_a_reviewed_pull_request(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Repo(running.work) as repo:
        before = repo.git.rev_parse("HEAD")
    image = image_loop(running.lab, tmp_path, Progress())
    try:
        assert running_images(Cluster(running.lab.kubeconfig), "mogle-staging") == {str(image)}
        # The same question that a promotion asks, of the real Argo CD.
        monkeypatch.setenv("ARGOCD_SERVER", running.lab.url("argocd"))
        monkeypatch.setenv("ARGOCD_AUTH_TOKEN", running.token())
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", running.ca)
        overlay = Overlay("mogle", "staging")
        source = FollowedOverlay(overlay, Policy(newest=Newest()), edit.Pin("app", image, 1), None)
        history = History(running.work)
        history.fetch(None)
        assert argo_objection(history, source, image) is None
        newer = Image(image.name, "9.9.9", "sha256:" + "0" * 64)
        assert argo_objection(history, source, newer) == NotRunning(overlay, newer)
    finally:
        with Repo(running.work) as repo:
            repo.git.pull("--quiet", "origin", "main")
            repo.git.checkout(before, "--", "overlays")
    running.wait("mogle-staging", "mogle-prod", revision=running.push("the overlays as they were"))
    labs.wait_synced(running.lab, Progress(quiet=True))

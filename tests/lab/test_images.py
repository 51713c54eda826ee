"""From an image in the registry to new pods, through the workflow file itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from git import Repo

from gitops.clients.kubernetes import Cluster
from gitops.ground.progress import Progress
from gitops.lab import lab as labs
from tests.lab.running import Running
from tests.loops import image_loop, running_images

pytestmark = pytest.mark.lab


def test_an_image_in_the_registry_becomes_pods_by_a_reviewed_pull_request(running: Running, tmp_path: Path) -> None:
    with Repo(running.work) as repo:
        before = repo.git.rev_parse("HEAD")
    image = image_loop(running.lab, tmp_path, Progress())
    try:
        assert running_images(Cluster(running.lab.kubeconfig), "mogle-staging") == {str(image)}
    finally:
        with Repo(running.work) as repo:
            repo.git.pull("--quiet", "origin", "main")
            repo.git.checkout(before, "--", "overlays")
    running.wait("mogle-staging", "mogle-prod", revision=running.push("the overlays as they were"))
    labs.wait_synced(running.lab, Progress(quiet=True))

"""What `make demo` shows beside the lab: real git, Argo CD and workflow files; AWS and GitHub are played."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from git import Repo

from gitops import argocd
from gitops.cluster import Cluster
from gitops.errors import NotHealthyError
from gitops.images import edit
from gitops.lab import lab as labs
from gitops.lab.cli import print_applications
from gitops.lab.layout import Lab
from gitops.lab.outside import send_webhooks
from gitops.output import print_table
from gitops.paths import Checkout
from gitops.progress import Progress
from gitops.service.image import Image
from tests.fakes import act
from tests.fakes.aws import Ecr
from tests.fakes.github import GitHub

SERVICE = "mogle"
STAGING = f"overlays/{SERVICE}/staging/kustomization.yaml"


def image_loop(lab: Lab, folder: Path, progress: Progress) -> Image:
    """An image pushed to ECR becomes a pull request by the workflow file itself; merged, its pods run it.

    `folder`: an empty one. Returns the image that runs in the end.
    """
    ecr, github = Ecr(), GitHub(lab.origin)
    cluster = Cluster(lab.kubeconfig)
    try:
        # Higher than what any run before left there: a downgrade would be a hold.
        major = int(time.time())
        name = edit.read(_main(github, STAGING), STAGING).image.name
        with progress.step(f"{SERVICE} runs an image of this registry, and no other service is bumped"):
            first = Image(name, f"{major}.0.0", ecr.push(SERVICE, f"{major}.0.0"))
            others = github.git("ls-tree", "-r", "--name-only", "main", "overlays/").splitlines()
            gone = {path: None for path in others if path.endswith("images.yaml") and f"/{SERVICE}/" not in path}
            pins = {
                path: edit.replace(_main(github, path), path, first)
                for path in (STAGING, STAGING.replace("staging", "prod"))
            }
            _merged(lab, github, lambda: github.commit("main", {**gone, **pins}, "Run an image of the demo's registry"))
            _wait(lab, cluster, github)
        with progress.step(f"push {SERVICE}:{major}.1.0 to ECR; the scheduled workflow opens a pull request"):
            second = Image(name, f"{major}.1.0", ecr.push(SERVICE, f"{major}.1.0"))
            Repo.clone_from(lab.repo_url, folder / "runner").close()
            done = act.run(folder / "runner", "images.yaml", "schedule", job="bump", github=github, ecr=ecr)
            if done.code:
                raise NotHealthyError(f"the workflow failed:\n{done.text[-3000:]}")
        [pull] = github.pulls.values()
        with progress.step(f"merge #{pull.number} ({pull.title}): new pods"):
            _merged(lab, github, lambda: github.merge(pull.number))
            _wait(lab, cluster, github)
        # New pods have no metrics for some seconds, and their HorizontalPodAutoscaler says so.
        labs.wait_synced(lab, progress)
        return second
    finally:
        github.close()
        ecr.close()


def _main(github: GitHub, path: str) -> bytes:
    return subprocess.check_output(["git", "--git-dir", str(github.git_dir), "show", f"main:{path}"])


def _merged(lab: Lab, github: GitHub, change: object) -> None:
    """Change main, and tell Argo CD as GitHub's webhook does."""
    before = github.head("main") or ""
    assert callable(change)
    change()
    send_webhooks(lab, "refs/heads/main", before, github.head("main") or "")


def _wait(lab: Lab, cluster: Cluster, github: GitHub) -> None:
    argocd.wait_for(
        cluster,
        [f"{SERVICE}-staging"],
        seconds=120,
        revision=github.head("main"),
        alive=lambda: labs.check_alive(lab),
    )


def running_images(cluster: Cluster, namespace: str) -> set[str]:
    """What the pods of a namespace run that are not on their way out."""
    pods = cluster.items(f"/api/v1/namespaces/{namespace}/pods")
    return {
        container["image"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        for container in pod["spec"]["containers"]
    }


def main() -> None:
    lab, progress = Lab(Checkout.find(), "default"), Progress()
    with tempfile.TemporaryDirectory() as folder:
        image = image_loop(lab, Path(folder), progress)
    cluster = Cluster(lab.kubeconfig)
    print_applications(argocd.applications(cluster))
    print_table(["phase", "seconds"], [[step.name, f"{step.seconds:.1f}"] for step in progress.steps])
    for found in sorted(running_images(cluster, f"{SERVICE}-staging")):
        print(f"{SERVICE}-staging runs {found}")
    if running_images(cluster, f"{SERVICE}-staging") != {str(image)}:
        sys.exit(f"expected {image}")


if __name__ == "__main__":
    main()

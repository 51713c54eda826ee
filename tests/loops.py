"""What `make demo` and the lab tests share: the real lab and workflow files; AWS, GitHub and 42 are fakes."""

from __future__ import annotations

import base64
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from git import Repo

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.ground.checkout import Checkout
from gitops.ground.errors import NotHealthyError
from gitops.ground.progress import Progress
from gitops.images import edit
from gitops.lab import control
from gitops.lab import lab as labs
from gitops.lab.externals import send_webhooks
from gitops.lab.layout import Lab
from gitops.manifests.image import Image
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay
from gitops.oauth import model
from gitops.repository.rotation import KEY
from tests.fakes import act
from tests.fakes.aws import Ecr
from tests.fakes.github import GitHub
from tests.fakes.intra42 import LOGIN, PASSWORD, Intra42
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.forward import forward

SERVICE = "mogle"
STAGING, PROD = Overlay(SERVICE, "staging"), Overlay(SERVICE, "prod")
_PROPOSED = "42 showed new OAuth secrets: the bot tried each, sealed it and opened a pull request"
_ROTATED = f"you merged it: {PROD.namespace} signs users in with the new secret, and never was without one"


def image_loop(lab: Lab, folder: Path, progress: Progress) -> Image:
    """An image pushed to ECR becomes a pull request by the workflow file itself; merged, its pods run it.

    `folder`: an empty one. Returns the image that runs in the end.
    """
    ecr, github = Ecr(), GitHub(lab.origin)
    cluster = Cluster(lab.kubeconfig)
    try:
        # Higher than what any run before left there: a downgrade would be a hold.
        major = int(time.time())
        name = edit.read(_main(github, STAGING.kustomization), STAGING.kustomization).image.name
        with progress.step(
            f"{SERVICE} runs an image of this registry, and no other service is bumped",
            gain=f"{SERVICE} runs an image of a registry on this machine that answers as ECR does",
        ):
            first = Image(name, f"{major}.0.0", ecr.push(SERVICE, f"{major}.0.0"))
            others = github.git("ls-tree", "-r", "--name-only", "main", "overlays/").splitlines()
            gone = {path: None for path in others if path.endswith("images.yaml") and f"/{SERVICE}/" not in path}
            pins = {
                path: edit.replace(_main(github, path), path, first)
                for path in (STAGING.kustomization, PROD.kustomization)
            }
            _merged(lab, github, lambda: github.commit("main", {**gone, **pins}, "Run an image of the demo's registry"))
            _wait(lab, cluster, github)
        with progress.step(
            f"push {SERVICE}:{major}.1.0 to ECR; the scheduled workflow opens a pull request",
            gain=f"you pushed an image: the bot saw it and opened the pull request that deploys {SERVICE} {major}.1.0",
        ):
            second = Image(name, f"{major}.1.0", ecr.push(SERVICE, f"{major}.1.0"))
            Repo.clone_from(lab.origin, folder / "runner").close()
            done = act.run(folder / "runner", "images.yaml", "schedule", job="bump", github=github, ecr=ecr)
            if done.code:
                raise NotHealthyError(f"the workflow failed:\n{done.text[-3000:]}")
        [pull] = github.pulls.values()
        with progress.step(
            f"merge #{pull.number} ({pull.title}): new pods",
            gain=f"you merged it: {STAGING.namespace} runs {major}.1.0, and undoing it is git revert",
        ):
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
    send_webhooks(lab, "refs/heads/main", before, github.head("main") or "", tell=lambda _: None)


def _wait(lab: Lab, cluster: Cluster, github: GitHub, name: str = STAGING.application) -> None:
    argocd.wait_for(
        cluster,
        [name],
        seconds=120,
        revision=github.head("main"),
        alive=lambda: control.check_alive(lab),
    )


def running_images(cluster: Cluster, namespace: str) -> set[str]:
    """What the pods of a namespace run that are not on their way out."""
    pods = cluster.items(f"/api/v1/namespaces/{namespace}/pods")
    images: set[str] = set()
    for pod in pods:
        if "deletionTimestamp" not in pod["metadata"]:
            images.update(container["image"] for container in pod["spec"]["containers"])
    return images


@dataclass(frozen=True)
class Rotated:
    """What a rotation in the lab came to. `without`: samples in which no ready pod held an accepted secret."""

    secret: str
    opened: str
    samples: int
    without: int
    fewest_ready: int
    log: str


class _Sampler:
    """Looks again and again at the ready pods of a namespace, and whether 42 accepts the secret that each was started
    with.
    """

    def __init__(self, cluster: Cluster, namespace: str, intra: Intra42, application: str) -> None:
        self.samples, self.without, self.fewest = 0, 0, 99
        self._cluster, self._namespace, self._intra, self._id = cluster, namespace, intra, application
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            try:
                pods = self._cluster.items(f"/api/v1/namespaces/{self._namespace}/pods")
                ready = [pod for pod in pods if _ready(pod)]
                names = {_secret_of(pod) for pod in ready}
                values = {name: secret_value(self._cluster, self._namespace, name) for name in names}
            except ClusterError:
                continue
            good = [pod for pod in ready if self._intra.accepts(self._id, values[_secret_of(pod)])]
            self.samples += 1
            self.without += not good
            self.fewest = min(self.fewest, len(good))


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    serves = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return serves and "deletionTimestamp" not in pod["metadata"]


def _secret_of(pod: Object) -> str:
    [name] = [
        variable["valueFrom"]["secretKeyRef"]["name"]
        for variable in pod["spec"]["containers"][0]["env"]
        if variable["name"] == "OAUTH_42_CLIENT_SECRET"
    ]
    return str(name)


def secret_value(cluster: Cluster, namespace: str, name: str) -> str:
    """What the controller opened."""
    secret = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    return base64.b64decode(secret["data"][KEY]).decode()


def oauth_loop(
    lab: Lab, folder: Path, progress: Progress, *, service: str = SERVICE, environment: str = "prod"
) -> Rotated:
    """42 shows next secrets; the scheduled workflow itself proves, seals and proposes them; merged, new pods have one.

    `folder`: an empty one. The other applications' pull requests stay open.
    """
    cluster, github = Cluster(lab.kubeconfig), GitHub(lab.origin)
    Repo.clone_from(lab.origin, folder / "main").close()
    applications, broken = model.applications(Checkout(folder / "main"), [])
    assert not broken
    intra = Intra42({application.id: application.uid for application in applications})
    [mine] = [application for application in applications if application.overlay == PROD]
    try:
        for application in applications:  # 42's secret of now is what the lab sealed
            app = intra.apps[application.id]
            value = secret_value(cluster, application.overlay.namespace, application.deployed.name)
            app.accepted, app.current = {value: (intra.now - timedelta(days=9), None)}, value
            # This GitHub is new: what Argo CD told it of before it has to hear again.
            github.deployments.says(application.overlay.application, "success", github.head("main") or "")
        what = f"42 shows {len(applications)} next secrets; the scheduled workflow proposes them, sealed"
        with progress.step(what, gain=_PROPOSED):
            app = intra.apps[mine.id]
            intra.advance(app.switch - intra.shows_before - intra.now + timedelta(hours=1))
            assert app.next
            Repo.clone_from(lab.origin, folder / "runner").close()
            with forward(lab, "externals") as externals:
                done = act.run(
                    folder / "runner",
                    "oauth.yaml",
                    "schedule",
                    job="rotate",
                    github=github,
                    secrets={"INTRA42_LOGIN": LOGIN, "INTRA42_PASSWORD": PASSWORD, "SLACK_TOKEN": SLACK_TOKEN},
                    environment={
                        "GITOPS_42_PROFILE_URL": intra.url,
                        "GITOPS_42_API_URL": intra.url,
                        "SLACK_API_URL": f"{externals}/slack/api/",
                        "GITOPS_CLUSTER": "lab",
                    },
                )
            if done.code:
                raise NotHealthyError(f"the workflow failed:\n{done.text[-3000:]}")
        [pull] = [pull for pull in github.pulls.values() if pull.head == mine.branch]
        what = f"merge #{pull.number} ({pull.title}): new pods, the old ones serve until then"
        step = progress.step(what, gain=_ROTATED)
        with step, _Sampler(cluster, mine.overlay.namespace, intra, mine.id) as sampler:
            _merged(lab, github, lambda: github.merge(pull.number))
            _wait(lab, cluster, github, mine.overlay.namespace)
        opened = secret_value(cluster, mine.overlay.namespace, mine.secret_name(mine.deployed.number + 1))
        return Rotated(app.next, opened, sampler.samples, sampler.without, sampler.fewest, done.text)
    finally:
        for branch in github.branches():
            if branch.startswith("oauth/") or branch.startswith("work/"):
                github.git("update-ref", "-d", f"refs/heads/{branch}")
        github.close()
        intra.close()

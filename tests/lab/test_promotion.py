"""Promotion and rollback by the workflow files themselves, on the health that the real Argo CD tells GitHub."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from git import Repo

from gitops.clients.github import Health
from gitops.clients.kubernetes import Cluster
from gitops.ground.progress import Progress
from gitops.images import edit
from gitops.lab import lab as labs
from gitops.lab.externals import send_webhooks
from gitops.manifests.image import Image
from tests.attacks.github_world import MEMBERS, merge, protect
from tests.fakes import act
from tests.fakes.aws import Ecr
from tests.fakes.github_deployments import ARGOCD_NAME
from tests.fakes.github_repository import Pull
from tests.fakes.github_rulesets import BOT_ACTOR, MEMBER
from tests.lab.running import Running
from tests.lab.test_health import Told
from tests.lab.test_lab import until
from tests.loops import PROD, STAGING, running_images
from tests.world import World
from tests.zones import is_ready, living_pods

pytestmark = [pytest.mark.lab, pytest.mark.matrix]

SOAK = timedelta(minutes=1)
MINUTE = 60.0
# As soon as a pod crashes before it was ready for so long, its Deployment is late.
PATIENCE = """\
patches:
  - target: {kind: Deployment}
    patch: |
      - {op: add, path: /spec/minReadySeconds, value: 14}
      - {op: add, path: /spec/progressDeadlineSeconds, value: 15}
"""


class Delivery:
    """mogle in the lab, a GitHub that Argo CD tells of it, and a registry. Each image is newer than all before."""

    def __init__(self, running: Running, folder: Path) -> None:
        self.running, self.folder = running, folder
        self.ecr, self.told = Ecr(), Told(running)
        self.github = self.told.github
        self.major = int(time.time())
        self.name = edit.read(self.file(STAGING.kustomization), STAGING.kustomization).image.name
        self._world = World(self.github, folder / "person")
        Repo.clone_from(running.lab.origin, folder / "runner").close()

    def close(self) -> None:
        self.github.close()
        self.ecr.close()

    def file(self, path: str) -> bytes:
        return self.github.git("show", f"main:{path}").encode() + b"\n"

    def image(self, number: int) -> Image:
        tag = f"{self.major}.{number}.0"
        return Image(self.name, tag, self.ecr.push("mogle", tag))

    def pinned(self, path: str, image: Image) -> dict[str, bytes | None]:
        return {path: edit.replace(self.file(path), path, image)}

    def change(self, files: dict[str, bytes | None], why: str) -> str:
        """A person's commit on main, of which Argo CD hears."""
        return self.merges(lambda: self.github.commit("main", files, why))

    def merges(self, change: Callable[[], object]) -> str:
        """Let main change, and tell Argo CD as GitHub's webhook does. Returns main's commit."""
        before = self.github.head("main") or ""
        change()
        after = self.github.head("main") or ""
        send_webhooks(self.running.lab, "refs/heads/main", before, after)
        return after

    def crashes(self, image: Image) -> None:
        """What a kubelet says of staging's containers of an image that end soon after they were ready, each time."""
        cluster = self.running.cluster
        for pod in living_pods(cluster, STAGING.namespace):
            [container] = pod["spec"]["containers"]
            if container["image"] == str(image) and is_ready(pod):
                state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
                status = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 9}
                status |= {"ready": False, "started": False, "state": state}
                conditions = [{"type": name, "status": "False"} for name in ("Ready", "ContainersReady")]
                path = f"/api/v1/namespaces/{STAGING.namespace}/pods/{pod['metadata']['name']}/status"
                body = {"status": {"conditions": conditions, "containerStatuses": [status]}}
                cluster.patch(path, body, kind="strategic")

    def becomes(self, health: Health, commit: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._wait(f"GitHub hears that staging is {health}", lambda: self.told.says(health, commit), meanwhile)

    def soaks(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait for a whole soak time from now on."""
        began = datetime.now(UTC)
        self._wait("the soak time is over", lambda: datetime.now(UTC) - began > SOAK, meanwhile)
        self.told.changes()

    def soaks_healthy(self) -> None:
        """Wait until the last word was Healthy for a whole soak time: new pods without metrics are Degraded between."""

        def is_over() -> bool:
            last = self.told.changes()[-1]
            return last.health is Health.HEALTHY and datetime.now(UTC) - last.when > SOAK

        until("it was Healthy for the soak time", is_over, seconds=180)

    def _wait(self, what: str, check: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        def looks() -> bool:
            meanwhile()
            return check()

        until(what, looks, seconds=120)

    def others(self) -> dict[str, bytes | None]:
        """The policies of all services, taken away."""
        listed = self.github.git("ls-tree", "-r", "--name-only", "main", "overlays/").splitlines()
        return {path: None for path in listed if path.endswith("/images.yaml")}

    def runs_images(self) -> str:
        """The scheduled workflow; what it printed."""
        runner = self.folder / "runner"
        done = act.run(runner, "images.yaml", "schedule", job="bump", github=self.github, ecr=self.ecr)
        assert done.code == 0, done.text[-3000:]
        return done.text

    def rolled_back(self) -> float:
        """A person rolls prod back in a freeze: the seconds from opening the pull request to its merge."""
        given = {**self.ecr.environment, "GITHUB_TOKEN": MEMBERS}
        done = self._world.run("images", "rollback", "mogle", "--reason", "it fails", **given)
        assert done.code == 0, done.err
        began, number = time.monotonic(), max(self.github.pulls)
        pull, payload = self.github.pulls[number], {"pull_request": {"number": number}}
        # What check.yaml and gate.yaml say of it is not what is measured.
        self.github.rules.checked(pull.last_head)
        self.github.rules.status(pull.last_head, "main-gate", "success", BOT_ACTOR)
        assert "freeze" in merge(self.github, pull), "nobody has said yet that it may be merged"
        told = act.run(
            self.folder / "runner",
            "freeze.yaml",
            "pull_request_target",
            job="freeze",
            github=self.github,
            payload=payload,
        )
        assert told.code == 0, told.text[-3000:]
        self.merges(lambda: self._merged(pull))
        return time.monotonic() - began

    def _merged(self, pull: Pull) -> None:
        assert merge(self.github, pull) == ""

    def serves(self, image: Image) -> None:
        """prod's pods run it, and no other."""
        self.running.wait(PROD.application, revision=self.github.head("main"), seconds=120)
        cluster = Cluster(self.running.lab.kubeconfig)
        until(f"prod runs {image.tag}", lambda: running_images(cluster, PROD.namespace) == {str(image)}, seconds=90)


@pytest.fixture
def delivery(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Delivery]:
    monkeypatch.setenv("ARGOCD_APP", ARGOCD_NAME)
    with Repo(running.work) as repo:
        repo.git.pull("--quiet", "origin", "main")
        before = repo.git.rev_parse("HEAD")
    world = Delivery(running, tmp_path)
    try:
        yield world
    finally:
        world.close()
        with Repo(running.work) as repo:
            repo.git.pull("--quiet", "origin", "main")
            repo.git.rm("-r", "--quiet", "overlays", ".github/freezes.yaml")
            repo.git.checkout(before, "--", "overlays", ".github/freezes.yaml")
        running.wait(PROD.application, STAGING.application, revision=running.push("everything as it was"))
        labs.wait_synced(running.lab, Progress(quiet=True))


def test_what_crash_loops_in_staging_stays_there_until_it_was_healthy_for_the_soak(delivery: Delivery) -> None:
    first, second = delivery.image(0), delivery.image(1)
    policy = "staging: {semver: {range: '*'}}\nprod: {promote: {from: staging, soak: 1m}}\n"
    pins = {**delivery.pinned(STAGING.kustomization, first), **delivery.pinned(PROD.kustomization, first)}
    good = delivery.change({**delivery.others(), **pins, "overlays/mogle/images.yaml": policy.encode()}, "Begin")
    delivery.becomes(Health.HEALTHY, good)

    content = delivery.pinned(STAGING.kustomization, second)[STAGING.kustomization] or b""
    hasty = content.replace(b"patches:\n", PATIENCE.encode())
    change = delivery.change({STAGING.kustomization: hasty}, "Staging takes the second")
    delivery.becomes(Health.DEGRADED, change, lambda: delivery.crashes(second))
    delivery.soaks(lambda: delivery.crashes(second))
    # For its first ten minutes that could be a rollout, which has no metrics yet; it is not promoted then either.
    assert f"mogle-staging is starting pods, with {second.tag}" in delivery.runs_images()
    assert delivery.github.pulls == {}

    mended = delivery.image(2)
    content = edit.replace(content, STAGING.kustomization, mended)
    change = delivery.change({STAGING.kustomization: content}, "Staging takes what is mended")
    delivery.becomes(Health.HEALTHY, change)
    delivery.soaks_healthy()
    delivery.runs_images()
    [pull] = delivery.github.pulls.values()
    assert (pull.head, pull.title) == (PROD.branch("bump"), f"{PROD}: {mended.tag}")
    delivery.merges(lambda: delivery.github.merge(pull.number))
    delivery.serves(mended)


def test_a_rollback_in_a_freeze_is_merged_within_a_minute_and_the_next_goes_further_back(delivery: Delivery) -> None:
    first, second, hotfix = (delivery.image(number) for number in range(3))
    for image in (first, second):
        delivery.change(delivery.pinned(PROD.kustomization, image), f"Run {image.tag}")
    delivery.github.tokens[MEMBERS] = MEMBER
    protect(delivery.github, "main")
    edges = [f"{datetime.now(UTC) + span:%Y-%m-%dT%H:%M:%S}" for span in (-timedelta(hours=1), timedelta(hours=1))]
    freeze = f"freezes:\n  - {{name: exam, from: {edges[0]}, to: {edges[1]}, time-zone: UTC}}\n"
    pin = delivery.pinned(PROD.kustomization, hotfix)
    delivery.change({**pin, ".github/freezes.yaml": freeze.encode()}, "A hotfix, and the exam begins")
    delivery.serves(hotfix)

    took = delivery.rolled_back()
    delivery.serves(second)
    # What failed is no way back: one further, and not to the hotfix.
    again = delivery.rolled_back()
    delivery.serves(first)
    print(f"rollback: merged={took:.0f}s again={again:.0f}s after its pull request was opened, in a freeze")
    assert max(took, again) < MINUTE

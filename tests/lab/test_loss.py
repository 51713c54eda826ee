"""The drills of docs/runbooks/loss.md that need no AWS: lost sealing keys, and GitHub away."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.ground.checkout import Checkout
from gitops.lab import process
from gitops.lab.part import Part
from gitops.lab.parts import all_parts
from gitops.secrets.backup import LABEL, held
from tests import leaks
from tests.conftest import Ran, gitops
from tests.fakes.key_vault import KeyVault, Pod
from tests.lab.running import InLab, Running
from tests.lab.test_lab import pods, until
from tests.test_key_backup import SCRIPT
from tests.zones import is_ready

pytestmark = pytest.mark.lab

# docs/runbooks/loss.md says a minute and a half.
SECONDS = 90
# What the policies take, and git does not say.
BY_HAND = f"docker.io/library/by-hand:1@sha256:{'b' * 64}"
SECRETS = "/api/v1/namespaces/kube-system/secrets"


@pytest.fixture
def vault() -> Iterator[KeyVault]:
    vault = KeyVault("lab")
    yield vault
    vault.close()


def keys(running: Running) -> dict[str, str]:
    items = running.cluster.items(SECRETS, labelSelector=LABEL)
    return {item["metadata"]["name"]: item["data"]["tls.key"] for item in items}


def controller(running: InLab) -> Part:
    [part] = [part for part in all_parts(running.lab) if part.name == "sealed-secrets"]
    return part


def stop(running: InLab) -> None:
    for victim in process.running(running.lab)["sealed-secrets"]:
        victim.kill()
    process.wait_until("it ended", lambda: "sealed-secrets" not in process.running(running.lab), seconds=20)


def start(running: InLab) -> None:
    part = controller(running)
    process.start(running.lab, part.name, part.argv, part.env)
    process.wait_until("it answers again", part.ready, seconds=60)


def back_up(running: InLab, vault: KeyVault, folder: Path) -> Ran:
    """The CronJob's script with what its pod has: a token of its own service account, and nothing more."""
    pod = Pod(folder, vault)
    try:
        path = "/api/v1/namespaces/kube-system/serviceaccounts/key-backup/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        (folder / "token").write_text(running.cluster.create(path, asked)["status"]["token"])
        shutil.copyfile(running.lab.ca, folder / "ca.crt")
        environment = pod.environment | {"KUBERNETES_SERVICE_PORT": str(running.lab.settings().ports["api"])}
        argv = [sys.executable, "-I", str(SCRIPT)]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
        return Ran(done.returncode, done.stdout, done.stderr)
    finally:
        pod.close()


def test_the_controller_and_its_keys_are_lost_and_every_secret_opens_again(
    running: Running, sealed_secrets: str, vault: KeyVault, tmp_path: Path
) -> None:
    running.wait("key-backup")
    checkout = Checkout(running.work)
    outputs = running.work / "clusters/lab/outputs.yaml"
    cluster = running.work / "clusters/lab/cluster.yaml"
    before, text = keys(running), cluster.read_text()

    def command(*words: str) -> Ran:
        environment = {**vault.environment, "GITOPS_SEALED_SECRETS_URL": sealed_secrets, "GITOPS_CLUSTER": "lab"}
        return gitops(checkout, "secrets", *words, timeout=120, **environment)

    done = back_up(running, vault, tmp_path)
    assert done.code == 0, done.err
    assert len(vault.objects()) == len(before) > 0
    assert leaks.search("log", (done.out + done.err).encode(), leaks.patterns(list(before.values()))) == []
    outputs.write_text(f"kind: ConfigMap\ndata:\n  BackupsBucket: {vault.bucket}\n")
    cluster.write_text(f"{text.rstrip()}\n  region: ap-northeast-2\n")
    try:
        began = time.monotonic()
        stop(running)
        for name in before:
            running.cluster.delete(f"{SECRETS}/{name}")
        start(running)
        lost = command("verify")
        assert (lost.code, "yes" in lost.out) == (1, False), "a new key opens none of them"
        done = command("restore", "--kubeconfig", str(running.lab.kubeconfig))
        assert done.code == 0, done.err
        assert before.items() <= keys(running).items()
        # `gitops cluster up` goes by it: the newest key is the new controller's own.
        assert {name.removeprefix("sealing-keys/").removesuffix(".json") for name in vault.objects()} <= held(
            running.cluster, "kube-system"
        )
        stop(running)
        start(running)
        opened = command("verify")
        assert (opened.code, "NO" in opened.out) == (0, False), opened.err
        assert "restored" not in command("restore", "--kubeconfig", str(running.lab.kubeconfig)).out
        seconds = time.monotonic() - began
        print(f"keys lost: all secrets open again after {seconds:.0f} s")
        assert seconds < SECONDS
    finally:
        # The key that it made meanwhile would be the newest, and all others' seals old.
        for name in keys(running).keys() - before.keys():
            running.cluster.delete(f"{SECRETS}/{name}")
        stop(running)
        start(running)
        outputs.unlink()
        cluster.write_text(text)


def ready(running: Running, namespace: str) -> dict[str, bool]:
    return {pod["metadata"]["name"]: is_ready(pod) for pod in pods(running, namespace)}


def test_github_is_away_and_what_runs_goes_on_and_a_hand_can_change_it(running: Running) -> None:
    """Pods are replaced, Argo CD's controller is stopped for a change by hand, and git wins once it is back."""
    namespace = "jobs-bot-prod"
    [deployment] = running.cluster.items(f"/apis/apps/v1/namespaces/{namespace}/deployments")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment['metadata']['name']}"
    container = {"name": "app", "image": BY_HAND}
    parts = {part.name: part for part in all_parts(running.lab)}
    halted = ("externals", "argocd-application-controller")
    for name in halted:
        for victim in process.running(running.lab)[name]:
            victim.kill()
    until("both ended", lambda: not set(halted) & set(process.running(running.lab)))
    try:
        before = set(ready(running, namespace))
        for name in before:
            running.cluster.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
        until(
            "replaced", lambda: all(ready(running, namespace).values()) and not before & set(ready(running, namespace))
        )
        running.cluster.patch(path, {"spec": {"template": {"spec": {"containers": [container]}}}}, kind="strategic")
        until("rolled out", lambda: _runs_by_hand(running, namespace))
    finally:
        for name in halted:
            process.start(running.lab, name, parts[name].argv, parts[name].env)
            process.wait_until(f"{name} answers", parts[name].ready, seconds=60)
    running.wait(namespace, seconds=180)
    until("git has won", lambda: not _runs_by_hand(running, namespace))


def _runs_by_hand(running: Running, namespace: str) -> bool:
    return any(pod["spec"]["containers"][0]["image"] == BY_HAND for pod in pods(running, namespace))

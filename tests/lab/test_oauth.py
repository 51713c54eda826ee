"""42's secrets and all other seals on the real sealed-secrets controller and Argo CD."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git import Repo

from gitops.clients.kubernetes import apply
from gitops.clients.sealed_secrets import Controller
from gitops.ground.checkout import Checkout
from gitops.ground.progress import Progress
from gitops.lab import lab as labs
from gitops.lab import process
from gitops.lab.parts import all_parts
from gitops.secrets import certificate
from gitops.secrets.seal import seal
from tests import leaks
from tests.conftest import Ran, gitops
from tests.lab.running import Running
from tests.loops import oauth_loop

pytestmark = pytest.mark.lab


def test_a_next_secret_becomes_running_pods_by_a_reviewed_pull_request(running: Running, tmp_path: Path) -> None:
    with Repo(running.work) as repo:
        before = repo.git.rev_parse("HEAD")
    rotated = oauth_loop(running.lab, tmp_path, Progress())
    try:
        assert rotated.opened == rotated.secret
        print(f"rotation: looks={rotated.samples} without={rotated.without} fewest={rotated.fewest_ready}")
        assert rotated.samples > 20
        assert rotated.without == 0, "a ready pod with an accepted secret at every look"
        assert rotated.fewest_ready >= 2, "not more than the budget allows is away"
        patterns = leaks.patterns([rotated.secret])
        assert "PR_OPEN" in rotated.log
        assert leaks.search("the workflow's log", rotated.log.encode(), patterns) == []
        assert leaks.in_git(running.lab.origin, patterns) == []
        assert leaks.in_files(tmp_path, patterns) == []
        assert leaks.in_files(running.lab.folder / "log", patterns) == []
    finally:
        with Repo(running.work) as repo:
            repo.git.pull("--quiet", "origin", "main")
            repo.git.rm("-r", "--quiet", "overlays")
            repo.git.checkout(before, "--", "overlays")
    running.wait("mogle-prod", revision=running.push("the overlays as they were"))
    labs.wait_synced(running.lab, Progress(quiet=True))


SEALS = 100  # `make matrix` opens 1,000


@pytest.mark.parametrize("count", [SEALS, pytest.param(1000, marks=pytest.mark.matrix)])
def test_what_we_seal_the_controller_opens(running: Running, sealed_secrets: str, count: int) -> None:
    kubectl, kubeconfig = running.lab.checkout.tool("kubectl"), running.lab.kubeconfig
    pem = Controller(sealed_secrets).certificate()
    key = certificate.load(pem, "the lab's controller", datetime.now(UTC)).key
    namespace = f"seals-{count}"
    apply(kubectl, kubeconfig, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    mismatches = 0
    try:
        for start in range(0, count, 50):
            values, objects = {}, []
            for number in range(start, min(start + 50, count)):
                name = f"n{number}-{os.urandom(4).hex()}"
                size = (0, 1, 15, 16, 17, 4096, 65536)[number % 7] if number % 2 else number
                value = f"비밀-ключ-🔑-{number}".encode() if number % 5 == 0 else os.urandom(size)
                values[name] = value
                meta = {"name": name, "namespace": namespace}
                spec = {
                    "encryptedData": {"value": seal(key, namespace, name, value)},
                    "template": {"metadata": meta},
                }
                objects.append(
                    {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": meta, "spec": spec}
                )
            apply(kubectl, kubeconfig, objects)
            plain: dict[str, bytes] = {}

            def opened(plain: dict[str, bytes] = plain, values: dict[str, bytes] = values) -> bool:
                for item in running.cluster.items(secrets):
                    data = (item.get("data") or {}).get("value", "")
                    plain[item["metadata"]["name"]] = base64.b64decode(data)
                return values.keys() <= plain.keys()

            process.wait_until("the controller opened every seal", opened, seconds=90)
            mismatches += sum(plain[name] != value for name, value in values.items())
        print(f"controller: seals={count} mismatches={mismatches}")
        assert mismatches == 0
    finally:
        running.cluster.delete(f"/api/v1/namespaces/{namespace}")


def test_after_a_renewed_key_everything_is_sealed_anew_without_knowing_a_value(
    running: Running, sealed_secrets: str
) -> None:
    url = sealed_secrets
    checkout = Checkout(running.work)

    def command(verb: str) -> Ran:
        return gitops(checkout, "secrets", verb, GITOPS_SEALED_SECRETS_URL=url, GITOPS_CLUSTER="lab")

    path = "/api/v1/namespaces/mogle-prod/secrets/mogle-oauth-42-g1"
    value = running.cluster.get(path)["data"]
    before = Controller(url).certificate()
    assert "nothing to do" in command("reseal").out

    [part] = [part for part in all_parts(running.lab) if part.name == "sealed-secrets"]
    for victim in process.running(running.lab)["sealed-secrets"]:
        victim.kill()
    process.wait_until("it ended", lambda: "sealed-secrets" not in process.running(running.lab), seconds=20)
    cutoff = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    process.start(running.lab, part.name, [*part.argv, f"--key-cutoff-time={cutoff}"], part.env)
    process.wait_until("it answers again", part.ready, seconds=60)
    assert Controller(url).certificate() != before

    verified = command("verify")
    assert verified.code == 0, f"old seals open with the old key: {verified.err}"
    done = command("reseal")
    assert done.code == 0, done.err
    assert "wrote clusters/lab/sealed-secrets.pem" in done.out
    assert "wrote overlays/mogle/prod/sealedsecret-oauth-42-g1.yaml" in done.out
    changed = Repo(running.work).git.diff("--numstat").splitlines()
    touched = [line for line in changed if line.endswith(".yaml")]
    assert all(line.split()[:2] in (["1", "1"], ["2", "2"]) for line in touched), "seals and fingerprints alone"
    assert command("verify").code == 0
    running.wait("mogle-prod", "oauth-watch-prod", revision=running.push("Seal everything anew"))
    assert running.cluster.get(path)["data"] == value
    assert "nothing to do" in command("reseal").out


def test_a_seal_for_another_name_is_named_by_verify_and_refused_by_reseal(
    running: Running, sealed_secrets: str
) -> None:
    file = running.overlay("mogle-staging") / "sealedsecret-oauth-42-g1.yaml"
    good = file.read_text()
    foreign = (running.overlay("mogle-prod") / "sealedsecret-oauth-42-g1.yaml").read_text()
    lines = [line for line in foreign.splitlines() if "client-secret:" in line]
    file.write_text("\n".join(lines[0] if "client-secret:" in line else line for line in good.splitlines()) + "\n")
    try:
        done = gitops(Checkout(running.work), "secrets", "verify", GITOPS_SEALED_SECRETS_URL=sealed_secrets)
        assert done.code == 1
        assert "overlays/mogle/staging/sealedsecret-oauth-42-g1.yaml: sealed for another cluster" in done.err
        assert done.out.count("NO") == 1
    finally:
        file.write_text(good)

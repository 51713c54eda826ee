"""Seals that the cluster's own job renews: from the controller into the bucket, and from there into a pull request."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Repo

from gitops.manifests import sealedsecret
from gitops.manifests.sealedsecret import CERTIFICATE
from gitops.secrets.seal import seal
from tests import leaks
from tests.conftest import Ran, commit_all
from tests.fakes import act
from tests.fakes.key_vault import KeyVault, Pod, fingerprint_of
from tests.fakes.sealed_secrets import SealedSecrets
from tests.oauth_world import RotationWorld, certificate_of, private_key
from tests.test_key_backup import SCRIPT

pytestmark = pytest.mark.bots

PATH = "overlays/mogle/prod/sealedsecret-oauth-42-g2.yaml"


@dataclass
class Renewal:
    """A cluster with one stale seal, a bucket, and a GitHub whose main has that seal."""

    world: RotationWorld
    vault: KeyVault
    pod: Pod
    controller: SealedSecrets

    def back_up(self, **env: str) -> Ran:
        """As the CronJob starts it."""
        environment = self.pod.environment | {"CONTROLLER": self.controller.url, "PAUSE": "0.001"} | env
        argv = [sys.executable, "-I", str(SCRIPT)]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def renewals(self) -> dict[str, dict[str, Any]]:
        return {name: body for name, body in self.vault.objects().items() if name.startswith("renewed-seals/")}

    def renew(self) -> Ran:
        """As the workflow starts it, on main."""
        with Repo(self.world.checkout.root) as repo:
            repo.git.fetch(str(self.world.github.git_dir), "main")
            repo.git.reset("--hard", "FETCH_HEAD")
        outputs = self.world.checkout.root / "clusters/seoul/outputs.yaml"
        outputs.write_text(yaml.safe_dump({"kind": "ConfigMap", "data": {"BackupsBucket": self.vault.bucket}}))
        return self.world.run("secrets", "renew", **self.vault.environment)

    def put(self, **values: object) -> None:
        """Somebody who may write the bucket puts another object there."""
        [(name, body)] = self.renewals().items()
        content = json.dumps(body | values).encode()
        self.vault.client("s3").put_object(Bucket=self.vault.bucket, Key=f"{name}.json", Body=content)


@pytest.fixture
def renewal(known: RotationWorld, tmp_path: Path) -> Iterator[Renewal]:
    vault = KeyVault()
    (tmp_path / "pod").mkdir()
    pod = Pod(tmp_path / "pod", vault)
    pod.secrets["sealed-secrets-keyaaaaa"] = (known.key, certificate_of(known.key))
    controller = SealedSecrets(certificate_of(private_key(1), begins=0), [private_key(1), known.key])
    document = yaml.safe_load(known.file(PATH))
    document["metadata"]["namespace"] = "mogle-prod"
    pod.sealed = [document]
    yield Renewal(known, vault, pod, controller)
    controller.close()
    pod.close()
    vault.close()


def test_what_is_stale_comes_by_itself_as_one_pull_request(renewal: Renewal) -> None:
    world, newest = renewal.world, fingerprint_of(renewal.controller.certificate)
    value = world.opened("main")
    done = renewal.back_up()
    assert done.code == 0, done.err
    assert f"1 seals anew for {newest[:12]}: written" in done.out
    assert "there already" in renewal.back_up().out, "the same seals are not written again"
    [(name, body)] = renewal.renewals().items()
    assert name.startswith(f"renewed-seals/{newest}/")
    opened = renewal.renew()
    assert opened.code == 0, opened.err
    [pull] = world.github.pulls.values()
    assert (pull.head, f"/pull/{pull.number}" in opened.out) == ("seals/seoul", True)
    assert newest in pull.body
    [status] = world.github.statuses[pull.last_head]
    assert (status["context"], status["description"]) == ("freeze", "no freeze"), "no other run has to come first"
    assert world.opened("seals/seoul", key=private_key(1)) == value
    changed = world.github.git("diff", "--name-only", "main", "seals/seoul").split()
    assert sorted(changed) == ["clusters/seoul/cluster.yaml", "clusters/seoul/sealed-secrets.pem", PATH]
    writes = len(world.github.writes)
    assert f"#{pull.number} is open" in renewal.renew().out
    assert len(world.github.writes) == writes
    patterns = leaks.patterns([value])
    texts = [done.out, done.err, opened.out, opened.err, pull.body, json.dumps(body), *world.github.bodies]
    assert leaks.search("all", "\n".join(texts).encode(), patterns) == []
    world.github.git("update-ref", "refs/heads/main", "seals/seoul")
    assert "main has all of it" in renewal.renew().out
    renewal.pod.sealed[0]["metadata"]["annotations"][CERTIFICATE] = newest
    assert "no seal is stale" in renewal.back_up().out


def test_a_pull_request_that_a_person_closed_is_not_opened_again(renewal: Renewal) -> None:
    renewal.back_up()
    renewal.renew()
    [pull] = renewal.world.github.pulls.values()
    pull.state = "closed"
    assert "a person closed the pull request for the key" in renewal.renew().out
    assert len(renewal.world.github.pulls) == 1


def test_what_main_has_changed_meanwhile_is_left_alone(renewal: Renewal) -> None:
    """A new value that is sealed for the old key waits for the next time; the key is pinned all the same."""
    renewal.back_up()
    world = renewal.world
    sealed = sealedsecret.read(world.file(PATH), PATH)
    fresh = seal(world.key.public_key(), sealed.namespace, sealed.name, b"another value")
    content = sealedsecret.reseal(world.file(PATH), PATH, {"client-secret": fresh}, sealed.annotations[CERTIFICATE])
    world.github.commit("main", {PATH: content}, "Another value")
    assert renewal.renew().code == 0
    assert world.file(PATH, "seals/seoul") == content


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"seals": [{"namespace": "mogle-prod", "name": "x"}]}, 4, "not what the backup writes"),
        ({"cluster": "tokyo"}, 4, "of another cluster; expected seoul, found tokyo"),
        ({"certificate": "none"}, 2, "not a PEM certificate"),
        ({"certificate": "old"}, 0, "main has all of it"),
    ],
)
def test_what_cannot_be_the_clusters_word_opens_nothing(
    renewal: Renewal, values: dict[str, object], code: int, words: str
) -> None:
    renewal.back_up()
    if values.get("certificate") == "old":
        values = {"certificate": certificate_of(private_key(2), begins=-99).decode()}
    renewal.put(**values)
    done = renewal.renew()
    assert (done.code, words in done.out + done.err) == (code, True), done.out + done.err
    assert renewal.world.github.pulls == {}


def test_a_seal_that_is_none_stays_out(renewal: Renewal) -> None:
    renewal.back_up()
    [body] = renewal.renewals().values()
    renewal.put(seals=[{**body["seals"][0], "encrypted": {"client-secret": "cGxhaW4gdGV4dA=="}}])
    assert renewal.renew().code == 0
    assert renewal.world.file(PATH, "seals/seoul") == renewal.world.file(PATH)


def test_a_controller_that_is_away_fails_the_job_and_the_keys_are_there_all_the_same(renewal: Renewal) -> None:
    done = renewal.back_up(CONTROLLER="http://127.0.0.1:1")
    assert (done.code, "no seal was renewed: URLError" in done.err) == (1, True)
    assert len(renewal.vault.objects()) == 1
    renewal.vault.faults = {"renewed-seals": 403}
    done = renewal.back_up()
    assert (done.code, "no seal was renewed: HTTP 403" in done.err) == (1, True)


def test_nothing_was_sealed_anew_yet(renewal: Renewal) -> None:
    assert "the cluster has sealed nothing anew" in renewal.renew().out
    commit_all(renewal.world.checkout)


def test_the_monthly_workflow_opens_it(renewal: Renewal, tmp_path: Path) -> None:
    assert renewal.back_up().code == 0
    world = renewal.world
    outputs = yaml.safe_dump({"kind": "ConfigMap", "data": {"BackupsBucket": renewal.vault.bucket}}).encode()
    world.github.commit("main", {"clusters/seoul/outputs.yaml": outputs}, "What AWS gave")
    Repo.clone_from(world.github.clone_url, tmp_path / "runner").close()
    account: Any = renewal.vault
    done = act.run(tmp_path / "runner", "seals.yaml", "schedule", job="renew", github=world.github, ecr=account)
    assert done.code == 0, done.text
    [pull] = world.github.pulls.values()
    assert pull.head == "seals/seoul"
    assert leaks.search("log", done.text.encode(), leaks.patterns([world.opened("main")])) == []

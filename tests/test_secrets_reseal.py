"""Seals that move from key to key: which are stale is asked file by file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gitops.ground.checkout import Checkout
from gitops.lab import origin
from gitops.manifests import sealedsecret
from gitops.manifests.sealedsecret import CERTIFICATE
from tests.conftest import commit_all
from tests.fakes.sealed_secrets import SealedSecrets
from tests.oauth_world import certificate_of, private_key
from tests.secret_world import CANARY, FILE, Seal, opened, pin


def fingerprint(pem: bytes) -> str:
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()


@pytest.fixture
def controller() -> Iterator[SealedSecrets]:
    """Its newest key is private_key(1), and it has the one before."""
    fake = SealedSecrets(certificate_of(private_key(1)), [private_key(1), private_key()])
    yield fake
    fake.close()


def files(checkout: Checkout) -> dict[str, bytes]:
    return {sealed.path: (checkout.root / sealed.path).read_bytes() for sealed in sealedsecret.all_sealed(checkout)}


def test_a_seal_that_was_merged_after_the_last_time_is_found(
    pinned: Checkout, inside: Seal, controller: SealedSecrets
) -> None:
    inside("seal", "notice-bot", "kakao", "--key", "token")
    commit_all(pinned)
    late = (pinned.root / FILE).read_bytes()
    newest = fingerprint(controller.certificate)
    done = inside("reseal", "--controller", controller.url)
    assert done.code == 0, done.err
    sealed = sealedsecret.all_sealed(pinned)
    assert {secret.annotations[CERTIFICATE] for secret in sealed} == {newest}, "also those that named none"
    assert opened(pinned, FILE, private_key(1)) == {"token": CANARY.encode()}
    commit_all(pinned)
    assert "nothing to do" in inside("reseal", "--controller", controller.url).out
    (pinned.root / FILE).write_bytes(late)
    commit_all(pinned, "a branch that was older")
    before = files(pinned)
    done = inside("reseal", "--controller", controller.url)
    assert [line for line in done.out.splitlines() if line.startswith("wrote")] == [f"wrote {FILE}"]
    after = files(pinned)
    assert [path for path in before if before[path] != after[path]] == [FILE]
    assert opened(pinned, FILE, private_key(1)) == {"token": CANARY.encode()}
    commit_all(pinned)
    done = inside("reseal", "--all", "--controller", controller.url)
    assert len([line for line in done.out.splitlines() if line.startswith("wrote")]) == len(before)


def test_a_key_that_is_sealed_anew_beside_an_old_one_leaves_the_file_stale(
    pinned: Checkout, inside: Seal, controller: SealedSecrets
) -> None:
    inside("seal", "notice-bot", "kakao", "--key", "token")
    pin(pinned, controller.certificate)
    inside("seal", "notice-bot", "kakao", "--key", "other", stdin="x")
    [sealed] = [secret for secret in sealedsecret.all_sealed(pinned) if secret.path == FILE]
    assert sealed.annotations[CERTIFICATE] != fingerprint(controller.certificate)
    inside("seal", "notice-bot", "kakao", "--key", "token")
    [sealed] = [secret for secret in sealedsecret.all_sealed(pinned) if secret.path == FILE]
    assert sealed.annotations[CERTIFICATE] != fingerprint(controller.certificate), "of `other` nobody knows it"


@pytest.mark.parametrize("how", ["another file", "another name"])
def test_a_file_of_another_secret_is_refused(
    how: str, pinned: Checkout, inside: Seal, controller: SealedSecrets
) -> None:
    inside("seal", "notice-bot", "kakao", "--key", "token")
    path = FILE
    if how == "another file":
        path = FILE.replace("kakao", "line")
        (pinned.root / FILE).rename(pinned.root / path)
    else:
        file = pinned.root / FILE
        file.write_text(file.read_text().replace("name: kakao", "name: line"))
    commit_all(pinned)
    before = files(pinned)
    done = inside("reseal", "--controller", controller.url)
    assert (done.code, f"{path}: it has the Secret" in done.err) == (2, True), done.err
    assert files(pinned) == before, "all or nothing"


def test_the_lab_says_which_certificate_its_seals_are_for(
    pinned: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab: Any = SimpleNamespace(folder=tmp_path)
    monkeypatch.setattr(origin, "_certificate", lambda lab: certificate_of(private_key()))
    origin.seal_all(lab, pinned.root)
    first = files(pinned)
    named = {secret.annotations[CERTIFICATE] for secret in sealedsecret.all_sealed(pinned)}
    assert len(named) == 1
    monkeypatch.setattr(origin, "_certificate", lambda lab: certificate_of(private_key(1)))
    origin.seal_all(lab, pinned.root)
    assert files(pinned) == first, "what was sealed stays, and says that it is stale"
    assert len(json.loads((tmp_path / "seals.json").read_text())) == len(first)

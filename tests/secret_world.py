"""A checkout that seals against a key which the test has, and the real command in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from gitops.cli import cli
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError
from gitops.manifests import sealedsecret, yamltext
from gitops.secrets.seal import unseal
from tests import leaks
from tests.conftest import GITOPS, Ran, commit_all
from tests.oauth_world import certificate_of, private_key

CANARY = "canary-4f9a1c-" + "0123456789abcdef" * 2
PIN = "clusters/seoul/cluster.yaml"
FILE = "overlays/notice-bot/prod/sealedsecret-kakao.yaml"


def pin(checkout: Checkout, pem: bytes, *, fingerprint: str | None = None) -> None:
    value = fingerprint or x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
    file = checkout.root / PIN
    file.write_text(yamltext.put(file.read_text(), PIN, ("data", "sealedSecretsFingerprint"), value))
    (checkout.root / "clusters/seoul/sealed-secrets.pem").write_bytes(pem)


@pytest.fixture
def pinned(scratch: Checkout) -> Checkout:
    pin(scratch, certificate_of(private_key()))
    commit_all(scratch)
    return scratch


Seal = Callable[..., Ran]


@pytest.fixture
def command(pinned: Checkout) -> Seal:
    def run(*words: str, stdin: str = CANARY) -> Ran:
        done = subprocess.run(
            [str(GITOPS), "secrets", *words], cwd=pinned.root, input=stdin, capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert leaks.search("output", (done.stdout + done.stderr).encode(), leaks.patterns([CANARY])) == []
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def opened(checkout: Checkout, path: str, key: rsa.RSAPrivateKey | None = None) -> dict[str, bytes]:
    sealed = sealedsecret.read((checkout.root / path).read_bytes(), path)
    keys = [key or private_key()]
    return {name: unseal(keys, sealed.namespace, sealed.name, value) for name, value in sealed.encrypted.items()}


@pytest.fixture
def inside(pinned: Checkout, monkeypatch: pytest.MonkeyPatch) -> Seal:
    """The same command without a process of its own, which takes seconds."""

    def run(*words: str, stdin: str = CANARY) -> Ran:
        monkeypatch.chdir(pinned.root)
        done = CliRunner().invoke(cli, ["secrets", *words], input=stdin, obj={})
        error = done.exception
        assert error is None or isinstance(error, GitopsError | SystemExit), repr(error)
        text = f"{done.stderr}{error}" if isinstance(error, GitopsError) else done.stderr
        assert leaks.search("output", (done.stdout + text).encode(), leaks.patterns([CANARY])) == []
        return Ran(error.exit_code if isinstance(error, GitopsError) else done.exit_code, done.stdout, text)

    return run

"""The backup of the sealing keys, run as its CronJob runs it, and the way back: moto's KMS and S3 are the vault."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import rsa

from gitops.ground.checkout import Checkout
from gitops.manifests import yamltext
from tests import leaks
from tests.conftest import Ran, gitops
from tests.fakes.key_vault import IDENTITY, KeyVault, Pod, fingerprint_of, pem_of
from tests.frozen import ROOT
from tests.oauth_world import certificate_of, private_key

pytestmark = pytest.mark.bots

SCRIPT = ROOT / "apps/platform/key-backup/objects/backup.py"
PIN = "clusters/seoul/cluster.yaml"


@pytest.fixture
def vault() -> Iterator[KeyVault]:
    vault = KeyVault()
    yield vault
    vault.close()


@pytest.fixture
def pod(tmp_path: Path, vault: KeyVault) -> Iterator[Pod]:
    pod = Pod(tmp_path, vault)
    pod.secrets["sealed-secrets-keyaaaaa"] = (private_key(), certificate_of(private_key()))
    yield pod
    pod.close()


def back_up(pod: Pod, **env: str) -> Ran:
    """As the CronJob starts it."""
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT)], env=pod.environment | env, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def told(vault: KeyVault) -> bytes:
    """All that left the pod, but for what KMS was asked to encrypt."""
    return b"".join(
        f"{method} {path} {headers}".encode() + (b"" if "Encrypt" in headers.get("x-amz-target", "") else body)
        for method, path, headers, body in vault.seen
    )


def test_every_key_is_in_the_bucket_once_and_nowhere_in_the_open(pod: Pod, vault: KeyVault) -> None:
    second = certificate_of(private_key(1))
    pod.secrets["sealed-secrets-keybbbbb"] = (private_key(1), second)
    done = back_up(pod)
    assert done.code == 0, done.err
    objects = vault.objects()
    certificates = [certificate for _, certificate in pod.secrets.values()]
    assert sorted(objects) == sorted(f"sealing-keys/{fingerprint_of(pem)}.json" for pem in certificates)
    stored = objects[f"sealing-keys/{fingerprint_of(second)}.json"]
    context = {"cluster": "seoul", "fingerprint": fingerprint_of(second)}
    opened = vault.client("kms").decrypt(
        CiphertextBlob=base64.b64decode(stored["key"]), EncryptionContext=context, KeyId=vault.key
    )
    assert opened["Plaintext"] == pem_of(private_key(1))
    patterns = leaks.patterns([pem_of(key).decode() for key, _ in pod.secrets.values()])
    everything = told(vault) + json.dumps(objects).encode() + (done.out + done.err).encode()
    assert leaks.search("all", everything, patterns) == []
    again = back_up(pod)
    assert (again.code, again.out.count("there already"), again.out.count("written")) == (0, 2, 0)
    assert vault.objects() == objects


def test_a_key_that_is_new_is_added_and_the_old_one_stays(pod: Pod, vault: KeyVault) -> None:
    back_up(pod)
    before = vault.objects()
    pod.secrets = {"sealed-secrets-keyccccc": (private_key(1), certificate_of(private_key(1)))}
    assert back_up(pod).code == 0
    assert before.items() < vault.objects().items()


def test_its_signature_is_the_one_that_awss_own_library_makes() -> None:
    spec = importlib.util.spec_from_file_location("key_backup", SCRIPT)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    now = datetime(2026, 11, 26, 5, 6, 7, tzinfo=UTC)
    owner = Credentials(IDENTITY["AccessKeyId"], IDENTITY["SecretAccessKey"], IDENTITY["Token"])
    for service, method, url, headers, body in (
        ("kms", "POST", "https://kms.eu-west-3.amazonaws.com/", {"content-type": "x/y", "x-amz-target": "A.B"}, b"{}"),
        ("s3", "PUT", "https://b-1.s3.eu-west-3.amazonaws.com/a/b%20c~.json", {"if-none-match": "*"}, b"\x00\xff"),
        ("s3", "PUT", "http://127.0.0.1:4000/b/ab.json", {"content-type": "application/json"}, b""),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_REGION", "eu-west-3")
            ours = script.signed(method, url, headers, body, service, IDENTITY, now)
            request = AWSRequest(
                method, url, dict(headers) | {"x-amz-content-sha256": ours["x-amz-content-sha256"]}, body
            )
            request.context["timestamp"] = f"{now:%Y%m%dT%H%M%SZ}"
            kind: Any = S3SigV4Auth if service == "s3" else SigV4Auth
            signer = kind(owner, service, "eu-west-3")
            request.headers["X-Amz-Date"] = f"{now:%Y%m%dT%H%M%SZ}"
            request.headers["X-Amz-Security-Token"] = IDENTITY["Token"]
            canonical = signer.canonical_request(request)
            signature = signer.signature(signer.string_to_sign(request, canonical), request)
        assert ours["Authorization"].endswith(f"Signature={signature}"), service


def alien(pod: Pod, **values: bytes) -> None:
    data = {"tls.crt": certificate_of(private_key(1)), "tls.key": pem_of(private_key(1))}
    data |= {name.replace("_", "."): value for name, value in values.items()}
    pod.others = [
        {
            "metadata": {"name": "broken", "labels": {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}},
            "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
        }
    ]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"Encrypt": 400}, "sealed-secrets-keyaaaaa: not backed up: HTTP 400"),
        ({"/seoul-backups": 403}, "sealed-secrets-keyaaaaa: not backed up: HTTP 403"),
        ({"/seoul-backups": 503}, "sealed-secrets-keyaaaaa: not backed up: HTTP 503"),
    ],
)
def test_what_aws_refuses_fails_the_run(fault: dict[str, int], words: str, pod: Pod, vault: KeyVault) -> None:
    vault.faults = fault
    done = back_up(pod)
    assert (done.code, words in done.err) == (1, True), done.err
    assert vault.objects() == {}
    vault.faults = {}
    assert back_up(pod).code == 0


@pytest.mark.parametrize("values", [{"tls_crt": b"none"}, {"tls_crt": b"\xff\xfe"}, {"tls_key": b"k" * 4097}])
def test_one_that_is_no_key_does_not_keep_the_others_from_the_bucket(
    values: dict[str, bytes], pod: Pod, vault: KeyVault
) -> None:
    alien(pod, **values)
    done = back_up(pod)
    assert (done.code, "broken: not backed up: " in done.err) == (1, True)
    assert len(vault.objects()) == 1


def test_a_cluster_without_a_key_or_an_identity_is_no_success(pod: Pod) -> None:
    pod.secrets = {}
    done = back_up(pod)
    assert (done.code, "is the controller there?" in done.err) == (1, True)
    (pod.folder / "identity").write_text("another's")
    done = back_up(pod)
    assert (done.code, "no answer of the API server or of Pod Identity: HTTP 403" in done.err) == (1, True)


# -- the way back


@pytest.fixture
def outputs(scratch: Checkout, vault: KeyVault) -> Checkout:
    """A checkout whose cluster has the bucket, and seals against private_key()."""
    data = {"BackupsBucket": vault.bucket}
    (scratch.root / "clusters/seoul/outputs.yaml").write_text(yaml.safe_dump({"kind": "ConfigMap", "data": data}))
    pin(scratch, fingerprint_of(certificate_of(private_key())))
    return scratch


def pin(checkout: Checkout, fingerprint: str) -> None:
    file = checkout.root / PIN
    file.write_text(yamltext.put(file.read_text(), PIN, ("data", "sealedSecretsFingerprint"), fingerprint))


def command(checkout: Checkout, vault: KeyVault, *words: str) -> Ran:
    done = gitops(checkout, "secrets", *words, timeout=60, **vault.environment)
    patterns = leaks.patterns([pem_of(private_key()).decode(), pem_of(private_key(1)).decode()])
    assert leaks.search("output", (done.out + done.err).encode(), patterns) == []
    return done


def test_the_backup_is_opened_and_the_pinned_key_must_be_in_it(outputs: Checkout, pod: Pod, vault: KeyVault) -> None:
    certificate = certificate_of(private_key())
    pod.secrets["sealed-secrets-keyaaaaa"] = (private_key(), certificate)
    pin(outputs, fingerprint_of(certificate))
    back_up(pod)
    done = command(outputs, vault, "backups")
    assert done.code == 0, done.err
    assert fingerprint_of(certificate)[:12] in done.out
    pin(outputs, "ab" * 32)
    done = command(outputs, vault, "backups")
    assert (done.code, "no backup has the key of the pinned certificate abababababab" in done.err) == (4, True)


def changed(vault: KeyVault, **values: object) -> None:
    """Somebody who may write the bucket changed what is in it."""
    [(name, document)] = vault.objects().items()
    vault.client("s3").put_object(Bucket=vault.bucket, Key=name, Body=json.dumps(document | values).encode())


def swapped(vault: KeyVault, key: rsa.RSAPrivateKey) -> None:
    """Another key under the certificate that people seal against: it would open nothing."""
    [(_, document)] = vault.objects().items()
    context = {name: document[name] for name in ("cluster", "fingerprint")}
    blob = vault.client("kms").encrypt(KeyId=vault.key, Plaintext=pem_of(key), EncryptionContext=context)
    changed(vault, key=base64.b64encode(blob["CiphertextBlob"]).decode())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda vault: changed(vault, key="AAAA"), "kms:Decrypt"),
        (lambda vault: changed(vault, fingerprint="ab" * 32), "kms:Decrypt"),
        (lambda vault: changed(vault, secret="../x"), "not what the backup writes"),
        (lambda vault: changed(vault, extra=1), "not what the backup writes"),
        (lambda vault: swapped(vault, private_key(1)), "the key is not that of its certificate"),
    ],
)
def test_what_cannot_be_trusted_is_restored_nowhere(
    spoil: Any, words: str, outputs: Checkout, pod: Pod, vault: KeyVault
) -> None:
    back_up(pod)
    spoil(vault)
    for verb in ("backups", "restore"):
        extra = ["--kubeconfig", str(outputs.root / PIN)] if verb == "restore" else []
        done = command(outputs, vault, verb, *extra)
        assert (done.code, words in done.err) == (4, True), done.err


def test_bad_input_is_said(outputs: Checkout, vault: KeyVault) -> None:
    vault.faults = {"Decrypt": 400, "list-type": 403}
    assert "s3:ListObjectsV2: AWS answered 403" in command(outputs, vault, "backups").err
    (outputs.root / "clusters/seoul/outputs.yaml").unlink()
    done = command(outputs, vault, "backups")
    assert (done.code, "clusters/seoul/outputs.yaml: cluster 'seoul' has no bucket of backups" in done.err) == (2, True)

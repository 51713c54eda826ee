"""What the backup of sealing keys meets: moto's KMS and S3 on loopback, Pod Identity, and an API server's Secrets."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import ssl
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from moto.server import ThreadedMotoServer

from tests.fakes.server import Server, answer, body_of

REGION = "ap-northeast-2"
LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
IDENTITY = {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "secret+/example", "Token": "session/token=="}


def pem_of(key: rsa.RSAPrivateKey) -> bytes:
    """As the controller keeps its keys."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def fingerprint_of(certificate: bytes) -> str:
    return hashlib.sha256(x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)).hexdigest()


class KeyVault:
    """An account of AWS with the stacks' key and bucket. `seen`: the requests, each with its headers and its body."""

    def __init__(self, cluster: str = "seoul") -> None:
        self.cluster = cluster
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        self._target = "http://{}:{}".format(*self._moto.get_host_and_port())
        requests.post(f"{self._target}/moto-api/reset", timeout=10)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        # By the beginning of a path, or by what is asked of KMS, the HTTP status that it gets instead.
        self.faults: dict[str, int] = {}
        self._server = Server(self._serve)
        self.url = self._server.url
        kms = self.client("kms")
        self.key = kms.create_key()["KeyMetadata"]["Arn"]
        kms.create_alias(AliasName=f"alias/{cluster}-platform", TargetKeyId=self.key)
        self.bucket = f"{cluster}-backups-{self.key.split(':')[4]}"
        self.client("s3").create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.seen.clear()

    def close(self) -> None:
        self._server.close()
        self._moto.stop()

    @property
    def environment(self) -> dict[str, str]:
        """A person's, who may do all."""
        names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
        return {**names, "AWS_ENDPOINT_URL": self.url}

    def client(self, service: str) -> Any:
        options = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}
        return boto3.client(service, endpoint_url=self._target, **options)  # type: ignore[call-overload]

    def objects(self) -> dict[str, dict[str, Any]]:
        s3 = self.client("s3")
        listed = s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: json.load(s3.get_object(Bucket=self.bucket, Key=item["Key"])["Body"]) for item in listed}

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = body_of(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.command, request.path, headers, body))
        words = f"{request.path} {headers.get('x-amz-target', '')}"
        for part, status in self.faults.items():
            if part in words:
                return answer(request, status, b'{"__type": "AccessDeniedException"}')
        passed = {name: value for name, value in headers.items() if name != "host"}
        url = f"{self._target}{request.path}"
        done = requests.request(request.command, url, data=body, headers=passed, timeout=30)
        kind = done.headers.get("Content-Type", "application/xml")
        kept = {name: text for name, text in done.headers.items() if name.lower() in ("etag", "last-modified")}
        return answer(request, done.status_code, done.content, kind, kept)


class Pod:
    """What the pod of the backup has: a service account at an API server with key Secrets, and Pod Identity."""

    def __init__(self, folder: Path, vault: KeyVault) -> None:
        self.folder, self.vault = folder, vault
        self.secrets: dict[str, tuple[rsa.RSAPrivateKey, bytes]] = {}
        # Whole Secrets beside these, as they are to be answered.
        self.others: list[dict[str, Any]] = []
        # The cluster's SealedSecrets, as the API server has them.
        self.sealed: list[dict[str, Any]] = []
        self._identity = Server(self._identify)
        (folder / "identity").write_text("a token of the pod")
        (folder / "token").write_text("the service account")
        self._api = Server(self._list, tls=_context(folder))

    def close(self) -> None:
        self._identity.close()
        self._api.close()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "CLUSTER": self.vault.cluster,
            "NAMESPACE": "kube-system",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.vault.url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._identity.url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.folder / "identity"),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self._api.port),
            "SERVICE_ACCOUNT_FOLDER": str(self.folder),
        }

    def _identify(self, request: BaseHTTPRequestHandler) -> None:
        allowed = request.headers.get("Authorization") == "a token of the pod"
        answer(request, 200 if allowed else 403, json.dumps(IDENTITY if allowed else {}).encode())

    def _list(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        if request.headers.get("Authorization") != "Bearer the service account":
            return answer(request, 403, b"{}")
        if url.path == "/apis/bitnami.com/v1alpha1/sealedsecrets":
            return answer(request, 200, json.dumps({"items": self.sealed}).encode())
        assert parse_qs(url.query) == {"labelSelector": [LABEL]}
        assert url.path == "/api/v1/namespaces/kube-system/secrets"
        items = [_secret(name, *pair) for name, pair in self.secrets.items()]
        return answer(request, 200, json.dumps({"items": [*items, *self.others]}).encode())


def _secret(name: str, key: rsa.RSAPrivateKey, certificate: bytes) -> dict[str, Any]:
    values = {"tls.crt": certificate, "tls.key": pem_of(key)}
    return {
        "metadata": {"name": name, "labels": {LABEL: "active"}, "creationTimestamp": "2026-11-26T00:00:00Z"},
        "data": {field: base64.b64encode(value).decode() for field, value in values.items()},
    }


def _context(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1, and its authority where a service account has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "api.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "api.key")
    return context

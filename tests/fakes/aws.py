"""moto's AWS on loopback, behind a thin proxy that adds what moto's ECR lacks: paging, layers to download, referrers,
push times of choice, faults on demand. boto3 finds it by its environment alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from tests.fakes.server import Server, answer, body_of

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

REGION, ACCOUNT = "ap-northeast-2", "123456789012"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass
class Fault:
    """One ECR call that fails: with an error of AWS's, or with an HTTP status. Used up after `times`.

    `repository`: of this one alone.
    """

    call: str
    code: str
    status: int = 400
    times: int = 1
    repository: str = ""

    def fits(self, call: str, repository: str) -> bool:
        return bool(self.times) and self.call in ("", call) and self.repository in ("", repository)


class Ecr:
    """A running ECR. `calls` counts what was asked of it, by the name of the call."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        self._target = "http://{}:{}".format(*self._moto.get_host_and_port())
        requests.post(f"{self._target}/moto-api/reset", timeout=10)  # moto's state is one for the whole process
        self.blobs: dict[str, bytes] = {}
        self.pushed: dict[str, float] = {}
        self.referrers: dict[str, list[dict[str, Any]]] = {}
        self.faults: list[Fault] = []
        self.calls: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = Server(self._serve)
        self.url = self._server.url

    @property
    def environment(self) -> dict[str, str]:
        """How boto3 finds it; the credentials open nothing."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    @property
    def client(self) -> ECRClient:
        return boto3.client(
            "ecr",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def close(self) -> None:
        self._server.close()
        self._moto.stop()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            blob = self.blobs.get(request.path.removeprefix("/blob/"))
            answer(request, 200 if blob is not None else 404, blob or b"", "application/octet-stream")
            return
        call = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        status, content = self._answer(call, body_of(request), dict(request.headers))
        answer(request, status, content, "application/x-amz-json-1.1")

    def _answer(self, call: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        asked: dict[str, Any] = json.loads(body or b"{}")
        with self._lock:
            self.calls[call] = self.calls.get(call, 0) + 1
            fault = next((fault for fault in self.faults if fault.fits(call, asked.get("repositoryName", ""))), None)
            if fault:
                fault.times -= 1
                return fault.status, json.dumps({"__type": fault.code, "message": "injected"}).encode()
        asked.pop("registryId", None)  # one account plays all of them
        if call == "GetDownloadUrlForLayer":
            digest = asked["layerDigest"]
            if digest not in self.blobs:
                return 400, json.dumps({"__type": "LayersNotFoundException", "message": digest}).encode()
            answer = {"downloadUrl": f"{self.url}/blob/{digest}", "layerDigest": digest}
            return 200, json.dumps(answer).encode()
        if call == "ListImageReferrers":
            return 200, json.dumps(self._referrers(asked)).encode()
        size, start = int(asked.pop("maxResults", 100)), int(asked.pop("nextToken", 0))
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
        done = requests.post(self._target, data=json.dumps(asked), headers=kept, timeout=60)
        if call != "DescribeImages" or done.status_code != 200:
            return done.status_code, done.content
        page = done.json()
        details = page["imageDetails"]
        for image in details:
            image["imagePushedAt"] = self.pushed.get(image["imageDigest"], image["imagePushedAt"])
        page["imageDetails"] = details[start : start + size]
        if start + size < len(details):
            page["nextToken"] = str(start + size)
        return 200, json.dumps(page).encode()

    def _referrers(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Two a page, of the kinds that are asked for."""
        kinds, start = asked["filter"]["artifactTypes"], int(asked.get("nextToken", 0))
        listed = self.referrers.get(asked["subjectId"]["imageDigest"], [])
        fitting = [entry for entry in listed if entry["artifactType"] in kinds]
        page: dict[str, Any] = {"referrers": fitting[start : start + 2]}
        return page | ({"nextToken": str(start + 2)} if fitting[start + 2 :] else {})

    def attach(self, repository: str, digest: str, content: bytes, kind: str) -> str:
        """What names an image as its subject, such as a signature, without a tag."""
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", **self.blob(b"{}")}
        layer = {"mediaType": kind, **self.blob(content)}
        subject = {"mediaType": INDEX, "digest": digest, "size": 1}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": empty, "layers": [layer]}
        text = json.dumps({**manifest, "subject": subject})
        attached = self.put(repository, text)
        entry = {"digest": attached, "mediaType": MANIFEST, "artifactType": kind, "size": len(text)}
        self.referrers.setdefault(digest, []).append(entry)
        return attached

    def blob(self, content: bytes) -> dict[str, Any]:
        """Keep a blob; returns its descriptor without a media type."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return {"digest": digest, "size": len(content)}

    def push(
        self,
        repository: str,
        *tags: str,
        platforms: tuple[str, ...] = ("linux/amd64",),
        index: bool = True,
        labels: dict[str, str] | None = None,
        pushed: datetime | None = None,
        content: str = "",
        attestation: bool = True,
    ) -> str:
        """Push an image as `docker buildx` does: an index with a manifest for each platform and an attestation, or,
        with `index=False`, one bare manifest. Returns the digest that a tag names.
        """
        with suppress(self.client.exceptions.RepositoryAlreadyExistsException):
            self.client.create_repository(repositoryName=repository)
        children = []
        for platform in platforms:
            os, architecture = platform.split("/")[:2]
            config = {"os": os, "architecture": architecture, "config": {"Labels": labels or {}}}
            config["rootfs"] = f"{repository}{tags}{content}"
            descriptor = {"mediaType": CONFIG, **self.blob(json.dumps(config).encode())}
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": []}
            text = json.dumps(manifest)
            if not index:
                return self.put(repository, text, *tags, pushed=pushed)
            digest = self.put(repository, text)
            child = {"mediaType": MANIFEST, "digest": digest, "size": len(text)}
            children.append({**child, "platform": {"os": os, "architecture": architecture}})
        if attestation:
            child = {"mediaType": MANIFEST, "digest": "sha256:" + "e" * 64, "size": 1}
            child["platform"] = {"os": "unknown", "architecture": "unknown"}
            child["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
            children.append(child)
        text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children})
        return self.put(repository, text, *tags, pushed=pushed)

    def put(self, repository: str, manifest: str, *tags: str, pushed: datetime | None = None) -> str:
        """Put a manifest as it is, under tags or none."""
        # Said here as a registry computes it: moto would give an index one of a hundred digests at random.
        digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        for tag in tags or ("",):
            named = {"imageDigest": digest, **({"imageTag": tag} if tag else {})}
            put = self.client.put_image(repositoryName=repository, imageManifest=manifest, **named)
            digest = put["image"]["imageId"]["imageDigest"]
        if pushed:
            self.pushed[digest] = pushed.astimezone(UTC).timestamp()
        return digest


@contextmanager
def ecr_server(monkeypatch: pytest.MonkeyPatch | None = None) -> Iterator[Ecr]:
    """A running ECR, which this process's own boto3 uses too where a monkeypatch is given."""
    fake = Ecr()
    for name, value in fake.environment.items():
        if monkeypatch:
            monkeypatch.setenv(name, value)
    try:
        yield fake
    finally:
        fake.close()

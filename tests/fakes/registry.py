"""The registry of CNCF Distribution on loopback, behind a thin proxy that has what it lacks by itself: the server that
gives its tokens, layers that are stored elsewhere, faults on demand, and a count of what it was asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.fakes.server import Server, answer, body_of, pick
from tests.frozen import ROOT

MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
USER, PASSWORD = "robot", "a-password-of-the-registry"
# Of PASSWORD, by bcrypt.
HTPASSWD = "robot:$2y$05$abcdefghijklmnopqrstuutdet4itF4ObGgnA4Qq64c8TDpSfaMXC"


@dataclass
class Fault:
    """One request that fails: by its method and path, with a status and headers or, `cut`, with no answer at all."""

    path: str
    status: int = 503
    method: str = ".*"
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b"{}"
    times: int = 1
    skip: int = 0


class Registry:
    """A running registry. `auth`: "token" as ghcr.io has it (anyone pulls what is not `private`), "basic" or "none".

    `calls` counts what was asked, such as "HEAD manifests"; `logins` are the logins that the token server saw.
    """

    def __init__(self, auth: str = "token") -> None:
        self.calls: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.logins: list[str] = []
        self.private: set[str] = set()
        self.storage = False
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._folder = tempfile.TemporaryDirectory()
        self._proxy = Server(self._handle)
        self.host = f"127.0.0.1:{self._proxy.port}"
        self._process = subprocess.Popen(
            [str(ROOT / ".tools/bin/registry")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(yaml.safe_dump(self._configuration(auth)).encode())
        self._process.stdin.close()
        self._auth = auth
        self._target = f"http://{self._process.stdout.readline().decode().strip()}"
        self._blobs = threading.Lock()

    def _configuration(self, auth: str) -> dict[str, Any]:
        folder = Path(self._folder.name)
        numbers = self._key.public_key().public_numbers()
        point = {name: _base64(number.to_bytes(32)) for name, number in (("x", numbers.x), ("y", numbers.y))}
        (folder / "jwks").write_text(json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "own", **point}]}))
        (folder / "htpasswd").write_text(f"{HTPASSWD}\n")
        token = {
            "realm": f"http://{self.host}/token",
            "service": "fake",
            "issuer": "fake",
            "jwks": str(folder / "jwks"),
        }
        ways: dict[str, dict[str, Any]] = {
            "token": {"auth": {"token": token}},
            "basic": {"auth": {"htpasswd": {"realm": "fake", "path": str(folder / "htpasswd")}}},
            "none": {},
        }
        return {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"inmemory": {}, "delete": {"enabled": True}},
            "http": {"addr": "127.0.0.1:0", "secret": "of this process"},
            **ways[auth],
        }

    @property
    def environment(self) -> dict[str, str]:
        """Its credentials, as `gitops` takes them."""
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return {"REGISTRY_CREDENTIALS": json.dumps({"auths": {self.host: {"auth": auth}}})}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        assert self._process.stdout
        self._process.stdout.close()
        self._proxy.close()
        self._folder.cleanup()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        content, path = body_of(request), urlsplit(request.path).path
        fault = pick(
            self.faults,
            lambda fault: bool(re.fullmatch(fault.method, request.command) and re.search(fault.path, request.path)),
        )
        kind = next(
            (part for part in ("storage", "manifests", "tags", "blobs") if f"/{part}/" in path), path.strip("/")
        )
        with self._blobs:
            self.calls[f"{request.command} {kind}"] += 1
        if fault:
            answer(request, fault.status, fault.content, headers=fault.headers)
        elif path == "/token":
            self._give_token(request)
        elif self.storage and request.command == "GET" and kind == "blobs":
            # As Docker Hub and ghcr.io do: a signed address elsewhere, which refuses a token.
            answer(request, 307, b"", headers={"Location": f"http://{self.host}/storage{path}?signature=x"})
        elif kind == "storage" and request.headers.get("Authorization"):
            answer(request, 400, b"InvalidArgument: Only one auth mechanism allowed")
        else:
            self._forward(request, content)

    def _forward(self, request: BaseHTTPRequestHandler, content: bytes) -> None:
        path, headers = request.path, {"Host": self.host}
        headers |= {name: text for name, text in request.headers.items() if name in ("Accept", "Authorization")}
        if path.startswith("/storage/"):
            path = urlsplit(path.removeprefix("/storage")).path
            headers["Authorization"] = f"Bearer {self.token(path.split('/blobs/')[0].removeprefix('/v2/'), ['pull'])}"
        done = requests.request(request.command, f"{self._target}{path}", headers=headers, data=content, timeout=20)
        kept = ("docker-content-digest", "content-type", "link", "www-authenticate", "location")
        shown = {name: text for name, text in done.headers.items() if name.lower() in kept}
        request.send_response(done.status_code)
        for name, text in shown.items():
            request.send_header(name, text)
        request.send_header("Content-Length", done.headers.get("Content-Length") or str(len(done.content)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(done.content)

    def _give_token(self, request: BaseHTTPRequestHandler) -> None:
        """As ghcr.io does: whoever has no right to a repository is told nothing of it."""
        asked = parse_qs(urlsplit(request.path).query)
        _, repository, _ = asked["scope"][0].split(":")
        login = request.headers.get("Authorization", "")
        with self._blobs:
            self.logins.append(login)
        known = login == f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        if (login and not known) or (repository in self.private and not known) or asked["service"] != ["fake"]:
            answer(request, 403, b'{"errors": [{"code": "DENIED", "message": "requested access is denied"}]}')
        else:
            answer(request, 200, json.dumps({"token": self.token(repository, ["pull"])}).encode())

    def token(self, repository: str, actions: Sequence[str]) -> str:
        """A JWT that the registry takes for one repository."""
        now = int(time.time())
        access = [{"type": "repository", "name": repository, "actions": list(actions)}]
        claims = {"iss": "fake", "sub": "x", "aud": "fake", "exp": now + 300, "nbf": now - 5, "iat": now, "jti": "x"}
        parts = [{"alg": "ES256", "typ": "JWT", "kid": "own"}, {**claims, "access": access}]
        text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_base64(r.to_bytes(32) + s.to_bytes(32))}"

    def push(
        self,
        repository: str,
        *tags: str,
        platforms: Sequence[str] = ("linux/amd64",),
        index: bool = True,
        labels: dict[str, str] | None = None,
        created: datetime | None = None,
        content: str = "",
    ) -> str:
        """Push an image as `docker buildx` does: an index with a manifest for each platform or, with `index=False`, one
        bare manifest. Returns the digest that the tags name.
        """
        children = []
        for platform in platforms:
            os, architecture, *variant = platform.split("/")
            config: dict[str, Any] = {"os": os, "architecture": architecture, "config": {"Labels": labels or {}}}
            config |= {"variant": variant[0]} if variant else {}
            config |= {"created": created.isoformat()} if created else {}
            config["rootfs"] = {"type": "layers", "diff_ids": [f"{tags}{content}"]}
            described = {"mediaType": CONFIG, **self.blob(repository, json.dumps(config).encode())}
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}
            text = json.dumps(manifest).encode()
            if not index:
                return self.put(repository, text, *tags)
            child = {"mediaType": MANIFEST, "digest": self.put(repository, text), "size": len(text)}
            children.append({**child, "platform": {key: config[key] for key in ("os", "architecture")}})
        text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()
        return self.put(repository, text, *tags, kind=INDEX)

    def put(self, repository: str, manifest: bytes, *tags: str, kind: str = MANIFEST) -> str:
        """Put a manifest as it is, under tags or its digest alone."""
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        for reference in tags or (digest,):
            self._write("PUT", repository, f"manifests/{reference}", manifest, kind)
        return digest

    def retag(self, repository: str, digest: str, tag: str) -> None:
        """Give a manifest another tag."""
        text = self._write("GET", repository, f"manifests/{digest}", b"", MANIFEST).content
        self.put(repository, text, tag, kind=json.loads(text)["mediaType"])

    def delete(self, repository: str, digest: str) -> None:
        """Take away a manifest and all its tags."""
        self._write("DELETE", repository, f"manifests/{digest}", b"", MANIFEST)

    def blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Push a blob; returns its descriptor without a media type."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self._write("POST", repository, "blobs/uploads/", b"", "application/octet-stream")
        place = urlsplit(begun.headers["Location"])
        path = f"{place.path.partition(f'/v2/{repository}/')[2]}?{place.query}&digest={digest}"
        self._write("PUT", repository, path, content, "application/octet-stream")
        return {"digest": digest, "size": len(content)}

    def _write(self, method: str, repository: str, path: str, content: bytes, kind: str) -> requests.Response:
        """Straight to the registry, so that it counts as none of what `gitops` asked."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        tokens = {"token": f"Bearer {self.token(repository, ['pull', 'push', 'delete'])}", "basic": f"Basic {login}"}
        headers = {"Content-Type": kind, "Accept": f"{MANIFEST}, {INDEX}", "Authorization": tokens.get(self._auth, "")}
        url = f"{self._target}/v2/{repository}/{path}"
        done = requests.request(method, url, data=content, headers=headers, timeout=20)
        assert done.ok, (method, path, done.status_code, done.text)
        return done


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")

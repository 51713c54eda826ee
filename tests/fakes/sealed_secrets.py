"""The sealed-secrets controller's API on loopback: its certificate, whether it opens a seal, and sealing anew."""

from __future__ import annotations

import json
import secrets
from http.server import BaseHTTPRequestHandler
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from gitops.ground.errors import InputError
from gitops.secrets.seal import seal, unseal
from tests.fakes.server import Server, answer, body_of


class SealedSecrets:
    """Holds `keys`, newest first, and the newest one's `certificate` in PEM.

    It stands for the controller of a cluster whose keys nobody here has: a seal that it cannot open it takes on trust,
    and seals another value in its place.
    """

    def __init__(self, certificate: bytes, keys: list[rsa.RSAPrivateKey]) -> None:
        self.certificate, self.keys = certificate, keys
        self._server = Server(self._serve)
        self.url = self._server.url

    def close(self) -> None:
        self._server.close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = body_of(request)
        if request.path == "/v1/cert.pem":
            answer(request, 200, self.certificate, "text/plain")
            return
        document = json.loads(body)
        if request.path == "/v1/verify":
            opens = all(self._open(document, value) is not None for value in document["spec"]["encryptedData"].values())
            answer(request, 200 if opens else 409, b"")
            return
        encrypted = document["spec"]["encryptedData"]
        document["spec"]["encryptedData"] = {key: self._anew(document, value) for key, value in encrypted.items()}
        answer(request, 200, json.dumps(document).encode())

    def _open(self, document: dict[str, Any], sealed: str) -> bytes | None:
        metadata = document["metadata"]
        try:
            return unseal(self.keys, metadata["namespace"], metadata["name"], sealed)
        except InputError:
            return None

    def _anew(self, document: dict[str, Any], sealed: str) -> str:
        value = self._open(document, sealed)
        if value is None:
            value = secrets.token_bytes(32)
        metadata = document["metadata"]
        return seal(self.keys[0].public_key(), metadata["namespace"], metadata["name"], value)

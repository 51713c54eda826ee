"""Argo CD's answer for one Application (the lab tests ask the real one)."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.server import Server, answer

TOKEN = "token"


class ArgoCD:
    """`status` is what it says of `application`; a wrong token or another Application is refused."""

    def __init__(self, application: str) -> None:
        self.application = application
        self.status: dict[str, Any] = {}
        self._server = Server(self._serve)
        self.url = self._server.url

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        known = request.path == f"/api/v1/applications/{self.application}"
        allowed = request.headers["Authorization"] == f"Bearer {TOKEN}"
        answer(request, 200 if known and allowed else 403, json.dumps({"status": self.status}).encode())

    def says(self, sync: str, health: str, revision: str) -> None:
        """What it says from now on."""
        self.status = {"sync": {"status": sync, "revision": revision}, "health": {"status": health}}

    @property
    def environment(self) -> dict[str, str]:
        return {"ARGOCD_SERVER": self.url, "ARGOCD_AUTH_TOKEN": TOKEN}

    def close(self) -> None:
        self._server.close()

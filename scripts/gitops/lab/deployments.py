"""GitHub's deployments of the origin: the few calls by which Argo CD's notifications tell of an Application's health.

What GitHub would keep is one line a call in the lab's deployments.jsonl, for a person and for tests to read.
"""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gitops.ground import jsontext

PREFIX = "/github/api/v3"
_TOKEN = re.compile(r"/app/installations/\d+/access_tokens")
_DEPLOYMENTS = re.compile(r"/repos/platform/gitops/deployments")
_STATUSES = re.compile(r"/repos/platform/gitops/deployments/(\d+)/statuses")


class Deployments:
    """What was told, oldest first. Numbers are the order in which deployments came."""

    def __init__(self, file: Path) -> None:
        """`file`: what a lab that was down for a while kept."""
        self._file = file
        self._lock = threading.Lock()
        lines = file.read_text().splitlines() if file.exists() else []
        calls = [jsontext.parse(line) for line in lines]
        self._made = [call["body"] for call in calls if _DEPLOYMENTS.fullmatch(call["path"])]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, Any]:
        """Status and JSON, of GitHub's REST API below PREFIX."""
        if method == "POST" and _TOKEN.fullmatch(path):
            end = datetime.now(UTC) + timedelta(hours=1)
            return 201, {"token": "lab", "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
        status = _STATUSES.fullmatch(path)
        with self._lock:
            if method == "GET" and _DEPLOYMENTS.fullmatch(path):
                return 200, self._listed(query)
            if method != "POST" or not (status or _DEPLOYMENTS.fullmatch(path)):
                return 404, {"message": "Not Found"}
            asked = jsontext.parse(body)
            if status is None:
                self._made.append(asked)
            elif int(status[1]) > len(self._made):
                return 404, {"message": "Not Found"}
            with self._file.open("a") as stream:
                stream.write(json.dumps({"path": path, "body": asked}) + "\n")
            return 201, {"id": len(self._made), **asked}

    def _listed(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        listed = [{"id": number, **made} for number, made in enumerate(self._made, 1)][::-1]
        for name in ("ref", "environment"):
            if name in query:
                listed = [item for item in listed if item.get(name) == query[name][0]]
        return listed

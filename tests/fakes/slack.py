"""Slack's chat.postMessage and auth.test on loopback: keeps what it is told."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl

from tests.fakes.server import Server, answer, body_of

TOKEN = "xoxb-fake"


class Slack:
    """`messages` is what was said, `forms` with how it is to be shown; `error` is what it answers instead, once set.

    `channels`: those that the bot was invited to; None: all.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.error = ""
        self.channels: set[str] | None = None
        self._server = Server(self._serve)
        self.url = f"{self._server.url}/"

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = body_of(request).decode()
        known = request.headers["Authorization"] == f"Bearer {TOKEN}"
        form = dict(parse_qsl(body))
        error = self.error or ("" if known else "invalid_auth")
        if not error and request.path == "/auth.test":
            answer(request, 200, json.dumps({"ok": True, "user": "gitops"}).encode())
            return
        if self.channels is not None and form.get("channel") not in self.channels:
            error = error or "channel_not_found"
        if not error:
            self.forms.append(form)
            self.messages.append(self.forms[-1]["text"])
        answer(request, 200, json.dumps({"ok": not error, "error": error}).encode())

    def told(self, channel: str) -> list[str]:
        """What was said in a channel."""
        return [form["text"] for form in self.forms if form["channel"] == channel]

    @property
    def environment(self) -> dict[str, str]:
        return {"SLACK_TOKEN": TOKEN, "SLACK_API_URL": self.url}

    def close(self) -> None:
        self._server.close()

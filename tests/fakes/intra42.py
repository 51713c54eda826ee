"""42 on loopback: the token endpoint, token/info, the login and each application's page, from the facts that are known.

It keeps state on a clock that a test moves: every two weeks the next secret becomes the secret, the old one is accepted
for an overlap, and a new next secret shows some days before. It limits requests with 42's headers, shows other layouts,
and fails on demand.
"""

from __future__ import annotations

import base64
import html
import json
import re
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.fakes.intra42_answers import ANSWERS, KEYCLOAK_CODE, document
from tests.fakes.server import Server, answer, body_of, pick

LOGIN, PASSWORD = "platform-bot", "correct horse battery staple"
SEED = base64.b32encode(b"the seed of one-time").decode().rstrip("=")
WEEKS = timedelta(days=14)
PER_SECOND, PER_HOUR = 2, 1200


def new_secret() -> str:
    return f"s-s4t2ud-{secrets.token_hex(32)}"


@dataclass
class App:
    """An application of 42. `secrets` has every value that it ever had, with the span in which it is accepted."""

    id: str
    uid: str
    switch: datetime
    current: str = field(default_factory=new_secret)
    next: str | None = None
    accepted: dict[str, tuple[datetime, datetime | None]] = field(default_factory=dict)


@dataclass
class Fault:
    """A request that goes wrong: `kind` is a status, slow, reset, cut (reset in mid-body) or a function.

    A function runs and then the request goes on; `after`: it runs once 42 has answered.
    """

    path: str
    kind: int | str | Callable[[], None]
    times: int = 1
    skip: int = 0
    after: bool = False


class Intra42:
    """All of 42 that a rotation meets. `log` lists what was asked, without any value."""

    def __init__(
        self,
        applications: dict[str, str],
        *,
        overlap: timedelta = timedelta(hours=6),
        shows_before: timedelta = timedelta(days=5),
        limited: bool = False,
    ) -> None:
        """`applications`: uid by id."""
        self.now = datetime.now(UTC)
        self.overlap, self.shows_before, self.limited = overlap, shows_before, limited
        self.skew = timedelta(0)
        self.period = WEEKS
        self.apps = {}
        for number, uid in applications.items():
            app = App(number, uid, self.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=11))
            app.accepted[app.current] = (self.now - WEEKS, None)
            self.apps[number] = app
        self.tokens: dict[str, str] = {}
        self.sessions: set[str] = set()
        self.faults: list[Fault] = []
        self.log: list[str] = []
        self.seen: list[str] = []  # every value that was ever shown or presented, for leak tests
        self.otp = False
        self.used_codes: set[str] = set()  # a code is good for one use
        # What stands in the way of a login, a name of ANSWERS; "keycloak code" asks for a code before 42 does.
        self.obstacle = ""
        self.scripts_needed = False
        self.says_valid_until = True
        # What the token says of the secret's end instead of it.
        self.valid_until_word: int | None = None
        # How long before its switch 42 begins to accept a next secret, where it does so from a day on, and says that.
        self.accepts_before: timedelta | None = None
        self.layout: Callable[[str], str] = lambda text: text
        self.failures: list[str] = []
        self._times: list[float] = []
        self._lock = threading.RLock()
        self.server = Server(self._serve, date=lambda: self.now + self.skew)
        self.url = self.server.url

    @property
    def environment(self) -> dict[str, str]:
        """What a run of the workflow has."""
        return {
            "INTRA42_LOGIN": LOGIN,
            "INTRA42_PASSWORD": PASSWORD,
            "GITOPS_42_PROFILE_URL": self.url,
            "GITOPS_42_API_URL": self.url,
            "GITOPS_42_DEADLINE": "1.5",
        }

    def close(self) -> None:
        self.server.close()
        assert not self.failures, "\n".join(self.failures)

    # -- the clock

    def advance(self, span: timedelta) -> None:
        """Let time pass, with every switch in it."""
        with self._lock:
            end = self.now + span
            while coming := [moment for moment in self._moments() if self.now < moment <= end]:
                self.now = min(coming)
                self._settle()
            self.now = end

    def _moments(self) -> Iterator[datetime]:
        """When 42 shows a next secret, and when it switches to it, of each application."""
        for app in self.apps.values():
            yield from (app.switch - self.shows_before, app.switch)

    def _settle(self) -> None:
        for app in self.apps.values():
            if app.next is None and app.switch - self.shows_before <= self.now < app.switch:
                self.show_next(app.id)
            if self.now >= app.switch:
                self.replace(app.id)

    def show_next(self, number: str) -> str:
        """42 makes the next secret, which works at once, or from its day on."""
        app = self.apps[number]
        app.next = new_secret()
        begins = self.now if self.accepts_before is None else app.switch - self.accepts_before
        app.accepted[app.next] = (max(begins, self.now), None)
        return app.next

    def replace(self, number: str) -> None:
        """The switch: the next secret becomes the secret, and the old one is accepted for the overlap."""
        app = self.apps[number]
        begins, _ = app.accepted[app.current]
        app.accepted[app.current] = (begins, self.now + self.overlap)
        app.current = app.next or self.show_next(number)
        app.next = None
        app.switch += self.period

    def accepts(self, number: str, value: str, moment: datetime | None = None) -> bool:
        """Whether 42 takes `value` for an application at a moment."""
        period = self.apps[number].accepted.get(value)
        moment = moment or self.now
        return period is not None and period[0] <= moment and (period[1] is None or moment < period[1])

    # -- HTTP

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = body_of(request).decode()
        url = urlsplit(request.path)
        line = f"{request.command} {url.path}"
        with self._lock:
            self.log.append(line)
            fault = pick(self.faults, lambda fault: bool(re.search(fault.path, line)))
        try:
            if fault and not fault.after and self._fail(request, fault):
                return
            with self._lock:
                status, kind, text, headers = self._route(
                    request, url.path, {k: v[0] for k, v in parse_qs(body).items()}
                )
            if fault and (fault.kind == "cut"):
                self._cut(request, text)
                return
            answer(request, status, text.encode(), kind, headers)
            if fault and fault.after:
                self._fail(request, fault)
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:
            self.failures.append(f"{line}: {error!r}")
            raise

    def _fail(self, request: BaseHTTPRequestHandler, fault: Fault) -> bool:
        kind = fault.kind
        if callable(kind):
            kind()
        elif kind == "slow":
            time.sleep(2)
        elif kind == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
            request.close_connection = True
            return True
        elif kind == 401:
            answer(request, 401, json.dumps({"error": "invalid_client"}).encode())
            return True
        elif isinstance(kind, int):
            headers = {"Retry-After": "0"} if kind == 429 else {}
            answer(request, kind, b"Retry later" if kind == 429 else b"oops", "text/plain", headers)
            return True
        return False

    def _cut(self, request: BaseHTTPRequestHandler, text: str) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text[: len(text) // 2].encode())
        request.wfile.flush()
        request.close_connection = True

    def _route(
        self, request: BaseHTTPRequestHandler, path: str, form: dict[str, str]
    ) -> tuple[int, str, str, dict[str, str]]:
        if path.startswith("/oauth/token"):
            status, value, headers = self._api(request, path, form)
            return status, "application/json", json.dumps(value), headers
        status, text, headers = self._pages(request, path, form)
        return status, "text/html; charset=utf-8", text, headers

    # -- the API

    def _api(
        self, request: BaseHTTPRequestHandler, path: str, form: dict[str, str]
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        now = time.monotonic()
        self._times = [moment for moment in self._times if now - moment < 3600]
        recent = sum(now - moment < 1 for moment in self._times)
        headers = {
            "x-secondly-ratelimit-limit": str(PER_SECOND),
            "x-secondly-ratelimit-remaining": str(max(0, PER_SECOND - recent - 1)),
            "x-hourly-ratelimit-limit": str(PER_HOUR),
            "x-hourly-ratelimit-remaining": str(max(0, PER_HOUR - len(self._times) - 1)),
        }
        if self.limited and (recent >= PER_SECOND or len(self._times) >= PER_HOUR):
            return 429, {"error": "Too many requests"}, {**headers, "Retry-After": "1"}
        self._times.append(now)
        if path == "/oauth/token/info":
            token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
            if token not in self.tokens:
                return 401, {"error": "invalid_request"}, headers
            uid = self.tokens[token]
            info = {"resource_owner_id": None, "scopes": ["public"], "expires_in_seconds": 7200}
            return 200, {**info, "application": {"uid": uid}, "created_at": int(self.now.timestamp())}, headers
        self.seen.append(form.get("client_secret", ""))
        app = next((app for app in self.apps.values() if app.uid == form.get("client_id")), None)
        value = form.get("client_secret", "")
        # Another application's secret with this client id: 42 gives the token of whichever secret it is.
        owner = next((app for app in self.apps.values() if self.accepts(app.id, value)), None)
        if app is None or owner is None or form.get("grant_type") != "client_credentials":
            text = (
                "Client authentication failed due to unknown client, no client authentication included, or unsupported"
            )
            return 401, {"error": "invalid_client", "error_description": text}, headers
        token = secrets.token_hex(32)
        self.tokens[token] = owner.uid
        self.seen.append(token)
        told: dict[str, Any] = {"access_token": token, "token_type": "bearer", "expires_in": 7200, "scope": "public"}
        told["created_at"] = int(self.now.timestamp())
        if self.says_valid_until:
            end = int(owner.switch.timestamp())
            told["secret_valid_until"] = end if self.valid_until_word is None else self.valid_until_word
        return 200, told, headers

    # -- the pages

    def _pages(
        self, request: BaseHTTPRequestHandler, path: str, form: dict[str, str]
    ) -> tuple[int, str, dict[str, str]]:
        if path.endswith(("/generate", "/replace")):
            self.failures.append(f"{path} was pressed")
        obstacle = ANSWERS.get(self.obstacle)
        if obstacle and re.fullmatch(obstacle.path, path):
            return obstacle.status, document(obstacle.title, obstacle.body), {}
        if path == "/users/auth/keycloak_student":
            return 302, "", {"Location": f"{self.url}/auth/realms/students"}
        if path == "/auth/realms/students":
            return 200, self._login_page(), {}
        if path == "/auth/authenticate":
            if (form.get("username"), form.get("password")) != (LOGIN, PASSWORD):
                return 200, self._login_page("Invalid username or password."), {}
            if self.obstacle == "keycloak code":
                return 200, document("Sign in to 42", KEYCLOAK_CODE), {}
            return self._after_keycloak()
        if path == "/auth/code":
            taken = self._takes_code(form.get("otp"))
            return self._after_keycloak() if taken else (200, document("Sign in to 42", KEYCLOAK_CODE), {})
        if path == "/users/otp":
            if not self._takes_code(form.get("users[code]")):
                return 200, self._otp_page(), {}
            return 302, "", {"Location": f"{self.url}/users/auth/keycloak_student/callback"}
        if path == "/users/auth/keycloak_student/callback":
            session = secrets.token_hex(16)
            self.sessions.add(session)
            return 302, "", {"Location": f"{self.url}/", "Set-Cookie": f"user.id={session}; Path=/; HttpOnly"}
        cookie = re.search(r"user\.id=(\w+)", request.headers.get("Cookie") or "")
        if not cookie or cookie[1] not in self.sessions:
            return 200, self._login_page(), {}
        if path == "/":
            return 200, "<!DOCTYPE html><html><head><title>Intra</title></head><body>Welcome</body></html>", {}
        if (match := re.fullmatch(r"/oauth/applications/(\d+)", path)) and match[1] in self.apps:
            return 200, self.layout(self.page(match[1])), {}
        return 404, "<!DOCTYPE html><html><head><title>404</title></head><body>Not here</body></html>", {}

    def _after_keycloak(self) -> tuple[int, str, dict[str, str]]:
        if self.otp:
            return 200, self._otp_page(), {}
        return 302, "", {"Location": f"{self.url}/users/auth/keycloak_student/callback"}

    def _takes_code(self, code: str | None) -> bool:
        """Codes of now and of a step around it are good, each once."""
        moment = int((self.now + self.skew).timestamp())
        totp = TOTP(base64.b32decode(SEED + "=" * (-len(SEED) % 8)), 6, SHA1(), 30, enforce_key_length=False)
        good = {totp.generate(moment + shift).decode() for shift in (-30, 0, 30)} - self.used_codes
        if code not in good:
            return False
        self.used_codes.add(code)
        return True

    def _login_page(self, message: str = "") -> str:
        form = (
            f'<form id="kc-form-login" action="{self.url}/auth/authenticate" method="post">'
            '<input name="username" type="text"><input name="password" type="password">'
            '<input name="credentialId" type="hidden" value=""><button type="submit">Sign In</button></form>'
        )
        if self.scripts_needed:
            script = f"document.getElementById('app').innerHTML = {json.dumps(form)}"
            form = f'<div id="app"></div><script>{script}</script>'
        return (
            "<!DOCTYPE html><html><head><title>Sign in to 42</title></head><body>"
            f"<p>{html.escape(message)}</p>{form}</body></html>"
        )

    def _otp_page(self) -> str:
        return (
            "<!DOCTYPE html><html><head><title>Otp</title></head><body>"
            '<form action="/users/otp" method="post"><input name="authenticity_token" type="hidden" value="t">'
            '<input name="users[code]" type="text"><button type="submit">Verify</button></form></body></html>'
        )

    def page(self, number: str) -> str:
        """An application's page."""
        app = self.apps[number]
        self.seen += [app.current, app.next or ""]
        fields = [
            ("uid", "UID", app.uid),
            ("secret", "SECRET", app.current),
            ("next-secret", "NEXT SECRET", app.next or "-"),
        ]
        rows = "".join(
            f'<div class="credential"><h4>{label}</h4><div class="copy" data-copy="[data-app-{name}-{number}]" '
            f'data-clipboard-text="{value}"><span>{value[:12]}</span><i class="icon"></i></div></div>\n'
            for name, label, value in fields
        )
        until, begins = app.switch, ""
        if self.accepts_before is not None and app.next:
            day = app.switch - self.accepts_before
            begins = f'<div class="rotation-actions">Valid from {day:%d/%m/%Y} until {until + WEEKS:%d/%m/%Y}</div>\n'
        return (
            "<!DOCTYPE html>\n<html>\n<head><title>Application</title></head>\n<body>\n"
            f'<nav><div class="menu" data-copy="[page]">Profile</div></nav>\n<h1>Application {number}</h1>\n'
            f'<section class="credentials">\n{rows}'
            f'<div class="rotation-actions">Valid until {until:%d/%m/%Y} '
            f'<a href="/oauth/applications/{number}/generate" data-method="post">Generate now</a> '
            f'<a href="/oauth/applications/{number}/replace" data-method="post">Replace now</a></div>\n'
            f"{begins}</section>\n<footer>42</footer>\n</body>\n</html>\n"
        )

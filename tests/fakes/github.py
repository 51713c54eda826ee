"""GitHub on loopback: a real git repository over smart HTTP, and the REST and GraphQL calls that our code makes.

It keeps state (github_repository.py) and fails on demand; every answer is completed from and checked against GitHub's
OpenAPI, and every query runs on its GraphQL schema (github_graphql.py).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import struct
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes import github_graphql, openapi
from tests.fakes.github_deployments import ARGOCD_NAME, Deployments
from tests.fakes.github_issues import Issues
from tests.fakes.github_pulls import Pulls
from tests.fakes.github_rulesets import BOT_ACTOR, BOT_APP, NOT_FOUND, Actor, Rules, pushed, token_of
from tests.fakes.server import Server, answer, body_of, pick

# Another in each process: whoever else is on the machine could otherwise push what a workflow then runs.
TOKEN = f"ghs-fake-{secrets.token_hex(16)}"
_PUSH = "git-receive-pack"
# What is answered page by page as a list in an object.
LISTS = {f"/actions/{name}" for name in ("secrets", "organization-secrets", "variables", "workflows")} | {
    "/environments"
}


@dataclass
class Fault:
    """A request that goes wrong: `kind` is 401, 403 (secondary limit), 404, 409, 422, 500, slow, reset or a function.

    Of limits also `quota` (the hour's, which comes back in 50 minutes) and `pause` (a secondary one of 50 minutes).

    `after`: GitHub has done it, and only its answer is lost.
    """

    method: str
    path: str
    kind: int | str | Callable[[], None]
    times: int = 1
    skip: int = 0
    after: bool = False


class GitHub(Pulls):
    """One repository, served. `requests` lists what was asked, `writes` what of it changed something."""

    def __init__(self, repository: Path, name: str = "platform/gitops") -> None:
        """`repository`: a bare git repository, which may be another git host's too."""
        super().__init__(repository, name)
        self.rules = Rules(self)
        self.deployments = Deployments(self)
        self.issues = Issues()
        # Who asks with which token.
        self.tokens: dict[str, Actor] = {TOKEN: BOT_ACTOR}
        # The teams of who asks, as owner/team; None: nobody but the owner's account is there, or the token may not see.
        self.members: list[str] | None = None
        self.requests: list[str] = []
        self.writes: list[str] = []
        self.bodies: list[str] = []
        self.failures: list[str] = []
        self.faults: list[Fault] = []
        # (when it began, how it ended), oldest first, by the workflow's file: those of its schedule on main.
        self.workflow_runs: dict[str, list[tuple[str, str]]] = {}
        # The same of a branch, which has the file as it likes.
        self.branch_runs: dict[str, list[tuple[str, str]]] = {}
        # Finished runs of check.yaml, by number: commit, how it ended, event, branch.
        self.finished: dict[int, tuple[str, str, str, str]] = {}
        # Zip archives by run and name, as upload-artifact leaves them.
        self.artifacts: dict[tuple[int, str], bytes] = {}
        # What other repositories, which everybody may read, have published and tagged, the newest first.
        self.releases: dict[str, list[dict[str, Any]]] = {}
        self.tags: dict[str, list[str]] = {}
        self.server = Server(self._serve)
        self.url = self.server.url

    @property
    def environment(self) -> dict[str, str]:
        """What Actions would set for a job."""
        return {
            "GITHUB_REPOSITORY": self.name,
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_API_URL": f"{self.url}/api/v3",
            "BOT_APP_ID": str(BOT_APP),
            "ARGOCD_APP": ARGOCD_NAME,
            "GITOPS_GITHUB_WAIT": "0.1",
        }

    @property
    def clone_url(self) -> str:
        return f"{self.url}/{self.name}.git"

    def close(self) -> None:
        self.server.close()
        assert not self.failures, "\n".join(self.failures)

    # -- HTTP

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = body_of(request)
        url = urlsplit(request.path)
        path = unquote(url.path)
        if path.startswith(f"/{self.name}.git/"):
            self._smart_http(request, path.removeprefix(f"/{self.name}.git"), url.query, body)
            return
        if path.startswith("/storage/"):
            self._storage(request, int(path.removeprefix("/storage/")))
            return
        asked: Any = json.loads(body) if body else {}
        line = f"{request.command} {path.removeprefix('/api/v3')}"
        if path == "/api/graphql":
            line += f" {asked['query'].split('(')[0]}"
        with self._lock:
            self.requests.append(line)
            if request.command != "GET" and "query " not in line:
                self.writes.append(line)
            self.bodies.append(body.decode())
            fault = pick(
                self.faults,
                lambda fault: bool(re.fullmatch(fault.method, request.command) and re.search(fault.path, line)),
            )
        try:
            if fault and not fault.after and self._fail(request, fault):
                return
            with self._lock:
                status, value, headers = self._route(request, path, parse_qs(url.query), asked)
            if fault and fault.after and self._fail(request, fault):
                return
            self._send(request, status, value, headers)
        except (BrokenPipeError, ConnectionResetError):
            request.close_connection = True  # who asked waits no longer, which is no fault of anyone's
        except Exception:
            self.failures.append(f"{line}: {traceback.format_exc()}")
            self._send(request, 500, {"message": "the fake is broken"})

    def _fail(self, request: BaseHTTPRequestHandler, fault: Fault) -> bool:
        kind = fault.kind
        if callable(kind):
            kind()
            kind = "reset"
        if kind == "slow":
            time.sleep(2)
            return False
        if kind == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
            request.close_connection = True
            return True
        messages = {
            401: "Bad credentials",
            403: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            404: "Not Found",
            409: "Conflict",
            422: "Validation Failed",
        }
        headers = {"Retry-After": "1"} if kind == 403 else {}
        if kind == "quota":
            headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{time.time() + 3000:.0f}"}
            said = {"message": "API rate limit exceeded for installation ID 1.", "documentation_url": "x"}
            self._send(request, 403, said, headers)
            return True
        if kind == "pause":
            kind, headers = 403, {"Retry-After": "3000"}
        assert isinstance(kind, int)
        self._send(request, kind, {"message": messages.get(kind, "Server Error"), "documentation_url": "x"}, headers)
        return True

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, value: Any, headers: dict[str, str] | None = None
    ) -> None:
        content = b"" if value is None else json.dumps(value).encode()
        answer(request, status, content, "application/json; charset=utf-8", headers)

    def _smart_http(self, request: BaseHTTPRequestHandler, path: str, query: str, body: bytes) -> None:
        pusher = self.tokens.get(token_of(request.headers.get("Authorization", "")))
        if _PUSH in path + query and pusher is None:
            answer(request, 401, b"", "text/plain", {"WWW-Authenticate": 'Basic realm="GitHub"'})
            return
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.git_dir),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "student",
            "REMOTE_ADDR": "127.0.0.1",
        }
        if path == f"/{_PUSH}" and pusher:
            for branch, before, after in pushed(body):
                if reason := self.rules.refuses_push(branch, before, after, pusher):
                    answer(request, 403, f"Repository rule violations found: {reason}".encode(), "text/plain")
                    return
        with self._lock:
            done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, timeout=120)
            self.settle()
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status = re.search(rb"^Status: (\d+)", head, re.MULTILINE)
        kind = re.search(rb"^Content-Type: (.+)", head, re.MULTILINE)
        answer(request, int(status[1]) if status else 200, content, kind[1].decode().strip() if kind else "text/plain")

    def _route(
        self, request: BaseHTTPRequestHandler, path: str, query: dict[str, list[str]], asked: Any
    ) -> tuple[int, Any, dict[str, str]]:
        actor = self.tokens.get(token_of(request.headers.get("Authorization", "")))
        if actor is None:
            return 401, {"message": "Bad credentials", "documentation_url": "x"}, {}
        if path == "/api/graphql":
            return 200, github_graphql.execute(self, self.rules, actor, asked, self.deployments, self.members), {}
        path, method = path.removeprefix("/api/v3"), request.command
        own = f"/repos/{self.name}"
        if not path.startswith(f"{own}/") and path != own:
            return *self._of_others(method, path), {}
        if method in ("POST", "PATCH", "PUT"):
            openapi.check_request(method, path, asked)
        headers: dict[str, str] = {}
        if match := re.fullmatch(r"/actions/artifacts/(\d+)/zip", path.removeprefix(own)):
            # As on GitHub, where the storage is another host: one that gets the token refuses.
            host = self.url.replace("127.0.0.1", "localhost")
            return 302, openapi.answer(method, path, 302, None), {"Location": f"{host}/storage/{match[1]}"}
        if actor.app and (refusal := self.rules.holdings.refuses(method, path.removeprefix(own), actor.rights)):
            return 403, refusal, {}
        status, value = self._rest(method, path.removeprefix(own), query, asked, actor)
        if isinstance(value, list) and method == "GET":
            value, headers = self._page(request, query, value)
        elif method == "GET" and (path.removeprefix(own) in LISTS or isinstance(value.get("workflow_runs"), list)):
            [key] = value.keys() - {"total_count"}
            value[key], headers = self._page(request, query, value[key])
        return status, openapi.answer(method, path, status, value), headers

    def _of_others(self, method: str, path: str) -> tuple[int, Any]:
        match = re.fullmatch(r"/repos/([^/]+/[^/]+)/(releases|tags)", path)
        if match is None or match[1] not in self.releases.keys() | self.tags.keys():
            return NOT_FOUND
        listed: list[dict[str, Any]] = [{"name": tag} for tag in self.tags.get(match[1], [])]
        if match[2] == "releases":
            listed = [{"draft": False, **release} for release in self.releases.get(match[1], [])]
        return 200, openapi.answer(method, path, 200, listed[:100])

    def _page(
        self, request: BaseHTTPRequestHandler, query: dict[str, list[str]], value: list[Any]
    ) -> tuple[list[Any], dict[str, str]]:
        size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
        part = value[(page - 1) * size : page * size]
        if page * size >= len(value):
            return part, {}
        base = re.sub(r"[?&]page=\d+", "", request.path)
        return part, {"Link": f'<{self.url}{base}{"&" if "?" in base else "?"}page={page + 1}>; rel="next"'}

    def _rest(self, method: str, path: str, query: dict[str, list[str]], asked: Any, actor: Actor) -> tuple[int, Any]:
        answered = self.rules.rest(method, path, asked, actor)
        answered = answered or self.deployments.rest(method, path, query, asked, actor)
        if answered := answered or self.issues.rest(method, path, query, asked, actor):
            return answered
        if answered := self.pulls_rest(method, path, query, asked, actor):
            return answered
        if match := re.fullmatch(r"/git/refs?/heads/(.+)", path):
            sha = self.head(match[1])
            return (200, {"ref": f"refs/heads/{match[1]}", "object": {"sha": sha}}) if sha else NOT_FOUND
        if match := re.fullmatch(r"/git/matching-refs/heads/(.+)", path):
            branches = [branch for branch in self.branches() if branch.startswith(match[1])]
            return 200, [{"ref": f"refs/heads/{name}", "object": {"sha": self.head(name)}} for name in branches]
        if match := re.fullmatch(r"/commits/([0-9a-f]{40})", path):
            return 200, {"sha": match[1], "commit": {}, "parents": []}
        if match := re.fullmatch(r"/commits/([0-9a-f]{40})/status", path):
            return 200, {"sha": match[1], "state": "x", "statuses": self.statuses.get(match[1], []), "total_count": 1}
        if match := re.fullmatch(r"/commits/([0-9a-f]{40})/statuses", path):
            return 200, self.statuses.get(match[1], [])[::-1]
        if match := re.fullmatch(r"/statuses/([0-9a-f]{40})", path):
            self.rules.status(match[1], asked["context"], asked["state"], actor, asked.get("description", ""))
            return 201, asked
        if match := re.fullmatch(r"/actions/workflows/([\w.]+)/runs", path):
            runs = [*self.workflow_runs.get(match[1], [])]
            if "event" not in query:
                runs += self.branch_runs.get(match[1], [])
            found_runs = [
                {"id": n, "status": "completed", "conclusion": conclusion, "run_started_at": began}
                for n, (began, conclusion) in enumerate(runs, 1)
                if conclusion in query.get("status", [conclusion])
            ]
            return 200, {"total_count": len(found_runs), "workflow_runs": found_runs[::-1]}
        if match := re.fullmatch(r"/actions/runs/(\d+)", path):
            address = f"{self.url}/api/v3/repos/{self.name}{path}/artifacts"
            return 200, {"id": int(match[1]), "artifacts_url": address, **self._finished(int(match[1]))}
        if match := re.fullmatch(r"/actions/runs/(\d+)/artifacts", path):
            kept = [self._artifact(n, *key) for n, key in enumerate(self.artifacts, 1) if key[0] == int(match[1])]
            return 200, {"total_count": len(kept), "artifacts": kept}
        return NOT_FOUND

    def _finished(self, number: int) -> dict[str, Any]:
        if number not in self.finished:
            return {}
        facts = ("head_sha", "conclusion", "event", "head_branch")
        return {"path": ".github/workflows/check.yaml", **dict(zip(facts, self.finished[number], strict=True))}

    def _artifact(self, number: int, run: int, name: str) -> dict[str, Any]:
        url = f"{self.url}/api/v3/repos/{self.name}/actions/artifacts/{number}"
        size = len(self.artifacts[run, name])
        described = {"id": number, "name": name, "size_in_bytes": size, "expired": False, "workflow_run": {"id": run}}
        return {**described, "url": url, "archive_download_url": f"{url}/zip"}

    def _storage(self, request: BaseHTTPRequestHandler, number: int) -> None:
        content = list(self.artifacts.values())[number - 1]
        refused = "Authorization" in request.headers
        answer(request, 403 if refused else 200, b"" if refused else content, "application/zip")

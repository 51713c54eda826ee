"""What is outside of the cluster, on loopback: the git host that is Argo CD's origin, with its deployments, and Slack's
one endpoint.

Run as a process: `python -m gitops.lab.externals CHECKOUT LAB`. Git is real: every request goes to `git http-backend`.
It is read alone: people push to the repository's folder, and its hook says what moved, for which both of Argo CD's
webhooks get the event that GitHub would send.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gitops.ground.checkout import Checkout
from gitops.ground.output import say
from gitops.lab import deployments, network, pki
from gitops.lab.deployments import Deployments
from gitops.lab.layout import Lab
from gitops.lab.origin import PUSHED
from gitops.repository.git import Repo

NO_COMMIT = "0" * 40
PUSH = "git-receive-pack"
_REPOSITORY = re.compile(r"/([\w-]+/[\w-]+\.git)/")
# What git tells a post-receive hook of each branch: the commit before, the commit after, the branch.
_MOVED = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) (refs/heads/\S+)")


class Handler(BaseHTTPRequestHandler):
    """Smart HTTP at /platform/gitops.git and of the projects that Applications read, GitHub's deployments, Slack's
    chat.postMessage at /slack/api/, /healthz; and github.com itself, for whoever comes by a proxy's CONNECT.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the head and the body of an answer are two writes
    lab: Lab
    deployments: Deployments
    certificate: ssl.SSLContext
    writing = threading.Lock()

    def do_GET(self) -> None:  # noqa: D102
        self._route()

    def do_POST(self) -> None:  # noqa: D102
        self._route()

    def do_CONNECT(self) -> None:  # noqa: D102
        if self.path != f"{pki.GITHUB}:443":
            self._answer(403, b"the lab has no way out", "text/plain")
            return
        self.send_response(200)
        self.end_headers()
        with self.certificate.wrap_socket(self.connection, server_side=True) as inside:
            type(self)(inside, self.client_address, self.server)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: D102
        say(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}")

    def _route(self) -> None:
        url = urlsplit(self.path)
        repository = _REPOSITORY.match(url.path)
        if url.path == "/healthz":
            self._answer(200, b"ok", "text/plain")
        elif repository:
            folder = self.lab.origin if repository[1] == "platform/gitops.git" else self.lab.upstream / repository[1]
            self._git(folder, url.path[repository.end() :], url.query)
        elif url.path == "/slack/api/chat.postMessage":
            self._slack()
        elif url.path.startswith(f"{deployments.PREFIX}/"):
            path = url.path.removeprefix(deployments.PREFIX)
            status, value = self.deployments.answer(self.command, path, parse_qs(url.query), self._body())
            self._answer(status, json.dumps(value).encode(), "application/json")
        else:
            self._answer(404, b"not found", "text/plain")

    def _slack(self) -> None:
        form = {key: values[0] for key, values in parse_qs(self._body().decode()).items()}
        form.pop("token", None)
        with self.writing, self.lab.slack_file.open("a") as stream:
            stream.write(json.dumps(form) + "\n")
        answer = {"ok": True, "channel": form.get("channel", ""), "ts": "1.0"}
        self._answer(200, json.dumps(answer).encode(), "application/json")

    def _git(self, folder: Path, path: str, query: str) -> None:
        body = self._body()
        if PUSH in (path, *parse_qs(query).get("service", [])):
            self._answer(403, b"push to the repository's folder", "text/plain")
        else:
            self._backend(folder, path, query, body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _backend(self, folder: Path, path: str, query: str, body: bytes) -> None:
        """Call git's own CGI program and pass its answer on."""
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{path}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, timeout=120)  # noqa: S607
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status, kind = 200, "application/octet-stream"
        for line in head.decode("latin-1").split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "status":
                status = int(value.split()[0])
            elif name.lower() == "content-type":
                kind = value.strip()
        if done.returncode or not head:
            status, content = 500, done.stderr
        self._answer(status, content, kind)

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def follow_pushes(lab: Lab) -> None:
    """Tell Argo CD of each branch that the origin's hook says has moved, for ever."""
    # Opened for both ways: it has no end while nobody pushes.
    with os.fdopen(os.open(lab.folder / PUSHED, os.O_RDWR)) as stream:
        for line in stream:
            moved = _MOVED.fullmatch(line.strip())
            if moved and moved[1] != moved[2]:
                threading.Thread(target=send_webhooks, args=(lab, moved[3], moved[1], moved[2]), daemon=True).start()


def send_webhooks(lab: Lab, ref: str, old: str, new: str, *, tell: Callable[[str], None] = say) -> None:
    """Tell both of Argo CD's webhooks what GitHub would: the branch, its commits, and the files that they touched.

    `tell`: who hears what they answered.
    """
    page = lab.repo_url.removesuffix(".git")
    commits = []
    if NO_COMMIT not in (old, new):
        with Repo(lab.origin) as repo:
            diff = repo.commit(old).diff(new)
            modified = set[str]()
            for change in diff:
                if not change.new_file and not change.deleted_file:
                    modified.update(path for path in (change.a_path, change.b_path) if path)
            commits = [
                {
                    "id": new,
                    "added": [change.b_path for change in diff if change.new_file],
                    "removed": [change.a_path for change in diff if change.deleted_file],
                    "modified": sorted(modified),
                }
            ]
    event = {
        "ref": ref,
        "before": old,
        "after": new,
        "created": old == NO_COMMIT,
        "deleted": new == NO_COMMIT,
        "commits": commits,
        "head_commit": commits[-1] if commits else None,
        "repository": {
            "name": "gitops",
            "full_name": "platform/gitops",
            "html_url": page,
            "clone_url": lab.repo_url,
            "default_branch": "main",
        },
    }
    body = json.dumps(event).encode()
    settings = lab.settings()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": "sha256=" + hmac.new(settings.webhook_secret.encode(), body, hashlib.sha256).hexdigest(),
    }
    for port, tls in (("argocd", network.tls_context(lab.ca)), ("applicationset-webhook", None)):
        try:
            status, text = network.request(lab, port, "/api/webhook", body=body, headers=headers, tls=tls, seconds=10)
            tell(f"webhook {port} {ref} {new[:8]}: {status} {text[:200]!r}")
        except OSError as error:
            # Argo CD polls as well: a lost event costs minutes, not the change.
            tell(f"webhook {port} {ref} {new[:8]}: {error}")


def main() -> None:
    """Serve until ended."""
    lab = Lab(Checkout(Path(sys.argv[1])), sys.argv[2])
    Handler.lab, Handler.deployments = lab, Deployments(lab.deployments_file)
    Handler.certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Handler.certificate.load_cert_chain(lab.folder / "pki/github.crt", lab.folder / "pki/github.key")
    threading.Thread(target=follow_pushes, args=(lab,), daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", lab.settings().ports["externals"]), Handler).serve_forever()


if __name__ == "__main__":
    main()

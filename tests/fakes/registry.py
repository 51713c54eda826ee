"""A container registry that answers what resolving a tag asks: HEAD of a manifest, with a token first."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Registry:
    """Knows `images` ({"team/app:1.0": "sha256:..."}); asks for a token as ghcr.io does."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, b'{"token": "anonymous"}')

            def do_HEAD(self) -> None:
                path, _, tag = self.path.removeprefix("/v2/").partition("/manifests/")
                if self.headers.get("Authorization") != "Bearer anonymous":
                    challenge = f'Bearer realm="http://{fake.host}/token",service="fake",scope="repository:{path}:pull"'
                    self._send(401, b"", **{"WWW-Authenticate": challenge})
                elif digest := fake.images.get(f"{path}:{tag}"):
                    self._send(200, b"", **{"Docker-Content-Digest": digest})
                else:
                    self._send(404, b"")

            def _send(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

"""What every fake of a web service is: a server on loopback whose requests all go to one function."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol, TypeVar


class Server:
    """Serves until `close`. `url` is where; `date` gives the clock of its Date headers (the machine's without it).

    `tls`: what it proves itself with, and then it speaks nothing but TLS. While it is `away`, whatever is asked of it
    is answered 503.
    """

    away = False

    def __init__(
        self,
        handle: Callable[[BaseHTTPRequestHandler], None],
        *,
        date: Callable[[], datetime] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # The head and the body of an answer are two writes: the second would wait 40 ms for the client's word.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                if server.away:
                    body_of(self)
                    answer(self, 503, b"Service Unavailable", "text/plain")
                else:
                    handle(self)

            do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

            def date_time_string(self, timestamp: float | None = None) -> str:
                return format_datetime(date(), usegmt=True) if date else super().date_time_string(timestamp)

            def log_message(self, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *args: None  # type: ignore[method-assign]  # clients are killed on purpose
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class Skippable(Protocol):
    """A fault of a fake: it happens `times` times, after it was passed over `skip` times."""

    times: int
    skip: int


F = TypeVar("F", bound=Skippable)


def pick(faults: Sequence[F], fits: Callable[[F], bool]) -> F | None:
    """The fault that happens to a request now, if one does; each that fits is counted down."""
    for fault in faults:
        if fault.times and fits(fault):
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            return fault
    return None


def body_of(request: BaseHTTPRequestHandler) -> bytes:
    """The whole body of a request."""
    return request.rfile.read(int(request.headers.get("Content-Length") or 0))


def answer(
    request: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    kind: str | None = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    """Send one whole answer. `kind`: None for one that has no content of its own, such as 304."""
    request.send_response(status)
    if kind is not None:
        request.send_header("Content-Type", kind)
    for name, text in (headers or {}).items():
        request.send_header(name, text)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)

"""Reaching the ports of a lab, which lie in a network of its own (relay.py)."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from gitops.lab.layout import Lab
from gitops.lab.relay import CONNECTED, LOOPBACK

CONTROL = "network.sock"
SECONDS = 2.0


def connect(lab: Lab, port: str, *, seconds: float = SECONDS) -> socket.socket:
    """A connection to one of the lab's ports, by its name. Raises OSError where nothing listens."""
    settings = lab.settings()
    number = settings.ports[port]
    if not settings.private:
        return socket.create_connection((LOOPBACK, number), timeout=seconds)
    with connect_unix(lab.folder / CONTROL, seconds=seconds) as control:
        control.sendall(str(number).encode())
        answer, files, _, _ = socket.recv_fds(control, len(CONNECTED), 1)
    if answer != CONNECTED or not files:
        raise ConnectionRefusedError(f"lab {lab.name!r}: nothing listens on {port}")
    connection = socket.socket(fileno=files[0])
    connection.settimeout(seconds)
    return connection


def connect_unix(path: Path, *, seconds: float = SECONDS) -> socket.socket:
    """A connection to a socket of any path: the kernel takes one of at most 107 bytes. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    folder = os.open(path.parent, os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


class _Http(HTTPConnection):
    """HTTP, or HTTPS, over a connection that is made by us."""

    def __init__(self, open_socket: Callable[[], socket.socket], tls: ssl.SSLContext | None) -> None:
        super().__init__(LOOPBACK)
        self._open, self._tls = open_socket, tls

    def connect(self) -> None:
        plain = self._open()
        self.sock = self._tls.wrap_socket(plain, server_hostname=LOOPBACK) if self._tls else plain


@contextmanager
def _http(lab: Lab, port: str, tls: ssl.SSLContext | None, seconds: float) -> Iterator[_Http]:
    http = _Http(lambda: connect(lab, port, seconds=seconds), tls)
    try:
        yield http
    except HTTPException as error:
        raise ConnectionError(type(error).__name__) from None
    finally:
        http.close()


def request(
    lab: Lab,
    port: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    seconds: float = SECONDS,
) -> tuple[int, bytes]:
    """The status and content that a GET, or with a body a POST, is answered with. Raises OSError."""
    with _http(lab, port, tls, seconds) as http:
        http.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        answer = http.getresponse()
        return answer.status, answer.read()


def tls_context(ca: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """TLS that trusts one authority alone, and shows a certificate of ours where it has one."""
    context = ssl.create_default_context(cafile=str(ca))
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def is_open(lab: Lab) -> bool:
    """Whether the lab's network is there: somebody inside answers, whatever it is."""
    try:
        with connect_unix(lab.folder / CONTROL) as control:
            control.sendall(b"0")
            return bool(control.recv(16))
    except OSError:
        return False

"""Another user of the machine: what it tries runs in a child that is `nobody`, without any group or right."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import ssl
import stat
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gitops.lab import process
from gitops.lab.layout import Lab
from gitops.lab.relay import LOOPBACK
from tests.attacks import Guard

NOBODY = 65534
SECONDS = 5.0
API_PATHS = ["/api/v1/secrets", "/version", "/metrics", "/debug/pprof/heap", "/openapi/v3", "/livez"]
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_LIBC = ctypes.CDLL(None, use_errno=True)
_BROKE = "\0"
Deed = Callable[[], str | None]


def as_nobody(deed: Deed, *, folder: Path, network: int | None = None) -> str | None:
    """What `deed` returns as another user: what stopped it, or None where nothing did.

    `folder`: where it stands, however it came there, so that what stops it is in this folder and not above. `network`:
    a process in whose network it is, as if no network were private. The deed opens nothing but what it attacks: as
    nobody it cannot even import a module.

    An OSError of the deed is what stopped it. Raises AssertionError where the deed broke in another way.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = _become_nobody_and(deed, folder, network)
        except BaseException:
            answer = _BROKE + traceback.format_exc()
        os.write(writing, (answer or "").encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read().decode()
    os.waitpid(child, 0)
    assert not answer.startswith(_BROKE), answer
    return answer or None


def _become_nobody_and(deed: Deed, folder: Path, network: int | None) -> str | None:
    os.chdir(folder)
    if network:
        namespace = os.open(f"/proc/{network}/ns/net", os.O_RDONLY)
        if _LIBC.setns(namespace, _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(namespace)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    try:
        return deed()
    except OSError as error:
        return f"{type(error).__name__}: {error.strerror or error}"


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user, who attacks here")


class Target:
    """A port as the attacker sees it. Everything that it needs is opened before it becomes another user."""

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def of(cls, lab: Lab, port: str) -> Target:
        return cls(lab.settings().ports[port])

    def ask(
        self, path: str, *, tls: ssl.SSLContext | None = None, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Deed:
        """A request that is an attack: None where it is answered with 200."""
        lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.0", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        question = "\r\n".join([*lines, "", ""]).encode() + body

        def deed() -> str | None:
            with self._connect(tls) as connection:
                connection.sendall(question)
                status = connection.recv(4096).decode("latin-1").split("\r\n")[0]
            return None if " 200" in status else status or "the connection was closed"

        return deed

    def greet(self, tls: ssl.SSLContext) -> Deed:
        """A gRPC client's first bytes: None where the server answers with its settings."""

        def deed() -> str | None:
            with self._connect(tls) as connection:
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
                return None if connection.recv(9) else "the connection was closed"

        return deed

    @contextmanager
    def _connect(self, tls: ssl.SSLContext | None) -> Iterator[socket.socket]:
        with ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((LOOPBACK, self.number), timeout=SECONDS))
            yield stack.enter_context(tls.wrap_socket(connection)) if tls else connection


def blind(certificate: Path | None = None, *, http2: bool = False) -> ssl.SSLContext:
    """TLS that believes any server, with a stolen certificate where there is one."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if http2:
        context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def inside(lab: Lab, guard: Guard | None) -> int | None:
    """The network that the attacker is in: its own as long as the operating system guards."""
    return None if guard is Guard.SYSTEM else process.running(lab)[process.NETWORK][0].pid


def bearer(lab: Lab, guard: Guard | None) -> dict[str, str]:
    return {} if guard is Guard.LOCK else {"Authorization": f"Bearer {lab.settings().token}"}


EVERY_SECRET = json.dumps(
    {"key": b64encode(b"/registry/secrets/").decode(), "range_end": b64encode(b"/registry/secrets0").decode()}
).encode()


def etcd_deed(lab: Lab, port: str, guard: Guard | None) -> Deed:
    name = "etcd-client" if port == "etcd" else "etcd"
    tls = blind(None if guard is Guard.LOCK else lab.folder / f"pki/{name}.crt")
    if port == "etcd":
        return Target.of(lab, port).ask("/v3/kv/range", tls=tls, body=EVERY_SECRET)
    return Target.of(lab, port).ask("/members", tls=tls)


@contextmanager
def opened(path: Path, top: Path) -> Iterator[None]:
    """As if nobody had closed the path to others, nor the folders down to it from `top`."""
    steps = [path, *(folder for folder in path.parents if folder.is_relative_to(top))]
    before = [step.stat().st_mode for step in steps]
    try:
        for step, mode in zip(steps, before, strict=True):
            step.chmod(stat.S_IMODE(mode) | 0o777)
        yield
    finally:
        for step, mode in zip(steps, before, strict=True):
            step.chmod(stat.S_IMODE(mode))

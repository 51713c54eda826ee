"""The lab's own network, as a process: `python -m gitops.lab.relay CONTROL DOOR...`, run in the lab's folder.

The process makes a network namespace, whose loopback no other user of the machine reaches: not by any port, not even
one that a part opens on every interface. Two ways lead in:

- Each DOOR is a port of the machine's loopback that leads to the port of the same number inside. What stands behind it
  asks everybody who they are.
- Over CONTROL, a socket in the lab's folder, its owner gets a connection to any port inside: a line with the port's
  number is answered with the connected socket itself.

The standard library alone is imported: this process lives as long as the lab.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path

LOOPBACK = "127.0.0.1"
INSIDE = "--inside"
CONNECTED, REFUSED = b"connected", b"refused"
_SET_FLAGS, _UP = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP
_CHUNK = 1 << 16


def listen(control: str, doors: list[int]) -> list[socket.socket]:
    """The listening sockets, which keep belonging to the machine's network: the control socket, then the doors."""
    Path(control).unlink(missing_ok=True)
    own = socket.socket(socket.AF_UNIX)
    own.bind(control)
    sockets = [own]
    for port in doors:
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((LOOPBACK, port))
        sockets.append(door)
    for listener in sockets:
        listener.listen(128)
    return sockets


def raise_loopback() -> None:
    """A new network's loopback is down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


def pump(one: socket.socket, two: socket.socket) -> None:
    """Carry everything between two connections, each way until its end, and close both."""
    back = threading.Thread(target=_carry, args=(two, one), daemon=True)
    back.start()
    _carry(one, two)
    back.join()
    one.close()
    two.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One end is gone: the other direction must notice too.
        for connection in (source, target):
            _shut(connection)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def serve(listener: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    """Answer each connection in a thread of its own, for ever."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def _through(port: int) -> Callable[[socket.socket], None]:
    def answer(outside: socket.socket) -> None:
        try:
            inside = socket.create_connection((LOOPBACK, port))
        except OSError:
            outside.close()
            return
        pump(outside, inside)

    return answer


def hand_over(connection: socket.socket) -> None:
    """Answer on the control socket: its owner alone gets what it asks for."""
    with connection:
        _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user != os.getuid():
            return
        try:
            with socket.create_connection((LOOPBACK, int(connection.recv(16)))) as inside:
                socket.send_fds(connection, [CONNECTED], [inside.fileno()])
        except (OSError, ValueError):
            connection.sendall(REFUSED)


def main() -> None:
    """Listen outside, go inside, and relay until ended."""
    if sys.argv[1] != INSIDE:
        ports = sys.argv[2:]
        numbers = []
        for listener in listen(sys.argv[1], [int(port) for port in ports]):
            os.set_inheritable(listener.fileno(), True)
            numbers.append(str(listener.detach()))
        again = [sys.executable, "-m", "gitops.lab.relay", INSIDE, *numbers]
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--net", *again])  # noqa: S606, S607
    raise_loopback()
    control, *doors = (socket.socket(fileno=int(number)) for number in sys.argv[2:])
    for door in doors:
        threading.Thread(target=serve, args=(door, _through(door.getsockname()[1])), daemon=True).start()
    serve(control, hand_over)


if __name__ == "__main__":
    main()

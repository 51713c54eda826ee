"""A port of a lab on the machine's loopback for a moment, as `kubectl port-forward` would have it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gitops.lab.layout import Lab
from gitops.lab.network import connect
from gitops.lab.relay import LOOPBACK, pump


@contextmanager
def forward(lab: Lab, port: str) -> Iterator[str]:
    """The address under which the lab's port answers until the block ends."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=_serve, args=(listener, lab, port), daemon=True).start()
        try:
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            # Closing alone would leave the thread in its accept.
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, lab: Lab, port: str) -> None:
    while True:
        try:
            outside, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(outside, lab, port), daemon=True).start()


def _relay(outside: socket.socket, lab: Lab, port: str) -> None:
    try:
        inside = connect(lab, port)
    except OSError:
        outside.close()
        return
    inside.settimeout(None)
    pump(outside, inside)

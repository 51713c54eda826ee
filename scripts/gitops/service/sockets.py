"""Where a process listens, as Linux tells it: empty where the process is not this machine's (docker on a Mac)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# The state of a socket that listens (include/net/tcp_states.h).
_LISTEN = "0A"
# 127.0.0.1, ::1 and 127.0.0.1 in IPv6, as the kernel prints them: 32 bits each, in the processor's order.
_LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


@dataclass
class Listening:
    """TCP ports that a process's network has: on all addresses (or one that others reach), and on loopback alone."""

    everywhere: set[int] = field(default_factory=set)
    loopback: set[int] = field(default_factory=set)


def listening(pid: int) -> Listening:
    """The ports of the network that a process lives in. Nothing where it cannot be read."""
    ports = Listening()
    for table in ("tcp", "tcp6") if pid else ():
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, port = local.partition(":")
                if state == _LISTEN:
                    (ports.loopback if address in _LOOPBACK else ports.everywhere).add(int(port, 16))
    return ports

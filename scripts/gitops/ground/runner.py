"""Telling the runner of a workflow what to mask, where nobody but the runner reads it.

It takes commands from a step's standard output and its standard error (actions/runner, ScriptHandler). But a step sends
either where it likes: into a file, through `tee`, into a variable. So a value is written to standard error alone, and
only where the reading end of that very pipe is held by an ancestor of ours that is no part of the step.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from gitops.ground import printable

_STDERR = 2
# What the runner sets for a step, and has not in its own environment.
_STEP = b"GITHUB_ACTIONS=true"


def mask(value: str) -> None:
    """Ask the runner to hide a value in its log, where it alone can hear that; nothing elsewhere."""
    if _runner_reads():
        for line in value.splitlines():
            print(printable.command("add-mask", line), file=sys.stderr, flush=True)


@cache
def _runner_reads() -> bool:
    with suppress(OSError, ValueError, IndexError):
        reader = _reader()
        return reader is not None and _STEP not in Path(f"/proc/{reader}/environ").read_bytes().split(b"\0")
    return False


def _reader() -> int | None:
    """The ancestor that reads our standard error; None where it is a file, a terminal, or read by somebody else."""
    ours = os.fstat(_STDERR)
    if stat.S_ISFIFO(ours.st_mode):
        return next((pid for pid in _ancestors() if _holds(pid, ours)), None)
    if stat.S_ISSOCK(ours.st_mode):
        # Some runtimes give their children a pair of sockets; the kernel knows who made it.
        with socket.socket(fileno=os.dup(_STDERR)) as pair:
            [pid, *_] = struct.unpack("3i", pair.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid if pid in _ancestors() else None
    return None


def _ancestors() -> list[int]:
    """Parent, grandparent and so on, without the first process of all."""
    pids: list[int] = []
    pid = os.getppid()
    while pid > 1:
        pids.append(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return pids


def _holds(pid: int, pipe: os.stat_result) -> bool:
    """Whether a process has the reading end of a pipe."""
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with suppress(OSError, ValueError, IndexError):
            about = Path(entry.path).stat()
            if (about.st_dev, about.st_ino) == (pipe.st_dev, pipe.st_ino):
                flags = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().split("flags:")[1].split()[0]
                if int(flags, 8) & os.O_ACCMODE == os.O_RDONLY:
                    return True
    return False

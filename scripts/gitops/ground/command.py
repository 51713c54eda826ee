"""The one way this package starts another program and waits for it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from gitops.ground.errors import ExternalError, MachineError

# Of what a failed program printed, as much as a person reads: kubectl names every refused object on a line of its own.
LAST_LINES = 40
# Bytes of a program's output that are read at once.
_PIECE = 1 << 20


class CommandError(ExternalError):
    """A program ended with an exit code that was not allowed, or ran out of time.

    `command` is the program's name alone: its arguments are nobody's business, as one may be a secret. `returncode` is
    None after a timeout; `how` says either in words. `stderr` is all that it printed; the error's text ends with its
    last lines.
    """

    def __init__(self, program: str, returncode: int | None, stderr: str, timeout: float) -> None:
        self.command, self.returncode, self.stderr = Path(program).name, returncode, stderr
        self.how = f"gave no answer within {timeout:g} s" if returncode is None else f"exited with {returncode}"
        super().__init__("\n".join([f"{self.command} {self.how}", *self.last_lines]))

    @property
    def last_lines(self) -> list[str]:
        """Of what it printed, what says why."""
        return self.stderr.strip().splitlines()[-LAST_LINES:]


@dataclass(frozen=True)
class Limits:
    """What a program may take, in bytes: `memory`, and what it prints."""

    memory: int
    output: int

    def hold(self, pid: int) -> None:
        """Hold a program that has just started to them; one that has ended already needs none."""
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (self.memory, self.memory))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (self.output, self.output))


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    ok: tuple[int, ...] = (0,),
    limits: Limits | None = None,
    together: bool = False,
) -> bytes:
    """Run a program without a shell and return its standard output; `together`: and its standard error, as they came.

    `env` is laid over this process's own environment; `timeout` is in seconds; `limits`: what it may take of the
    machine beside. The program leads a process group of its own, so that a timeout ends its children too.

    Raises MachineError when the program is not installed, CommandError when it fails or does not end in time.
    """
    words = [str(word) for word in argv]
    environment = {**os.environ, **env} if env else None
    if limits is None:
        return _run(words, timeout, cwd, environment, stdin, ok, together=together)
    # A pipe would have all of it in this process's memory. The file has no name, and ends with the block.
    with tempfile.TemporaryFile() as printed:
        _run(words, timeout, cwd, environment, stdin, ok, limits, printed)
        printed.seek(0)
        return printed.read()


@contextmanager
def limited(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    """Call `end`, in a thread of its own, where the block runs longer than `seconds`."""
    timer = threading.Timer(seconds, end)
    # An interrupt may come while it starts, and Python waits at its end for every thread that is no daemon.
    timer.daemon = True
    try:
        timer.start()
        yield
    finally:
        timer.cancel()


def stream(argv: Sequence[str | Path], *, timeout: float) -> Iterator[bytes]:
    """Run a program and yield its standard output in pieces, as it comes; nothing of it is kept.

    Whoever stops reading ends the program. Raises what `run` raises, and CommandError only after the last piece: what
    has been read before that is not whole.
    """
    words = [str(word) for word in argv]
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True
            )
        except FileNotFoundError as error:
            raise MachineError(f"{words[0]}: not found", fix="the README names the programs that this needs") from error
        late = threading.Event()

        def end() -> None:
            late.set()
            kill_group(process)

        try:
            with limited(timeout, end):
                printed = cast(IO[bytes], process.stdout)
                while piece := printed.read(_PIECE):
                    yield piece
                process.wait()
        finally:
            if process.poll() is None:
                kill_group(process)
                process.wait()
        if late.is_set() or process.returncode != 0:
            complaints.seek(0)
            text = complaints.read().decode(errors="replace")
            raise CommandError(words[0], None if late.is_set() else process.returncode, text, timeout)


def _run(
    words: list[str],
    timeout: float,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: bytes | None,
    ok: tuple[int, ...],
    limits: Limits | None = None,
    printed: IO[bytes] | None = None,
    *,
    together: bool = False,
) -> bytes:
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=printed or subprocess.PIPE,
            stderr=subprocess.STDOUT if together else subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd and not cwd.is_dir():
            raise
        raise MachineError(f"{words[0]}: not found", fix="the README names the programs that this needs") from error
    try:
        if limits:
            limits.hold(process.pid)
        out, err = process.communicate(stdin, timeout=timeout)
    except BaseException as error:
        kill_group(process)
        out, err = process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise CommandError(words[0], None, _complaint(out, err), timeout) from None
        raise
    if process.returncode not in ok:
        raise CommandError(words[0], process.returncode, _complaint(out, err), timeout)
    return out or b""


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that leads a group of its own, and all of that group.

    It may have ended just now, and Popen has waited for it where a person interrupts. While anybody is left in the
    group, its number belongs to nobody else.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _complaint(out: bytes | None, err: bytes | None) -> str:
    """What a program said on standard error; it is in the one text where both came together."""
    return ((out if err is None else err) or b"").decode(errors="replace")

"""A program that is asked one thing after the other, as its start takes longer than its answer."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from gitops.ground.command import CommandError, Limits, kill_group, limited
from gitops.ground.errors import MachineError

_MOST_COMPLAINTS = 1 << 20


class TooLongError(CommandError):
    """An answer of more bytes than the program may print."""


class Worker:
    """A program that runs, for one thread at a time. It answers a question on its standard input, ended by a zero byte,
    with a line of a word and a number of bytes, and the bytes.

    It ends by itself where this process dies, as its standard input does then.
    """

    def __init__(self, argv: Sequence[str | Path], *, env: Mapping[str, str], limits: Limits) -> None:
        """Start it. `env` is laid over this process's own environment. Raises MachineError where there is none."""
        self._words, self._limits = [str(word) for word in argv], limits
        # It has no name. Read by place: what the program writes to it has the same offset.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        try:
            self._process = subprocess.Popen(
                self._words,
                env={**os.environ, **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            self._complaints.close()
            raise MachineError(f"{self._words[0]}: not found", fix="run: make tools") from error
        limits.hold(self._process.pid)

    def ask(self, question: bytes, *, timeout: float) -> tuple[str, bytes]:
        """The word and the bytes of its answer. Whatever this raises, the program is not there any more.

        Raises CommandError where it ends or gives no answer within `timeout` seconds, TooLongError.
        """
        said = os.fstat(self._complaints.fileno()).st_size
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._kill()

        try:
            with limited(timeout, give_up):
                answer = self._exchange(question)
        except (OSError, ValueError, EOFError):
            answer = None
        except BaseException:
            self.end()
            raise
        if answer and not late.is_set():
            return answer
        self._kill()
        code = self._process.wait()
        text = os.pread(self._complaints.fileno(), _MOST_COMPLAINTS, said).decode(errors="replace")
        self.end()
        raise CommandError(self._words[0], None if late.is_set() else code, text, timeout)

    def _exchange(self, question: bytes) -> tuple[str, bytes]:
        asked, printed = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        asked.write(question + b"\0")
        asked.flush()
        word, number = printed.readline().decode().split()
        length = int(number)
        if length > self._limits.output:
            self._kill()
            raise TooLongError(self._words[0], self._process.wait(), "", 0)
        content = printed.read(length)
        if len(content) < length:
            raise EOFError
        return word, content

    def _kill(self) -> None:
        if self._process.poll() is None:
            kill_group(self._process)

    def end(self) -> None:
        """End it; once more does nothing."""
        self._kill()
        self._process.communicate()
        self._complaints.close()

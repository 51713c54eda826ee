"""A real pseudo-terminal with a shell in it, and what a person ends up seeing there."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

COLUMNS, ROWS = 100, 30
# The shell says it before it waits for the next command, with how the last one ended.
_PROMPT = re.compile(r"\x01end of command (\d+)\x01")
# A control sequence of a terminal: its numbers and its letter; and those that set a title, which nobody sees.
_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[()=>][0AB]?")
_READ = 65536


@dataclass(frozen=True)
class Typed:
    """A command that was typed: how it ended, and what then stood below it."""

    command: str
    code: int
    shown: str


def seen(raw: str) -> str:
    """What stands on a terminal in the end, without colours: a line that was drawn again and again, as it was last."""
    screen = _Screen()
    position = 0
    for sequence in _SEQUENCE.finditer(raw):
        screen.put(raw[position : sequence.start()])
        screen.control(sequence[1] or "", sequence[2] or "")
        position = sequence.end()
    screen.put(raw[position:])
    return "\n".join("".join(line).rstrip() for line in screen.lines).strip("\n")


class _Screen:
    """Lines as long as they were written: one that a terminal wraps is one here too."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = [[]]
        self.row = self.column = 0

    def put(self, text: str) -> None:
        for character in text:
            if character == "\n":
                self.row += 1
                self.lines += [[] for _ in range(self.row + 1 - len(self.lines))]
            elif character == "\r":
                self.column = 0
            elif character == "\b":
                self.column = max(0, self.column - 1)
            elif character >= " ":
                line = self.lines[self.row]
                line += " " * (self.column + 1 - len(line))
                line[self.column] = character
                self.column += 1

    def control(self, numbers: str, letter: str) -> None:
        """Obey the sequences that a redrawn line has; colours and whether there is a cursor are nothing to see."""
        count = int(numbers) if numbers.isdecimal() else 0
        line = self.lines[self.row]
        if letter == "A":
            self.row = max(0, self.row - max(1, count))
        elif letter == "G":
            self.column = max(0, count - 1)
        elif letter == "K" and count == 0:
            del line[self.column :]
        elif letter == "K":
            line[: self.column if count == 1 else len(line)] = " " * min(self.column, len(line))
        elif letter == "J":
            del line[self.column :], self.lines[self.row + 1 :]


class Terminal:
    """A shell on a pseudo-terminal of 100 columns and 30 rows. Commands are typed into it, and their end is awaited."""

    def __init__(self, child: int, master: int) -> None:
        self._child, self._master = child, master

    def type(self, command: str, *, seconds: float) -> Typed:
        """Type one line, and wait until the shell takes the next one. Raises TimeoutError with what stood there."""
        os.write(self._master, f"{command}\n".encode())
        raw, code = self._until_prompt(time.monotonic() + seconds, command)
        # The terminal's own echo of the line is the first thing to see.
        return Typed(command, code, seen(raw.partition("\n")[2]))

    def _until_prompt(self, deadline: float, what: str) -> tuple[str, int]:
        content = b""
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self._master], [], [], left)
            if ready:
                content += os.read(self._master, _READ)
                text = content.decode(errors="replace")
                if prompt := _PROMPT.search(text):
                    return text[: prompt.start()], int(prompt[1])
        raise TimeoutError(f"{what}: not over; so far:\n{seen(content.decode(errors='replace'))}")


@contextmanager
def terminal(folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """A terminal whose shell stands in a folder. Whatever still runs in it ends with it."""
    child, master = pty.fork()
    if child == 0:
        os.chdir(folder)
        own = {"TERM": "xterm", "NO_COLOR": "1", "PAGER": "cat", "GIT_PAGER": "cat", "PS2": ""}
        prompt = r"$(printf '\001end of command %s\001' $?)"
        # Without its line editor the shell leaves the echo to the terminal.
        argv = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
        os.execvpe("bash", argv, {**environment, **own, "PS1": prompt, "HISTFILE": "/dev/null"})
    try:
        ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        shell = Terminal(child, master)
        shell._until_prompt(time.monotonic() + 30, "the shell")
        yield shell
    finally:
        os.close(master)
        os.kill(child, signal.SIGHUP)
        os.waitpid(child, 0)

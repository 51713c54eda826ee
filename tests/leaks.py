"""Looking for secrets where none may be: every window of 16 characters of each, in every form that is likely."""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

WINDOW = 16
# Bytes. Two windows side by side share all but one of theirs, so one such part stands in many patterns.
PART = 8


@dataclass(frozen=True)
class Patterns:
    """What to look for. `forms`: how each was written; `parts`: of every pattern at least one stands here, and without
    any of them in a text no pattern is in it, which is known eight times sooner.
    """

    forms: Mapping[bytes, str]
    parts: frozenset[bytes]


def patterns(values: Iterable[str]) -> Patterns:
    """What to look for, and how it was written: raw, hex, base64 in its three alignments, escaped for a URL."""
    forms: dict[bytes, str] = {}
    for value in filter(None, values):
        for start in range(max(1, len(value) - WINDOW + 1)):
            part = value[start : start + WINDOW]
            # `s-s4t2ud-` alone is no secret: every form begins behind it where it has one.
            if "s4t2" in part:
                continue
            raw = part.encode()
            forms[raw] = "raw"
            forms[raw.upper()] = "RAW"
            forms[raw.hex().encode()] = "hex"
            forms[raw.hex().upper().encode()] = "HEX"
            forms["".join(f"%{byte:02x}" for byte in raw).encode()] = "url"
            forms[quote(part, safe="").encode()] = "raw"
            for shift in range(3):
                # Only the characters that do not depend on what stands before or after.
                text = base64.b64encode(b"\0" * shift + raw).decode()
                inner = text[(0, 2, 3)[shift] :][: (len(raw) * 8) // 6 - 1]
                forms[inner.encode()] = "base64"
                forms[inner.replace("+", "-").replace("/", "_").encode()] = "base64"
    return Patterns(forms, _parts(forms))


def _parts(forms: Iterable[bytes]) -> frozenset[bytes]:
    parts: set[bytes] = set()
    for pattern in forms:
        starts = range(max(1, len(pattern) - PART + 1))
        if not any(pattern[start : start + PART] in parts for start in starts):
            parts.add(pattern[-PART:])
    return frozenset(parts)


def search(where: str, content: bytes, looked: Patterns) -> list[str]:
    """Which forms stand in `content`: never the value itself."""
    if not any(part in content for part in looked.parts):
        return []
    return sorted({f"{where}: {form}" for pattern, form in looked.forms.items() if pattern in content})


def in_files(folder: Path, looked: Patterns) -> list[str]:
    """Every file below a folder, core dumps among them; links are not followed."""
    hits = []
    for path in _grep(looked, "--recursive", "--files-with-matches", "--null", str(folder)).split(b"\0")[:-1]:
        file = Path(os.fsdecode(path))
        with suppress(OSError):  # gone meanwhile
            hits += search(str(file), file.read_bytes(), looked)
    return hits


def in_git(git_dir: Path, looked: Patterns) -> list[str]:
    """Every object of a repository, of all branches and of none."""
    words = ["git", "--git-dir", str(git_dir), "cat-file", "--batch-all-objects", "--batch", "--buffer"]
    content = subprocess.run(words, capture_output=True, check=True).stdout
    return search(str(git_dir), content, looked) if _grep(looked, "--count", "-", content=content) != b"0\n" else []


def _grep(looked: Patterns, *words: str, content: bytes = b"") -> bytes:
    """What grep prints, asked for the shared parts: it looks for all of them at once, and passes over what is gone."""
    with tempfile.TemporaryFile() as parts:
        parts.write(b"\n".join(looked.parts))
        parts.seek(0)
        command = ["grep", "--text", "--fixed-strings", "--no-messages", f"--file=/dev/fd/{parts.fileno()}", *words]
        environment = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(
            command, input=content, capture_output=True, env=environment, pass_fds=[parts.fileno()], check=False
        )
    return done.stdout


class Watch:
    """Collects the command line and environment of everything that this process starts, for as long as it is open."""

    def __init__(self) -> None:
        # (command line, environment): read in this order, so that a new program never shows with an old environment.
        self.processes: set[tuple[bytes, bytes]] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def seen(self) -> set[bytes]:
        """Every command line and every environment."""
        return set().union(*self.processes)

    def _look(self) -> None:
        while not self._end.wait(0.005):
            for pid in _descendants(os.getpid()):
                with suppress(OSError):  # it has ended
                    line = Path(f"/proc/{pid}/cmdline").read_bytes()
                    self.processes.add((line, _environment(pid)))


def _environment(pid: int) -> bytes:
    """Of a process that lets nobody see it: nothing, which is what everybody else sees."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:
        return b""


def _descendants(pid: int) -> Iterator[int]:
    """Every living child of a process, and their children: by the kernel's own lists, which is quick enough to see a
    process that lives for milliseconds.
    """
    try:
        for task in os.scandir(f"/proc/{pid}/task"):
            for child in Path(task.path, "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))
    except OSError:  # it has ended
        return

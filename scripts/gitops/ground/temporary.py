"""Folders for one run: gone when it ends and, where it was killed, when the same user's next run begins one."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "gitops-"
# Seconds in which a folder that was just made may have no lock yet.
_NEW = 60.0


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that its run holds by a lock, which ends with the process however that ends."""
    _clear()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as made:
        path = Path(made).resolve()
        held = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield path
        finally:
            os.close(held)


@functools.cache
def _clear() -> None:
    """Delete this user's folders that nobody holds."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            _delete_unheld(path)


def _delete_unheld(path: Path) -> None:
    """Raises OSError, also where it is held."""
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        state = os.fstat(held)
        if state.st_uid == os.getuid() and time.time() - state.st_mtime > _NEW:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(held)

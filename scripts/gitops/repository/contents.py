"""Files that a change is made of, before any commit has them: written into a checkout to be rendered, or for good."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError

# Files by their paths in the repository; None for one that goes.
Contents = dict[str, bytes | None]


def write(checkout: Checkout, contents: Contents) -> None:
    """Write files into a checkout for a while, and remove those that go. For good it is `write_all`."""
    for path, content in contents.items():
        if content is None:
            (checkout.root / path).unlink(missing_ok=True)
        else:
            (checkout.root / path).write_bytes(content)


def read(checkout: Checkout, paths: Iterable[str]) -> Contents:
    """What stands at these paths now; None where there is no file."""
    files = {path: checkout.root / path for path in paths}
    return {path: file.read_bytes() if file.exists() else None for path, file in files.items()}


def write_all(checkout: Checkout, contents: Contents) -> None:
    """Write files, and remove those that go, with the folders that this leaves empty: all of it or nothing.

    Each file is complete at any moment. Ctrl-C waits for the end. Raises InputError where one cannot be written.
    """
    before = read(checkout, contents)
    with undisturbed():
        try:
            for path, content in contents.items():
                _replace(checkout.root / path, content)
        except OSError as error:
            for path, content in before.items():
                with suppress(OSError):
                    _replace(checkout.root / path, content)
                if content is None:
                    _remove_empty(checkout, (checkout.root / path).parent)
            where = checkout.relative(Path(error.filename)) if error.filename else None
            raise InputError(f"cannot be written: {error.strerror}; nothing was", path=where) from None
        for path, content in contents.items():
            if content is None:
                _remove_empty(checkout, (checkout.root / path).parent)


@contextmanager
def undisturbed() -> Iterator[None]:
    """What would interrupt is told once the block is over.

    By handlers and not by a mask: a signal comes to any thread, and Python then tells the main one of it.
    """
    if threading.current_thread() is not threading.main_thread():  # it is told of no signal
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if came:
            signal.raise_signal(came[0])


def _replace(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        if file.exists():
            shutil.copymode(file, new)
        else:
            new.chmod(0o644)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def _remove_empty(checkout: Checkout, folder: Path) -> None:
    while folder != checkout.root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


@contextmanager
def temporarily_written(checkout: Checkout, contents: Contents) -> Iterator[None]:
    """Have the files there for as long as the block runs, to render them; then everything is as it was."""
    before = read(checkout, contents)
    try:
        write(checkout, contents)
        yield
    finally:
        with undisturbed():
            write(checkout, before)

"""Product and data stay apart: only a test that is marked `live` may read the live data (tests/frozen.py says which).

An audit hook sees every file that is opened, every folder that is listed and every process that is started. A process
is refused where it is given a path of the data, or where it is started in this checkout itself and so could read all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gitops.scope.targets import is_data
from tests.frozen import ROOT

_ROOT = str(ROOT)
# It reads the checkout that it is started in.
_COMMAND = "gitops"


class LiveDataRead(AssertionError):
    """A test of the product reached for the live data."""


class _State:
    """`installed`: a hook cannot be taken away again. `allowed`: a live test runs now."""

    installed = False
    allowed = False


def install() -> None:
    """From now on the live data cannot be read, but within `allowed`."""
    if not _State.installed:
        _State.installed = True
        sys.addaudithook(_hook)


@contextmanager
def allowed(live: bool) -> Iterator[None]:
    """Within, the live data may be read if `live`."""
    before, _State.allowed = _State.allowed, live
    try:
        yield
    finally:
        _State.allowed = before


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _State.allowed:
        return
    if event in ("open", "os.listdir", "os.scandir"):
        # A number is a file that is open already.
        path = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes)) else ""
        # os.open has no mode, and its name may be of a folder that is open already: shutil.rmtree goes so.
        beside = event == "open" and args[1] is None and not path.startswith("/")
        if path and not beside and _is_data(path):
            _refuse(f"reads {path}")
    elif event == "subprocess.Popen":
        _, argv, cwd, _ = args
        _check_process([argv] if isinstance(argv, (str, bytes, os.PathLike)) else argv, cwd)


def _is_data(path: str) -> bool:
    if _ROOT not in path and path.startswith("/"):
        return False
    whole = os.path.abspath(path)  # noqa: PTH100 - as text: a hook opens nothing
    return is_data(whole.removeprefix(f"{_ROOT}/"))


def _check_process(argv: Sequence[Any], cwd: Any) -> None:
    words = [os.fsdecode(word) for word in argv]
    for word in words[1:]:
        if word.startswith(_ROOT) and _is_data(word):
            _refuse(f"starts {words[0]} with {word}")
    if words[:2] == ["git", "clone"]:  # GitPython starts it wherever the tests were started, and it reads what it names
        if _ROOT in words:
            _refuse(f"clones {_ROOT}")
        return
    folder = os.fsdecode(cwd) if cwd else ""
    command = words[0].rpartition("/")[2] == _COMMAND
    if (folder or command) and (os.path.abspath(folder or ".") == _ROOT or _is_data(folder or ".")):  # noqa: PTH100
        _refuse(f"starts {words[0]} in {_ROOT}")


def _refuse(what: str) -> None:
    raise LiveDataRead(
        f"{what}: the live data may change at any time and this test must not notice; read tests.frozen.platform(), "
        "change a tests.frozen.clone(), or mark the test `live` and hold it to rules alone (tests/test_live.py)"
    )

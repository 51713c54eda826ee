"""pytest again and again in one folder: each run a process of its own, forked from one that has loaded what all load.

An interpreter and its imports take longer than the tests that read the live tree. What a fork inherits is code that no
change of data can change: the packages of the environment, and the product's (scripts/gitops). Test modules are loaded
by each run itself.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """How a run ended: pytest's exit code, and what it printed."""

    code: int
    text: str


class Forks:
    """The process that forks, started in `root` with the packages of `root`. One run at a time."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root / "scripts")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def pytest(self, *words: str) -> Done:
        """One run. Raises BrokenPipeError or ValueError where the process has ended."""
        assert self._process.stdin
        assert self._process.stdout
        # pytest would say of each of its plugins that it was loaded before, which is what this is for.
        quiet = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
        self._process.stdin.write(json.dumps([*quiet, *words]) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return Done(**answer)

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def _serve() -> None:
    for line in sys.stdin:
        words: list[str] = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as loaded:
            child = os.fork()
            if not child:
                _run(words, output.fileno(), loaded.fileno())
            _, status = os.waitpid(child, 0)
            output.seek(0)
            loaded.seek(0)
            done = Done(os.waitstatus_to_exitcode(status), output.read().decode(errors="replace"))
            names = loaded.read().decode().split()
        print(json.dumps(vars(done)), flush=True)
        _load(names)


def _run(words: list[str], output: int, loaded: int) -> None:
    """In the fork: never returns."""
    code = 70
    try:
        for stream in (1, 2):
            os.dup2(output, stream)
        import pytest

        code = int(pytest.main(words))
        names = [name for name, module in sys.modules.items() if _stays(getattr(module, "__file__", None))]
        os.write(loaded, "\n".join(names).encode())
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _stays(file: str | None) -> bool:
    """Whether a module is none of the tests', which are to be loaded by each run."""
    return bool(file) and not Path(str(file)).is_relative_to(Path(__file__).parent)


def _load(names: list[str]) -> None:
    """What a run loaded, for the runs after it. What cannot be loaded by its name alone is left to them."""
    for name in names:
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except Exception as error:
                warnings.warn(f"{name}: {error}", stacklevel=1)


if __name__ == "__main__":
    _serve()

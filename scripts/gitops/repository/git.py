"""The one door to git: GitPython, with a time limit for every git process that it starts.

No other module of the package imports `git` (a rule of the linter), so none can wait for ever for a hook, a lock, a
credential prompt or a dead network disk. A limit that is reached is a TimeLimitError; all else that git refuses stays
GitPython's GitError, for callers who know what it means.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from gitops.ground.command import limited
from gitops.ground.errors import ExternalError, MachineError

try:
    import git
    from git import Actor, Commit
    from git.exc import BadName, GitError
except ImportError:  # GitPython asks git for its version as soon as it is imported
    raise MachineError("git cannot be started", fix="install it (apt: git)") from None

__all__ = ["SECONDS", "Actor", "BadName", "Commit", "GitError", "Repo", "TimeLimitError"]

# Modes, as git lists them: a file that is no program and no link; a symbolic link; a submodule's commit; nothing.
FILE_MODE, LINK_MODE, SUBMODULE_MODE, GONE_MODE = "100644", "120000", "160000", "000000"

# Far beyond what any command of ours takes on 20,000 commits; a fetch or a push has the network's time too.
SECONDS = 120.0


class TimeLimitError(ExternalError):
    """A git process did not end within the limit and was killed."""

    def __init__(self, command: Sequence[str]) -> None:
        # The subcommand alone: arguments can be long, and a URL among them is nobody's business.
        words = [str(word) for word in command if not str(word).startswith("-")]
        super().__init__(f"{' '.join(words[:2])} gave no answer within {SECONDS:g} s and was ended")


class _Limited(git.cmd.Git):
    """GitPython's way to call git, with a limit where the caller sets none."""

    def execute(self, command: Any, *args: Any, **options: Any) -> Any:
        words = [command] if isinstance(command, str) else list(command)
        if options.get("as_process"):
            process = super().execute(command, *args, **options)
            # A `cat-file --batch` lives as long as its repository; each answer of it has the limit (below).
            if not any(str(word).startswith("--batch") for word in words):
                _end_in_time(process.proc)
            return process
        options.setdefault("kill_after_timeout", SECONDS)
        began = time.monotonic()
        try:
            return super().execute(command, *args, **options)
        except git.exc.GitCommandError:
            # GitPython tells of its limit in words alone.
            if time.monotonic() - began >= SECONDS:
                raise TimeLimitError(words) from None
            raise
        except KeyboardInterrupt:
            # GitPython leaves the thread of its limit behind, for which Python would wait as long as that is.
            for thread in threading.enumerate():
                if isinstance(thread, threading.Timer):
                    thread.cancel()
            raise

    def get_object_header(self, ref: str | bytes) -> tuple[str, str, int]:
        with self._answered_in_time(ref):
            return super().get_object_header(ref)

    def get_object_data(self, ref: str | bytes) -> tuple[str, str, int, bytes]:
        with self._answered_in_time(ref):
            return super().get_object_data(ref)

    def blob(self, name: str) -> bytes | None:
        """The content of what `COMMIT:PATH` names, or None where that is no file."""
        with self._answered_in_time(name):
            try:
                _, kind, size, stream = super().stream_object_data(name)
            except ValueError as error:
                if "git returned" in str(error):  # that there is none
                    return None
                raise
            content = bytes(stream.read(size))
        # GitPython says that the kind is text, and gives bytes.
        return content if kind in ("blob", b"blob") else None

    def stream_object_data(self, ref: str | bytes) -> tuple[str, str, int, git.cmd.Git.CatFileContentStream]:
        with self._answered_in_time(ref):
            return super().stream_object_data(ref)

    @contextmanager
    def _answered_in_time(self, ref: str | bytes) -> Iterator[None]:
        late = threading.Event()

        def end() -> None:
            late.set()
            self.clear_cache()  # ends both processes; the next answer starts new ones

        try:
            with limited(SECONDS, end):
                yield
        except (ValueError, OSError):
            if late.is_set():
                raise TimeLimitError(["git", "cat-file"]) from None
            raise


def _end_in_time(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs when the limit is over; whoever reads it sees that it failed."""

    def watch() -> None:
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()

    threading.Thread(target=watch, daemon=True).start()


class Repo(git.Repo):
    """GitPython's repository, whose every git process has a time limit."""

    GitCommandWrapperType = _Limited

    @property
    def is_shallow(self) -> bool:
        """Whether older commits are not here. A worktree has that of its clone."""
        return Path(self.common_dir, "shallow").exists()

    def __enter__(self) -> Self:
        return self

"""What stands here and not in origin's main: how much that is, and what the check without an API server finds in it."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gitops.ground import jsontext
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, run
from gitops.ground.errors import ExternalError, Fault, InputError
from gitops.ground.printable import counted
from gitops.status.asked import Question

# Seconds that git may take for what is not committed.
_LOOK = 1.0
# Seconds that a process takes to be ended.
_END = 0.2


@dataclass(frozen=True)
class CheckedChanges:
    """`sentence`: the check's own closing line."""

    findings: tuple[Fault, ...]
    sentence: str

    @classmethod
    def of(cls, sentence: str, findings: list[dict[str, Any]]) -> CheckedChanges:
        """From what the check says to a program."""
        faults = [
            Fault(f"{item['rule']}: {item['what']}", item["file"], item["line"], fix=item["fix"]) for item in findings
        ]
        return cls(tuple(faults), sentence)


@dataclass(frozen=True)
class Begun:
    """What main has not, and the check of it where that was begun: what it says, or why nothing, is there at `until`.

    `until`: a moment of the monotonic clock.
    """

    words: str
    question: Question[CheckedChanges] | None
    until: float


def begin(checkout: Checkout, seconds: float | None) -> Begun:
    """Begin the check of what main has not. `seconds`: what it may take; None: it is left to whoever has more time."""
    told = words(checkout)
    if not told or seconds is None:
        return Begun(told, None, 0.0)
    until = time.monotonic() + seconds + _END
    return Begun(told, Question("the check", lambda: check(checkout, seconds)), until)


def words(checkout: Checkout) -> str:
    """What main has not, for a person; empty where nothing, or where git does not say it."""
    told: list[str] = []
    with suppress(CommandError, InputError):
        printed = _git(checkout, "status", "--porcelain", "--untracked-files=normal")
        if printed:
            told.append(counted(len(printed.splitlines()), "file is not committed", "files are not committed"))
        ahead = int(_git(checkout, "rev-list", "--count", "origin/main..HEAD"))
        if ahead:
            told.append(counted(ahead, "commit is not in origin/main", "commits are not in origin/main"))
    return ", ".join(told)


def check(checkout: Checkout, seconds: float) -> CheckedChanges:
    """Check it in a process that ends when its time is over. Raises ExternalError, also then."""
    argv = [sys.executable, "-m", "gitops.check.quick", str(checkout.root)]
    try:
        answer = jsontext.parse(run(argv, timeout=seconds))
    except CommandError as error:
        if error.returncode is None:
            raise ExternalError("takes longer than a second") from None
        first, *_ = [*error.last_lines, error.how]
        raise ExternalError(first.removeprefix("gitops: ")) from None
    return CheckedChanges.of(answer["sentence"], answer["findings"])


def _git(checkout: Checkout, *words: str) -> str:
    # One that is ended while it writes what it learned into the index would leave its lock there.
    return run(["git", "--no-optional-locks", "-C", checkout.root, *words], timeout=_LOOK).decode().strip()

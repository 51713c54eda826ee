"""What can go wrong, and the exit code that says so.

An error carries its faults as fields; the sentences are made from them at the edge: `str()` for a terminal. Code asks
for fields and types, never for words of a message.

    GitopsError        1  the base of all
      UnexpectedError 70  a fault of ours, of which the type and the place may be told
      NotHealthyError  1  the command worked, and the answer is no
      InputError       2  what was given, or what a file says, cannot be used
      MachineError     3  this machine lacks something
      ExternalError    4  a program or service that was called failed

Whatever is none of these is a fault of gitops itself: 70, as sysexits.h has it, and a traceback without texts.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from gitops.ground import printable


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    `path` and `line`: where, as the repository has it (never a temporary folder's path; lines from 1). `found` and
    `expected`: the two sides of a comparison, as text. `fix`: what to do, in the imperative; `steps`: where that is to
    be typed, the lines for a shell, each whole.
    """

    what: str = ""
    path: str | None = None
    line: int | None = None
    found: str | None = None
    expected: str | None = None
    fix: str | None = None
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        path = printable.line(self.path or "")
        place = [path if self.line is None else f"{path}:{self.line}"] if path else []
        return ": ".join([*place, self.sentence])

    @property
    def sentence(self) -> str:
        """The text without the place, for those who print the place themselves."""
        sides = [f"expected {self.expected}"] if self.expected is not None else []
        sides += [f"found {self.found}"] if self.found is not None else []
        text = "; ".join(part for part in (self.what, ", ".join(sides)) if part)
        # What to do stands on a line of its own below what another program printed.
        told = ("\n" if "\n" in text else "; ").join(part for part in (text, self.fix) if part)
        return "\n".join([told, *self.steps])


class GitopsError(Exception):
    """Base of every expected failure. Its text is for a person; `exit_code` is for a program.

    `faults` is never empty. The constructor makes one fault of its arguments, `several` takes faults that were made.
    """

    exit_code = 1
    faults: tuple[Fault, ...]

    def __init__(
        self,
        what: str = "",
        *,
        path: str | None = None,
        line: int | None = None,
        found: str | None = None,
        expected: str | None = None,
        fix: str | None = None,
        steps: tuple[str, ...] = (),
    ) -> None:
        self.faults = (Fault(what, path, line, found, expected, fix, steps),)
        super().__init__(what)

    @classmethod
    def several(cls, faults: Iterable[Fault]) -> Self:
        """One error of several faults (at least one), each kept once."""
        error = cls.__new__(cls)
        error.faults = tuple(dict.fromkeys(faults))
        return error

    @property
    def fault(self) -> Fault:
        """The first fault: where it is one that is asked about."""
        return self.faults[0]

    def __str__(self) -> str:
        """One line for each fault."""
        return "\n".join(str(fault) for fault in self.faults)


class UnexpectedError(GitopsError):
    """An exception that nobody expected: told by its type and the place in our code, as its text may carry a value.

    `of` is how one is made (exit 70).
    """

    exit_code = 70

    @classmethod
    def of(cls, error: Exception) -> GitopsError:
        """What may be told of an exception: itself where it is a GitopsError."""
        if isinstance(error, GitopsError):
            return error
        path, line, trace = None, None, error.__traceback__
        while trace:
            module = str(trace.tb_frame.f_globals.get("__name__"))
            if module.partition(".")[0] == "gitops":
                path, line = f"scripts/{module.replace('.', '/')}.py", trace.tb_lineno
            trace = trace.tb_next
        return cls(f"unexpected {type(error).__name__}", path=path, line=line, fix="a fault of gitops: open an issue")


class NotHealthyError(GitopsError):
    """The command worked, and the answer is no: a part of the lab is dead, an Application is not Healthy (exit 1)."""

    exit_code = 1


class InputError(GitopsError):
    """What was given, or what a file of the repository says, cannot be used (exit 2).

    Several faults are reported at once, one line each.
    """

    exit_code = 2


class MachineError(GitopsError):
    """This machine lacks something: a program, a free port, an intact tool cache (exit 3)."""

    exit_code = 3


class ExternalError(GitopsError):
    """A program or service that we called failed or did not answer in time (exit 4)."""

    exit_code = 4


def faults_of(errors: Iterable[GitopsError]) -> list[Fault]:
    """The faults of several errors, in their order."""
    return list(itertools.chain.from_iterable(error.faults for error in errors))


def told(error: BaseException) -> str:
    """What of a library's exception is told: its kind or, of the system's errors, the system's words.

    Its own text may have what the library could not send or read: a header with its token, a file's line.
    """
    reason = getattr(error, "reason", None)
    inner = reason if isinstance(reason, BaseException) else error
    # urllib3 says of a connection that could not be made which of the system's errors it was.
    inner = inner.__cause__ if isinstance(inner.__cause__, OSError) and inner.__cause__.errno else inner
    if isinstance(inner, OSError) and isinstance(inner.errno, int) and inner.errno > 0:
        return os.strerror(inner.errno)
    return type(inner).__name__


def combined(errors: Iterable[GitopsError]) -> GitopsError:
    """Several errors (at least one) as one, each fault once, with the exit code of the worst."""
    errors = list(errors)
    combination = GitopsError.several(faults_of(errors))
    combination.exit_code = max(error.exit_code for error in errors)
    return combination

"""What can go wrong, and the exit code that says so.

Every message names what was found, what was expected and how to fix it; `gitops` prints it and exits with the code.
"""

from __future__ import annotations

from collections.abc import Sequence


class GitopsError(Exception):
    """Base of every expected failure. Its text is for a person; `exit_code` is for a program."""

    exit_code = 1


class NotHealthyError(GitopsError):
    """The command worked, and the answer is no: a part of the lab is dead, an Application is not Healthy (exit 1)."""

    exit_code = 1


class InputError(GitopsError):
    """What was given, or what a file of the repository says, cannot be used (exit 2).

    Several findings are reported at once, one line each.
    """

    exit_code = 2


class MachineError(GitopsError):
    """This machine lacks something: a program, a free port, an intact tool cache (exit 3)."""

    exit_code = 3


class ExternalError(GitopsError):
    """A program or service that we called failed or did not answer in time (exit 4)."""

    exit_code = 4


def together(errors: Sequence[GitopsError]) -> GitopsError:
    """All of them as one, each line once, with the exit code of the worst."""
    found = GitopsError("\n".join(dict.fromkeys(str(error) for error in errors)))
    found.exit_code = max(error.exit_code for error in errors)
    return found

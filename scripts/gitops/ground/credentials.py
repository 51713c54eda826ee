"""What must not be seen: values are pydantic's SecretStr, and a process that holds one leaves nothing behind."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops.ground import hidden
from gitops.ground.errors import InputError

if TYPE_CHECKING:
    from pydantic import SecretBytes, SecretStr

_PR_SET_DUMPABLE = 4
# Fields of /proc/PID/stat behind the program's name: where the environment begins and ends in memory (proc(5)).
_ENV_START, _ENV_END = 47, 48


def harden() -> None:
    """No core dump of this process or of what it starts, and no other process of its user reads its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def mask(value: SecretStr) -> SecretStr:
    """Let no text have the value from now on and, in Actions, ask the runner to hide it in every log."""
    from gitops.ground import runner, settings

    hidden.remember(value.get_secret_value())
    if settings.read().actions:
        runner.mask(value.get_secret_value())
    return value


# What the workflow's one step is given. `gitops` takes them first of all: GitPython starts a git when it is imported.
CREDENTIALS = {
    "INTRA42_LOGIN": "Who reads 42's pages of applications.",
    "INTRA42_PASSWORD": "The password of that login.",
    "INTRA42_TOTP_SEED": "The base32 seed of its one-time codes, where it has them.",
    "SLACK_TOKEN": "The bot that tells who must act.",
    "REGISTRY_CREDENTIALS": "A docker config on one line: who reads private registries of images beside ECR.",
}
# Their values go into a header as they are. A library tells the whole header where it cannot be sent.
_TOKENS = ("SLACK_TOKEN", "GITHUB_TOKEN")
_TOKEN = re.compile(r"[\x21-\x7e]+")
# No secret: it is shown where it is refused.
_OPEN = ("INTRA42_LOGIN",)


def take_credentials() -> dict[str, SecretStr]:
    """The credentials of the environment, which forgets them: nothing that this process starts inherits one.

    GitHub's token is kept for whoever asks for it by `take` or by the settings. Raises InputError.
    """
    if token := take("GITHUB_TOKEN"):
        hidden.keep("GITHUB_TOKEN", token)
    return {name: value for name in CREDENTIALS if (value := take(name))}


def take(name: str) -> SecretStr | None:
    """One variable of the environment, which forgets it. Raises InputError, which has no part of the value."""
    text = os.environ.pop(name, "")
    if not text:
        return hidden.kept().get(name)
    harden()
    _scrub(name)
    value = _checked(name, text)
    if name not in _OPEN:
        hidden.remember(value)
    # A tenth of a second, which help does without.
    from pydantic import SecretStr

    return SecretStr(value) if value else None


def _checked(name: str, text: str) -> str:
    """The value without the line end that a pipe or a page adds."""
    if name in _TOKENS:
        value = text.strip()
        if value and not _TOKEN.fullmatch(value):
            raise InputError(f"{name} has a character that no token has", fix="set it again, as its issuer shows it")
        return value
    value = text.rstrip("\r\n")
    if not value.isprintable():
        raise InputError(f"{name} has a character that cannot be typed", fix="set it again; it may be a line break")
    return value


def _scrub(name: str) -> None:
    """Overwrite a variable where the process was started with it: deleted from the environment it is in
    /proc/PID/environ all the same. A system without /proc has no such file.
    """
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return
    start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
    place = start
    for entry in ctypes.string_at(start, end - start).split(b"\0") if start else ():
        if entry.startswith(f"{name}=".encode()):
            ctypes.memset(place + len(name) + 1, 0, len(entry) - len(name) - 1)
        place += len(entry) + 1


def ask(what: str, *, allow_empty: bool = False) -> SecretBytes:
    """Read a value from a prompt without echo or, where standard input is no terminal, all of that as it is.

    Raises InputError where nothing is given.
    """
    from pydantic import SecretBytes

    if sys.stdin is None:  # closed by whoever started this
        value = b""
    elif sys.stdin.isatty():
        value = str(click.prompt(what, hide_input=True, default="", show_default=False, err=True)).encode()
    else:
        value = sys.stdin.buffer.read()
    if not (value or allow_empty):
        raise InputError(f"{what}: nothing was given; type it at the prompt, or pipe it in (never as an argument)")
    return SecretBytes(value)

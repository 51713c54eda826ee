"""What must not be seen: values are pydantic's SecretStr, and a process that holds one leaves nothing behind."""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING

import click

from gitops.ground import printable
from gitops.ground.errors import InputError

if TYPE_CHECKING:
    from pydantic import SecretBytes, SecretStr


def disable_core_dumps() -> None:
    """No core dump of this process or of what it starts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def mask(value: SecretStr) -> SecretStr:
    """In Actions, and only there, ask the runner to hide the value in every log, before its first use."""
    from gitops.ground import settings

    if settings.read().actions:
        for line in value.get_secret_value().splitlines():
            print(printable.command("add-mask", line), flush=True)
    return value


# What the workflow's one step is given. `gitops` takes them first of all: GitPython starts a git when it is imported.
CREDENTIALS = {
    "INTRA42_LOGIN": "Who reads 42's pages of applications.",
    "INTRA42_PASSWORD": "The password of that login.",
    "INTRA42_TOTP_SEED": "The base32 seed of its one-time codes, where it has them.",
    "SLACK_TOKEN": "The bot that tells who must act.",
}


def take_credentials() -> dict[str, SecretStr]:
    """The credentials of the environment, which forgets them: nothing that this process starts inherits one."""
    return {name: value for name in CREDENTIALS if (value := take(name))}


def take(name: str) -> SecretStr | None:
    """One variable of the environment, which forgets it."""
    value = os.environ.pop(name, "")
    if not value:
        return None
    # A tenth of a second, which help does without.
    from pydantic import SecretStr

    return SecretStr(value)


def ask(what: str, *, allow_empty: bool = False) -> SecretBytes:
    """Read a value from a prompt without echo or, where standard input is no terminal, all of that as it is.

    Raises InputError where nothing is given.
    """
    from pydantic import SecretBytes

    if sys.stdin.isatty():
        value = str(click.prompt(what, hide_input=True, default="", show_default=False, err=True)).encode()
    else:
        value = sys.stdin.buffer.read()
    if not (value or allow_empty):
        raise InputError(f"{what}: nothing was given; type it at the prompt, or pipe it in (never as an argument)")
    return SecretBytes(value)

"""What a person gives to be sealed, from the command line to the files of the overlay."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gitops.ground import credentials
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.printable import counted
from gitops.manifests.overlay import Overlay
from gitops.manifests.sealedsecret import ISSUER, VALID_UNTIL
from gitops.secrets import manage, values

_NONE = "none"
_PAGE = re.compile(r"https://[A-Za-z0-9][^\s\"'\\<>]{0,300}", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """The options of `seal`: where each value comes from, and what is declared of them."""

    keys: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    env_file: Path | None = None
    kind: str | None = None
    exact: bool = False
    allow_empty: bool = False
    valid_until: str | None = None
    issuer: str | None = None

    @property
    def any(self) -> bool:
        """Whether a value is given at all."""
        return bool(self.keys or self.files or self.env_file)

    def declared(self, today: date) -> dict[str, str]:
        """The annotations for it. Raises InputError."""
        annotations = {}
        if self.valid_until is not None:
            annotations[VALID_UNTIL] = "" if self.valid_until == _NONE else _day(self.valid_until, today)
        if self.issuer is not None:
            if not _PAGE.fullmatch(self.issuer):
                raise InputError("--issuer", expected="a page, as https://api.slack.com/apps", found=repr(self.issuer))
            annotations[ISSUER] = self.issuer
        return annotations


def _day(text: str, today: date) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError("--valid-until", expected="a day, as 2027-01-31, or none", found=repr(text)) from None
    if day <= today:
        raise InputError("--valid-until", expected="a day that is to come", found=text)
    return day.isoformat()


@dataclass(frozen=True)
class Written:
    """What was sealed: the files, and what is to be said of the values, which says nothing of any."""

    paths: list[Path]
    notes: tuple[str, ...]


def seal(checkout: Checkout, overlay: Overlay, name: str, asked: Asked, cluster: str, today: date) -> Written:
    """Read the values, and seal them into the Secret `name`. All or nothing. Raises InputError."""
    target, declared = manage.SecretTarget(overlay, name, asked.kind), asked.declared(today)
    given = read(checkout, [target], asked, declared)
    return Written(manage.put(checkout, target, given.values, cluster, declared), given.notes)


def read(
    checkout: Checkout, targets: Sequence[manage.SecretTarget], asked: Asked, declared: Mapping[str, str]
) -> values.Given:
    """The values for Secrets of one name, once it is sure that each can have these keys. Raises InputError."""
    parts = [values.from_files(checkout, asked.files)]
    parts += [values.from_env_file(checkout, asked.env_file)] if asked.env_file else []
    named = values.joined(parts).values
    keys = asked.keys
    if not (keys or named):
        raise InputError("no key", fix="give --key, --from-file or --from-env-file")
    if twice := [key for key in named if key in keys] or [key for key in keys if keys.count(key) > 1]:
        raise InputError(f"the key {twice[0]!r} is given twice", fix="give it once")
    kinds = {manage.check_target(checkout, target, [*keys, *named], declared) for target in targets}
    if len(keys) > 1 and not (sys.stdin and sys.stdin.isatty()):
        raise InputError(f"{counted(len(keys), 'key')} and one standard input; pipe in one key at a time")
    for key in keys:
        raw = credentials.ask(f"{targets[0].name} {key}", allow_empty=asked.allow_empty)
        parts.append(values.piped(key, raw, exact=asked.exact))
    given = values.joined(parts)
    values.check_empty(given, allow_empty=asked.allow_empty)
    for kind in kinds:
        values.check(kind, given.values)
    return given

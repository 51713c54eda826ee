"""The values that a person seals: piped in, typed, or read from files; and what their Secret's type asks of them.

A value is a SecretBytes from where it is read, and no message has a part of one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from pydantic import SecretBytes

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.jsontext import parse
from gitops.manifests import secret

Values = dict[str, SecretBytes]
_NEWLINE = re.compile(rb"\r?\n\Z")
_ENV_KEY = re.compile(r"[^=\s]+")


@dataclass(frozen=True)
class Given:
    """Values as they were read, and what is to be said of them: sentences without a value.

    `plain`: the keys whose emptiness is written out (`KEY=`), and no accident.
    """

    values: Values
    notes: tuple[str, ...] = ()
    plain: frozenset[str] = frozenset()


def piped(key: str, raw: SecretBytes, *, exact: bool) -> Given:
    """One value from standard input. The newline that a pipe adds to a value of one line goes; `exact` keeps it.

    Several lines (a PEM) are a file's, and its newline is its own.
    """
    value = raw.get_secret_value()
    shorter = _NEWLINE.sub(b"", value)
    if exact or shorter == value or b"\n" in shorter:
        return Given({key: raw})
    note = f"{key}: the newline at its end is taken off, as a pipe adds it (--exact keeps it)"
    return Given({key: SecretBytes(shorter)}, (note,))


def from_files(checkout: Checkout, pairs: Sequence[str]) -> Given:
    """KEY=PATH, each file as it is, as kubectl has it; a PATH alone is the value of its own name. Raises InputError."""
    values: Values = {}
    notes: list[str] = []
    for pair in pairs:
        key, equals, name = pair.partition("=")
        file = Path(name if equals else pair)
        key = key if equals else file.name
        _once(key, values)
        content = _content(checkout, file)
        if _NEWLINE.search(content) and content.count(b"\n") == 1:
            notes.append(f"{key}: ends with a newline, which is sealed with it, as the file has it")
        values[key] = SecretBytes(content)
    return Given(values, tuple(notes))


def from_env_file(checkout: Checkout, file: Path) -> Given:
    """KEY=VALUE on each line, as kubectl reads it: `#` begins a comment, and quotes are a part of the value.

    Raises InputError that names the line and nothing of it.
    """
    content = _content(checkout, file).removeprefix(b"\xef\xbb\xbf")
    values: Values = {}
    notes: list[str] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        text = line.removesuffix(b"\r").lstrip()
        if not text or text.startswith(b"#"):
            continue
        name, equals, value = text.partition(b"=")
        key = name.decode(errors="replace")
        if not equals or not _ENV_KEY.fullmatch(key):
            raise InputError("a line that is none", path=str(file), line=number, expected="KEY=VALUE")
        _once(key, values, str(file), number)
        if len(value) > 1 and value[:1] == value[-1:] and value[:1] in (b'"', b"'"):
            notes.append(f"{key}: its quotes are a part of the value, as kubectl has it")
        values[key] = SecretBytes(value)
    if not values:
        raise InputError("has no line", path=str(file), expected="KEY=VALUE")
    return Given(values, tuple(notes), frozenset(values))


def _once(key: str, values: Values, path: str | None = None, line: int | None = None) -> None:
    if key in values:
        raise InputError(f"the key {key!r} is given twice", path=path, line=line, fix="give it once")


def joined(parts: Sequence[Given]) -> Given:
    """All of them as one. Raises InputError where two have the same key."""
    values: Values = {}
    notes: list[str] = []
    for part in parts:
        for key, value in part.values.items():
            _once(key, values)
            values[key] = value
        notes += part.notes
    return Given(values, tuple(notes), frozenset(itertools.chain.from_iterable(part.plain for part in parts)))


def check_empty(given: Given, *, allow_empty: bool) -> None:
    """Raise InputError where nothing came: more often a command that failed than a value."""
    for key, value in given.values.items():
        if not (value.get_secret_value() or allow_empty or key in given.plain):
            raise InputError(f"{key}: nothing was given", fix="--allow-empty, where nothing is what is meant")


def _content(checkout: Checkout, file: Path) -> bytes:
    """A file outside of the checkout: inside of it the next commit could have it."""
    if file.resolve().is_relative_to(checkout.root):
        fix = "move it out of the checkout, and delete it once it is sealed; or pipe the value in"
        raise InputError("a value in a file of the repository is committed with it", path=str(file), fix=fix)
    try:
        with file.open("rb") as stream:
            content = stream.read(secret.MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(file)) from None
    except ValueError:
        raise InputError("cannot be read: not a path", path=repr(str(file))) from None
    return content


def check(kind: str, values: Mapping[str, SecretBytes]) -> None:
    """Raise InputError unless the values are what a Secret of this type needs. Says nothing of any."""
    size = sum(len(value.get_secret_value()) for value in values.values())
    if size > secret.MOST_BYTES:
        raise InputError("the values together", expected=f"at most {secret.MOST_BYTES} bytes", found="more")
    contents = {key: value.get_secret_value() for key, value in values.items()}
    if kind in _CHECKS:
        _CHECKS[kind](contents)


def _check_docker(contents: Mapping[str, bytes]) -> None:
    if secret.DOCKER_KEY not in contents:
        return
    try:
        document = parse(contents[secret.DOCKER_KEY])
        auths = document["auths"]
        whole = bool(auths) and all(isinstance(auth, dict) and auth for auth in auths.values())
    except (ValueError, TypeError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise InputError(
            f"{secret.DOCKER_KEY}: not what docker writes",
            expected='JSON such as {"auths": {"registry.example.com": {"auth": ...}}}',
            fix="docker login, and give its config.json",
        )


def _check_tls(contents: Mapping[str, bytes]) -> None:
    """A certificate without its key serves nobody, and says so only where it is mounted."""
    names = ("tls.crt", "tls.key")
    if not any(name in contents for name in names):
        return
    if not all(name in contents for name in names):
        raise InputError("tls.crt and tls.key are checked against each other", fix="give both at once")
    try:
        chain = x509.load_pem_x509_certificates(contents["tls.crt"])
    except ValueError:
        raise InputError("tls.crt", expected="certificates in PEM, the server's own first", found="none") from None
    try:
        key = load_pem_private_key(contents["tls.key"], None)
    except (ValueError, TypeError):
        raise InputError("tls.key", expected="a private key in PEM without a password", found="none") from None
    except Exception as error:  # a kind of key that the library does not know
        raise InputError("tls.key", expected="a private key in PEM", found=type(error).__name__) from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
        raise InputError("tls.key is not the key of tls.crt's first certificate", fix="give the two of one pair")


def _check_ssh(contents: Mapping[str, bytes]) -> None:
    if contents.get("ssh-privatekey") == b"":
        raise InputError("ssh-privatekey", expected="a key", found="nothing")


_CHECKS: dict[str, Callable[[Mapping[str, bytes]], None]] = {
    secret.DOCKER: _check_docker,
    secret.TLS: _check_tls,
    "kubernetes.io/ssh-auth": _check_ssh,
}

"""The values that this process holds, so that no text that leaves it has one: the last guard, behind all others.

`credentials` says which they are; `printable`, by which all that is printed and sent is made, leaves them out. It knows
a value as it is and as libraries write it: quoted for a URL, escaped for JSON or by Python's repr, in a login's base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from pydantic import SecretStr

SHOWN = "***"
# Shorter than any secret, and as long as words of ordinary sentences.
_LEAST = 8
_forms: set[str] = set()
# What was taken out of the environment and is a setting too, by its variable.
_kept: dict[str, SecretStr] = {}


def remember(value: str) -> None:
    """From now on no text has this value, or a line of it."""
    # GitHub takes a token as the password of a login.
    basic = base64.b64encode(f"x-access-token:{value}".encode("utf-8", "surrogateescape")).decode()
    for part in {value, value.strip(), *value.splitlines()}:
        if len(part) >= _LEAST:
            plain = part.encode("utf-8", "surrogateescape")
            _forms.update({part, quote(plain, safe=""), quote_plus(plain), quote(plain)})
            _forms.update({json.dumps(part)[1:-1], repr(part)[1:-1], repr(plain)[2:-1]})
    if len(value) >= _LEAST:
        _forms.add(basic)


def keep(name: str, value: SecretStr) -> None:
    """Hold a variable that the environment has no more, for whoever reads it as a setting."""
    _kept[name] = value


def kept() -> Mapping[str, SecretStr]:
    """What is held, by the variables' names."""
    return _kept


def hide(text: str) -> str:
    """The text without any of them."""
    # The longest first: a line of a value would leave the rest of it.
    for form in sorted((form for form in _forms if form in text), key=len, reverse=True):
        text = text.replace(form, SHOWN)
    return text


def hide_all(document: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    """The same of every text of a document for JSON."""
    if not _forms:
        return document
    if isinstance(document, str):
        return hide(document)
    if isinstance(document, Mapping):
        return {hide_all(key): hide_all(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [hide_all(value) for value in document]
    return document

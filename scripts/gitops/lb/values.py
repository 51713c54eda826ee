"""What the controller reads in the text of an annotation, by the rules of Go (its pkg/annotations/parser.go).

Each raises ValueError with what is expected in place of a text that it cannot read: at that the controller stops.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from gitops.ground import jsontext

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_YES, _NO = {"1", "t", "T", "TRUE", "true", "True"}, {"0", "f", "F", "FALSE", "false", "False"}
_LAST_PORT = 65535


def integer(text: str) -> int:
    """A whole number of 32 bits."""
    if not _INTEGER.fullmatch(text) or len(text) > 20 or not -(2**31) <= int(text) < 2**31:
        raise ValueError("a whole number")
    return int(text)


def boolean(text: str) -> bool:
    """true or false, in one of Go's spellings."""
    if text not in _YES | _NO:
        raise ValueError("true or false")
    return text in _YES


def pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`. A comma that no further `=` follows is part of the value; `\\` takes the next as it is."""
    entries = list(_entries(text))
    if any("=" not in entry or not entry.partition("=")[0].strip() for entry in entries):
        raise ValueError("key=value, several with commas between")
    split = (entry.partition("=") for entry in entries)
    return {key.strip(): value.strip() for key, _, value in split}


def _entries(text: str) -> list[str]:
    entries, current, position = list[str](), "", 0
    while position < len(text):
        sign, rest = text[position], text[position + 1 :].strip()
        if sign == "\\" and position + 1 < len(text):
            position += 1
            current += text[position]
        elif sign == "," and "=" in rest:
            entries.append(current.strip())
            current = ""
        elif sign == "," and rest:
            return [*entries, current.strip(), rest]
        else:
            current += sign
        position += 1
    return [*entries, current.strip()] if current else entries


def json(text: str) -> Any:  # noqa: ANN401 - whatever stands there
    """JSON as Go reads it into its own fields: keys in any case (here: in small letters), null for what is not set."""
    try:
        return _lowered(jsontext.parse(text))
    except (ValueError, RecursionError):
        raise ValueError("JSON, as the controller's documentation shows it") from None


def _lowered(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_lowered(member) for member in value]
    if isinstance(value, dict):
        return {key.lower(): _lowered(member) for key, member in value.items() if member is not None}
    return value


def listen_ports(text: str) -> dict[int, str]:
    """The protocol of each port of `listen-ports`."""
    expected = 'ports such as [{"HTTP": 80}, {"HTTPS": 443}]'
    try:
        entries = [dict(entry).items() for entry in jsontext.parse(text)]
    except (ValueError, TypeError):
        raise ValueError(expected) from None
    ports = {port: protocol for protocol, port in itertools.chain.from_iterable(entries)}
    sound = all(type(port) is int and 1 <= port <= _LAST_PORT for port in ports)
    if not ports or not sound or not set(ports.values()) <= {"HTTP", "HTTPS"}:
        raise ValueError(expected)
    return ports

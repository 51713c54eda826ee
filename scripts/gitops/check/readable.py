"""Passwords and the like that stand in git for all to read: in variables, arguments and ConfigMaps.

What looks like a secret by itself gitleaks finds (leaks.py). A password looks like any other word: its name tells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from gitops.check.references import workloads
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place, read_text
from gitops.manifests.objects import FieldPath, Object, name
from gitops.service import secretlike

RULE = "readable-secret"
# A line of a file of settings: `key: value`, `KEY=value`, `export KEY='value'`, `"key": "value",`.
_LINE = re.compile(r"""^[\s-]*(?:export\s+)?["']?([\w.-]+)["']?\s*[:=]\s*["']?([^"'\s,;]+)["']?[,;]?(?:\s+#.*)?$""")
# `--db-password=...`, and `--db-password` before the next argument.
_OPTION = re.compile(r"--?([\w.-]+)(?:=(.+))?", re.DOTALL)
# What stands in for a value, or says where it is: a reference, a path, an address, a name at AWS.
_REFERENCE = re.compile(r"[$%{<./~@*].*|[a-z][a-z0-9+.-]*://.*|arn:.*|.*\$[({].*|\*+", re.DOTALL | re.IGNORECASE)
# The name of something, or a word for a switch, where it is no password.
_WORDS = re.compile(r"[A-Za-z]+([_.-][A-Za-z]+)*|[0-9]+[a-z]{0,2}")
_PASSWORD = re.compile(r"(PASS|PASSWORD|PASSWD|PWD|PASSPHRASE)(_?\d+)?$", re.IGNORECASE)
# What is said of a password, and is none: a cookie's name, an algorithm's salt length.
_SAID_OF_ONE = re.compile(r"(COOKIE|PIN|SALT|PEPPER|JWT)(_?\d+)?$", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:([^/\s@]+)@", re.IGNORECASE)
# Characters. No password is as long, and the patterns are for words: they go through a text again for each letter.
_LONGEST = 2_000


@dataclass(frozen=True)
class _Value:
    """A value that a program is given: where it stands in its object, what it is called, and the text itself."""

    item: Object
    path: FieldPath
    called: str
    text: str


def check(unit: Unit) -> Iterator[Finding]:
    """What of an overlay looks like a secret. No part of it is in what is said."""
    if unit.overlay is None:
        return
    names = {name(item) for item in unit.objects}
    told = set[Place]()
    for value in _values(unit):
        if len(value.text) > _LONGEST:
            continue
        why = _reason(value.called, value.text, names)
        if not why:
            continue
        place = _place(unit, value)
        lines = read_text(unit.places.root / place.file).splitlines()
        marked = secretlike.PUBLIC in lines[place.line - 1] if place.line <= len(lines) else False
        if not marked and place not in told:
            told.add(place)
            problem = f"{value.called or 'a value'} looks like a secret ({why}), and all may read what is in git"
            secret = value.called.lower().replace("_", "-") or "NAME"
            fix = f"change it where it was issued, then gitops secrets seal {unit.overlay.service} {secret}"
            fix += f"; where everybody may know it, write {secretlike.PUBLIC} behind it"
            yield Finding(RULE, place, problem, fix, unit.name, str(value.item.get("kind")), name(value.item))


def _reason(called: str, text: str, names: Collection[str]) -> str:
    """Why a value looks like a secret; empty where it does not."""
    password = _IN_ADDRESS.search(text)
    if password and not _REFERENCE.fullmatch(password[1]):
        return "its value has a password in an address"
    key = re.sub(r"[.-]", "_", called)
    if text in names or _REFERENCE.fullmatch(text) or _SAID_OF_ONE.search(key):
        return ""
    if _WORDS.fullmatch(text) and not _PASSWORD.search(key):
        return ""
    why = secretlike.reason(key, text)
    return why if why == "by its name" else ""


# -- what programs are given


def _values(unit: Unit) -> Iterator[_Value]:
    for pods in workloads(unit):
        for path, container in pods.containers():
            for number, entry in enumerate(container.get("env") or []):
                if isinstance(entry.get("value"), str):
                    yield _Value(pods.item, (*path, "env", number, "value"), str(entry.get("name")), entry["value"])
            for field in ("command", "args"):
                yield from _arguments(pods.item, (*path, field), container.get(field) or [])
    for item in unit.kind("ConfigMap"):
        for key, text in (item.get("data") or {}).items():
            yield from _texts(item, ("data", key), str(key), str(text))


def _arguments(item: Object, path: FieldPath, words: list[Any]) -> Iterator[_Value]:
    """Options with their values; any other argument for itself."""
    texts = list(map(str, words))
    for number, text in enumerate(texts):
        option = _OPTION.fullmatch(text)
        following = texts[number + 1] if number + 1 < len(texts) else "-"
        if option and option[2]:
            yield _Value(item, (*path, number), option[1], option[2])
        elif option and not following.startswith("-"):
            yield _Value(item, (*path, number + 1), option[1], following)
        elif not option:
            yield _Value(item, (*path, number), "", text)


def _texts(item: Object, path: FieldPath, key: str, text: str) -> Iterator[_Value]:
    """A value of a ConfigMap; of one that is a file, what its lines say."""
    if "\n" not in text.strip():
        yield _Value(item, path, key, text.strip())
        return
    for line in text.splitlines():
        if len(line) > _LONGEST:
            continue
        said = _LINE.match(line)
        if said:
            yield _Value(item, path, said[1].rpartition(".")[2], said[2])
        elif _IN_ADDRESS.search(line):
            yield _Value(item, path, "", line.strip())


def _place(unit: Unit, value: _Value) -> Place:
    """The line with the value: in a file of the overlay's own, as of what is generated only its generator is known."""
    place = unit.places.of(value.item, value.path)
    root = unit.places.root
    lines = read_text(root / place.file).splitlines()
    if place.line <= len(lines) and value.text in lines[place.line - 1]:
        return place
    own = sorted(path for path in unit.places.files if path.startswith(f"{unit.name}/"))
    for file in dict.fromkeys([place.file, *own]):
        for number, line in enumerate(read_text(root / file).splitlines(), 1):
            if value.called in line and value.text in line:
                return Place(file, number)
    return place

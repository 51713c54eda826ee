"""Values as a preview shows them: secrets hidden, of long texts what differs, whole objects as YAML."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import yaml

from gitops.ground.printable import counted
from gitops.manifests.forms import ABSENT
from gitops.manifests.objects import Object

HIDDEN = "(hidden)"
MASKED = {"Secret": (("data",), ("stringData",)), "SealedSecret": (("spec", "encryptedData"),)}
# Ten times as fast, where libyaml is there.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LONG = 2000
# Of an object that comes or goes. A model takes a little more.
_LONGEST = 15_000
# Lines, and characters of one long line, around what differs.
_AROUND, _BESIDE = 2, 200


def text(value: Any) -> str | None:  # noqa: ANN401
    """A value on its own, None where there is none."""
    return None if value is ABSENT else cut(_plain(value))


def texts(old: Any, new: Any) -> tuple[str | None, str | None]:  # noqa: ANN401
    """Both values; where both are long, from the first that differs to the last."""
    if old is ABSENT or new is ABSENT:
        return text(old), text(new)
    left, right = _plain(old), _plain(new)
    if "\n" in left and "\n" in right:
        lines = _differing(left.split("\n"), right.split("\n"), _AROUND)
        left, right = ("\n".join(_with_rest(*side, "line")) for side in lines)
    elif max(len(left), len(right)) > _LONG:
        characters = _differing(list(left), list(right), _BESIDE)
        left, right = ("".join(_with_rest(*side, "character")) for side in characters)
    return cut(left, _LONGEST), cut(right, _LONGEST)


def _plain(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def cut(shown: str, longest: int = _LONG) -> str:
    """A text, with its length in place of what is beyond the longest that is shown."""
    return shown if len(shown) <= longest else f"{shown[:longest]} ... ({counted(len(shown), 'character')})"


def _differing(old: list[str], new: list[str], around: int) -> list[tuple[int, list[str], int]]:
    """Of each side what differs with some of what is around it, and how much was before and is after that."""
    before = max(_common(old, new) - around, 0)
    rests = old[before:], new[before:]
    after = max(_common(rests[0][::-1], rests[1][::-1]) - around, 0)
    return [(before, rest[: len(rest) - after], after) for rest in rests]


def _common(old: list[str], new: list[str]) -> int:
    """How many of the first parts are the same."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
    return sum(1 for _ in same)


def _with_rest(before: int, parts: list[str], after: int, noun: str) -> list[str]:
    head = [f"... ({before} {noun}s before)"] if before else []
    return [*head, *parts, *([f"({after} {noun}s after) ..."] if after else [])]


def content(item: Object) -> str:
    """A whole object as YAML, without the values of secrets."""
    shown = copy.deepcopy(item)
    for path in MASKED.get(str(item.get("kind")), ()):
        _hide(shown, path)
    whole: str = yaml.dump(shown, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=1000)
    return cut(whole.rstrip("\n"), _LONGEST)


def _hide(item: Any, path: tuple[str, ...]) -> None:  # noqa: ANN401
    *above, last = path
    for step in above:
        item = item.get(step) if isinstance(item, dict) else None
    if isinstance(item, dict) and item.get(last) is not None:
        values = item[last]
        item[last] = dict.fromkeys(values, HIDDEN) if isinstance(values, dict) else HIDDEN

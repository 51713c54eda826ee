"""What differs between two values of YAML, field by field. The order of a list's items and a null field are nothing.

Where the order is the meaning (ORDERED), another order is a difference.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gitops.manifests.objects import MERGE_KEYS, FieldPath

# Lists that a program gets, or that run, one after the other.
ORDERED = {"command", "args", "initContainers"}


class Absent:
    """What stands where one side has nothing; a null in a list is something."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


@dataclass(frozen=True)
class Item:
    """One item of a list: where it stands on each side, None where it does not.

    `key`: what tells it from the others ("name=app"), empty where nothing does; `plain`: it is a scalar among scalars.
    """

    before: int | None
    after: int | None
    key: str = ""
    plain: bool = False

    def __str__(self) -> str:
        if self.plain:
            return "[]"
        return f"[{self.key or (self.after if self.before is None else self.before)}]"


PathStep = str | Item


@dataclass(frozen=True)
class Difference:
    """A field that differs. `old` and `new`: its value on each side, or ABSENT."""

    steps: tuple[PathStep, ...]
    old: Any
    new: Any

    @property
    def path(self) -> str:
        """The field as a person writes it: spec.containers[name=app].image."""
        text = ""
        for step in self.steps:
            if isinstance(step, Item):
                text += str(step)
            else:
                word = step if re.fullmatch(r"[\w-]+", step) else f"[{step}]"
                text += f".{word}" if text else word
        return text

    @property
    def new_path(self) -> FieldPath:
        """The field in the new value, as far as it is there."""
        path: list[str | int] = []
        for step in self.steps:
            if isinstance(step, Item) and step.after is None:
                break
            path.append(step if isinstance(step, str) else step.after or 0)
        return tuple(path)

    def within(self, *fields: str) -> bool:
        """Whether it is this field of the whole value, or below it."""
        return self.steps[: len(fields)] == fields


def differences(old: Any, new: Any, steps: tuple[PathStep, ...] = ()) -> Iterator[Difference]:  # noqa: ANN401
    """Every field that differs. Items of a list are matched by what tells them apart, or by their whole value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}, key=str):
            yield from differences(_field(old, key), _field(new, key), (*steps, str(key)))
    elif isinstance(old, list) and isinstance(new, list):
        items = list(_items(old, new, steps))
        if not items and steps and steps[-1] in ORDERED and not _in_same_order(old, new):
            items = [Difference(steps, old, new)]
        yield from items
    elif _identity(old) != _identity(new):
        yield Difference(steps, old, new)


def _field(mapping: dict[Any, Any], key: object) -> Any:  # noqa: ANN401
    value = mapping.get(key)
    return ABSENT if value is None else value


def _items(old: list[Any], new: list[Any], steps: tuple[PathStep, ...]) -> Iterator[Difference]:
    if by := _merge_key(old, new):
        left, right = _numbers(old, by), _numbers(new, by)
        for value in dict.fromkeys([*left, *right]):
            before, after = left.get(value), right.get(value)
            yield from _pair(old, new, Item(before, after, f"{by}={value}"), steps)
        return
    fewer, more = _surplus(old, new), _surplus(new, old)
    if not any(isinstance(item, dict | list) for item in [*old, *new]):
        for before in fewer:
            yield from _pair(old, new, Item(before, None, plain=True), steps)
        for after in more:
            yield from _pair(old, new, Item(None, after, plain=True), steps)
        return
    for n in range(max(len(fewer), len(more))):
        item = Item(fewer[n] if n < len(fewer) else None, more[n] if n < len(more) else None)
        yield from _pair(old, new, item, steps)


def _pair(old: list[Any], new: list[Any], item: Item, steps: tuple[PathStep, ...]) -> Iterator[Difference]:
    left = ABSENT if item.before is None else old[item.before]
    right = ABSENT if item.after is None else new[item.after]
    yield from differences(left, right, (*steps, item))


def _numbers(items: list[Any], by: str) -> dict[str | int, int]:
    return {item[by]: number for number, item in enumerate(items)}


def _surplus(items: list[Any], others: list[Any]) -> list[int]:
    """The numbers of the items that the other side has not, or not as often."""
    left = Counter(_identity(item) for item in others)
    numbers = []
    for number, item in enumerate(items):
        identity = _identity(item)
        if left[identity]:
            left[identity] -= 1
        else:
            numbers.append(number)
    return numbers


def _in_same_order(old: Sequence[Any], new: Sequence[Any]) -> bool:
    return [_identity(item) for item in old] == [_identity(item) for item in new]


def _identity(value: Any) -> str:  # noqa: ANN401
    """The same text for what is no difference, and for nothing else."""
    return "" if value is ABSENT else json.dumps(_normal(value), sort_keys=True, default=repr)


def _normal(value: Any, *, ordered: bool = False) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {str(key): _normal(field, ordered=key in ORDERED) for key, field in value.items() if field is not None}
    if isinstance(value, list):
        items = [_identity(item) for item in value]
        return items if ordered else sorted(items)
    return value


def _merge_key(old: list[Any], new: list[Any]) -> str | None:
    """The first key that all items have and that tells all of them apart; None where there are no items."""
    if not old and not new:
        return None
    return next((key for key in MERGE_KEYS if _tells_apart(old, key) and _tells_apart(new, key)), None)


def _tells_apart(items: list[Any], key: str) -> bool:
    values = [item.get(key) if isinstance(item, dict) else None for item in items]
    return all(isinstance(value, str | int) for value in values) and len(set(values)) == len(values)

"""What differs between two values of YAML, field by field. A null field is nothing; what else is, says the form."""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gitops.manifests.forms import ABSENT, PLAIN, Form
from gitops.manifests.objects import MERGE_KEYS, FieldPath
from gitops.manifests.quantity import is_quantity, number


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


# The last step to the order of a list's items.
ORDER = Item(None, None, "order")
PathStep = str | Item
# Of two lists' items, compared for the longest row that both have; of longer lists those at the same places.
_MOST_PAIRS = 1_000_000


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


def differences(
    old: Any,  # noqa: ANN401
    new: Any,  # noqa: ANN401
    form: Form = PLAIN,
    steps: tuple[PathStep, ...] = (),
) -> Iterator[Difference]:
    """Every field that differs. Items of a list are matched by what tells them apart, or by their whole value.

    Items that stand in another order are one difference more, at the path's end `[order]`, unless the form says that
    it is none; of scalars alone both lists are shown whole instead.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}, key=str):
            left, right, below = _field(old, key), _field(new, key), form.child(key)
            if left is not ABSENT and right is not ABSENT:
                yield from differences(left, right, below, (*steps, str(key)))
            elif _meant(left, old, below) != _meant(right, new, below):
                yield Difference((*steps, str(key)), left, right)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _items(old, new, form, steps)
    elif _identity(old, form) != _identity(new, form):
        yield Difference(steps, old, new)


def _field(mapping: dict[Any, Any], key: object) -> Any:  # noqa: ANN401
    value = mapping.get(key)
    return ABSENT if value is None else value


def _meant(value: Any, mapping: dict[Any, Any], form: Form) -> str:  # noqa: ANN401
    return _identity(form.default_in(mapping) if value is ABSENT else value, form)


def _items(old: list[Any], new: list[Any], form: Form, steps: tuple[PathStep, ...]) -> Iterator[Difference]:
    below, by = form.child(), _merge_key(old, new)
    items, order = _keyed(old, new, by) if by else _alike(old, new, below)
    if form.unordered:
        order = []
    if order and all(item.plain for item in items):
        yield Difference(steps, old, new)
        return
    for item in items:
        left = ABSENT if item.before is None else old[item.before]
        right = ABSENT if item.after is None else new[item.after]
        yield from differences(left, right, below, (*steps, item))
    if order:
        before = sorted(order, key=lambda item: item.before or 0)
        yield Difference((*steps, ORDER), _words(before, by), _words(order, by))


def _words(items: list[Item], by: str | None) -> list[str | int]:
    return [item.key.removeprefix(f"{by}=") if by else item.before or 0 for item in items]


def _keyed(old: list[Any], new: list[Any], by: str) -> tuple[list[Item], list[Item]]:
    """Items matched by a key; and those of both sides in their new order, none where that is their old one."""
    left, right = _numbers(old, by), _numbers(new, by)
    items = [Item(left.get(value), right.get(value), f"{by}={value}") for value in dict.fromkeys([*left, *right])]
    both = [item for item in items if item.before is not None and item.after is not None]
    return items, _moved(both)


def _numbers(items: list[Any], by: str) -> dict[str | int, int]:
    return {item[by]: number for number, item in enumerate(items)}


def _alike(old: list[Any], new: list[Any], form: Form) -> tuple[list[Item], list[Item]]:
    """Equal items belong together, as often as both sides have them; of the others the first with the first ...

    And the equal ones in their new order, none where that is their old one.
    """
    plain = not any(isinstance(item, dict | list) for item in [*old, *new])
    left, right = _identities(old, form), _identities(new, form)
    matched = _in_order(left, right)
    places: dict[str, list[int]] = defaultdict(list)
    for n, text in enumerate(left):
        if n not in matched:
            places[text].append(n)
    partners = {after: before for before, after in matched.items()}
    for n, text in enumerate(right):
        if n not in partners and places[text]:
            partners[n] = places[text].pop(0)
    equal = [Item(partners[n], n, plain=plain) for n in sorted(partners)]
    fewer, more = sorted({*range(len(old))} - {*partners.values()}), sorted({*range(len(new))} - {*partners})
    if plain:
        others = [*(Item(n, None, plain=True) for n in fewer), *(Item(None, n, plain=True) for n in more)]
    else:
        others = list(itertools.starmap(Item, itertools.zip_longest(fewer, more)))
    return [*equal, *others], _moved(equal)


def _identities(items: list[Any], form: Form) -> list[str]:
    return [_identity(item, form) for item in items]


def _in_order(old: list[str], new: list[str]) -> dict[int, int]:
    """As many equal items as stand in the same order on both sides: their numbers, old to new."""
    if len(old) * len(new) > _MOST_PAIRS:
        return {n: n for n, (left, right) in enumerate(zip(old, new, strict=False)) if left == right}
    lengths = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for n, m in itertools.product(reversed(range(len(old))), reversed(range(len(new)))):
        same = old[n] == new[m]
        lengths[n][m] = lengths[n + 1][m + 1] + 1 if same else max(lengths[n + 1][m], lengths[n][m + 1])
    matched, n, m = dict[int, int](), 0, 0
    while n < len(old) and m < len(new):
        if old[n] == new[m]:
            matched[n] = m
            n, m = n + 1, m + 1
        elif lengths[n + 1][m] >= lengths[n][m + 1]:
            n += 1
        else:
            m += 1
    return matched


def _moved(items: list[Item]) -> list[Item]:
    """Items of both sides in their new order; none where that is their old one."""
    after = sorted(items, key=lambda item: item.after or 0)
    return after if after != sorted(items, key=lambda item: item.before or 0) else []


def _identity(value: Any, form: Form) -> str:  # noqa: ANN401
    """The same text for what is no difference, and for nothing else."""
    return "" if value is ABSENT else _as_text(_normal(value, form))


def _normal(value: Any, form: Form) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        fields: dict[str, Any] = {}
        for key, field in value.items():
            if field is None:
                continue
            below = form.child(key)
            normal, default = _normal(field, below), below.default_in(value)
            if default is ABSENT or not _is_same(normal, _normal(default, below)):
                fields[str(key)] = normal
        return fields
    if isinstance(value, list):
        # Not their texts: a text in a text in a text has twice the backslashes at each level.
        items = [_normal(item, form.child()) for item in value]
        return (
            sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=repr)) if form.unordered else items
        )
    if form.quantity and not isinstance(value, bool) and is_quantity(value):
        return f"{number(value).normalize():f}"
    return value


def _as_text(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, sort_keys=True, default=repr)


def _is_same(left: Any, right: Any) -> bool:  # noqa: ANN401
    """For Python True is 1."""
    return bool(left == right) and json.dumps(left, default=repr) == json.dumps(right, default=repr)


def _merge_key(old: list[Any], new: list[Any]) -> str | None:
    """The first key that all items have and that tells all of them apart; None where there are no items."""
    if not old and not new:
        return None
    return next((key for key in MERGE_KEYS if _tells_apart(old, key) and _tells_apart(new, key)), None)


def _tells_apart(items: list[Any], key: str) -> bool:
    values = [item.get(key) if isinstance(item, dict) else None for item in items]
    return all(isinstance(value, str | int) for value in values) and len(set(values)) == len(values)

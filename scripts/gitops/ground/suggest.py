"""A word for whoever mistyped a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gitops.ground.errors import InputError

# More names than this are no help on one line.
_MOST = 12


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that a mistyped one, in small letters or large ones, is nearest to; None where none is near.

    `cutoff`: how much of both is the same, as difflib counts it, at least.
    """
    names = {own.casefold(): own for own in sorted(set(known))}
    near = difflib.get_close_matches(name.casefold(), names, 1, cutoff)
    return names[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name: the nearest that there is, or those that there are."""
    names = sorted(set(known))
    if near := nearest(name, names):
        return f"did you mean {near}?"
    more = f", and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"there are: {', '.join(names[:_MOST])}{more}" if names else "there is none"


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The refusal of a name, such as a service's, that nothing has."""
    return InputError(f"{kind} {name!r}: does not exist", fix=did_you_mean(name, known))

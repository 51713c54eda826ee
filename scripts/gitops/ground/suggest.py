"""A word for whoever mistyped a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gitops.ground.errors import InputError

# More names than this are no help on one line.
_MOST = 12


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name: the nearest that there is, or those that there are."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"did you mean {near[0]}?"
    more = f", and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"there are: {', '.join(names[:_MOST])}{more}" if names else "there is none"


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The refusal of a name, such as a service's, that nothing has."""
    return InputError(f"{kind} {name!r}: does not exist", fix=did_you_mean(name, known))

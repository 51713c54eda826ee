"""42's application page: read where it can be read in one way alone, or refused.

Two public tools failed silently here: one took a missing selector for "nothing to do", one read the same date for both
secrets. So each value and date belongs to its own credential, and whatever could be two things, or might be a secret
and stands in no credential, is a LayoutError that tells the difference from the known layout, and never a value.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from gitops.ground.credentials import mask
from gitops.ground.errors import InputError
from gitops.ground.printable import counted
from gitops.oauth import blocks, dates, layout
from gitops.oauth.blocks import NONE, SECRET, UID, Credential, LayoutError

_FORMS = {"uid": UID, "secret": SECRET, "next-secret": SECRET}
_COMMENT_AT_END = re.compile(r"(\s|<!--((?!-->).)*-->)+$", re.DOTALL)


@dataclass(frozen=True)
class Reading:
    """What 42 shows of one application.

    `valid_until`: when it stops accepting `current`, and `otherwise`: the same as m/d/Y, where that could be meant too.
    `next_from`, `next_until`: from when and until when it accepts `next`. `date`: 42's own clock. None where not known.
    """

    uid: str
    current: SecretStr | None
    next: SecretStr | None
    valid_until: datetime | None
    date: datetime | None = None
    otherwise: datetime | None = None
    next_from: datetime | None = None
    next_until: datetime | None = None


def read(html: str, application: str, now: datetime) -> Reading:
    """Read the page of an application, by 42's time. Raises LayoutError."""
    try:
        return _read(html, application, now)
    except LayoutError as error:
        difference = layout.difference(html, application)
        raise _refusal(error.fault.what, difference) from None


def entered(uid: str, value: str) -> Reading:
    """What a person typed instead, as if the page had shown it as the next secret. Raises InputError."""
    if not SECRET.fullmatch(value):
        expected = "s-s4t2ud- or s-s4t2af- and 64 hex digits"
        raise InputError("not a secret of 42", expected=expected, found=f"{counted(len(value), 'character')}")
    return Reading(uid, None, mask(SecretStr(value)), None)


def _read(html: str, application: str, now: datetime) -> Reading:
    if not _COMMENT_AT_END.sub("", html).endswith("</html>"):
        raise LayoutError("a page that is cut off")
    soup = blocks.parse(html)
    shown = blocks.credentials(soup, application)
    values = {field: _one(shown, application, field) for field in _FORMS}
    if values["secret"] == values["next-secret"]:
        raise LayoutError("the same value for the secret and the next one")
    if blocks.strays(soup, shown):
        raise LayoutError("what may be a secret and is no credential's")
    periods = dates.periods(soup)
    current, following = dates.of_secrets(periods, shown, application)
    proofs = list(itertools.chain.from_iterable(period.days for period in periods))
    until, otherwise = _moment(dates.end, current.until, now, proofs)
    next_until, other_until = _moment(dates.end, following.until if following else None, now, proofs)
    next_from, other_from = _moment(dates.beginning, following.since if following else None, now, proofs)
    upcoming = None if values["next-secret"] == NONE else mask(SecretStr(values["next-secret"]))
    return Reading(
        values["uid"],
        mask(SecretStr(values["secret"])),
        upcoming,
        until,
        otherwise=otherwise,
        # Of two readings of these none is believed: whether 42 accepts it is asked anyway, its end is not known.
        next_from=None if other_from or not upcoming else next_from,
        next_until=None if other_until or not upcoming else next_until,
    )


def _one(shown: Sequence[Credential], application: str, field: str) -> str:
    """The one value of a field of this application; NONE for a next secret that has no block."""
    alone = all(credential.application in (None, application) for credential in shown)
    owners = (application, None) if alone else (application,)
    values = {
        credential.value for credential in shown if (credential.application in owners) and credential.field == field
    }
    if field == "next-secret" and not values:
        return NONE
    if len(values) != 1:
        raise LayoutError(f"{counted(len(values), 'value')} for the {field} of application {application}")
    [value] = values
    if not _FORMS[field].fullmatch(value) and (field, value) != ("next-secret", NONE):
        raise LayoutError(f"the {field} in another form, of {counted(len(value), 'character')}")
    return value


def _moment(
    kind: Callable[[dates.Day, datetime, Sequence[dates.Day]], tuple[datetime, datetime | None]],
    day: dates.Day | None,
    now: datetime,
    proofs: Sequence[dates.Day],
) -> tuple[datetime | None, datetime | None]:
    return kind(day, now, proofs) if day else (None, None)


def _refusal(why: str, difference: Sequence[str]) -> LayoutError:
    what = f"42's page cannot be read in one way alone: {why}"
    changes = "; ".join(difference) if difference else None
    error = LayoutError(what, found=changes and f"this difference from the known layout: {changes}")
    error.difference = tuple(difference)
    return error

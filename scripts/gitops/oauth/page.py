"""42's application page, read strictly: each thing exactly once and in form, in the layout that is known, or refused.

Two public tools failed silently here: one took a missing selector for "nothing to do", one read the same date for both
secrets. So whatever is not exactly as expected is a LayoutError with what was expected and seen, never with a value.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from bs4 import BeautifulSoup, Tag
from pydantic import SecretStr

from gitops.ground.credentials import mask
from gitops.ground.errors import ExternalError, InputError

FIELDS = ("uid", "secret", "next-secret")
UID = re.compile(r"u-s4t2(ud|af)-[0-9a-f]{64}")
SECRET = re.compile(r"s-s4t2(ud|af)-[0-9a-f]{64}")
NONE = "-"
_UNTIL = re.compile(r"Valid until (\d{1,2})/(\d{1,2})/(\d{4})\b")
# The first place on Earth where a day begins: the more careful reading of a date without a time zone.
_FIRST = timezone(timedelta(hours=14))

# The layout that this module reads: every element that says data-copy, and what its attributes are called.
LAYOUT: list[Any] = [
    *(["div", ["copy"], f"[data-app-{field}-ID]", ["class", "data-clipboard-text", "data-copy"]] for field in FIELDS),
    ["rotation-actions", 1, "Valid until D"],
]


class LayoutError(ExternalError):
    """The page is not as it is known (exit 4)."""


@dataclass(frozen=True)
class Reading:
    """What 42 shows of one application. `valid_until`: when it stops accepting `current`; `date`: 42's own clock.

    None where not known.
    """

    uid: str
    current: SecretStr | None
    next: SecretStr | None
    valid_until: datetime | None
    date: datetime | None = None


def fingerprint(layout: list[Any]) -> str:
    """A short name for a layout."""
    return hashlib.sha256(json.dumps(sorted(layout[:-1]) + layout[-1:]).encode()).hexdigest()[:12]


def read(html: str, application: str) -> Reading:
    """Read the page of an application. Raises LayoutError."""
    soup = BeautifulSoup(html, "html.parser", on_duplicate_attribute=_twice)
    seen = _layout(soup, application)
    if not html.rstrip().endswith("</html>"):
        raise _unlike("a whole page that ends with </html>", "one that is cut off", seen)
    if fingerprint(seen) != fingerprint(LAYOUT):
        raise _unlike(f"layout {fingerprint(LAYOUT)} {json.dumps(LAYOUT)}", json.dumps(seen), seen)
    values = {field: _value(soup, application, field, seen) for field in FIELDS}
    for field, form in (("uid", UID), ("secret", SECRET), ("next-secret", SECRET)):
        if not form.fullmatch(values[field]) and not (field == "next-secret" and values[field] == NONE):
            raise _unlike(f"{field} in the form {form.pattern}", f"{len(values[field])} other characters", seen)
    if values["secret"] == values["next-secret"]:
        raise _unlike("a next secret that is another than the secret", "the same for both", seen)
    current = mask(SecretStr(values["secret"]))
    following = None if values["next-secret"] == NONE else mask(SecretStr(values["next-secret"]))
    return Reading(values["uid"], current, following, _valid_until(soup, seen))


def entered(uid: str, value: str) -> Reading:
    """What a person typed instead, as if the page had shown it as the next secret. Raises InputError."""
    if not SECRET.fullmatch(value):
        expected = "s-s4t2ud- or s-s4t2af- and 64 hex digits"
        raise InputError("not a secret of 42", expected=expected, found=f"{len(value)} characters")
    return Reading(uid, None, mask(SecretStr(value)), None)


def _value(soup: BeautifulSoup, application: str, field: str, seen: list[Any]) -> str:
    elements = soup.select(f'div.copy[data-copy="[data-app-{field}-{application}]"]')
    if len(elements) != 1:
        raise _unlike(f"one element for {field} of application {application}", str(len(elements)), seen)
    return str(elements[0].get("data-clipboard-text", ""))


def _valid_until(soup: BeautifulSoup, seen: list[Any]) -> datetime:
    day, month, year = map(int, _UNTIL.findall(_text(soup.select(".rotation-actions")[0]))[0])
    try:
        return datetime(year, month, day, tzinfo=_FIRST).astimezone(UTC)
    except ValueError:
        raise _unlike("a date d/m/Y after 'Valid until'", f"{day}/{month}/{year}", seen) from None


def _layout(soup: BeautifulSoup, application: str) -> list[Any]:
    """What is there of the things that are read, without any of their values."""
    layout: list[Any] = []
    for element in soup.select("[data-copy]"):
        target = str(element.get("data-copy"))
        if "data-app-" in target:
            name = re.sub(rf"-{re.escape(application)}\]$", "-ID]", target)[:60]
            layout.append([element.name, sorted(_classes(element)), name, sorted(element.attrs)])
    blocks = soup.select(".rotation-actions")
    dates = sum(len(_UNTIL.findall(_text(block))) for block in blocks)
    layout.append(["rotation-actions", len(blocks), "; ".join(["Valid until D"] * dates)])
    return layout


def _classes(element: Tag) -> list[str]:
    value: str | list[str] = element.get("class") or []
    return [value] if isinstance(value, str) else list(value)


def _text(element: Tag) -> str:
    return " ".join(element.get_text(" ").split())


def _unlike(expected: str, seen: str, layout: list[Any]) -> LayoutError:
    # Of a page that is unlike itself any part may be a value.
    seen = re.sub(r"[0-9a-fA-F]{8,}|s-s4t2\w*", "(...)", seen)[:2000]
    what = f"42's page is not as it is known (layout {fingerprint(layout)})"
    return LayoutError(what, expected=expected, found=seen)


def _twice(attributes: dict[str, str], name: str, value: str) -> None:
    what = "42's page is not as it is known: an attribute twice in one element"
    raise LayoutError(what, expected="each attribute once")

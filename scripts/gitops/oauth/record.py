"""`gitops oauth layout`: 42's page of an application, with every value replaced, as the layout that is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError
from gitops.ground.suggest import unknown
from gitops.oauth import layout, model, page
from gitops.oauth.blocks import LayoutError
from gitops.oauth.sources import IntraPage
from gitops.service.change import check_clean

PATH = "scripts/gitops/oauth/layout.html"
# What a value of 42 is made of; a shorter run of digits may be a word.
_DIGITS = re.compile(r"[0-9a-f]{8,}", re.IGNORECASE)


@dataclass(frozen=True)
class Recorded:
    """The file that was written, the layout's name and what differs from the one before. `refusal`: why no reading."""

    file: Path
    fingerprint: str
    difference: tuple[str, ...]
    refusal: str


def record(checkout: Checkout, source: IntraPage, number: str, login: str) -> Recorded:
    """Read the page of an application of this repository and write its layout into the working copy.

    Raises InputError, LoginError, UnreachableError, and then nothing is written.
    """
    applications, _ = model.applications(checkout, [])
    known = {application.id for application in applications}
    if number not in known:
        raise unknown("application", number, known)
    check_clean(checkout)
    html, date = source.page(number)
    text = layout.blank(html, number, (login,))
    _check_nothing_left(html, text)
    refusal = ""
    try:
        page.read(html, number, date)
    except LayoutError as error:
        refusal = error.fault.what
    difference = tuple(layout.difference(html, number))
    file = checkout.root / PATH
    file.write_text(text, encoding="utf-8")
    return Recorded(file, layout.fingerprint(text, str(layout.APPLICATION)), difference, refusal)


def _check_nothing_left(html: str, text: str) -> None:
    """That no value of the page stands in what is written of it, however it came there. Raises ExternalError."""
    values = {value.lower() for value in _DIGITS.findall(html)}
    left = {value.lower() for value in _DIGITS.findall(text)} & values
    if left:
        raise ExternalError("a value of 42's page is left in its layout, so nothing was written", fix="open an issue")

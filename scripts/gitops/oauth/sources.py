"""Where a next secret comes from, behind one small interface: 42's page, or a person."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup

from gitops.ground.credentials import ask
from gitops.oauth import browser, page
from gitops.oauth.login import FORM, LoginError, ScriptsNeededError, Session, UnreachableError, server_time
from gitops.oauth.model import OAuthApplication
from gitops.oauth.page import Reading


class Source(Protocol):
    """Reads what is shown of an application. Raises LayoutError, LoginError, UnreachableError, InputError."""

    def read(self, application: OAuthApplication) -> Reading:
        """What is shown now. Never changes anything."""


class IntraPage:
    """42's application page, by one session that signs in when it is first needed: without scripts, else by browser."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._failed: LoginError | UnreachableError | None = None

    def read(self, application: OAuthApplication) -> Reading:
        """One GET: nothing on the page is ever pressed."""
        self._sign_in()
        answer = self._session.fetch("GET", self._address(application))
        if answer.status_code in (401, 403, 404):
            raise LoginError(
                f"42 answers {answer.status_code} for application {application.id}: the account of INTRA42_LOGIN must "
                "be one of its owners"
            )
        if answer.status_code != 200:
            raise UnreachableError(f"42: application {application.id}: HTTP {answer.status_code}")
        text = _text(answer)
        if BeautifulSoup(text, "html.parser").select(FORM):
            raise LoginError(f"42 shows its login instead of application {application.id}")
        date = datetime.fromtimestamp(server_time(answer, time.time()), UTC)
        return replace(page.read(text, application.id, date), date=date)

    def _address(self, application: OAuthApplication) -> str:
        return urljoin(self._session.url, f"/oauth/applications/{application.id}")

    def _sign_in(self) -> None:
        if self._failed:
            # One wrong password is one try, and not one for each application: 42 may lock the account.
            raise self._failed
        if self._session.signed_in:
            return
        try:
            try:
                self._session.sign_in()
            except ScriptsNeededError:
                browser.sign_in(self._session)
        except (LoginError, UnreachableError) as error:
            self._failed = error
            raise


def _text(answer: requests.Response) -> str:
    size = answer.headers.get("Content-Length")
    if size and size.isdigit() and int(size) != len(answer.content) and "Content-Encoding" not in answer.headers:
        raise UnreachableError("42: the page was cut off")
    return answer.content.decode("utf-8", errors="replace")


class Person:
    """A person at a prompt, for when 42's page cannot be read: the break-glass."""

    def read(self, application: OAuthApplication) -> Reading:
        """Ask for the secret, without echo."""
        what = f"secret of 42's application {application.id} ({application.overlay})"
        value = ask(what).get_secret_value().decode("utf-8", errors="replace").strip()
        return page.entered(application.uid, value)

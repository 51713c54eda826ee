"""Where a next secret comes from, behind one small interface: 42's page, or a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import requests
from bs4 import BeautifulSoup

from gitops.ground.credentials import ask
from gitops.oauth import answers, blocks, browser, page
from gitops.oauth.answers import FORM, LoginError, ScriptsNeededError, UnreachableError
from gitops.oauth.login import Session, server_time
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
        html, date = self.page(application.id)
        return replace(page.read(html, application.id, date), date=date)

    def page(self, number: str) -> tuple[str, datetime]:
        """The page of an application as an owner sees it, and 42's clock. Raises LoginError, UnreachableError."""
        self.sign_in()
        address = urljoin(self._session.url, f"/oauth/applications/{number}")
        answer = self._session.fetch("GET", address)
        html = _text(answer)
        soup = BeautifulSoup(html, "html.parser")
        if answer.status_code == 403 and answers.is_wall(soup):
            raise answers.wall()
        if answer.status_code in (401, 403, 404):
            raise not_an_owner(f"answers {answer.status_code} for application {number}")
        if answer.status_code != 200:
            raise UnreachableError(f"42: application {number}: HTTP {answer.status_code}")
        if soup.select(FORM):
            raise LoginError(f"42 shows its login instead of application {number}")
        if not blocks.shows_any(html):
            if answers.is_maintenance(soup):
                raise answers.maintenance()
            if answers.is_wall(soup):
                raise answers.wall()
            if urlsplit(answer.url).path != urlsplit(address).path or html.rstrip().endswith("</html>"):
                raise not_an_owner(f"shows application {number} without a credential", " (or the layout is new)")
        return html, datetime.fromtimestamp(server_time(answer, self._session.clock()), UTC)

    def sign_in(self) -> None:
        """Sign in, where that was not done yet. Raises LoginError, UnreachableError."""
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


def not_an_owner(what: str, otherwise: str = "") -> LoginError:
    """42 does not show what only an owner sees."""
    return LoginError(f"42 {what}: the account of INTRA42_LOGIN must be one of its owners{otherwise}", "owner")


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

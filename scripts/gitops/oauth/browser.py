"""Signing in with a real browser, where 42's login needs scripts. It ends once 42 has set its cookies.

Only the login happens in it: pages with secrets are fetched by plain requests with its cookies, so no secret ever
reaches the browser, its cache or its profile.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from bs4 import BeautifulSoup

from gitops.oauth import answers
from gitops.oauth.answers import FORM, LoginError, OtpError
from gitops.oauth.login import LOGIN_PATH, Session, refused

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_SECONDS = 30.0
_FLAGS = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
          "--no-first-run", "--disable-gpu", "--disable-breakpad")  # fmt: skip


def sign_in(session: Session) -> None:
    """Sign in with the machine's Chromium and give its cookies to `session`. Raises OtpError, LoginError."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise LoginError("42's login needs scripts and no browser is installed (apt: chromium)")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise LoginError("42's login needs scripts; install this package's extra `browser` (playwright)") from None
    try:
        with sync_playwright() as playwright:
            # Its sandbox needs what root and many containers have not; it opens 42's login alone.
            browser = playwright.chromium.launch(
                executable_path=program, args=list(_FLAGS), chromium_sandbox=False, timeout=_SECONDS * 1000
            )
            try:
                page = browser.new_page()
                page.set_default_timeout(_SECONDS * 1000)
                # A password is typed here: no request goes to another host.
                page.route(lambda url: not session.ours(url), lambda route: route.abort())
                answer = page.goto(urljoin(session.url, LOGIN_PATH))
                # By 42's clock: ours may be wrong.
                ahead = _seconds_ahead(answer.header_value("date") if answer else None)
                answers.check_page(BeautifulSoup(page.content(), "html.parser"))
                form = page.locator(FORM)
                form.locator("[name=username]").fill(session.credentials.login)
                form.locator("[name=password]").fill(session.credentials.password.get_secret_value())
                _send(page, form.locator("[name=password]"))
                _enter_codes(page, session, ahead)
                for cookie in page.context.cookies():
                    where = {"domain": str(cookie["domain"]), "path": str(cookie["path"])}
                    session.http.cookies.set(str(cookie["name"]), str(cookie["value"]), **where)
            finally:
                browser.close()
    except Error as error:
        # Its text tells calls with their arguments, so what was typed.
        raise LoginError(f"42's login by browser: {type(error).__name__}") from None
    if not session.signed_in:
        raise refused()


def _enter_codes(page: Page, session: Session, ahead: float) -> None:
    """Answer each form that asks for a one-time code. Raises OtpError, LoginError."""
    tries: Counter[str] = Counter()
    while asked := _asked(page):
        tries[asked] += 1
        if tries[asked] > 2:
            raise OtpError("42 did not take the one-time code of INTRA42_TOTP_SEED, nor the one after it")
        code = page.locator(f'[name="{asked}"]')
        code.fill(session.next_code(session.clock() + ahead))
        _send(page, code)


def _asked(page: Page) -> str | None:
    """The field of the form that asks for a one-time code."""
    soup = BeautifulSoup(page.content(), "html.parser")
    answers.check_page(soup)
    asked = answers.otp_form(soup)
    return asked[1] if asked else None


def _send(page: Page, field: Locator) -> None:
    """Send the form of a field and wait until it has led to another page, with no request under way."""
    with page.expect_navigation(wait_until="networkidle"):
        field.press("Enter")


def _seconds_ahead(date: str | None) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time() if date else 0.0
    except ValueError:
        return 0.0

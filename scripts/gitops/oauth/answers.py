"""What 42 or its Keycloak shows instead of what was asked for: each kind has a reason and a fix of its own.

Keycloak's ids of forms are its own theme's (themes/base/login), which 42's keeps.
"""

from __future__ import annotations

import re

import requests
from bs4 import BeautifulSoup, Tag

from gitops.ground.errors import ExternalError

FORM = "#kc-form-login"
# The two forms that ask for a one-time code, with the field that takes it: Keycloak's own, and 42's.
KEYCLOAK_OTP, KEYCLOAK_OTP_FIELD = "#kc-otp-login-form", "otp"
OTP_TITLE, OTP_FIELD = "Otp", "users[code]"

_WALL = re.compile(r"just a moment|attention required|verify (?:that )?you are (?:a )?human|captcha", re.IGNORECASE)
_MAINTENANCE = re.compile(r"\bmaintenance\b|temporarily unavailable|be right back", re.IGNORECASE)
_DISABLED = re.compile(r"account is (?:temporarily )?disabled", re.IGNORECASE)
_CONSENT = re.compile(r"cookie|consent", re.IGNORECASE)


class LoginError(ExternalError):
    """Signing in failed (exit 4). `reason`: the section of docs/runbooks/oauth.md that has the fix."""

    def __init__(self, what: str, reason: str = "login") -> None:
        super().__init__(what)
        self.reason = reason


class ScriptsNeededError(LoginError):
    """The login shows no form without scripts: a browser is needed."""


class OtpError(LoginError):
    """42 asks for a one-time code and there is no seed, or it did not take the code."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "otp")


class UnreachableError(ExternalError):
    """42 did not answer: nothing is known of its page (exit 4). `reason`: as LoginError has it."""

    def __init__(self, what: str, reason: str = "unreachable") -> None:
        super().__init__(what)
        self.reason = reason


def check(answer: requests.Response, soup: BeautifulSoup) -> None:
    """Whether an answer is one of the pages that end a login. Raises LoginError, OtpError, UnreachableError."""
    if answer.status_code == 403:
        raise wall()
    if answer.status_code == 422:
        raise LoginError("42 takes the form of its login for one of another session (HTTP 422)", "session")
    check_page(soup)


def check_page(soup: BeautifulSoup) -> None:
    """The same by what a page shows alone. Raises LoginError, OtpError, UnreachableError."""
    if _DISABLED.search(_texts(soup, "#input-error, .kc-feedback-text, .pf-c-alert__title, #kc-error-message")):
        raise LoginError("the account of INTRA42_LOGIN is disabled at 42", "disabled")
    if soup.select("#kc-passwd-update-form, form input[name=password-new]"):
        raise LoginError("42 asks the account of INTRA42_LOGIN for a new password", "update-password")
    if soup.select("#kc-terms-text, #kc-accept, form input[name=accept]"):
        raise LoginError("42 asks the account of INTRA42_LOGIN to accept its terms", "terms")
    if soup.select("#kc-totp-settings-form, #kc-totp-secret-key"):
        raise OtpError("42 asks the account of INTRA42_LOGIN to set up one-time codes")
    if soup.select(FORM) or otp_form(soup):
        return
    if soup.select("form[action*='required-action']"):
        raise LoginError("42 asks something of the account of INTRA42_LOGIN before it lets it in", "action")
    if is_maintenance(soup):
        raise maintenance()
    if is_wall(soup):
        raise wall()
    if any(_CONSENT.search(f"{form.get('id', '')} {form.get('action', '')}") for form in soup.select("form")):
        raise LoginError("42 asks for consent to its cookies before its login", "consent")


def wall() -> LoginError:
    """A wall against bots, by what is in front of 42."""
    return LoginError("42, or what stands before it, takes us for a bot (HTTP 403, or a page that asks)", "wall")


def maintenance() -> UnreachableError:
    """42 says that it is under maintenance."""
    return UnreachableError("42 says that it is under maintenance", "maintenance")


def is_wall(soup: BeautifulSoup) -> bool:
    """Whether a page is a bot wall's."""
    return bool(_WALL.search(_texts(soup, "title, h1, h2"))) or bool(soup.select("#challenge-form, .cf-error-details"))


def is_maintenance(soup: BeautifulSoup) -> bool:
    """Whether a page says nothing but that 42 is under maintenance: a banner on another page does not."""
    return bool(_MAINTENANCE.search(_texts(soup, "title, h1")))


def otp_form(soup: BeautifulSoup) -> tuple[Tag, str] | None:
    """The form that asks for a one-time code, and its field. Raises OtpError where one is asked for without a form."""
    forms = [(form, KEYCLOAK_OTP_FIELD) for form in soup.select(KEYCLOAK_OTP)]
    forms += [(form, OTP_FIELD) for form in soup.select("form") if OTP_FIELD in fields(form)]
    if len(forms) == 1:
        return forms[0]
    titled = soup.title is not None and soup.title.get_text(strip=True) == OTP_TITLE
    if titled or forms:
        raise OtpError(f"42 asks for a one-time code, but shows no form with {OTP_FIELD} or {KEYCLOAK_OTP_FIELD}")
    return None


def fields(form: Tag) -> dict[str, str]:
    """What a form sends, as it stands."""
    return {str(field["name"]): str(field.get("value", "")) for field in form.select("input[name]")}


def _texts(soup: BeautifulSoup, selector: str) -> str:
    return " ".join(element.get_text(" ", strip=True) for element in soup.select(selector))

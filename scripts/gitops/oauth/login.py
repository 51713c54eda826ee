"""Signing in to 42 as a browser without scripts would: one form, a one-time code where 42 asks for it.

The credentials go to 42's own hosts alone, over HTTPS: wherever else a form or a redirect points, nothing is sent.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import requests
from bs4 import BeautifulSoup, Tag
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from pydantic import SecretStr

from gitops.ground import settings
from gitops.ground.errors import InputError
from gitops.oauth import answers
from gitops.oauth.answers import (
    FORM,
    LoginError,
    OtpError,
    ScriptsNeededError,
    UnreachableError,
    fields,
    otp_form,
)

LOGIN_PATH = "/users/auth/keycloak_student"
# What 42 sets once a person is signed in.
COOKIE = "user.id"
# Seconds for which a one-time code is the one, and one use uses it up.
STEP = 30.0
_DOMAIN = ".42.fr"
_SECONDS = 30.0
# Keycloak may ask for one, and 42 for another.
_FORMS_OF_CODES = 2
_REDIRECTS = 10


@dataclass(frozen=True)
class Credentials:
    """Who signs in. `seed`: of the one-time codes (RFC 6238, base32), where the account has them."""

    login: str
    password: SecretStr
    seed: SecretStr | None = None

    @classmethod
    def of(cls, credentials: Mapping[str, SecretStr]) -> Credentials | None:
        """By INTRA42_LOGIN, INTRA42_PASSWORD and INTRA42_TOTP_SEED; None without the first two. Raises InputError."""
        names = ("INTRA42_LOGIN", "INTRA42_PASSWORD", "INTRA42_TOTP_SEED")
        login, password, seed = map(credentials.get, names)
        if not login and not password:
            return None
        if not login or not password:
            raise InputError("INTRA42_LOGIN and INTRA42_PASSWORD: one is set without the other; set both")
        return cls(login.get_secret_value(), password, seed)

    def code(self, now: float) -> str:
        """The one-time code at `now` (unix seconds). Raises OtpError."""
        if self.seed is None:
            raise OtpError("42 asks for a one-time code; set INTRA42_TOTP_SEED, or use an account without codes")
        try:
            text = self.seed.get_secret_value().replace(" ", "").upper()
            key = base64.b32decode(text + "=" * (-len(text) % 8))
            sha1 = SHA1()  # noqa: S303 - what authenticator apps and 42 use (RFC 6238)
            return TOTP(key, 6, sha1, 30, enforce_key_length=False).generate(int(now)).decode()
        except ValueError:
            raise OtpError("INTRA42_TOTP_SEED is no base32 seed, as shown when one-time codes were set up") from None


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


@dataclass
class Session:
    """A session at 42, signed in by `sign_in` or by a browser's cookies."""

    credentials: Credentials
    url: str = field(default_factory=lambda: settings.read().intra42_profile_url)
    http: requests.Session = field(default_factory=requests.Session)
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = field(default_factory=lambda: pause)
    _last_step: int = -1

    def __post_init__(self) -> None:
        if not self.ours(self.url):
            expected = "https:// on a host of 42 (or this machine)"
            raise InputError("GITOPS_42_PROFILE_URL", expected=expected, found=repr(self.url))
        self.http.headers["User-Agent"] = "gitops (secret rotation of our own applications)"
        self.http.trust_env = False  # no .netrc, and no proxy from the environment sees a password

    def sign_in(self) -> None:
        """Sign in by form. Raises ScriptsNeededError, OtpError, LoginError, UnreachableError."""
        answer = self.fetch("GET", urljoin(self.url, LOGIN_PATH))
        soup = _checked(answer)
        form = soup.select(FORM)
        if len(form) != 1 or not {"username", "password"} <= fields(form[0]).keys():
            raise ScriptsNeededError(f"42's login shows no form {FORM} with username and password")
        filled = fields(form[0])
        filled |= {"username": self.credentials.login, "password": self.credentials.password.get_secret_value()}
        answer = self.fetch("POST", urljoin(answer.url, str(form[0].get("action", ""))), filled)
        asked = otp_form(_checked(answer))
        for _ in range(_FORMS_OF_CODES):
            if asked:
                answer = self._enter_code(answer, asked)
                asked = otp_form(_checked(answer))
        if not self.signed_in:
            raise refused()

    def _enter_code(self, answer: requests.Response, asked: tuple[Tag, str]) -> requests.Response:
        for _ in range(2):
            form, name = asked
            # By 42's clock: ours may be wrong.
            code = self.next_code(server_time(answer, self.clock()))
            filled = fields(form) | {name: code}
            answer = self.fetch("POST", urljoin(answer.url, str(form.get("action", ""))), filled)
            again = otp_form(_checked(answer))
            if again is None or again[1] != name:
                return answer
            # Another run may have used this code up.
            asked = again
        raise OtpError("42 did not take the one-time code of INTRA42_TOTP_SEED, nor the one after it")

    def next_code(self, now: float) -> str:
        """A one-time code that this session has not used, waited for from `now` (unix seconds) on. Raises OtpError."""
        code = self.credentials.code(now)
        if int(now // STEP) <= self._last_step:
            begins = (self._last_step + 1) * STEP
            self.sleep(begins - now)
            now, code = begins, self.credentials.code(begins)
        self._last_step = int(now // STEP)
        return code

    @property
    def signed_in(self) -> bool:
        """Whether 42 has said that this session is signed in."""
        return any(cookie.name == COOKIE for cookie in self.http.cookies)

    def fetch(self, method: str, url: str, form: dict[str, str] | None = None) -> requests.Response:
        """One request and the redirects after it, each to a host of 42. Raises LoginError, UnreachableError."""
        for _ in range(_REDIRECTS):
            if not self.ours(url):
                where = f"{urlsplit(url).scheme}://{urlsplit(url).hostname}"
                raise LoginError(f"42 points to {where}, which is no host of 42 over HTTPS: nothing was sent there")
            try:
                answer = self.http.request(method, url, data=form, timeout=_SECONDS, allow_redirects=False)
            except requests.RequestException as error:
                raise UnreachableError(f"42: {urlsplit(url).path}: no answer ({type(error).__name__})") from None
            if answer.status_code == 429 or answer.status_code >= 500:
                raise UnreachableError(f"42: {urlsplit(url).path}: HTTP {answer.status_code}")
            if not answer.is_redirect:
                return answer
            # 307 and 308 would send the form again; no login does.
            url, method, form = urljoin(url, answer.headers["Location"]), "GET", None
        raise LoginError(f"42 redirects more than {_REDIRECTS} times")

    def ours(self, url: str) -> bool:
        """Whether an address is 42's own over HTTPS (in tests: this machine's)."""
        parts, own = urlsplit(url), urlsplit(self.url)
        host = parts.hostname or ""
        if host == "127.0.0.1" and own.hostname == "127.0.0.1":
            return True
        return parts.scheme == "https" and (host.endswith(_DOMAIN))


def server_time(answer: requests.Response, otherwise: float) -> float:
    """When the server says that it is, in unix seconds."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return otherwise


def refused() -> LoginError:
    """42 showed its login again, or something that nobody knows."""
    return LoginError("42 does not take the login and password of INTRA42_LOGIN and INTRA42_PASSWORD")


def _checked(answer: requests.Response) -> BeautifulSoup:
    """An answer's page. Raises LoginError, OtpError, UnreachableError for one that ends a login."""
    soup = BeautifulSoup(answer.text, "html.parser")
    answers.check(answer, soup)
    return soup

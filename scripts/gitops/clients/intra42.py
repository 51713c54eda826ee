"""42's API, as far as a secret's proof needs it: a token for it, and whose token that is.

Source: api.intra.42.fr/apidoc/guides (getting_started, specification). A wrong, an expired and an unknown secret all
answer 401 in the same words, so a 401 is an answer; only of a token that was just given it is asked again.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from gitops.ground import settings
from gitops.ground.credentials import mask
from gitops.ground.errors import ExternalError, GitopsError

# Of each application; kept over all of them together, which is always within.
PER_SECOND, PER_HOUR = 2, 1200
_SECONDS = 15.0
_LONGEST_WAIT = 60.0
# Whose turn it is may ask once, however little is left.
_LEAST = 1.0
_SENDABLE = re.compile(r"[\x21-\x7e]+")


class Intra42Error(ExternalError):
    """42 could not be asked within the deadline (exit 4)."""


class _AgainError(Exception):
    """Worth another try; `after`: the seconds that 42 asks to wait."""

    def __init__(self, what: str, after: float = 0.0) -> None:
        self.after = after
        super().__init__(what)


class RateLimit:
    """At most `per_second` requests in any second, and `per_hour` in any hour: waits before the next one."""

    def __init__(
        self,
        per_second: int | None = None,
        per_hour: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """42's own limits where none are given. `clock` and `sleep` are in seconds."""
        self._windows = ((per_second or PER_SECOND, 1.0), (per_hour or PER_HOUR, 3600.0))
        self._clock, self._sleep = clock, sleep
        self._asked: deque[float] = deque(maxlen=max(count for count, _ in self._windows))

    def wait(self) -> None:
        """Return when the next request may be made, which is counted."""
        for count, span in self._windows:
            while len(self._asked) >= count and (left := self._asked[-count] + span - self._clock()) > 0:
                self._sleep(left)
        self._asked.append(self._clock())


class SecretRefusedError(GitopsError):
    """42 does not accept this secret: its answer, and no failure to ask (exit 1)."""


@dataclass(frozen=True)
class AcceptedSecret:
    """What 42 says of a secret that it accepts. `uid`: of the application that it opens, which need not be ours.

    `valid_until`: 42's `secret_valid_until`, where it says one.
    """

    uid: str
    valid_until: datetime | None


@dataclass
class Api:
    """42's API. `deadline`: seconds for one answer, all tries together, or what is `left` to the run.

    `clock` and `sleep` are in seconds.
    """

    url: str = field(default_factory=lambda: settings.read().intra42_api_url)
    deadline: float = field(default_factory=lambda: settings.read().intra42_deadline)
    limit: RateLimit = field(default_factory=RateLimit)
    left: Callable[[], float] = lambda: math.inf
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def verify(self, uid: str, secret: SecretStr) -> AcceptedSecret:
        """Ask for a token with `secret` and whose it is. Raises SecretRefusedError, Intra42Error."""
        form = {
            "grant_type": "client_credentials",
            "client_id": uid,
            "client_secret": secret.get_secret_value(),
        }
        status, token = self._ask("POST", "/oauth/token", data=form)
        if status == 401:
            raise SecretRefusedError(f"42 refuses the secret of {uid}")
        access = token.get("access_token")
        # Others cannot be sent, and a library would tell them in its error.
        if not isinstance(access, str) or not _SENDABLE.fullmatch(access):
            raise Intra42Error("42: /oauth/token gives no access_token")
        access_token = mask(SecretStr(access))
        headers = {"Authorization": f"Bearer {access_token.get_secret_value()}"}
        _, info = self._ask("GET", "/oauth/token/info", refusal_is_an_answer=False, headers=headers)
        application = info.get("application")
        owner = application.get("uid") if isinstance(application, dict) else None
        if not isinstance(owner, str):
            raise Intra42Error("42: /oauth/token/info does not say whose token its own /oauth/token gave")
        return AcceptedSecret(owner, _moment(token.get("secret_valid_until")))

    def _ask(
        self, method: str, path: str, *, refusal_is_an_answer: bool = True, **content: Any
    ) -> tuple[int, dict[str, Any]]:
        began, deadline = self.clock(), min(self.deadline, max(_LEAST, self.left()))

        def once() -> tuple[int, dict[str, Any]]:
            self.limit.wait()
            try:
                # A redirect would carry the form to wherever it points.
                patience = min(_SECONDS, deadline)
                answer = requests.request(
                    method, f"{self.url}{path}", timeout=patience, allow_redirects=False, **content
                )
                if answer.status_code == 401 and not refusal_is_an_answer:
                    raise _AgainError("HTTP 401")
                if answer.status_code in (200, 401):
                    body = answer.json()
                    if isinstance(body, dict):
                        return answer.status_code, body
                    raise _AgainError("no JSON object")
            except requests.JSONDecodeError:
                raise _AgainError("no JSON") from None
            except requests.RequestException as error:
                raise _AgainError(type(error).__name__) from None
            status = answer.status_code
            if status == 429 or status >= 500:
                raise _AgainError(f"HTTP {status}", _retry_after(answer))
            raise Intra42Error(f"42: {path}", expected="HTTP 200 or 401", found=f"HTTP {status}")

        jitter = wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(jitter(state), error.after if isinstance(error, _AgainError) else 0.0)

        try:
            return Retrying(
                stop=lambda _: self.clock() - began >= deadline,
                sleep=self.sleep,
                wait=wait,
                retry=retry_if_exception_type(_AgainError),
                reraise=True,
            )(once)
        except _AgainError as error:
            raise Intra42Error(f"42: {path}: no answer within {deadline:g} s (last: {error})") from None


def _retry_after(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_WAIT) if text.isdigit() else 0.0


def _moment(value: object) -> datetime | None:
    # 0 is what 42 writes where it knows none.
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None

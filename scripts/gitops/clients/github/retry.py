"""When a request to GitHub is made again, and when not."""

from __future__ import annotations

import re
from types import TracebackType

from github import GithubRetry
from github.GithubException import RateLimitExceededExceedsMaxWait
from urllib3 import BaseHTTPResponse, Retry
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ResponseError

# Of all that we write only this makes a second one where it is asked for twice.
_MAKES_ANOTHER = re.compile(r"/(comments|issues)$")


class CarefulRetry(GithubRetry):
    """PyGithub's, but no wait is longer than `max_rate_limit_wait`, and what GitHub may have written already, of which
    only the answer was lost, is not written twice: whoever asked looks first.
    """

    def increment(  # type: ignore[override]
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Retry:
        """What is tried next. Raises MaxRetryError, RateLimitExceededExceedsMaxWait where nothing is."""
        if method == "POST" and _MAKES_ANOTHER.search(url or "") and _may_be_done(response, error):
            raise MaxRetryError(_pool, url, error or ResponseError("a write of which nobody knows whether it is done"))  # type: ignore[arg-type]
        wait = self.get_retry_after(response) if response is not None else None
        if response is not None and wait and self.max_rate_limit_wait is not None and wait > self.max_rate_limit_wait:
            raise RateLimitExceededExceedsMaxWait(response.status, {}, dict(response.headers), wait=wait)
        return super().increment(method, url, response, error, _pool, _stacktrace)  # type: ignore[arg-type]


def _may_be_done(response: BaseHTTPResponse | None, error: Exception | None) -> bool:
    if error is not None:
        return not isinstance(error, (NewConnectionError, ConnectTimeoutError))
    return response is not None and response.status >= 500

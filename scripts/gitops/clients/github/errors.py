"""What GitHub refuses, as our errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3
from github import GithubException
from github.GithubException import RateLimitExceededExceedsMaxWait

from gitops.ground.errors import ExternalError, GitopsError
from gitops.ground.printable import counted

# PyGithub prints each 403 by itself, beside the error that we make of it.
logging.getLogger("github").setLevel(logging.WARNING)


class RaceError(GitopsError):
    """Another run, or a person, moved the branch in between. Nothing of ours was written (exit 4)."""

    exit_code = 4


class QuotaError(ExternalError):
    """This token asked GitHub too often, and may ask again only after longer than a run waits (exit 4)."""


class NoAccessError(ExternalError):
    """GitHub refuses by 403, or says by 404 that there is none: `status` (exit 4)."""

    status: int

    @classmethod
    def of(cls, status: int, what: str, fix: str | None) -> NoAccessError:
        """The error of an answer."""
        error = cls(what, fix=fix)
        error.status = status
        return error


@contextmanager
def errors(what: str) -> Iterator[None]:
    """Raise what GitHub refuses while `what` is done as ExternalError, or as RaceError where a branch moved."""
    try:
        yield
    except GithubException as error:
        data = error.data if isinstance(error.data, dict) else {}
        faults = [fault for fault in data.get("errors", []) if isinstance(fault, dict)]
        messages = [fault.get("message", "") for fault in faults]
        kinds = {fault.get("type") for fault in faults}
        # Of rulesets it says bare sentences, whatever its description says.
        messages += [fault for fault in data.get("errors", []) if isinstance(fault, str)]
        text = "; ".join(filter(None, [str(data.get("message") or ""), *messages])) or type(error).__name__
        if "STALE_DATA" in kinds:
            raise RaceError(f"GitHub: {what}: the branch moved meanwhile ({text}); the next run looks again") from None
        if isinstance(error, RateLimitExceededExceedsMaxWait):
            minutes = f"{counted(round((error.wait or 0) / 60), 'minute')}"
            raise QuotaError(
                f"GitHub: {what}: this token asked too often", fix=f"run it again in {minutes}, or with another token"
            ) from None
        if error.status == 401:
            raise ExternalError(f"GitHub: {what}: 401, the token is not accepted; renew the App's key") from None
        if error.status in (403, 404):
            fix = "there is none, or this token may not see it" if error.status == 404 else None
            raise NoAccessError.of(error.status, f"GitHub: {what}: {error.status} {text}", fix) from None
        raise ExternalError(f"GitHub: {what}: {error.status} {text}") from None
    except requests.exceptions.RetryError:
        raise ExternalError(f"GitHub: {what}: it answers with its own errors (5xx) again and again") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise ExternalError(f"GitHub: {what}: cannot be reached ({type(error).__name__})") from None
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        # Of PyGithub and of whoever reads the answer: it is none that they know.
        raise ExternalError(
            f"GitHub: {what}: the answer is none of its API ({type(error).__name__})",
            fix="set GITHUB_API_URL to the address of GitHub's API",
        ) from None

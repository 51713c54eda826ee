"""What GitHub refuses, as our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from github import GithubException

from gitops.ground.errors import ExternalError, GitopsError


class RaceError(GitopsError):
    """Another run, or a person, moved the branch in between. Nothing of ours was written (exit 4)."""

    exit_code = 4


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
        if error.status == 401:
            raise ExternalError(f"GitHub: {what}: 401, the token is not accepted; renew the App's key") from None
        raise ExternalError(f"GitHub: {what}: {error.status} {text}") from None
    except requests.RequestException as error:
        raise ExternalError(f"GitHub: {what}: cannot be reached ({type(error).__name__})") from None

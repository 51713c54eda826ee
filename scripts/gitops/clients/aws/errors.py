"""What AWS says no with, as errors of ours: the action that it was, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
)

from gitops.ground.errors import ExternalError, InputError

_SIGN_IN = "sign in again: aws sso login"
_EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "AuthFailure",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_TOO_FAST = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
_QUOTA = {"LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "ResourceLimitExceeded"}


class DeniedError(ExternalError):
    """These credentials may not do one action."""


@contextmanager
def calling(action: str) -> Iterator[None]:
    """Within, a refusal of `action` (such as `cloudformation:DescribeStacks`) is an error of ours.

    Raises InputError for credentials, DeniedError, ExternalError.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, SSOError) as error:
        raise InputError("AWS: no credentials", found=type(error).__name__, fix=_SIGN_IN) from None
    except EndpointConnectionError:
        raise ExternalError(
            f"{action}: AWS cannot be reached", fix="is the region of cluster.yaml one, and this machine online?"
        ) from None
    except ClientError as error:
        raise _refusal(action, error) from None
    except BotoCoreError as error:
        raise ExternalError(f"{action}: no answer of AWS ({type(error).__name__})", fix="run it again") from None


def code_of(error: ClientError) -> str:
    """AWS's word for what was wrong."""
    answer: dict[str, Any] = dict(error.response.get("Error", {}))
    return str(answer.get("Code", ""))


def message_of(error: ClientError) -> str:
    """AWS's sentence for what was wrong."""
    answer: dict[str, Any] = dict(error.response.get("Error", {}))
    return str(answer.get("Message", ""))


def _refusal(action: str, error: ClientError) -> ExternalError | InputError:
    code = code_of(error)
    if code in _EXPIRED:
        return InputError("AWS refuses these credentials", found=code, fix=_SIGN_IN)
    if code in _DENIED:
        return DeniedError(
            f"AWS denies {action}",
            fix=f"give the role that you are signed in with the action {action}, and run it again",
        )
    if code in _TOO_FAST:
        return ExternalError(
            f"{action}: AWS is asked too often",
            found=code,
            fix="wait a minute and run it again: it goes on where it was",
        )
    if code in _QUOTA:
        return ExternalError(
            f"{action}: a quota of the account is used up",
            found=message_of(error),
            fix="ask for more in AWS's page Service Quotas, and run it again",
        )
    return ExternalError(f"{action}: AWS answered {code}", found=message_of(error))

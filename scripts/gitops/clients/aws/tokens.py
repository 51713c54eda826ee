"""Tokens for a cluster of EKS: a signed request to STS that says who one is. Its API server sends it and believes STS.

Made as `aws eks get-token` makes them (kubernetes-sigs/aws-iam-authenticator, "API Authorization from Outside a
Cluster"); nothing is sent here.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.credentials import Credentials
from botocore.model import ServiceId
from botocore.signers import RequestSigner

from gitops.clients.aws.session import AwsSession

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
# The authenticator takes a token for 15 minutes, whatever the request's own expiry of 60 s says.
_VALID = timedelta(minutes=14)
_EXPIRY_SECONDS = 60


@dataclass(frozen=True)
class Token:
    """`text` is as good as a password until `expires` (UTC)."""

    text: str
    expires: datetime


def token(session: AwsSession, cluster: str, role: str) -> Token:
    """A token for a cluster, as `role` (an ARN): assumed where the credentials are another's.

    Raises InputError for credentials that cannot be used, DeniedError, ExternalError.
    """
    signer = RequestSigner(ServiceId("STS"), session.region, "sts", "v4", _credentials(session, role), session.events)
    host = f"https://sts.{session.region}.amazonaws.com/"
    request: dict[str, Any] = {
        "method": "GET",
        "url": f"{host}?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {CLUSTER_HEADER: cluster},
        "context": {},
    }
    url = signer.generate_presigned_url(
        request, region_name=session.region, expires_in=_EXPIRY_SECONDS, operation_name=""
    )
    text = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return Token(PREFIX + text, datetime.now(UTC) + _VALID)


def _credentials(session: AwsSession, role: str) -> Any:  # noqa: ANN401 - botocore's, frozen or not
    who = str(session.call("sts", "get_caller_identity")["Arn"])
    name = role.rpartition("/")[2]
    # arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION; a role's path is not in it.
    if f":assumed-role/{name}/" in who:
        return session.credentials()
    given = session.call("sts", "assume_role", RoleArn=role, RoleSessionName="gitops")["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

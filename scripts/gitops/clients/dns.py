"""What the world's name servers say of a domain, asked over HTTPS: a laptop's own resolver may know other answers."""

from __future__ import annotations

import requests

from gitops.ground import settings
from gitops.ground.errors import ExternalError

_SECONDS = 10
_NS = 2  # the number of the type NS (RFC 1035)


def name_servers(domain: str) -> set[str]:
    """The name servers that a domain is delegated to; none where it is to nobody. Raises ExternalError."""
    url = settings.read().dns_url
    try:
        answer = requests.get(url, params={"name": domain, "type": "NS"}, timeout=_SECONDS)
        answer.raise_for_status()
        records = answer.json().get("Answer", [])
        return {record["data"].rstrip(".").lower() for record in records if record["type"] == _NS}
    except (requests.RequestException, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ExternalError(
            f"the name servers of {domain} cannot be asked for ({type(error).__name__})",
            fix="run it again; GITOPS_DNS_URL names another resolver",
        ) from None

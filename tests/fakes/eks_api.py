"""The API of a cluster as EKS has it: TLS, and tokens that are signed requests to STS. Behind it is a real API server.

It refuses what EKS's authenticator refuses: a token that another key signed, for another cluster, too old, or of a role
that no access entry names.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import yaml
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gitops.lab import network
from gitops.lab.layout import Lab
from tests.fakes.server import Server, answer, body_of

_PREFIX = "k8s-aws-v1."
_HEADER = "x-k8s-aws-id"
# How long a token's request is good for at EKS, whatever it says of itself.
_LONGEST = timedelta(minutes=15)
# The controller behind its Service: the lab's is no pod that the API server could reach.
_CONTROLLER = "/api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:8080/proxy"
_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding", "authorization", "host", "accept-encoding"}


# What an answer from here says itself.
_OWN = {*_HOP, "content-encoding", "content-type", "date", "server"}


class EksApi:
    """Serves until `close`. `role_of`: the role of an access key, `may`: whether the cluster has an entry for a role.

    `calls`: method and path of every request that was let in. `before`: called with their number before each of them.
    """

    def __init__(self, lab: Lab, name: str, keys: Callable[[str], tuple[str, str] | None], entries: set[str]) -> None:
        self.calls: list[str] = []
        self.refusals: list[str] = []
        self.before: Callable[[int], None] = lambda number: None
        self._lab, self._name, self._keys, self.entries = lab, name, keys, entries
        self._lock = Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(lab.folder / "pki/api.crt", lab.folder / "pki/api.key")
        self._server = Server(self._serve, tls=context)
        self.endpoint = self._server.url
        self.authority = base64.b64encode(lab.ca.read_bytes()).decode()
        user = yaml.safe_load(lab.kubeconfig.read_text())["users"][0]["user"]
        self._admin = {"Authorization": f"Bearer {user['token']}"}
        self._session = requests.Session()
        self._session.verify = str(lab.ca)
        self._session.trust_env = False

    def close(self) -> None:
        self._server.close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        if refused := self._refusal(request.headers.get("Authorization", "")):
            self.refusals.append(refused)
            answer(request, 401, b'{"kind":"Status","code":401,"message":"Unauthorized"}')
            return
        body = body_of(request)
        with self._lock:
            self.calls.append(f"{request.command} {urlsplit(request.path).path}")
            self.before(len(self.calls))
        if request.path.startswith(_CONTROLLER):
            status, content = network.request(self._lab, "sealed-secrets", request.path.removeprefix(_CONTROLLER))
            answer(request, status, content)
            return
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        answered = self._session.request(
            request.command,
            f"{self._lab.url('api')}{request.path}",
            data=body,
            headers={**headers, **self._admin},
            timeout=60,
        )
        kept = {name: value for name, value in answered.headers.items() if name.lower() not in _OWN}
        answer(request, answered.status_code, answered.content, answered.headers.get("Content-Type"), kept)

    def _refusal(self, authorization: str) -> str:
        """Why a request is not let in; nothing where it is."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token.startswith(_PREFIX):
            return "no token of EKS"
        text = token.removeprefix(_PREFIX)
        url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) - signed > _LONGEST:
            return "too old"
        if _HEADER not in query["X-Amz-SignedHeaders"].split(";"):
            return "for no cluster"
        key = query["X-Amz-Credential"].split("/")[0]
        known = self._keys(key)
        if known is None:
            return "an unknown key"
        secret, role = known
        if not _is_signed(url, query, key, secret, self._name):
            return "signed otherwise, or for another cluster"
        return "" if role in self.entries else f"no access entry for {role}"


def _is_signed(url: str, query: dict[str, str], key: str, secret: str, cluster: str) -> bool:
    """Whether the secret of the key signed this very request, for this cluster."""
    parts = urlsplit(url)
    plain = {name: query[name] for name in ("Action", "Version")}
    region = query["X-Amz-Credential"].split("/")[2]
    credentials = Credentials(key, secret, query.get("X-Amz-Security-Token"))
    request = AWSRequest("GET", f"{parts.scheme}://{parts.netloc}{parts.path}", {_HEADER: cluster}, params=plain)
    request.context["timestamp"] = query["X-Amz-Date"]
    auth: Any = SigV4QueryAuth(credentials, "sts", region, expires=int(query["X-Amz-Expires"]))
    request.url = f"{request.url}?Action={plain['Action']}&Version={plain['Version']}"
    request.params = {}
    auth._modify_request_before_signing(request)
    canonical = auth.canonical_request(request)
    return bool(auth.signature(auth.string_to_sign(request, canonical), request) == query["X-Amz-Signature"])

"""The sealed-secrets controller's own API: its certificate, whether it opens a seal, and sealing anew.

No value leaves the controller: `rotate` opens and seals inside of it (pkg/controller/server.go, v0.36.0).
"""

from __future__ import annotations

import json
from typing import Any

import requests
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_random_exponential

from gitops.ground.errors import ExternalError
from gitops.manifests.sealedsecret import KIND, Sealed

_SECONDS = 30.0


class Controller:
    """The controller behind `url`, such as http://127.0.0.1:8080 of a `kubectl port-forward`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def certificate(self) -> bytes:
        """The newest certificate, in PEM. Raises ExternalError."""
        answer = self._ask("GET", "/v1/cert.pem")
        if answer.status_code != 200:
            raise ExternalError(f"{self.url}/v1/cert.pem: HTTP {answer.status_code}")
        return answer.content

    def opens(self, sealed: Sealed) -> bool:
        """Whether the controller can open it. Raises ExternalError."""
        answer = self._ask("POST", "/v1/verify", _document(sealed))
        if answer.status_code not in (200, 409):
            raise ExternalError(f"{self.url}/v1/verify: HTTP {answer.status_code}", path=sealed.path)
        return answer.status_code == 200

    def rotate(self, sealed: Sealed) -> dict[str, str]:
        """The same values sealed with the controller's newest key. Raises ExternalError where it cannot open them."""
        answer = self._ask("POST", "/v1/rotate", _document(sealed))
        try:
            if answer.status_code == 200:
                encrypted: dict[str, str] = answer.json()["spec"]["encryptedData"]
                if encrypted.keys() == dict(sealed.encrypted).keys():
                    return encrypted
        except (ValueError, KeyError, TypeError):
            pass
        raise ExternalError(
            f"the controller cannot open it (HTTP {answer.status_code})",
            path=sealed.path,
            fix="seal it anew: gitops secrets seal",
        )

    def _ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> requests.Response:
        # It takes two requests a second and answers 429 to more.
        again = Retrying(
            stop=stop_after_delay(_SECONDS),
            wait=wait_random_exponential(multiplier=0.3, max=3),
            retry=retry_if_result(lambda answer: answer.status_code == 429),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        data = json.dumps(document).encode() if document else None
        try:
            answer: requests.Response = again(
                requests.request, method, f"{self.url}{path}", data=data, timeout=_SECONDS
            )
        except requests.RequestException as error:
            raise ExternalError(
                f"the sealed-secrets controller at {self.url} cannot be reached ({type(error).__name__}); "
                "kubectl -n kube-system port-forward svc/sealed-secrets-controller 8080, and --controller"
            ) from None
        return answer


def _document(sealed: Sealed) -> dict[str, Any]:
    """What stands in the cluster: the namespace is kustomize's, the annotations are not the seal's."""
    meta = {"name": sealed.name, "namespace": sealed.namespace}
    spec = {"encryptedData": dict(sealed.encrypted), "template": {"metadata": meta}}
    return {"apiVersion": "bitnami.com/v1alpha1", "kind": KIND, "metadata": meta, "spec": spec}

"""AWS's way of speaking, for a fake of it: every request and answer is held against botocore's own service models.

What is asked is read, and what is answered is written, by moto's implementations of the protocols.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

import botocore.session
from botocore.validate import ParamValidator
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from werkzeug.datastructures import Headers, MultiDict

from tests.fakes import server

# By the name that signs a request: what botocore calls the service.
SERVICES = {
    "cloudformation": "cloudformation",
    "ec2": "ec2",
    "eks": "eks",
    "elasticloadbalancing": "elbv2",
    "sts": "sts",
}
Handler = Callable[[str, str, dict[str, Any]], dict[str, Any]]


class Refusal(Exception):
    """What AWS says no with."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@cache
def model(service: str) -> ServiceModel:
    description = botocore.session.get_session().get_component("data_loader").load_service_model(service, "service-2")
    return ServiceModel(description, service)


def validated(shape: Any, value: dict[str, Any], what: str) -> None:
    """Raise AssertionError where a request or an answer is not what AWS's model says."""
    if shape is None:
        assert value == {}, what
        return
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), f"{what}: {report.generate_report()}"


class Endpoint:
    """Serves every service on one address of loopback. `handle` answers (service, operation, parameters).

    `broken`: what was not as the models have it; a test that uses it asserts that it is empty.
    """

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self.broken: list[str] = []
        self._server = server.Server(self._serve)
        self.url = self._server.url

    def close(self) -> None:
        self._server.close()
        assert self.broken == []

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        service = SERVICES[request.headers["Authorization"].split("/")[3]]
        operation, parameters = _read(service, request, server.body_of(request))
        try:
            validated(operation.input_shape, parameters, f"the request {operation.name}")
            result = self._handle(service, operation.name, parameters)
            validated(operation.output_shape, result, f"the answer of {operation.name}")
        except Refusal as refusal:
            _refuse(request, service, refusal)
            return
        except AssertionError as error:
            self.broken.append(str(error))
            raise
        serializer = get_serializer_class(service, model(service).protocol)(operation)
        answer = serializer.serialize(result)
        content = answer["body"]
        server.answer(
            request,
            answer["status_code"],
            content if isinstance(content, bytes) else content.encode(),
            str(answer["headers"].get("Content-Type", "text/xml")),
        )


def _read(service: str, request: BaseHTTPRequestHandler, body: bytes) -> tuple[OperationModel, dict[str, Any]]:
    parts = urlsplit(request.path)
    described = model(service)
    form: MultiDict[str, str] = MultiDict(parse_qsl(body.decode(), keep_blank_values=True))
    variables: dict[str, Any] = {}
    if described.protocol == "rest-json":
        operation, variables = _route(described, request.command, parts.path)
        form = MultiDict(parse_qsl(parts.query))
    else:
        operation = described.operation_model(form["Action"])
    parser = PROTOCOL_PARSERS[described.protocol](operation)
    parsed = parser.parse(
        {
            "body": body,
            "headers": Headers(list(request.headers.items())),
            "method": request.command,
            "url_params": variables,
            "url_path": parts.path,
            "values": form,
        }
    )
    return operation, dict(parsed)


def _route(described: ServiceModel, method: str, path: str) -> tuple[OperationModel, dict[str, str]]:
    for name in described.operation_names:
        operation = described.operation_model(name)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.http["requestUri"].partition("?")[0])
        match = re.fullmatch(pattern, path)
        if match and operation.http["method"] == method:
            return operation, match.groupdict()
    raise AssertionError(f"no operation of {described.service_name}: {method} {path}")


def _refuse(request: BaseHTTPRequestHandler, service: str, refusal: Refusal) -> None:
    code, message = escape(refusal.code), escape(refusal.message)
    if model(service).protocol == "rest-json":
        content = json.dumps({"message": refusal.message}).encode()
        headers = {"x-amzn-errortype": refusal.code}
        server.answer(request, refusal.status, content, "application/json", headers)
        return
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    text = f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"
    if service == "ec2":
        text = f"<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"
    server.answer(request, refusal.status, text.encode(), "text/xml")

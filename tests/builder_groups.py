"""Groups of Ingresses of tests/builder, as objects: for the gate, and for the controller's own builder.

`python -m tests.builder_groups` prints them as JSON, {name: [objects]}, which tests/builder/record.go reads.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from gitops.ground.checkout import Checkout
from gitops.lb.names import PREFIX
from gitops.manifests import yamlfile
from gitops.manifests.objects import Object
from tests.frozen import ROOT

FOLDER = ROOT / "tests/builder"
_TYPES = {"Exact": "Exact", "Specific": "ImplementationSpecific"}


class GroupRule(BaseModel):
    """One rule; `paths` as groups.yaml says, None for a host alone."""

    model_config = ConfigDict(extra="forbid")

    host: str = ""
    paths: list[str] | None = None


class GroupIngress(BaseModel):
    """One Ingress. `annotations` without their prefix; `default`: a default backend as service:port."""

    model_config = ConfigDict(extra="forbid")

    annotations: dict[str, str] = {}
    rules: list[GroupRule] = []
    default: str = ""


class GroupService(BaseModel):
    """One Service. `ports`: by name, the port and the target port."""

    model_config = ConfigDict(extra="forbid")

    annotations: dict[str, str] = {}
    ports: dict[str, tuple[int, int | str]] = {"http": (80, "http")}


class BuilderGroup(BaseModel):
    """One group; `missing`: names of Services that no namespace has."""

    model_config = ConfigDict(extra="forbid")

    ingresses: dict[str, GroupIngress]
    services: dict[str, GroupService] = {}
    missing: list[str] = []
    stricter: str = ""

    def objects(self) -> list[Object]:
        """Its Ingresses and Services."""
        ingresses = [_ingress(name, ingress) for name, ingress in self.ingresses.items()]
        named = sorted(set(itertools.chain.from_iterable(map(_services, ingresses))))
        services = {name: GroupService() for name in named if name.partition("/")[2] not in self.missing}
        services |= self.services
        return ingresses + [_service(name, service) for name, service in services.items()]


class BuilderGroups(BaseModel):
    """tests/builder/groups.yaml."""

    model_config = ConfigDict(extra="forbid")

    groups: dict[str, BuilderGroup]


def read() -> dict[str, BuilderGroup]:
    """Every group by its name."""
    return yamlfile.read_model(Checkout(ROOT), FOLDER / "groups.yaml", BuilderGroups).groups


def _metadata(full_name: str, annotations: dict[str, str]) -> dict[str, Any]:
    namespace, _, name = full_name.partition("/")
    return {
        "namespace": namespace,
        "name": name,
        "annotations": {PREFIX + key: value for key, value in annotations.items()},
    }


def _ingress(full_name: str, ingress: GroupIngress) -> Object:
    spec: dict[str, Any] = {"ingressClassName": "platform", "rules": [_rule(rule) for rule in ingress.rules]}
    if ingress.default:
        spec["defaultBackend"] = _backend(ingress.default)
    metadata = _metadata(full_name, ingress.annotations)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def _rule(rule: GroupRule) -> Object:
    made: Object = {"host": rule.host} if rule.host else {}
    if rule.paths is not None:
        made["http"] = {"paths": [_path(text) for text in rule.paths]}
    return made


def _path(text: str) -> Object:
    match = re.fullmatch(r"(Exact|Specific)? ?(/\S*)? ?(\S+)?", text)
    assert match, text
    kind, path, backend = match.groups()
    made: Object = {"pathType": _TYPES.get(kind, "Prefix"), "backend": _backend(backend or "web:http")}
    return {**made, "path": path} if path else made


def _backend(text: str) -> Object:
    service, colon, port = text.partition(":")
    if not colon:
        return {"resource": {"apiGroup": "example.com", "kind": "Bucket", "name": service}}
    return {"service": {"name": service, "port": {"number": int(port)} if port.isdigit() else {"name": port}}}


def _services(ingress: Object) -> Iterator[str]:
    """The Services that an Ingress sends to."""
    spec, namespace = ingress["spec"], ingress["metadata"]["namespace"]
    backends = [spec.get("defaultBackend", {})]
    for rule in spec["rules"]:
        backends += [path["backend"] for path in rule.get("http", {}).get("paths", [])]
    for backend in backends:
        service = backend.get("service")
        if service and service["port"].get("name") != "use-annotation":
            yield f"{namespace}/{service['name']}"


def _service(full_name: str, service: GroupService) -> Object:
    ports = [{"name": name, "port": port, "targetPort": target} for name, (port, target) in service.ports.items()]
    metadata = _metadata(full_name, service.annotations)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}


if __name__ == "__main__":
    print(json.dumps({name: group.objects() for name, group in read().items()}))

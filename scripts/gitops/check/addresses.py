"""Addresses in the cluster that an overlay's pods are given: in variables, arguments, probes, and whole ConfigMaps.

A name is read as the cluster's DNS resolves it from the overlay's namespace: SERVICE, SERVICE.NAMESPACE,
SERVICE.NAMESPACE.svc and the whole of it, also behind a pod's own name; with the port where one is said, or the scheme
says one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from gitops.check.references import workloads
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.objects import FieldPath, Object, name, selects, spec_of, value_at
from gitops.manifests.openings import by_label, opens
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import Rendered

_RULE = "internal-address"
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
# What ends with the cluster's own words is one of its names wherever it stands.
_WHOLE = re.compile(
    rf"(?<![\w.-])(?:(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^\s/@\"']*@)?)?(?:{_LABEL}\.)*?"
    rf"(?P<service>{_LABEL})\.(?P<namespace>{_LABEL})\.svc(?P<zone>(?:\.[a-z0-9-]+)*)\.?(?::(?P<port>\d+))?(?![\w-])"
)
# Of a URL all else: one label, or two of which the second could be no top-level domain.
_URL = re.compile(
    rf"(?<![\w.-])(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^\s/@\"']*@)?"
    rf"(?P<service>{_LABEL})(?:\.(?P<namespace>{_LABEL}))?(?::(?P<port>\d+))?(?=[/?#\s\"',;]|$)"
)
_ALONE = re.compile(rf"(?P<service>{_LABEL})(?:\.(?P<namespace>{_LABEL}))?(?::(?P<port>\d+))?")
# What is called so is a host, also where nothing else tells; and what may be one, where it has a port or a namespace.
_HOST = re.compile(r".+(HOST|HOSTNAME|ADDR|ADDRESS|ENDPOINT)", re.IGNORECASE)
_ADDRESS = re.compile(r".+(HOST|HOSTNAME|ADDR|ADDRESS|ENDPOINT|URL|URI|SERVERS?|BROKERS?|UPSTREAM)", re.IGNORECASE)
# Docker Desktop's names for the machine that it runs on.
_LAPTOP = re.compile(r"\b(host|gateway)\.docker\.internal\b")
_ZONE = (".cluster.local", "")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "postgres": 5432, "postgresql": 5432, "redis": 6379}
# A pod's own.
_SELF = ("localhost", "localhost.localdomain")
# Schemes whose first word is no host.
_NO_HOST = ("file", "unix", "npipe", "data", "arn")
_CLIENT = "allow-internal-services"


@dataclass(frozen=True)
class Address:
    """What a text calls: a Service, by its namespace (empty: the caller's own), and the port where one is known."""

    service: str
    namespace: str
    port: int | None
    zone: str = ""

    @classmethod
    def of(cls, match: re.Match[str]) -> Address:
        """What was found in a text."""
        parts = match.groupdict()
        port = int(parts["port"]) if parts.get("port") else _PORTS.get(parts.get("scheme") or "")
        return cls(parts["service"], parts["namespace"] or "", port, parts.get("zone") or "")


# The Services of a namespace, by name, and the ports of each; None where no overlay has that namespace.
Services = Callable[[str], Mapping[str, set[int]] | None]


def ports(unit: Unit) -> dict[str, set[int]]:
    """The Services that a unit has, and the ports of each that other pods are let to; none where it leads elsewhere or
    to pods themselves.
    """
    made: dict[str, set[int]] = {}
    for item in unit.kind("Service"):
        spec = spec_of(item)
        listed = [port for port in spec.get("ports") or [] if port.get("port") is not None]
        # Pods are reached at whatever port they listen on.
        headless = spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName"
        made[name(item)] = set() if headless else {int(port["port"]) for port in listed if _is_open(unit, spec, port)}
    return made


def _is_open(unit: Unit, service: Object, port: Object) -> bool:
    """Whether the network lets other pods to a Service's port, as far as its pods are known."""
    selector, target = service.get("selector"), str(port.get("targetPort", port["port"]))
    for pods in workloads(unit):
        number = pods.ports().get(target) if selector and selects({"matchLabels": selector}, pods.labels) else None
        if number is not None and not opens(unit.kind("NetworkPolicy"), pods, number, by_label):
            return False
    return True


def lookup(graph: Graph, units: Mapping[str, Unit], render: Callable[[str], Rendered]) -> Services:
    """The Services of every overlay's namespace. `units`: what is rendered; the others are once they are asked for."""
    paths = {overlay.namespace: path for path in graph.units if (overlay := Overlay.of_path(path))}

    @cache
    def services(namespace: str) -> Mapping[str, set[int]] | None:
        path = paths.get(namespace)
        if path is None:
            return None
        if path in units:
            return ports(units[path])
        rendered = render(path)
        # One that does not render is found where it is checked.
        return ports(Unit.of(graph, rendered)) if rendered.error is None else {"web": set()}

    return services


def check(unit: Unit, services: Services) -> Iterator[Finding]:
    """Every address of an overlay that nobody answers at, or that its network does not let it reach."""
    for item, path, text in _texts(unit):
        told = set[tuple[str, str]]()
        if laptop := _LAPTOP.search(text):
            fix = "call it by a name that the cluster or the world knows"
            yield unit.finding(_RULE, item, path, f"calls {laptop[0]}, a laptop's name for itself", fix)
        for address in _addresses(item, path, text, services):
            key = (address.service, address.namespace)
            problem = None if key in told else _problem(unit, address, services)
            if problem:
                told.add(key)
                yield unit.finding(_RULE, item, path, *problem)


def _texts(unit: Unit) -> Iterator[tuple[Object, FieldPath, str]]:
    """Every text that an overlay's programs are given: the object, the path, and the text."""
    for pods in workloads(unit):
        for path, container in pods.containers():
            yield from ((pods.item, where, text) for where, text in _strings(container, path))
    for item in unit.kind("ConfigMap"):
        yield from ((item, where, text) for where, text in _strings(item.get("data") or {}, ("data",)))


def _strings(value: Any, path: FieldPath) -> Iterator[tuple[FieldPath, str]]:  # noqa: ANN401 - any part of an object
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key != "image":
                yield from _strings(part, (*path, key))
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _strings(part, (*path, position))


def _addresses(item: Object, path: FieldPath, text: str, services: Services) -> Iterator[Address]:
    """What a text at a path of an object calls. Of a ConfigMap a short name counts only where the text is nothing else,
    as a file has words of its own (an upstream of nginx)."""
    whole = item.get("kind") == "ConfigMap"
    yield from map(Address.of, _WHOLE.finditer(text))
    for match in _URL.finditer(text):
        address = Address.of(match)
        if match["scheme"] in _NO_HOST or address.service in _SELF or address.service.isdigit():
            continue
        alone = not whole or len(match[0]) == len(text.strip()) or text.strip().startswith(match[0])
        if (not address.namespace and alone) or _is_namespace(address.namespace, services):
            yield address
    only = _ALONE.fullmatch(text.strip())
    if only and _is_host(only, _called(item, path), services):
        yield Address.of(only)


def _called(item: Object, path: FieldPath) -> str:
    """What a value is called: a variable's name, or a ConfigMap's key."""
    return str(value_at(item, (*path[:-1], "name")) if path[-1] == "value" else path[-1])


def _is_host(match: re.Match[str], called: str, services: Services) -> bool:
    """Whether a text that is a name alone is a host's."""
    if match["service"] in _SELF or match["service"].isdigit():
        return False
    named = _ADDRESS.fullmatch(called) is not None
    if not match["namespace"]:
        return named if match["port"] else _HOST.fullmatch(called) is not None
    known = services(match["namespace"]) is not None
    return known or ((named or bool(match["port"])) and _is_namespace(match["namespace"], services))


def _is_namespace(word: str, services: Services) -> bool:
    """Whether the last label of a name is one: an overlay's, or no top-level domain, as those have no hyphen."""
    return bool(word) and (services(word) is not None or ("-" in word and not word.startswith("xn--")))


def _problem(unit: Unit, address: Address, services: Services) -> tuple[str, str] | None:
    """Why pods of an overlay reach nobody at an address, and what to do."""
    environment = unit.overlay.environment if unit.overlay else ""
    namespace = address.namespace or unit.namespace
    called = f"{address.service}.{namespace}"
    known = services(namespace) or {}
    if address.zone not in _ZONE:
        return (
            f"calls {called}.svc{address.zone}; the cluster's names end with svc.cluster.local",
            "write svc.cluster.local",
        )
    if address.service not in known:
        there = f"this overlay has: {', '.join(sorted(known)) or 'none'}; of another: web.<service>-<environment>"
        spelled = "spell it as gitops service list does: web.<service>-<environment>.svc.cluster.local"
        spelled += "; of a service that ends take the address out first: gitops service unset"
        return f"calls {called}, which is no Service here", spelled if address.namespace else there
    if namespace != unit.namespace:
        if not namespace.endswith(f"-{environment}"):
            what = f"calls {namespace} from {environment}; the network is closed between environments"
            return what, f"call the one of {environment}"
        if not any(name(item) == _CLIENT for item in unit.kind("NetworkPolicy")):
            what = f"calls {called}; its own network policy lets it call nobody"
            return what, "add ../../../base/components/internal-client to components"
    if known[address.service] and address.port is not None and address.port not in known[address.service]:
        listed = ", ".join(map(str, sorted(known[address.service])))
        return f"calls port {address.port} of {called}, which lets others to: {listed}", f"call port {listed}"
    return None

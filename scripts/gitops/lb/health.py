"""Whether the pods behind a target group answer its health check, and may be reached at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from gitops.lb.model import LoadBalancer
from gitops.lb.sources import Setting, ingress_rules, mapping, pods_of, rule_paths, setting
from gitops.lb.targets import TRAFFIC_PORT, TargetGroup
from gitops.manifests.findings import Finding
from gitops.manifests.objects import FieldPath
from gitops.manifests.openings import by_range, opens
from gitops.manifests.pods import Template


@dataclass(frozen=True)
class Readiness:
    """What the pods' own readiness asks: `protocol` as a target group names it; `port`: its number, None if unknown."""

    path: str
    protocol: str
    port: int | None


def check_health(balancer: LoadBalancer) -> Iterator[Finding]:
    """Every health check that the pods would not answer, of which the pods are known."""
    for group in balancer.target_groups.values():
        templates = [crowd.pods for crowd in pods_of(group.service)]
        if templates:
            yield from _port(group, templates)
            yield from _readiness(group, templates)
            yield from _closed(group, templates)


def _port(group: TargetGroup, templates: list[Template]) -> Iterator[Finding]:
    said = setting("healthcheck-port", group.service, group.ingress)
    numbers = set(itertools.chain.from_iterable(pods.ports().values() for pods in templates))
    if said and group.check.port != TRAFFIC_PORT and int(group.check.port) not in numbers:
        listed = ", ".join(map(str, sorted(numbers))) or "none"
        what = f"asks port {group.check.port}; the pods have: {listed}"
        yield said.finding("lb-health", what, "traffic-port, or a port of the pods as a number")


def _readiness(group: TargetGroup, templates: list[Template]) -> Iterator[Finding]:
    asked = list(itertools.chain.from_iterable(map(_probes, templates)))
    port = _number(group, templates)
    # Only what asks the same port can be compared.
    asked = [probe for probe in asked if probe.port is None or port is None or probe.port == port]
    if not asked:
        return
    paths = sorted({probe.path for probe in asked})
    path = group.check.path.partition("?")[0]
    if path not in {text.partition("?")[0] for text in paths}:
        what = f"asks {group.check.path}; the pods' readiness is {', '.join(paths)}"
        yield _finding(group, "healthcheck-path", what, f"write the path of the readinessProbe: {paths[0]}")
    if group.version == "GRPC":
        what = "asks by gRPC; the pods' readiness is HTTP"
        yield _finding(group, "backend-protocol-version", what, "remove it, or give the pods a grpc readinessProbe")
        return
    protocols = sorted({probe.protocol for probe in asked})
    if group.check.protocol not in protocols:
        short = "healthcheck-protocol" if _says(group, "healthcheck-protocol") else "backend-protocol"
        what = f"asks by {group.check.protocol}; the pods' readiness is by {', '.join(protocols)}"
        yield _finding(group, short, what, f"remove it, or write {protocols[0]}")


def _probes(pods: Template) -> Iterator[Readiness]:
    for _, container in pods.containers():
        probe = mapping(mapping(container.get("readinessProbe")).get("httpGet"))
        if "path" in probe:
            port = pods.ports().get(str(probe.get("port"))) or probe.get("port")
            number = port if isinstance(port, int) else None
            yield Readiness(str(probe["path"]), str(probe.get("scheme") or "HTTP"), number)


def _number(group: TargetGroup, templates: list[Template]) -> int | None:
    """The port of the pods that is asked, None if unknown."""
    if group.check.port != TRAFFIC_PORT:
        return int(group.check.port)
    target = group.service_port.get("targetPort", group.service_port.get("port"))
    numbers = {pods.ports().get(str(target)) for pods in templates}
    return next(filter(None, numbers), target if isinstance(target, int) else None)


def _closed(group: TargetGroup, templates: list[Template]) -> Iterator[Finding]:
    """Ports of the pods that their network keeps the load balancer from."""
    policies = group.service.unit.kind("NetworkPolicy")
    target = group.service_port.get("targetPort", group.service_port.get("port"))
    said = setting("healthcheck-port", group.service, group.ingress)
    for pods in templates:
        numbers = set(pods.ports().values())
        reached = {number for number in numbers if opens(policies, pods, number, by_range)}
        listed = ", ".join(map(str, sorted(reached))) or "none"
        number = pods.ports().get(str(target))
        if number is not None and number not in reached:
            what = f"sends to port {number} of the pods; their network lets the load balancer to: {listed}"
            yield group.ingress.finding("lb-network", _backend(group), what, "send to the Service's port http")
        asked = group.check.port
        if said and asked != TRAFFIC_PORT and int(asked) in numbers - reached:
            what = f"asks port {asked}; the pods' network lets the load balancer to: {listed}"
            yield said.finding("lb-network", what, f"write {TRAFFIC_PORT}; what it asks answers behind the port http")


def _backend(group: TargetGroup) -> FieldPath:
    """Where the Ingress names the Service's port first."""
    for location, rule in ingress_rules(group.ingress.item):
        for path_location, path in rule_paths(location, rule):
            service = mapping(mapping(path.get("backend")).get("service"))
            port = mapping(service.get("port"))
            for by in ("name", "number"):
                if service.get("name") == group.service_name and str(port.get(by)) == group.port:
                    return (*path_location, "backend", "service", "port", by)
    return ("metadata", "name")


def _says(group: TargetGroup, short: str) -> Setting | None:
    return setting(short, group.service, group.ingress)


def _finding(group: TargetGroup, short: str, what: str, fix: str) -> Finding:
    """At the annotation, or at the Ingress where none says it."""
    if said := _says(group, short):
        return said.finding("lb-health", what, fix)
    path: FieldPath = ("metadata", "name")
    return group.ingress.finding("lb-health", path, f"{what} (no {short} is written)", fix)

"""A target group: what the load balancer sends to, how, and how it asks whether that is healthy.

Source: the controller's pkg/ingress/model_build_target_group.go for what it reads, and AWS's API reference
(CreateTargetGroup, TargetGroupAttribute) for what AWS takes of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from gitops.lb import values
from gitops.lb.sources import GroupObject, Setting, mappings, setting
from gitops.manifests.findings import Finding
from gitops.manifests.objects import Object, name, spec_of

TRAFFIC_PORT = "traffic-port"
_PROTOCOLS = ("HTTP", "HTTPS")
_VERSIONS = ("HTTP1", "HTTP2", "GRPC")
# The controller's own: what is not said.
_DEFAULTS = {
    "healthcheck-interval-seconds": 15,
    "healthcheck-timeout-seconds": 5,
    "healthy-threshold-count": 2,
    "unhealthy-threshold-count": 2,
}
_RANGES = {
    "healthcheck-interval-seconds": (5, 300),
    "healthcheck-timeout-seconds": (2, 120),
    "healthy-threshold-count": (2, 10),
    "unhealthy-threshold-count": (2, 10),
}
_CODES = re.compile(r"\d{1,3}(-\d{1,3})?(,\d{1,3}(-\d{1,3})?)*", re.ASCII)
_BOOLEAN = "true|false"
_PERCENT = r"off|[1-9]\d?|100"
_COUNT = r"off|[1-9]\d{0,3}"
# What AWS takes for a target group of an Application Load Balancer.
_ATTRIBUTES: dict[str, str | tuple[int, int]] = {
    "deregistration_delay.timeout_seconds": (0, 3600),
    "load_balancing.algorithm.anomaly_mitigation": "on|off",
    "load_balancing.algorithm.type": "round_robin|least_outstanding_requests|weighted_random",
    "load_balancing.cross_zone.enabled": f"{_BOOLEAN}|use_load_balancer_configuration",
    "slow_start.duration_seconds": (0, 900),
    "stickiness.app_cookie.cookie_name": r"[!#$%&'*+.^_`|~0-9A-Za-z-]+",
    "stickiness.app_cookie.duration_seconds": (1, 604800),
    "stickiness.enabled": _BOOLEAN,
    "stickiness.lb_cookie.duration_seconds": (1, 604800),
    "stickiness.type": "lb_cookie|app_cookie",
    "target_group_health.dns_failover.minimum_healthy_targets.count": _COUNT,
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": _PERCENT,
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": r"[1-9]\d{0,3}",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": _PERCENT,
}
Readable = TypeVar("Readable")


@dataclass(frozen=True)
class HealthCheck:
    """How the load balancer asks a target: `port` is a number or traffic-port; interval and timeout in seconds."""

    port: str = TRAFFIC_PORT
    protocol: str = "HTTP"
    path: str = "/"
    codes: str = "200"
    interval: int = 15
    timeout: int = 5
    healthy: int = 2
    unhealthy: int = 2


@dataclass(frozen=True)
class TargetGroup:
    """One for each port of a Service, as an Ingress names it, and for each Ingress."""

    ingress: GroupObject
    service: GroupObject
    port: str
    protocol: str
    version: str
    check: HealthCheck
    attributes: dict[str, str]

    @property
    def identity(self) -> str:
        """As the controller names it."""
        return identity(self.ingress, self.service_name, self.port)

    @property
    def service_name(self) -> str:
        """The Service's name in its namespace."""
        return name(self.service.item)

    @property
    def service_port(self) -> Object:
        """The Service's port, empty where it has none of that name or number."""
        return service_port(self.service, self.port) or {}


def identity(ingress: GroupObject, service: str, port: str) -> str:
    """The controller's name for a target group."""
    return f"{ingress.full_name}-{service}:{port}"


def service_port(service: GroupObject, port: str) -> Object | None:
    """A port of a Service, by its name or its number."""
    for _, entry in mappings(spec_of(service.item).get("ports")):
        if port in (str(entry.get("name")), str(entry.get("port"))):
            return entry
    return None


@dataclass
class _Reader:
    """Reads the annotations of a Service and its Ingress; what cannot be read is a fault, and counts as not said."""

    sources: tuple[GroupObject, GroupObject]
    faults: list[Finding] = field(default_factory=list)

    def text(self, short: str) -> Setting | None:
        return setting(short, *self.sources)

    def refuse(self, said: Setting, expected: str, *, rule: str = "lb-annotation") -> None:
        self.faults.append(said.finding(rule, f"{said.short}: {said.text!r}", f"write {expected}"))

    def read(self, short: str, parse: Callable[[str], Readable], default: Readable) -> Readable:
        said = self.text(short)
        if said is None:
            return default
        try:
            return parse(said.text)
        except ValueError as error:
            self.refuse(said, str(error))
            return default

    def one_of(self, short: str, choices: tuple[str, ...], default: str) -> str:
        said = self.text(short)
        if said is None or said.text in choices:
            return said.text if said else default
        self.refuse(said, f"one of {', '.join(choices)}")
        return default

    def number(self, short: str) -> int:
        low, high = _RANGES[short]
        known = len(self.faults)
        number = self.read(short, values.integer, _DEFAULTS[short])
        said = self.text(short)
        if said and len(self.faults) == known and not low <= number <= high:
            self.refuse(said, f"a number from {low} to {high}")
        return number


def build(ingress: GroupObject, service: GroupObject, port: str) -> tuple[TargetGroup, list[Finding]]:
    """A target group, and what the controller or AWS would refuse of it."""
    reader = _Reader((service, ingress))
    protocol = reader.one_of("backend-protocol", _PROTOCOLS, "HTTP")
    version = reader.one_of("backend-protocol-version", _VERSIONS, "HTTP1")
    none: dict[str, str] = {}
    attributes = reader.read("target-group-attributes", values.pairs, none)
    check = HealthCheck(
        port=_check_port(reader, service),
        protocol=reader.one_of("healthcheck-protocol", _PROTOCOLS, protocol),
        path=_check_path(reader, version),
        codes=_codes(reader, version),
        interval=reader.number("healthcheck-interval-seconds"),
        timeout=reader.number("healthcheck-timeout-seconds"),
        healthy=reader.number("healthy-threshold-count"),
        unhealthy=reader.number("unhealthy-threshold-count"),
    )
    reader.faults += [*_times(reader, check), *_attributes(reader, attributes)]
    return TargetGroup(ingress, service, port, protocol, version, check, attributes), reader.faults


def _check_port(reader: _Reader, service: GroupObject) -> str:
    said = reader.text("healthcheck-port")
    if said is None or said.text == TRAFFIC_PORT:
        return TRAFFIC_PORT
    with suppress(ValueError):
        number = values.integer(said.text)
        if not 1 <= number <= 65535:
            reader.refuse(said, f"{TRAFFIC_PORT}, or a number from 1 to 65535")
        return str(number)
    if not spec_of(service.item):
        return said.text
    entry = service_port(service, said.text) if said.text else None
    target = (entry or {}).get("targetPort")
    if entry is not None and isinstance(target, int):
        return str(target)
    why = f"{said.text} leads to the pods' port {target!r} by its name" if entry else f"{said.text!r} is no port here"
    problem = f"healthcheck-port: {why}, and addresses of pods are asked by number alone"
    reader.faults.append(said.finding("lb-health", problem, f"write {TRAFFIC_PORT}, or the pods' port as a number"))
    return TRAFFIC_PORT


def _check_path(reader: _Reader, version: str) -> str:
    said = reader.text("healthcheck-path")
    if said is None:
        return "/AWS.ALB/healthcheck" if version == "GRPC" else "/"
    if not re.fullmatch(r"/[!-~]{0,1023}", said.text):
        reader.refuse(said, "a path that begins with /, of at most 1,024 letters, digits and signs, without a space")
    return said.text


def _codes(reader: _Reader, version: str) -> str:
    said, grpc = reader.text("success-codes"), version == "GRPC"
    if said is None:
        return "12" if grpc else "200"
    low, high = (0, 99) if grpc else (200, 499)
    numbers = [int(number) for number in re.findall(r"[0-9]+", said.text)] if _CODES.fullmatch(said.text) else []
    ranges = [part.split("-") for part in said.text.split(",")] if numbers else []
    upward = all(int(part[0]) <= int(part[-1]) for part in ranges)
    if not numbers or not upward or not all(low <= number <= high for number in numbers):
        example = "0 or 0-99" if grpc else "200 or 200-299,301"
        reader.refuse(said, f"codes from {low} to {high}, such as {example}")
    return said.text


def _times(reader: _Reader, check: HealthCheck) -> Iterator[Finding]:
    """An answer is waited for until the next question at most."""
    sound = all(low <= number <= high for number, (low, high) in _in_ranges(check))
    if check.interval > check.timeout or not sound:
        return
    said = reader.text("healthcheck-timeout-seconds") or reader.text("healthcheck-interval-seconds")
    if said:
        problem = f"waits {check.timeout} s for an answer and asks every {check.interval} s; AWS refuses that"
        fix = "write a healthcheck-interval-seconds that is longer than healthcheck-timeout-seconds"
        yield said.finding("lb-annotation", problem, fix)


def _in_ranges(check: HealthCheck) -> Iterator[tuple[int, tuple[int, int]]]:
    yield check.interval, _RANGES["healthcheck-interval-seconds"]
    yield check.timeout, _RANGES["healthcheck-timeout-seconds"]


def _attributes(reader: _Reader, attributes: dict[str, str]) -> Iterator[Finding]:
    if said := reader.text("target-group-attributes"):
        for key, value in attributes.items():
            if refused := _refused(key, value):
                yield said.finding("lb-annotation", f"target-group-attributes: {refused[0]}", refused[1])


def _refused(key: str, value: str) -> tuple[str, str] | None:
    """What AWS has against an attribute, and what to write; None where nothing."""
    allowed = _ATTRIBUTES.get(key)
    if allowed is None:
        return f"{key!r} is no attribute of a target group", f"write one of: {', '.join(sorted(_ATTRIBUTES))}"
    if isinstance(allowed, str):
        if re.fullmatch(allowed, value):
            return None
        shown = allowed.replace("|", ", ") if re.fullmatch(r"[a-z_|]+", allowed) else "a value that AWS takes"
        return f"{key} is {value!r}", f"write {shown}"
    low, high = allowed
    gap = key.startswith("slow_start") and value.isdigit() and 0 < int(value) < 30
    if re.fullmatch(r"[0-9]{1,6}", value) and low <= int(value) <= high and not gap:
        return None
    return f"{key} is {value!r}", f"write a number from {'30' if gap else low} to {high}"

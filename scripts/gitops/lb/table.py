"""The routing table of a cluster's load balancer: read from all Ingresses of a checkout, and as rows and JSON."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, combined
from gitops.lb import check, covered, model
from gitops.lb.rules import ListenerRule
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import renderer
from gitops.manifests.render import Rendered, build, in_parallel

HEAD = ["rule", "host", "path", "type", "service", "certificate"]
_ROUTED = ("namespace", "service", "port", "host", "path", "path_type")
_KEYS = ("host", "path", "path_type", "namespace", "service", "port", "ingress")


@dataclass(frozen=True)
class Routing:
    """A cluster's load balancer; what is wrong with it; and the overlays that do not render, which it is without."""

    balancer: model.LoadBalancer
    findings: tuple[Finding, ...]
    broken: tuple[Fault, ...]


def load(checkout: Checkout, cluster: str) -> Routing:
    """A cluster's load balancer, merged from all overlays that render.

    Raises InputError for a cluster that is not there, or does not render itself.
    """
    graph, folder = Graph(checkout), checkout.relative(checkout.cluster(cluster))
    own = [folder, *graph.brought_by(folder)]
    names = [unit for unit in graph.units if unit.startswith("overlays/") or unit in own]
    with renderer(checkout) as renders:
        rendered = in_parallel(lambda unit: build(renders, checkout.root, unit, graph.reach(unit)), names)
    units, broken = list[Unit](), dict[str, InputError]()
    for rendering in rendered:
        try:
            units.append(_unit(graph, rendering))
        except InputError as error:
            broken[rendering.unit] = error
    if unreadable := [error for unit, error in broken.items() if unit in own]:
        raise combined(unreadable)
    brought = [unit for unit in units if not unit.overlay]
    platform = next((unit for unit in brought if unit.kind("IngressClassParams")), brought[-1])
    certificates, problems = covered.read_certificates(platform, folder)
    balancer = model.merge([*brought, *(unit for unit in units if unit.overlay)], certificates)
    findings = [*problems, *check.check(balancer), *check.check_listeners(balancer, brought)]
    return Routing(balancer, tuple(findings), tuple(itertools.chain.from_iterable(map(_faults, broken.values()))))


def _unit(graph: Graph, rendering: Rendered) -> Unit:
    if rendering.error:
        raise rendering.error
    unit = Unit.of(graph, rendering)
    if unit.malformed:
        raise InputError.several(
            Fault(finding.what, finding.place.file, finding.place.line, fix=finding.fix)
            for finding in unit.malformations
        )
    return unit


def _faults(error: InputError) -> tuple[Fault, ...]:
    return error.faults


def rows(balancer: model.LoadBalancer) -> list[list[str]]:
    """A row for each rule, in their order."""
    return [
        [
            str(number),
            rule.host or "*",
            rule.path or "*",
            rule.path_type,
            answer(rule),
            "yes" if balancer.accepts_tls(rule.host) else "NO",
        ]
        for number, rule in enumerate(balancer.rules, 1)
    ]


def answer(rule: ListenerRule) -> str:
    """Where a rule leads, as a person reads it."""
    if len(rule.answer.groups) == 1:
        return f"{rule.namespace}/{rule.answer.groups[0].service_name}:{rule.answer.groups[0].port}"
    return ", ".join(rule.answer.to) or "nowhere: it cannot be built"


def as_dict(routing: Routing) -> dict[str, Any]:
    """For a program: rules, quotas, how many more services fit, findings, and what does not render."""
    balancer = routing.balancer
    return {
        "rules": [_rule(number, rule) for number, rule in enumerate(balancer.rules, 1)],
        "default": list(balancer.default.to),
        "quotas": {what: {"used": used, "quota": model.QUOTAS[what]} for what, used in balancer.used.items()},
        "redirect": bool(balancer.redirects),
        "room": balancer.remaining_services(),
        "findings": [finding.what for finding in routing.findings],
        "broken": [str(fault) for fault in routing.broken],
    }


def _rule(number: int, rule: ListenerRule) -> dict[str, Any]:
    return {"priority": number, **{key: getattr(rule, key) for key in _KEYS}, "to": list(rule.answer.to)}


def route_dict(routing: Routing, host: str, path: str) -> dict[str, Any]:
    """Who answers a request, for a program: the rule, or the default answer where none matches."""
    balancer = routing.balancer
    rule, conditional = balancer.route(host, path)
    document: dict[str, Any] = {
        **dict.fromkeys(("priority", "file", "line", *_ROUTED)),
        "to": list(rule.answer.to if rule else balancer.default.to),
        "certificate": balancer.accepts_tls(host),
        "conditional": [balancer.rules.index(entry) + 1 for entry in conditional],
        "broken": [str(fault) for fault in routing.broken],
    }
    if rule:
        document |= {key: getattr(rule, key) for key in _ROUTED}
        place = rule.place
        document |= {"priority": balancer.rules.index(rule) + 1, "file": place.file, "line": place.line}
    return document

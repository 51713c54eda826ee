"""The routing table of a cluster's load balancer: read from all Ingresses of a checkout, and as rows and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitops.ground.checkout import Checkout
from gitops.ground.errors import combined
from gitops.lb import model
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import renderer
from gitops.manifests.render import build, in_parallel

HEAD = ["rule", "host", "path", "type", "service", "certificate"]
_KEYS = ("host", "path", "path_type", "namespace", "service", "port", "ingress")


def load(checkout: Checkout, cluster: str) -> tuple[model.LoadBalancer, list[Unit]]:
    """A cluster's load balancer and the overlays that it is merged from.

    Raises InputError for a cluster that is not there, or for what does not render.
    """
    graph, folder = Graph(checkout), checkout.relative(checkout.cluster(cluster))
    own = [folder, *graph.brought_by(folder)]
    names = [unit for unit in graph.units if unit.startswith("overlays/") or unit in own]
    with renderer(checkout) as renders:
        rendered = in_parallel(lambda unit: build(renders, checkout.root, unit, graph.reach(unit)), names)
    if broken := [rendering.error for rendering in rendered if rendering.error]:
        raise combined(broken)
    units = [Unit.of(graph, rendering) for rendering in rendered]
    platform = next((unit for unit in units if unit.kind("IngressClassParams")), units[-1])
    overlays = [unit for unit in units if unit.overlay]
    brought = [unit for unit in units if not unit.overlay]
    certificates, _ = model.read_certificates(platform, folder)
    balancer = model.merge([*brought, *overlays], certificates)
    balancer.redirect = model.read_redirect(brought)
    return balancer, overlays


def rows(balancer: model.LoadBalancer) -> list[list[str]]:
    """A row for each rule, in their order."""
    return [
        [
            str(number),
            rule.host or "*",
            rule.path,
            rule.path_type,
            f"{rule.namespace}/{rule.service}:{rule.port}",
            "yes" if balancer.accepts_tls(rule.host) else "NO",
        ]
        for number, rule in enumerate(balancer.rules, 1)
    ]


def as_dict(balancer: model.LoadBalancer, findings: Sequence[Finding]) -> dict[str, Any]:
    """For a program: rules, quotas, how many more services fit, findings."""
    return {
        "rules": [_rule(number, rule) for number, rule in enumerate(balancer.rules, 1)],
        "quotas": {what: {"used": used, "quota": model.QUOTAS[what]} for what, used in balancer.used.items()},
        "redirect": balancer.redirect is not None,
        "room": balancer.remaining_services(),
        "findings": [finding.what for finding in findings],
    }


def _rule(number: int, rule: model.ListenerRule) -> dict[str, Any]:
    return {"priority": number, **{key: getattr(rule, key) for key in _KEYS}}

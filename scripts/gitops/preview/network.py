"""Which network paths and hosts an object opens."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitops.manifests.objects import Object, label, spec_of


@dataclass(frozen=True, order=True)
class NetworkPath:
    """A peer and a port that a policy opens. `direction`: ingress or egress."""

    direction: str
    peer: str
    port: str

    def __str__(self) -> str:
        return f"{'from' if self.direction == 'ingress' else 'to'} {self.peer}, {self.port}"


def hosts(item: Object) -> set[str]:
    """The hosts that an Ingress answers for."""
    if item.get("kind") != "Ingress":
        return set()
    rules = map(_mapping, _list(spec_of(item).get("rules")))
    return {str(rule["host"]) for rule in rules if rule.get("host")}


def closes(item: Object) -> bool:
    """A policy without rules for a direction closes it."""
    spec = spec_of(item)
    return any(not spec.get(str(direction).lower()) for direction in _list(spec.get("policyTypes")))


def paths(item: Object) -> set[NetworkPath]:
    """Every pair of a peer and a port that a policy opens."""
    opened = set[NetworkPath]()
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in map(_mapping, _list(spec_of(item).get(direction))):
            peers, ports = _list(rule.get(side)) or ["anyone"], _list(rule.get("ports")) or ["any port"]
            opened |= {
                NetworkPath(direction, _peer(peer), _port(port)) for peer, port in itertools.product(peers, ports)
            }
    return opened


def _peer(peer: object) -> str:
    if not isinstance(peer, dict):
        return str(peer)
    if block := _mapping(peer.get("ipBlock")):
        excepted = ", ".join(map(str, _list(block.get("except"))))
        return f"{block.get('cidr')}{f' except {excepted}' if excepted else ''}"
    texts = []
    for selector, word in (("namespaceSelector", "namespaces"), ("podSelector", "pods")):
        if selector in peer:
            texts.append(f"{word} {', '.join(_conditions(_mapping(peer[selector]))) or 'of any label'}")
    return " with ".join(texts) or "anyone"


def _conditions(selector: Mapping[str, Any]) -> Iterator[str]:
    labels = _mapping(selector.get("matchLabels"))
    yield from (f"{key}={value}" for key, value in sorted(labels.items(), key=str))
    for entry in map(_mapping, _list(selector.get("matchExpressions"))):
        values = ", ".join(map(str, _list(entry.get("values"))))
        yield f"{entry.get('key')} {entry.get('operator')}{f' ({values})' if values else ''}"


def _port(port: object) -> str:
    if not isinstance(port, dict):
        return str(port)
    end = f"-{port['endPort']}" if port.get("endPort") else ""
    return f"{port.get('protocol') or 'TCP'} {port.get('port') or 'any'}{end}"


def opened(item: Object, ways: Iterable[NetworkPath]) -> Iterator[str]:
    """A line for each path that an object opens."""
    for path in sorted(ways):
        yield f"opens a network path: {label(item)}: {path}"


def _mapping(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

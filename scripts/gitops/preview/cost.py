"""What an Application asks for, and about what that costs: a pod costs the larger of its shares of a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.objects import Object, name, value_at
from gitops.manifests.pods import template
from gitops.manifests.quantity import number
from gitops.preview.model import Resources

HOURS = 730  # a month, as AWS counts it


@dataclass(frozen=True)
class Node:
    """What a node has, and what it costs in USD an hour (clusters/<cluster>/cluster.yaml)."""

    cpu: Decimal
    memory: Decimal
    price: Decimal


def read_node(checkout: Checkout, cluster: str) -> Node | None:
    """The cluster's node, None where its cluster.yaml names no price. Raises InputError."""
    data = yamlfile.read(checkout, checkout.root / cluster / "cluster.yaml").get("data") or {}
    if not isinstance(data, dict):
        raise InputError(path=f"{cluster}/cluster.yaml", expected="data as a mapping", found=type(data).__name__)
    values = [number(data.get(key)) for key in ("nodeCpu", "nodeMemory", "nodePricePerHour")]
    return Node(*values) if all(values) else None


def resources(objects: Sequence[Object], node: Node | None) -> Resources:
    """Requests of all pods at their least and largest scale. Jobs run now and then and do not count."""
    scales = _scales(objects)
    low, high = [Decimal(0), Decimal(0), Decimal(0)], [Decimal(0), Decimal(0), Decimal(0)]
    for item in objects:
        pods = template(item)
        if pods is None or pods.path != ("spec", "template") or item["kind"] == "Job":
            continue
        spec = scales.get((str(item["kind"]), name(item)))
        fixed = (item.get("spec") or {}).get("replicas", 1)
        least, most = (spec.get("minReplicas", 1), spec.get("maxReplicas", 1)) if spec else (fixed, fixed)
        requests = [(container.get("resources") or {}).get("requests") or {} for _, container in pods.containers()]
        cpu, memory = _sum(requests, "cpu"), _sum(requests, "memory")
        share = max(cpu / node.cpu, memory / node.memory) * node.price * HOURS if node else Decimal(0)
        for total, count in ((low, least), (high, most)):
            for column, value in enumerate((cpu, memory, share)):
                total[column] += value * (count if isinstance(count, int) else 0)
    return Resources(
        cpu=float(low[0]),
        memory=float(low[1]),
        cost=float(low[2]) if node else None,
        most_cpu=float(high[0]),
        most_memory=float(high[1]),
        most_cost=float(high[2]) if node else None,
    )


def _scales(objects: Sequence[Object]) -> dict[tuple[str, str], Object]:
    """The HorizontalPodAutoscalers' specs, by kind and name of what each scales."""
    scales: dict[tuple[str, str], Object] = {}
    for item in objects:
        target = value_at(item, ("spec", "scaleTargetRef"))
        if item["kind"] == "HorizontalPodAutoscaler" and isinstance(target, dict):
            scales[str(target.get("kind")), str(target.get("name"))] = item["spec"]
    return scales


def _sum(requests: Sequence[Object], resource: str) -> Decimal:
    return sum((number(request.get(resource)) for request in requests), Decimal(0))

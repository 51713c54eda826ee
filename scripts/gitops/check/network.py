"""Network policies against the clusters' networks: the ranges that they name are copies, and this holds them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from gitops.ground import printable
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import line_of, read_text
from gitops.manifests.objects import FieldPath, Object, spec_of
from gitops.manifests.ranges import ClusterRanges

_RULE = "network-ranges"
_DNS_PORT, _HTTPS_PORT, _DATABASE_PORT = 53, 443, 5432


@dataclass(frozen=True)
class Networks:
    """The networks of all clusters, as every overlay runs in each, by the cluster's folder."""

    clusters: Mapping[str, ClusterRanges]
    graph: Graph

    @property
    def public(self) -> set[IPv4Network]:
        """Where the load balancers are."""
        return set(itertools.chain.from_iterable(ranges.public for ranges in self.clusters.values()))

    @property
    def dns(self) -> set[IPv4Network]:
        """Where pods ask for names."""
        return {ranges.dns for ranges in self.clusters.values()}

    @property
    def api(self) -> set[IPv4Network]:
        """Where pods reach the API server."""
        return {ranges.api for ranges in self.clusters.values()}

    @property
    def databases(self) -> set[IPv4Network]:
        """Where databases are."""
        return {ranges.databases for ranges in self.clusters.values()}

    @property
    def shared(self) -> set[IPv4Network]:
        """What is a load balancer's in one cluster and the nodes' in another."""
        private = set(itertools.chain.from_iterable(ranges.private for ranges in self.clusters.values()))
        return {network for network in self.public if any(map(network.overlaps, private))}

    def where(self, key: str) -> str:
        """The lines that a range comes from, by its key in cluster.yaml."""
        places = []
        for folder in self.clusters:
            line = line_of(read_text(self.graph.checkout.root / folder / "cluster.yaml"), f"{key}:") or 1
            places.append(f"{key} in {folder}/cluster.yaml:{line}")
        return ", ".join(places)


def read(graph: Graph) -> Networks:
    """The networks that the clusters' cluster.yaml say. Raises InputError for a range that is none."""
    clusters = {}
    for folder in graph.clusters:
        file = graph.checkout.root / folder / "cluster.yaml"
        data = yamlfile.read(graph.checkout, file).get("data") or {}
        try:
            ranges = ClusterRanges.of(data)
        except (ValueError, KeyError) as error:
            expected = "data.vpcRange, a /16, and data.serviceRange"
            raise InputError(path=f"{folder}/cluster.yaml", expected=expected, found=str(error)) from None
        if ranges:
            clusters[folder] = ranges
    return Networks(clusters, graph)


def check(unit: Unit, networks: Networks) -> Iterator[Finding]:
    """What a policy admits that is not the load balancer, and where it sends a pod for a name or to a database."""
    if not networks.clusters:
        return
    for item in unit.kind("NetworkPolicy"):
        if unreadable := list(_unreadable(unit, item)):
            yield from unreadable
            continue
        for path, listed in _blocks(item, "ingress", "from"):
            if listed != networks.public:
                what = f"admits {_text(listed)}; the load balancers are in {_text(networks.public)}"
                fix = f"name these ({networks.where('vpcRange')}): all else of the network is nodes and pods"
                yield unit.finding(_RULE, item, path, what, fix)
            elif networks.shared:
                what = f"admits {_text(networks.shared)}, where another cluster's nodes and pods are"
                fix = f"give the clusters ranges that do not overlap ({networks.where('vpcRange')})"
                yield unit.finding(_RULE, item, path, what, fix)
        for path, listed in _blocks(item, "egress", "to", port=_DNS_PORT):
            if listed != networks.dns:
                what = f"asks {_text(listed)} for names; DNS is {_text(networks.dns)}"
                fix = f"name it ({networks.where('serviceRange')}): without it no name resolves"
                yield unit.finding(_RULE, item, path, what, fix)
        for path, listed in _blocks(item, "egress", "to", port=_HTTPS_PORT):
            # Single private addresses are Services'; a policy that names one means the API server.
            single = all(network.prefixlen == 32 and network.is_private for network in listed)
            if listed and single and listed != networks.api:
                what = f"calls {_text(listed)}; the API server is {_text(networks.api)}"
                yield unit.finding(_RULE, item, path, what, f"name it ({networks.where('serviceRange')})")
        for path, listed in _blocks(item, "egress", "to", port=_DATABASE_PORT):
            if listed != networks.databases:
                what = f"asks {_text(listed)} for databases; they are in {_text(networks.databases)}"
                fix = f"name it ({networks.where('vpcRange')}): elsewhere is no database of ours"
                yield unit.finding(_RULE, item, path, what, fix)


def _blocks(
    item: Object, direction: str, side: str, port: int | None = None
) -> Iterator[tuple[FieldPath, set[IPv4Network]]]:
    """The ranges of each rule that has some, or that is for `port`, and where the first of them stands.

    A rule without peers is for everywhere, load balancer and DNS too.
    """
    for number, rule in enumerate(spec_of(item).get(direction) or []):
        if side not in rule:
            continue
        path = ("spec", direction, number, side)
        blocks = {place: IPv4Network(cidr, strict=False) for place, cidr in _cidrs(rule, path).items()}
        ports = {entry.get("port") for entry in rule.get("ports") or []}
        if port in ports if port else blocks:
            yield next(iter(blocks), path), set(blocks.values())


def _cidrs(rule: Object, path: FieldPath) -> dict[FieldPath, str]:
    """The ranges among the peers of a rule, as they are written, by where each stands. `path`: of its peers."""
    peers = enumerate(rule.get(str(path[-1])) or [])
    return {
        (*path, position, "ipBlock", "cidr"): block["cidr"]
        for position, peer in peers
        if (block := peer.get("ipBlock"))
    }


def _unreadable(unit: Unit, item: Object) -> Iterator[Finding]:
    """Ranges that hold nobody here, as every network of ours is of IPv4."""
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(spec_of(item).get(direction) or []):
            for place, cidr in _cidrs(rule, ("spec", direction, number, side)).items():
                if not _is_range(cidr):
                    what = f"{printable.elided(str(cidr), 60)} is no range of IPv4"
                    yield unit.finding(_RULE, item, place, what, "write it as 10.0.0.0/16")


def _is_range(cidr: str) -> bool:
    try:
        IPv4Network(cidr, strict=False)
    except ValueError:
        return False
    return True


def _text(networks: set[IPv4Network]) -> str:
    return ", ".join(map(str, sorted(networks))) or "nobody"

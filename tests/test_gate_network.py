"""The ranges that network policies name, against what the clusters' networks are (rule `network-ranges`)."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from gitops.check import network
from gitops.ground.errors import InputError
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.ranges import ClusterRanges
from gitops.manifests.render import Rendered
from tests.fakes.cloudformation_template import resolved
from tests.frozen import clone
from tests.test_cluster_templates import parts

SEOUL = "data:\n  vpcRange: 10.42.0.0/16\n  serviceRange: 172.20.0.0/16\n"
PUBLIC = ["10.42.0.0/19", "10.42.32.0/19", "10.42.64.0/19"]


def test_the_ranges_are_those_that_the_template_makes() -> None:
    ranges = ClusterRanges.of({"vpcRange": "10.42.0.0/16", "serviceRange": "172.20.0.0/16"})
    assert ranges
    assert (ranges.api, ranges.dns) == (IPv4Network("172.20.0.1/32"), IPv4Network("172.20.0.10/32"))
    made = resolved(parts()["network"].template, {"ClusterName": "seoul", "VpcId": "vpc-1", "VpcRange": "10.42.0.0/16"})
    subnets = {name: item.get("Properties", {}).get("CidrBlock") for name, item in made.items()}
    for zone, public, private in zip("ABC", ranges.public, ranges.private, strict=True):
        assert subnets[f"PublicSubnet{zone}"] == str(public)
        assert subnets[f"PrivateSubnet{zone}"] == str(private)
    made = resolved(parts()["vpc"].template, {"ClusterName": "seoul", "VpcRange": "10.42.0.0/16"})
    blocks = [
        item["Properties"]["CidrBlock"]
        for name, item in made.items()
        if name.startswith("DataSubnet") and "CidrBlock" in item["Properties"]
    ]
    assert len(blocks) == 3
    assert all(IPv4Network(block).subnet_of(ranges.databases) for block in blocks)


def findings(folder: Path, clusters: dict[str, str], policy: dict[str, Any]) -> list[Finding]:
    """What is said of a policy of an overlay, where these are the clusters."""
    checkout = clone(folder)
    for file in (checkout.root / "clusters").glob("*/cluster.yaml"):
        text = clusters.pop(file.parent.name, "data: {}\n")
        file.write_text(text)
    for cluster, text in clusters.items():
        made = checkout.root / "clusters" / cluster
        made.mkdir()
        (made / "cluster.yaml").write_text(text)
        (made / "kustomization.yaml").write_text("resources: [cluster.yaml]\n")
    graph = Graph(checkout)
    item = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"}, "spec": policy}
    unit = Unit.of(graph, Rendered("overlays/mogle/prod", str(item).encode()))
    return list(network.check(unit, network.read(graph)))


def admitting(*ranges: str) -> dict[str, Any]:
    return {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": cidr}} for cidr in ranges]}]}


def asking(*ranges: str, port: int = 53) -> dict[str, Any]:
    ports = [{"protocol": "UDP" if port == 53 else "TCP", "port": port}]
    return {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": cidr}} for cidr in ranges], "ports": ports}]}


def calling(*ranges: str) -> dict[str, Any]:
    to = [{"ipBlock": {"cidr": cidr}} for cidr in ranges]
    return {"podSelector": {}, "egress": [{"to": to, "ports": [{"protocol": "TCP", "port": 443}]}]}


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (admitting(*PUBLIC), None),
        (admitting(*reversed(PUBLIC)), None),
        (admitting(*PUBLIC[:2]), "admits 10.42.0.0/19, 10.42.32.0/19; the load balancers are in "),
        (admitting(*PUBLIC, "10.42.96.0/19"), "admits 10.42.0.0/19, "),
        (admitting("10.42.0.0/17"), "admits 10.42.0.0/17; "),
        (admitting("0.0.0.0/0"), "admits 0.0.0.0/0; "),
        ({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}, None),
        (asking("172.20.0.10/32"), None),
        (asking("172.20.0.10/32", "10.42.0.2/32"), "asks 10.42.0.2/32, 172.20.0.10/32 for names; "),
        (asking(), "asks nobody for names; DNS is 172.20.0.10/32"),
        ({"podSelector": {}, "egress": [{"ports": [{"protocol": "UDP", "port": 53}]}]}, None),
        (calling("172.20.0.1/32"), None),
        (calling("172.21.0.1/32"), "calls 172.21.0.1/32; the API server is 172.20.0.1/32"),
        (calling("140.82.112.3/32"), None),
        (asking("10.42.192.0/19", port=5432), None),
        (asking("10.42.0.0/16", port=5432), "asks 10.42.0.0/16 for databases; they are in 10.42.192.0/19"),
        (asking("10.42.224.0/19", port=5432), "asks 10.42.224.0/19 for databases; "),
        # Any other way out is no matter of this rule.
        ({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]}, None),
    ],
)
def test_a_policy_names_the_load_balancer_dns_and_databases_exactly(
    tmp_path: Path, policy: dict[str, Any], problem: str | None
) -> None:
    problems = [finding.problem for finding in findings(tmp_path / "clone", {"seoul": SEOUL}, policy)]
    assert len(problems) == (problem is not None)
    assert all(text.startswith(problem or "") for text in problems)


def test_every_clusters_load_balancer_is_named_and_none_where_another_has_nodes(tmp_path: Path) -> None:
    paris = SEOUL.replace("10.42.", "10.43.").replace("172.20.", "172.21.")
    both = [*PUBLIC, *(cidr.replace("10.42.", "10.43.") for cidr in PUBLIC)]
    assert findings(tmp_path / "both", {"seoul": SEOUL, "paris": paris}, admitting(*both)) == []
    [missing] = findings(tmp_path / "one", {"seoul": SEOUL, "paris": paris}, admitting(*PUBLIC))
    assert "vpcRange in clusters/paris/cluster.yaml:2, vpcRange in clusters/seoul/cluster.yaml:2" in missing.fix


def test_a_network_without_ranges_is_no_matter_of_the_policies(tmp_path: Path) -> None:
    assert findings(tmp_path / "clone", {}, admitting("10.0.0.0/8")) == []


@pytest.mark.parametrize(
    "text", [SEOUL.replace("/16\n  s", "/20\n  s"), SEOUL.replace("10.42", "ten"), "data:\n  vpcRange: 10.42.0.0/16\n"]
)
def test_a_range_that_is_none_is_said_with_its_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"clusters/seoul/cluster\.yaml: expected data\.vpcRange, a /16"):
        findings(tmp_path / "clone", {"seoul": text}, admitting(*PUBLIC))

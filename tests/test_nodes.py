"""Which nodes there may be, and that every pod has one: NodePools and NodeClass against the overlays and the templates.

That Karpenter's own definition takes them is the gate's finding (tests/test_gate_check.py: the clean tree has none).
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gitops.cluster import cost as cluster_cost
from gitops.manifests import kustomize
from gitops.manifests.objects import Object, name, selects
from gitops.manifests.pods import template
from gitops.manifests.quantity import number
from gitops.preview import cost
from tests.fakes.cloudformation_template import resolved
from tests.frozen import CLUSTER, platform
from tests.test_cluster_templates import parts

CHECKOUT = platform()
OVERLAYS = sorted(path.parent for path in CHECKOUT.overlays.glob("*/*/kustomization.yaml"))
IDS = [f"{path.parent.name}-{path.name}" for path in OVERLAYS]
# What AWS allows at most, and the longest that a pod of a service may take to end (policy `scheduling`).
LONGEST_LIFE, LONGEST_END = timedelta(days=21), timedelta(minutes=10)


@cache
def objects(kind: str) -> dict[str, Object]:
    rendered = kustomize.build(CHECKOUT, CHECKOUT.root / CLUSTER / "objects")
    return {name(item): item["spec"] for item in rendered if item["kind"] == kind}


def duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)(h|m)", text)
    assert match
    return timedelta(**{{"h": "hours", "m": "minutes"}[match[2]]: int(match[1])})


def takes(pool: Object, pod: Object) -> bool:
    """Whether a node of a pool may run a pod: by its labels, its requirements, and its taints."""
    made = pool["template"]
    values = {entry["key"]: entry.get("values") for entry in made["spec"]["requirements"]}
    labels = (made.get("metadata") or {}).get("labels") or {}
    for key, value in (pod.get("nodeSelector") or {}).items():
        if labels.get(key) != value and value not in values.get(key, []):
            return False
    tolerated = {(entry.get("key"), entry.get("value")) for entry in pod.get("tolerations") or []}
    return {(taint["key"], taint["value"]) for taint in made["spec"].get("taints") or []} <= tolerated


def pods(overlay: Path) -> list[Object]:
    made = [template(item) for item in kustomize.build(CHECKOUT, overlay)]
    return [entry.spec for entry in made if entry]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=IDS)
def test_every_pod_has_nodes_of_its_kind_and_of_no_other(overlay: Path) -> None:
    meant = {"staging": {"staging"}, "prod": {"on-demand"}}[overlay.name]
    for pod in pods(overlay):
        assert {title for title, pool in objects("NodePool").items() if takes(pool, pod)} == meant


def test_what_asks_for_nothing_runs_on_demand() -> None:
    """Argo CD and the add-ons: nothing of theirs is on an instance that AWS takes back."""
    assert [title for title, pool in objects("NodePool").items() if takes(pool, {})] == ["on-demand"]
    assert not takes(objects("NodePool")["on-demand"], {"nodeSelector": {"kubernetes.io/arch": "riscv64"}})


@pytest.mark.parametrize(("title", "environment"), [("on-demand", "prod"), ("staging", "staging")])
def test_a_pool_has_room_for_all_overlays_at_their_largest_and_half_as_much_again(title: str, environment: str) -> None:
    node = cost.read_node(CHECKOUT, CLUSTER)
    there = [overlay for overlay in OVERLAYS if overlay.name == environment]
    asked = [cost.resources(kustomize.build(CHECKOUT, overlay), node) for overlay in there]
    limits = objects("NodePool")[title]["limits"]
    for limit, most in (
        (limits["cpu"], sum(entry.most_cpu for entry in asked)),
        (limits["memory"], sum(entry.most_memory for entry in asked)),
    ):
        assert float(number(limit)) >= 1.5 * most


@pytest.mark.parametrize("title", ["on-demand", "staging"])
def test_a_node_ends_in_time_and_its_pods_before_it(title: str) -> None:
    spec = objects("NodePool")[title]["template"]["spec"]
    assert duration(spec["expireAfter"]) <= LONGEST_LIFE - timedelta(days=7)
    assert duration(spec["terminationGracePeriod"]) > LONGEST_END
    assert objects("NodePool")[title]["weight"] > 0, "before AWS's own pools"
    capacity = [entry["values"] for entry in spec["requirements"] if entry["key"] == "karpenter.sh/capacity-type"]
    assert capacity == [["spot" if title == "staging" else "on-demand"]]


def closed(budget: Object, hour: int) -> bool:
    """Whether a budget lets nothing be exchanged in an hour of a day (UTC), by a schedule of each day."""
    start = int(budget["schedule"].split()[1])
    length = duration(budget["duration"]) // timedelta(hours=1)
    return budget["nodes"] == "0" and (hour - start) % 24 < length


def test_prods_nodes_are_exchanged_at_night_in_seoul_and_one_at_a_time() -> None:
    always, *windows = objects("NodePool")["on-demand"]["disruption"]["budgets"]
    assert always == {"nodes": "1"}
    [window] = windows
    assert window["schedule"].split()[2:] == ["*", "*", "*"]
    # What is empty serves nobody.
    assert set(window["reasons"]) == {"Underutilized", "Drifted"}
    open_hours = {(hour + 9) % 24 for hour in range(24) if not closed(window, hour)}
    assert open_hours == {3, 4, 5, 6}


def test_a_node_is_what_the_templates_made_room_for() -> None:
    [spec] = objects("NodeClass").values()
    given = {"ClusterName": "seoul", "VpcId": "vpc-1", "VpcRange": "10.42.0.0/16"}
    made = resolved(parts()["network"].template, given)
    [asked] = [term["tags"] for term in spec["subnetSelectorTerms"]]
    chosen = [
        logical
        for logical, item in made.items()
        if item["Type"] == "AWS::EC2::Subnet" and selects({"matchLabels": asked}, tags(item))
    ]
    assert chosen == ["PrivateSubnetA", "PrivateSubnetB", "PrivateSubnetC"]
    role = parts()["cluster"].resources["NodeRole"]["Properties"]["RoleName"]
    assert role == {"Fn::Sub": "${ClusterName}-node"}
    assert spec["role"] == "seoul-node"
    assert spec["securityGroupSelectorTerms"] == [{"tags": {"aws:eks:cluster-name": "seoul"}}]
    # What docs/cost.md counts a disk as.
    assert spec["ephemeralStorage"] == {"size": f"{cluster_cost.prices().assumed['node-disk-gb']:g}Gi"}
    classes = {pool["template"]["spec"]["nodeClassRef"]["name"] for pool in objects("NodePool").values()}
    assert classes == set(objects("NodeClass"))


def tags(item: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item["Properties"].get("Tags", [])}


def test_network_policies_are_in_force_at_all() -> None:
    rendered = kustomize.build(CHECKOUT, CHECKOUT.root / CLUSTER / "objects")
    [switch] = [item for item in rendered if name(item) == "amazon-vpc-cni"]
    assert switch["metadata"]["namespace"] == "kube-system"
    assert switch["data"] == {"enable-network-policy-controller": "true"}

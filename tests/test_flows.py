"""The table of flows holds, line by line, by AWS's rules; and what is peculiar to those rules."""

from __future__ import annotations

import itertools
from copy import deepcopy
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from gitops.manifests.objects import Object
from tests import flows
from tests.aws_policies import Pod, PolicyWorld, ServiceAddress
from tests.flows import Flow

TABLE = flows.read()


@pytest.mark.parametrize("flow", TABLE.flows, ids=lambda flow: f"{flow.source}-{flow.target}-{flow.port}")
def test_a_flow_passes_exactly_where_it_is_meant_to(flow: Flow) -> None:
    assert flows.world().passes(flow) == flow.allowed


def test_the_document_shows_the_table(request: pytest.FixtureRequest) -> None:
    text = flows.document()
    if request.config.getoption("--update-golden"):
        flows.DOCUMENT.write_text(text)
    assert flows.DOCUMENT.read_text() == text


def test_every_line_is_of_somebody_who_is_there() -> None:
    world = flows.world()
    known = {*world.pods, *world.addresses, *(f"service {title}" for title in world.services)}
    assert {flow.source for flow in TABLE.flows} | {flow.target for flow in TABLE.flows} <= known


def flow(source: str, target: str, port: int) -> Flow:
    return Flow.model_validate({"from": source, "to": target, "port": port, "allowed": True})


def test_every_site_has_the_load_balancer_and_declared_clients_of_its_environment_and_nobody_else() -> None:
    world = flows.world()
    sites = [title for title in world.pods if title.endswith("/web")]
    assert len(sites) >= 6
    for site in sites:
        assert world.passes(flow("the load balancer", site, 8080))
    for source, target in itertools.permutations(world.pods, 2):
        pod = world.pods[source]
        declared = pod.labels.get("internal-client") == "true" and target in sites
        if world.pods[target].namespace in ("argocd", "kube-system"):  # in the table
            continue
        same = pod.namespace.rpartition("-")[2] == world.pods[target].namespace.rpartition("-")[2]
        assert world.passes(flow(source, target, 8080)) == (declared and same), (source, target)
        assert not world.passes(flow(source, target, 9090)), (source, target)


@pytest.mark.parametrize(
    ("labels", "closed"),
    [
        ({"app": "of-somebody"}, True),
        ({}, True),
        ({"app.kubernetes.io/name": "metrics-server"}, False),
        ({"k8s-app": "of-eks"}, False),
    ],
)
def test_a_pod_beside_the_add_ons_has_nothing_in_and_nothing_out(labels: dict[str, str], closed: bool) -> None:
    rules = flows.world().policies
    for space in ("kube-system", "argocd"):
        pod = Pod(space, "another", IPv4Address("10.42.143.9"), labels, {"8080": 8080})
        world = replace(rules, pods=[*rules.pods, pod])
        outside = IPv4Address("198.51.100.1")
        passes = [world.leaves(pod, outside, "TCP", 443), world.enters(pod, outside, "TCP", 8080)]
        assert passes == [not (closed or space == "argocd")] * 2


def _with(change: dict[str, Any]) -> flows.FlowWorld:
    """The platform where policies of these names have another spec."""
    world = flows.world()
    policies = []
    for space, item in world.policies.policies:
        made = deepcopy(item)
        made["spec"] |= change.get(item["metadata"]["name"], {})
        policies.append((space, made))
    return replace(world, policies=replace(world.policies, policies=policies))


def test_a_range_of_the_whole_network_would_admit_every_pod_that_may_go_out() -> None:
    """The control, and what stood here: the label of an internal client then decides nothing on the way in."""
    blocks = [{"ipBlock": {"cidr": "10.42.0.0/16"}}]
    ports = [{"protocol": "TCP", "port": "http"}]
    wide = _with({"allow-load-balancer": {"ingress": [{"from": blocks, "ports": ports}]}})
    staging = flows.world().pods["umbrella-staging/web"]
    prod = flows.world().pods["mogle-prod/web"]
    assert wide.policies.enters(prod, staging.address, "TCP", 8080)
    assert not flows.world().policies.enters(prod, staging.address, "TCP", 8080)


def test_names_asked_of_pods_that_auto_mode_has_not_would_not_resolve() -> None:
    labels = {"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, "namespaceSelector": {}}
    closed = _with({"allow-dns": {"egress": [{"to": [labels], "ports": [{"protocol": "UDP", "port": 53}]}]}})
    assert not closed.passes(Flow.model_validate({**_asking(), "allowed": True}))


def _asking() -> dict[str, Any]:
    return {"from": "mogle-prod/web", "to": "DNS", "port": 53, "protocol": "UDP"}


ONE = Pod("a", "one", IPv4Address("10.42.128.1"), {"app": "one"}, {"http": 8080, "8080": 8080})
TWO = Pod("a", "two", IPv4Address("10.42.128.2"), {"app": "two"}, {"http": 9090, "9090": 9090})
SERVICE = {"selector": {"app": "two"}, "ports": [{"port": 80, "targetPort": "http"}]}


def small(*egress: Object, types: tuple[str, ...] = ("Egress",), service: Object | None = None) -> PolicyWorld:
    """Two pods, a Service for the second, and one policy for the first."""
    selector = {"matchLabels": {"app": "one"}}
    spec = {"podSelector": selector, "policyTypes": list(types), "egress": list(egress)}
    policy: Object = {"metadata": {"name": "p"}, "spec": spec}
    services = [ServiceAddress("a", "two", IPv4Address("172.20.1.1"), service or SERVICE)]
    return PolicyWorld({"a": {}}, [ONE, TWO], services, [("a", policy)])


def leaves(world: PolicyWorld, address: str, port: int, protocol: str = "TCP") -> bool:
    return world.leaves(ONE, IPv4Address(address), protocol, port)


HTTPS = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["172.16.0.0/12"]}}], "ports": [{"port": 443}]}
ANY_DNS = {"ports": [{"protocol": "UDP", "port": 53}]}


def test_an_exception_wins_over_a_rule_for_everywhere() -> None:
    """Their issue 146: by Kubernetes' own rules the second rule would let DNS through."""
    world = small(HTTPS, ANY_DNS)
    assert not leaves(world, "172.20.0.10", 53, "UDP")
    assert leaves(world, "198.51.100.1", 53, "UDP")


def test_a_smaller_range_wins_over_an_exception() -> None:
    world = small(HTTPS, {"to": [{"ipBlock": {"cidr": "172.20.0.10/32"}}], "ports": [{"protocol": "UDP", "port": 53}]})
    assert leaves(world, "172.20.0.10", 53, "UDP")
    # It inherits nothing of what excepts it.
    assert not leaves(world, "172.20.0.10", 443)


def test_a_smaller_range_has_the_ports_of_the_larger_one_too() -> None:
    world = small(HTTPS, {"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": 25}]})
    assert leaves(world, "198.51.100.1", 443)
    assert leaves(world, "198.51.100.1", 25)
    assert not leaves(world, "198.51.101.1", 25)


@pytest.mark.parametrize(
    ("ports", "service", "allowed"),
    [
        ([{"port": "http"}], SERVICE, True),
        ([{"port": 9090}], SERVICE, True),
        ([{"port": 8080}], SERVICE, False),
        ([], SERVICE, True),
        ([{"port": "http"}], {**SERVICE, "ports": [{"port": 80, "targetPort": 9090}]}, True),
        ([{"port": "http", "protocol": "UDP"}], SERVICE, False),
        # By the pod's labels, and a Service that selects by others is not meant.
        ([{"port": "http"}], {**SERVICE, "selector": {"tier": "two"}}, False),
    ],
)
def test_a_service_is_reached_by_its_address_where_its_selector_is_the_peers(
    ports: list[Object], service: Object, allowed: bool
) -> None:
    rule = {"to": [{"podSelector": {"matchLabels": {"app": "two"}}}], **({"ports": ports} if ports else {})}
    assert leaves(small(rule, service=service), "172.20.1.1", 80) == allowed


def test_a_named_port_to_a_range_is_left_out_and_the_range_with_it() -> None:
    world = small({"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": "https"}]})
    assert not leaves(world, "198.51.100.1", 443)


def test_a_direction_that_no_policy_is_for_is_open() -> None:
    assert leaves(small(types=("Ingress",)), "198.51.100.1", 25)
    assert not leaves(small(), "198.51.100.1", 25)


def test_a_range_of_ports_is_allowed_to_its_end() -> None:
    world = small({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 30000, "endPort": 30010}]})
    assert [leaves(world, "198.51.100.1", port) for port in (29999, 30000, 30010, 30011)] == [False, True, True, False]

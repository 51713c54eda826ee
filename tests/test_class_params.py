"""The class of the one load balancer: the fields that its parameters have."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.check import schema
from gitops.manifests.findings import Unit
from gitops.manifests.places import Places
from gitops.manifests.reach import Reach
from tests.frozen import platform

CHECKOUT = platform()
# Each field of the published definition that a cluster's own class does not use, in the spelling of Auto Mode.
FIELDS: dict[str, Any] = {
    "inboundCIDRs": ["203.0.113.0/24"],
    "ipAddressType": "dualstack-without-public-ipv4",
    "ipamConfiguration": {"ipv4IPAMPoolId": "ipam-pool-1"},
    "listeners": [{"port": 443, "protocol": "HTTPS", "attributes": [{"key": "a", "value": "b"}]}],
    "loadBalancerAttributes": [{"key": "idle_timeout.timeout_seconds", "value": "60"}],
    "loadBalancerName": "platform",
    "minimumLoadBalancerCapacity": {"capacityUnits": 100},
    "namespaceSelector": {"matchLabels": {"environment": "prod"}},
    "PrefixListsIDs": ["pl-1"],
    "prefixListsIDs": ["pl-1"],
    "sslRedirectPort": "443",
    "subnets": {"ids": ["subnet-0a"], "matchTags": [{"key": "a", "values": ["b"]}]},
    "tags": [{"key": "team", "value": "platform"}],
    "wafv2AclArn": "arn:aws:wafv2:ap-northeast-2:111122223333:regional/webacl/a/b",
    "wafv2AclName": "platform",
}


def class_faults(**spec: Any) -> list[str]:
    item = {"apiVersion": "eks.amazonaws.com/v1", "kind": "IngressClassParams", "metadata": {"name": "p"}, "spec": spec}
    has = Unit("clusters/seoul", (item,), Places(CHECKOUT, "clusters/seoul", Reach()))
    [(_, findings)] = schema.check(has, schema.Schemas(CHECKOUT))
    return [finding.problem for finding in findings]


@pytest.mark.parametrize("field", FIELDS)
def test_the_class_has_every_field_of_the_published_definition(field: str) -> None:
    assert class_faults(**{field: FIELDS[field]}) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"certificateArn": ["arn"]},
        {"subnets": {"tags": {"a": ["b"]}}},
        {"subnets": {"ids": []}},
        {"minimumLoadBalancerCapacity": {}},
        {"sslRedirectPort": 443},
    ],
)
def test_the_class_has_no_field_of_another_spelling_or_type(spec: dict[str, Any]) -> None:
    assert len(class_faults(**spec)) == 1

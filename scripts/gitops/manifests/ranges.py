"""Addresses of a cluster's network that base/ and apps/ have to repeat: no policy can say "the load balancer".

A VPC is a /16 of six subnets of an eighth each (clusters/*/aws/network.yaml): three public ones with the load balancer,
then three private ones with the nodes and, as each pod has an address of the VPC, all pods.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Self

_ZONES = 3
_EIGHTH = 3  # bits
# Kubernetes' convention, which EKS keeps: the tenth address of the Services' range is DNS. A pod asks it and no other,
# so in Auto Mode, where CoreDNS is no pod but runs on each node, it is what a policy can name.
_DNS = 10


@dataclass(frozen=True)
class ClusterRanges:
    """Where the load balancer, the nodes with their pods, and DNS are in a cluster."""

    public: tuple[IPv4Network, ...]
    private: tuple[IPv4Network, ...]
    dns: IPv4Network

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self | None:
        """By `data` of a cluster's cluster.yaml; None where it says no ranges, as the lab's does not.

        Raises ValueError for what is no range, or no /16.
        """
        if "vpcRange" not in data:
            return None
        vpc, services = IPv4Network(data["vpcRange"]), IPv4Network(data["serviceRange"])
        if vpc.prefixlen != 16:
            raise ValueError(f"{vpc} is no /16")
        eighths = tuple(itertools.islice(vpc.subnets(_EIGHTH), 2 * _ZONES))
        return cls(eighths[:_ZONES], eighths[_ZONES:], IPv4Network(dns_address(services)))


def dns_address(services: IPv4Network) -> IPv4Address:
    """The address at which every pod asks for names, by the range of the Services."""
    return services[_DNS]

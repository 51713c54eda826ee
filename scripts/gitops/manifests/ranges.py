"""Addresses of a cluster's network that base/ and apps/ have to repeat: no policy can say "the load balancer".

A VPC is a /16 of six subnets of an eighth each (clusters/*/aws/network.yaml): three public ones with the load balancer,
then three private ones with the nodes and, as each pod has an address of the VPC, all pods. In the seventh eighth are
the subnets of the databases (clusters/*/aws/vpc.yaml).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Self

_ZONES = 3
_EIGHTH = 3  # bits
# Conventions of Kubernetes that EKS keeps: the first address of the Services' range is the API server's, the tenth DNS.
# Pods ask these and no other, so in Auto Mode, where CoreDNS is no pod but runs on each node, they are what a policy
# can name.
_API, _DNS = 1, 10


@dataclass(frozen=True)
class ClusterRanges:
    """Where the load balancer, the nodes with their pods, the databases, the API server and DNS are in a cluster."""

    public: tuple[IPv4Network, ...]
    private: tuple[IPv4Network, ...]
    databases: IPv4Network
    api: IPv4Network
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
        *eighths, databases = itertools.islice(vpc.subnets(_EIGHTH), 2 * _ZONES + 1)
        addresses = (IPv4Network(services[number]) for number in (_API, _DNS))
        return cls(tuple(eighths[:_ZONES]), tuple(eighths[_ZONES:]), databases, *addresses)

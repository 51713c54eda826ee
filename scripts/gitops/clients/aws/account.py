"""What stands in an account: whose it is, networks, the cluster, and what a cluster leaves in its network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from botocore.exceptions import ClientError

from gitops.clients.aws.errors import calling, code_of
from gitops.clients.aws.session import AwsSession

STACK_TAG = "aws:cloudformation:stack-name"


@dataclass(frozen=True)
class Network:
    """A VPC: its ranges, and the stack that it is of, if it is of one."""

    vpc: str
    ranges: tuple[IPv4Network, ...]
    stack: str | None


@dataclass(frozen=True)
class EksCluster:
    """A cluster as EKS tells of it. `stack`: the one that made it, if one did.

    `endpoint`, `authority`: where its API is and who certifies it (PEM in base64), empty while it is being made.
    """

    status: str
    version: str
    protected: bool
    stack: str | None
    endpoint: str
    authority: str


class Account:
    """The account that the environment's credentials are of."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    @property
    def configured_region(self) -> str | None:
        """The region that the environment or the profile names."""
        return self._session.configured_region

    def number(self) -> str:
        """Its twelve digits."""
        return str(self._session.call("sts", "get_caller_identity")["Account"])

    def networks(self) -> list[Network]:
        """Every VPC of the region."""
        return [_network(vpc) for vpc in self._session.pages("ec2", "describe_vpcs", "Vpcs")]

    def cluster(self, name: str) -> EksCluster | None:
        """A cluster of EKS, or None where there is none of that name."""
        with calling("eks:DescribeCluster"):
            try:
                cluster = self._session.raw("eks", "describe_cluster", name=name)["cluster"]
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    return None
                raise
        return EksCluster(
            status=cluster["status"],
            version=cluster["version"],
            protected=cluster.get("deletionProtection", False),
            stack=cluster.get("tags", {}).get(STACK_TAG),
            endpoint=cluster.get("endpoint", ""),
            authority=cluster.get("certificateAuthority", {}).get("data", ""),
        )

    def unprotect_cluster(self, name: str) -> None:
        """Let it be deleted."""
        self._session.call("eks", "update_cluster_config", name=name, deletionProtection=False)

    # -- what a cluster's controllers made in its network, and nobody would take down after it is gone

    def load_balancers(self, vpc: str) -> list[str]:
        """The ARNs of those in a VPC."""
        every = self._session.pages("elbv2", "describe_load_balancers", "LoadBalancers")
        return [item["LoadBalancerArn"] for item in every if item.get("VpcId") == vpc]

    def target_groups(self, vpc: str) -> list[str]:
        """The ARNs of those in a VPC."""
        every = self._session.pages("elbv2", "describe_target_groups", "TargetGroups")
        return [item["TargetGroupArn"] for item in every if item.get("VpcId") == vpc]

    def security_groups(self, vpc: str) -> list[str]:
        """The ids of those in a VPC that are of no stack, but for its default one."""
        filters = [{"Name": "vpc-id", "Values": [vpc]}]
        every = self._session.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)
        return [item["GroupId"] for item in every if _stack(item) is None and item["GroupName"] != "default"]

    def delete_load_balancer(self, arn: str) -> None:
        """Delete one. Nothing is wrong where it is gone."""
        self._session.call("elbv2", "delete_load_balancer", LoadBalancerArn=arn)

    def delete_target_group(self, arn: str) -> None:
        """Delete one. Nothing is wrong where it is gone."""
        self._session.call("elbv2", "delete_target_group", TargetGroupArn=arn)

    def delete_security_group(self, group: str) -> bool:
        """Delete one, and say whether it is gone: an interface that is still being taken down may hold it."""
        with calling("ec2:DeleteSecurityGroup"), _held() as held:
            self._session.raw("ec2", "delete_security_group", GroupId=group)
        return not held


def _network(vpc: Mapping[str, Any]) -> Network:
    blocks = [IPv4Network(block["CidrBlock"]) for block in vpc.get("CidrBlockAssociationSet", [])]
    return Network(vpc["VpcId"], tuple(blocks), _stack(vpc))


def _stack(item: Mapping[str, Any]) -> str | None:
    """The stack that something of EC2 is of, by the tag that CloudFormation gives."""
    return next((tag["Value"] for tag in item.get("Tags", []) if tag["Key"] == STACK_TAG), None)


@contextmanager
def _held() -> Iterator[list[str]]:
    """Within, what is gone already is fine; the list says what is still held."""
    held: list[str] = []
    try:
        yield held
    except ClientError as error:
        if code_of(error) == "DependencyViolation":
            held.append(code_of(error))
        elif code_of(error) != "InvalidGroup.NotFound":
            raise

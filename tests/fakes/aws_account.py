"""An account of AWS that keeps state: stacks and what they made, clusters, networks, and what controllers left behind.

It refuses where AWS does. Each look at a stack that is at work moves it on by one step: a test waits for nothing.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes import server
from tests.fakes.aws_protocol import Endpoint, Refusal
from tests.fakes.cloudformation import CloudFormation
from tests.fakes.cloudformation_resources import Resource
from tests.fakes.cloudformation_template import ACCOUNT
from tests.fakes.eks_api import EksApi


@dataclass
class CallFault:
    """A call that AWS refuses `times` times, after `skip` of them went well."""

    operation: str
    code: str
    message: str = ""
    times: int = 1
    skip: int = 0


@dataclass
class Kill:
    """Kills a process with -9 at the n-th call: before AWS has heard of it, or after it was done, unanswered."""

    number: int
    after: bool
    process: int = 0


class AwsAccount:
    """A running account. `calls`: the names of what was asked of it, in order."""

    def __init__(self) -> None:
        self.number = ACCOUNT
        self.stacks = CloudFormation()
        self.calls: list[str] = []
        self.faults: list[CallFault] = []
        self.kill: Kill | None = None
        self.vpcs: dict[str, str] = {}  # foreign ones: their ranges
        self.clusters: dict[str, str] = {}  # foreign ones: their versions
        self.api: EksApi | None = None  # what answers for a cluster of a stack
        self.roles = {"key": ("key", "admin")}  # an access key's secret and role
        self.load_balancers: dict[str, str] = {}  # what controllers made: the VPC of each
        self.target_groups: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.interfaces = 0  # how often a group is still held by what its load balancer leaves for a while
        self._lock = Lock()
        self._endpoint = Endpoint(self._handle)
        self.url = self._endpoint.url
        self.stacks.blockers["AWS::EC2::VPC"] = self._holds_vpc

    def close(self) -> None:
        self._endpoint.close()

    def environment(self) -> dict[str, str]:
        """What leads boto3 here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "key",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "GITOPS_AWS_PAUSE": "0",
        }

    def leave_behind(self) -> None:
        """What the cluster's controllers make in its VPC."""
        [vpc] = self.of_type("AWS::EC2::VPC")
        arn = f"arn:aws:elasticloadbalancing:ap-northeast-2:{ACCOUNT}"
        self.load_balancers[f"{arn}:loadbalancer/app/platform/1"] = vpc.physical
        self.target_groups[f"{arn}:targetgroup/mogle/1"] = vpc.physical
        self.groups["sg-0000000000000001"] = vpc.physical

    def of_type(self, kind: str) -> list[Resource]:
        return [resource for resource in self.stacks.resources.values() if resource.kind == kind]

    def _holds_vpc(self, resource: Resource) -> str:
        held = [*self.load_balancers.values(), *self.groups.values()]
        held += [
            str(item.properties.get("VpcId")) for item in self.stacks.resources.values() if item.stack != resource.stack
        ]
        return "The vpc has dependencies and cannot be deleted." if resource.physical in held else ""

    # -- calls

    def _handle(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.calls.append(operation)
            kill = self.kill if self.kill and len(self.calls) == self.kill.number else None
            if kill and not kill.after:
                self._kill(kill)
            for fault in self.faults:
                if fault.operation == operation and fault.times:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    raise Refusal(fault.code, fault.message)
            try:
                if service == "cloudformation":
                    return self.stacks.call(operation, parameters)
                answer: Callable[..., dict[str, Any]] = getattr(self, f"_{operation}")
                return answer(**parameters)
            finally:
                if kill and kill.after:
                    self._kill(kill)

    def _kill(self, kill: Kill) -> None:
        with suppress(ProcessLookupError):
            os.kill(kill.process, signal.SIGKILL)
        self.kill = None
        raise Refusal("Killed")

    def _GetCallerIdentity(self) -> dict[str, Any]:
        return {"Account": self.number, "UserId": "A", "Arn": f"arn:aws:sts::{self.number}:assumed-role/admin/me"}

    def _DescribeVpcs(self) -> dict[str, Any]:
        blocks = {
            resource.physical: str(resource.properties["CidrBlock"]) for resource in self.of_type("AWS::EC2::VPC")
        }
        tags = {item.physical: self._tags(item) for item in self.of_type("AWS::EC2::VPC")}
        every = [
            {"VpcId": vpc, "CidrBlockAssociationSet": [{"CidrBlock": block}], "Tags": tags.get(vpc, [])}
            for vpc, block in {**self.vpcs, **blocks}.items()
        ]
        return {"Vpcs": every}

    def _tags(self, resource: Resource) -> list[dict[str, str]]:
        return [{"Key": "aws:cloudformation:stack-name", "Value": resource.stack}] if resource.stack else []

    def _DescribeCluster(self, name: str) -> dict[str, Any]:
        if name in self.clusters:
            return {"cluster": {"name": name, "status": "ACTIVE", "version": self.clusters[name]}}
        cluster = self._cluster(name)
        protected = cluster.properties["DeletionProtection"]
        tags = {"aws:cloudformation:stack-name": cluster.stack}
        version = cluster.properties["Version"]
        return {
            "cluster": {
                "name": name,
                "status": "ACTIVE",
                "version": version,
                "deletionProtection": protected,
                "tags": tags,
                **self._reached(),
            }
        }

    def _reached(self) -> dict[str, Any]:
        """Where a cluster's API is, and which roles it lets in: those that the stack has an access entry for."""
        if self.api is None:
            return {}
        self.api.entries = {str(item.properties["PrincipalArn"]) for item in self.of_type("AWS::EKS::AccessEntry")}
        return {"endpoint": self.api.endpoint, "certificateAuthority": {"data": self.api.authority}}

    def _AssumeRole(self, RoleArn: str, RoleSessionName: str, **_: Any) -> dict[str, Any]:
        key = f"ASIA{len(self.roles):016}"
        self.roles[key] = (f"secret-{key}", RoleArn)
        credentials = {
            "AccessKeyId": key,
            "SecretAccessKey": f"secret-{key}",
            "SessionToken": f"session-{key}",
            "Expiration": datetime.now(UTC) + timedelta(hours=1),
        }
        arn = f"arn:aws:sts::{self.number}:assumed-role/{RoleArn.rpartition('/')[2]}/{RoleSessionName}"
        return {"Credentials": credentials, "AssumedRoleUser": {"AssumedRoleId": f"{key}:me", "Arn": arn}}

    def _cluster(self, name: str) -> Resource:
        for resource in self.of_type("AWS::EKS::Cluster"):
            if resource.properties["Name"] == name:
                return resource
        raise Refusal("ResourceNotFoundException", f"No cluster found for name: {name}.", 404)

    def _UpdateClusterConfig(self, name: str, deletionProtection: bool, **_: Any) -> dict[str, Any]:
        self._cluster(name).properties["DeletionProtection"] = deletionProtection
        return {"update": {"id": "1", "status": "InProgress"}}

    def _DescribeLoadBalancers(self, **_: Any) -> dict[str, Any]:
        return {"LoadBalancers": [{"LoadBalancerArn": arn, "VpcId": vpc} for arn, vpc in self.load_balancers.items()]}

    def _DescribeTargetGroups(self, **_: Any) -> dict[str, Any]:
        return {"TargetGroups": [{"TargetGroupArn": arn, "VpcId": vpc} for arn, vpc in self.target_groups.items()]}

    def _DeleteLoadBalancer(self, LoadBalancerArn: str) -> dict[str, Any]:
        self.load_balancers.pop(LoadBalancerArn, None)
        return {}

    def _DeleteTargetGroup(self, TargetGroupArn: str) -> dict[str, Any]:
        self.target_groups.pop(TargetGroupArn, None)
        return {}

    def _DescribeSecurityGroups(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:
        [vpc] = Filters[0]["Values"]
        own = [{"GroupId": group, "GroupName": "k8s", "VpcId": of} for group, of in self.groups.items() if of == vpc]
        return {"SecurityGroups": [*own, {"GroupId": "sg-0", "GroupName": "default", "VpcId": vpc}]}

    def _DeleteSecurityGroup(self, GroupId: str) -> dict[str, Any]:
        self.interfaces -= 1
        if self.load_balancers or self.interfaces >= 0:
            raise Refusal("DependencyViolation", f"resource {GroupId} has a dependent object")
        if self.groups.pop(GroupId, None) is None:
            raise Refusal("InvalidGroup.NotFound")
        return {}


@contextmanager
def aws_account() -> Iterator[AwsAccount]:
    account = AwsAccount()
    try:
        yield account
    finally:
        account.close()


class Resolver:
    """The world's name servers, as a resolver tells of them over HTTPS: what `delegated` says of each domain."""

    def __init__(self) -> None:
        self.delegated: dict[str, list[str]] = {}
        self.registrar: AwsAccount | None = None  # whose zones are delegated as soon as they are there
        self._server = server.Server(self._serve)
        self.url = f"{self._server.url}/resolve"

    def close(self) -> None:
        self._server.close()

    def delegate(self, account: AwsAccount) -> None:
        """Enter at the registrar what each zone of an account has for name servers."""
        for zone in account.of_type("AWS::Route53::HostedZone"):
            name = str(zone.properties["Name"])
            self.delegated[name] = account.stacks.name_servers(zone)

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        query = dict(parse_qsl(urlsplit(request.path).query))
        if self.registrar:
            self.delegate(self.registrar)
        servers = self.delegated.get(query["name"], [])
        records = [{"name": query["name"], "type": 2, "data": f"{name}."} for name in servers]
        server.answer(request, 200, json.dumps({"Status": 0, "Answer": records}).encode(), "application/dns-json")

"""What a cluster costs a month: its templates, counted, times prices.yaml; beside the machines that it replaces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gitops.cluster import state
from gitops.cluster.stacks import Stack
from gitops.cluster.world import ClusterWorld
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile

FILE = Path(__file__).with_name("prices.yaml")
HOURS = 730  # a month, as AWS counts it
_STRICT = ConfigDict(extra="forbid")


class Price(BaseModel):
    """A price by the hour or by the month, and where it was read."""

    model_config = _STRICT

    hour: float | None = None
    month: float | None = None
    source: str

    @property
    def monthly(self) -> float:
        """USD a month."""
        return self.hour * HOURS if self.hour is not None else self.month or 0.0


class Share(BaseModel):
    """What something costs, as a part of a node's price on demand."""

    model_config = _STRICT

    share: float
    source: str


class Replaced(BaseModel):
    """The machines that the platform replaces, by their type."""

    model_config = _STRICT

    known: dict[str, int]
    assumed: dict[str, int]
    disk_gb: float = Field(alias="disk-gb")
    addresses: int


class PriceList(BaseModel):
    """prices.yaml."""

    model_config = _STRICT

    read: date
    region: str
    prices: dict[str, Price]
    surcharge: Share
    spot: Share
    assumed: dict[str, float]
    replaced: Replaced


@dataclass(frozen=True)
class CostLine:
    """One line of the sum. `assumed`: its quantity is in no template."""

    stack: str
    what: str
    quantity: float
    monthly: float
    source: str
    assumed: bool


def prices() -> PriceList:
    """The prices of this checkout."""
    return yamlfile.read_own(FILE, PriceList)


def lines(world: ClusterWorld) -> list[CostLine]:
    """What a cluster costs a month. Raises InputError for a region without prices."""
    listed = prices()
    if listed.region != world.definition.region:
        raise InputError(
            f"no prices are known of {world.definition.region}",
            path="scripts/gitops/cluster/prices.yaml",
            found=listed.region,
        )
    return [*_of_stacks(world.stacks, listed), *_used(listed), *_nodes(listed, world.definition.node_price)]


def stays(stacks: Iterable[Stack]) -> list[CostLine]:
    """What the stacks cost that `gitops cluster down` leaves."""
    listed = prices()
    kept = [stack for stack in stacks if stack.keeps]
    parts = {stack.part for stack in kept}
    return [*_of_stacks(kept, listed), *(line for line in _used(listed) if line.stack in parts)]


def replaced() -> list[CostLine]:
    """What the machines cost that the platform replaces."""
    listed = prices()
    machines = [(name, count, False) for name, count in listed.replaced.known.items()]
    machines += [(name, count, True) for name, count in listed.replaced.assumed.items()]
    table = [_line(listed, "machines", name, count, name, assumed=assumed) for name, count, assumed in machines]
    number = sum(count for _, count, _ in machines)
    disks = _line(listed, "machines", "disks, GB", number * listed.replaced.disk_gb, "disk-gb", assumed=True)
    addresses = number * listed.replaced.addresses
    return [
        *table,
        disks,
        _line(listed, "machines", "public addresses", addresses, "public-address", assumed=True),
    ]


def _line(listed: PriceList, stack: str, what: str, quantity: float, price: str, *, assumed: bool = False) -> CostLine:
    known = listed.prices[price]
    return CostLine(stack, what, quantity, quantity * known.monthly, known.source, assumed)


# What a type of resource costs for being there: its words in the table, and its price.
_COSTS = {
    "AWS::EC2::EIP": ("public addresses", "public-address"),
    "AWS::EC2::NatGateway": ("NAT gateways", "nat-gateway"),
    "AWS::EKS::Cluster": ("control plane", "control-plane"),
    "AWS::KMS::Key": ("key", "key"),
    "AWS::Route53::HostedZone": ("zones", "zone"),
}
# Types that cost by what is in them (`_used`), and those that cost nothing. A type in neither is a fault of the table.
_BY_USE = {
    "AWS::Backup::BackupVault",
    "AWS::ECR::Repository",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
}
_FREE = {
    "AWS::Backup::BackupPlan",
    "AWS::Backup::BackupSelection",
    "AWS::Budgets::Budget",  # the first two of an account
    "AWS::CertificateManager::Certificate",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::Route",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::Subnet",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCEndpoint",  # of the type Gateway, as a test holds
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EKS::AccessEntry",
    "AWS::EKS::Addon",
    "AWS::EKS::PodIdentityAssociation",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::OIDCProvider",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::RDS::DBParameterGroup",
    "AWS::RDS::DBSubnetGroup",
    "AWS::S3::BucketPolicy",
}


def _of_stacks(stacks: Iterable[Stack], listed: PriceList) -> list[CostLine]:
    table: list[CostLine] = []
    for stack in stacks:
        kinds = [str(item["Type"]) for item in stack.resources.values()]
        if unknown := set(kinds) - set(_COSTS) - _BY_USE - _FREE:
            raise InputError(f"nobody said what these cost: {', '.join(sorted(unknown))}", path=f"stack {stack.name}")
        for kind, (what, price) in _COSTS.items():
            if kind in kinds:
                table.append(_line(listed, stack.part, what, kinds.count(kind), price))
        if repositories := kinds.count("AWS::ECR::Repository"):
            size = repositories * listed.assumed["registry-gb-per-repository"]
            table.append(_line(listed, stack.part, "images, GB", size, "registry-gb", assumed=True))
        table += _databases(stack, listed)
        if stack.part == "state" and (buckets := kinds.count("AWS::S3::Bucket")):
            size = buckets * listed.assumed["service-bucket-gb"]
            table.append(_line(listed, stack.part, "services' buckets, GB", size, "bucket-gb", assumed=True))
    return table


def _databases(stack: Stack, listed: PriceList) -> list[CostLine]:
    """A standby is a machine and a disk of its own. A restored database has the disk of the one that it comes from."""
    made = [item["Properties"] for item in stack.resources.values() if item["Type"] == "AWS::RDS::DBInstance"]
    machines, disks = 0, 0
    for properties in made:
        copies = 2 if properties["MultiAZ"] else 1
        machines += copies
        disks += copies * properties["MaxAllocatedStorage"] // state.GROWTH
    if not made:
        return []
    return [
        _line(listed, stack.part, "databases, machines", machines, state.INSTANCE_CLASS),
        _line(listed, stack.part, "databases, GB", disks, "database-gb"),
        _line(listed, stack.part, "databases' passwords", len(made), "secret"),
    ]


def _used(listed: PriceList) -> list[CostLine]:
    def used(stack: str, what: str, quantity: str, price: str) -> CostLine:
        return _line(listed, stack, what, listed.assumed[quantity], price, assumed=True)

    return [
        used("foundation", "buckets, GB", "bucket-gb", "bucket-gb"),
        used("foundation", "copies of state, GB", "copies-gb", "copy-gb"),
        used("foundation", "audit log, GB kept", "log-gb", "log-gb-kept"),
        used("network", "through the NAT gateways, GB", "nat-gateway-gb", "nat-gateway-gb"),
        used("cluster", "audit log, GB written", "log-gb", "log-gb-written"),
        used("cluster", "load balancer", "load-balancers", "load-balancer"),
        used("cluster", "its capacity units", "load-balancer-units", "load-balancer-unit"),
        # One in each zone.
        _line(listed, "cluster", "its public addresses", 3, "public-address", assumed=True),
    ]


def _nodes(listed: PriceList, node_price: float) -> list[CostLine]:
    nodes, spot = listed.assumed["nodes"], listed.assumed["staging-nodes"]
    one = node_price * HOURS
    # By the price on demand, whatever the instance itself costs.
    surcharge = (nodes + spot) * one * listed.surcharge.share
    disks = (nodes + spot) * listed.assumed["node-disk-gb"]
    return [
        CostLine("cluster", "nodes", nodes, nodes * one, "cluster.yaml", True),
        CostLine("cluster", "staging's spot nodes", spot, spot * one * listed.spot.share, listed.spot.source, True),
        CostLine("cluster", "Auto Mode's surcharge", nodes + spot, surcharge, listed.surcharge.source, True),
        _line(listed, "cluster", "the nodes' disks, GB", disks, "disk-gb", assumed=True),
    ]


def endpoints(listed: PriceList) -> tuple[float, float]:
    """What ECR's two interface endpoints would cost a month in three zones, and from how many GB a month they save.

    What they save is the NAT gateway's price of what is not layers, as those come from S3 for nothing.
    """
    monthly = 2 * 3 * listed.prices["interface-endpoint"].monthly
    saved = listed.prices["nat-gateway-gb"].monthly - listed.prices["interface-endpoint-gb"].monthly
    return monthly, monthly / saved


def database(listed: PriceList, copies: int, gigabytes: int) -> float:
    """What one database costs a month, USD; `copies`: 2 with a standby."""
    machine, disk, password = (listed.prices[name].monthly for name in (state.INSTANCE_CLASS, "database-gb", "secret"))
    return copies * (machine + gigabytes * disk) + password


def total(table: Iterable[CostLine]) -> float:
    """USD a month."""
    return sum(line.monthly for line in table)

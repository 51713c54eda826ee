"""What a cluster is to be: clusters/<cluster>/cluster.yaml, the one place for account, ranges, domains and version."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import yamlfile

FILE = "cluster.yaml"
_REPOSITORY = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?")
# RFC 5737: they stand in this repository's examples, and nobody has them.
_DOCUMENTATION = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
# AWS keeps them for documentation.
EXAMPLE_ACCOUNTS = {"111122223333", "123456789012", "444455556666"}
_ANYONE = IPv4Network("0.0.0.0/0")
# Six subnets of an eighth each; a /16 is the largest that a VPC may have.
_VPC_PREFIX = 16


def _split(text: object) -> object:
    """A ConfigMap has texts alone: a list is words with commas between them."""
    return [word.strip() for word in text.split(",") if word.strip()] if isinstance(text, str) else text


def _vpc(network: IPv4Network) -> IPv4Network:
    if network.prefixlen != _VPC_PREFIX or not network.is_private:
        raise ValueError(f"expected a private range of /{_VPC_PREFIX}")
    return network


Ranges = Annotated[tuple[IPv4Network, ...], BeforeValidator(_split)]
Domain = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$")]


class Definition(BaseModel):
    """`data` of a cluster's cluster.yaml, as far as AWS is concerned. Each field's alias is the key there."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$", description="the folder's name")
    repo_url: str = Field(alias="repoURL", pattern=_REPOSITORY.pattern)
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    version: str = Field(alias="kubernetesVersion", pattern=r"^1\.\d+$")
    vpc_range: Annotated[IPv4Network, AfterValidator(_vpc)] = Field(alias="vpcRange")
    service_range: IPv4Network = Field(alias="serviceRange")
    other_ranges: Ranges = Field(alias="otherRanges", default=())
    api_ranges: Ranges = Field(alias="apiRanges", min_length=1)
    domains: Annotated[tuple[Domain, ...], BeforeValidator(_split)] = Field(min_length=1)
    node_type: str = Field(alias="nodeType")
    node_price: float = Field(alias="nodePricePerHour", gt=0)
    admin_role: str = Field(alias="adminRole", pattern=r"^arn:aws:iam::\d{12}:role/.+$")
    monthly_budget: int = Field(alias="monthlyBudget", gt=0)
    budget_contact: str = Field(alias="budgetContact", pattern=r"^[^@\s]+@[^@\s]+$")

    @property
    def repository(self) -> str:
        """OWNER/NAME of this repository on GitHub."""
        return repository(self.repo_url)

    @property
    def organisation(self) -> str:
        """Where the services' own repositories are."""
        return self.repository.partition("/")[0]

    @property
    def registry(self) -> str:
        """What the names of our own images begin with."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"


def repository(url: str) -> str:
    """OWNER/NAME of a repository on GitHub by its address, or nothing where it is none."""
    match = _REPOSITORY.fullmatch(url)
    return match[1] if match else ""


def read(checkout: Checkout, name: str) -> Definition:
    """A cluster's definition. Raises InputError, all faults at once: a missing key, ranges that overlap ..."""
    file = checkout.cluster(name) / FILE
    source = checkout.relative(file)
    data: dict[str, Any] = yamlfile.read(checkout, file).get("data") or {}
    if "account" not in data:
        raise InputError(
            f"cluster {name!r} is not one of AWS", path=source, expected="data.account and the keys beside it"
        )
    try:
        definition = Definition.model_validate({**data, "name": name})
    except ValidationError as error:
        raise InputError.several(yamlfile.faults(error, source, "data")) from None
    if faults := list(_faults(definition, source)):
        raise InputError.several(faults)
    return definition


def _faults(definition: Definition, source: str) -> Iterator[Fault]:
    ranges = [("vpcRange", definition.vpc_range), ("serviceRange", definition.service_range)]
    ranges += [("otherRanges", network) for network in definition.other_ranges]
    for (key, network), (key_2, network_2) in itertools.combinations(ranges, 2):
        if network.overlaps(network_2):
            yield Fault(
                f"data.{key} overlaps data.{key_2}",
                path=source,
                found=f"{network} and {network_2}",
                fix="choose a range that nothing else has: an address in both would be reached by neither",
            )
    if definition.admin_role.split(":")[4] != definition.account:
        yield Fault("data.adminRole: of another account", path=source, found=definition.admin_role)


def check_written(checkout: Checkout, definition: Definition) -> None:
    """Raise InputError where the definition still says what stands in this repository's examples."""
    source = checkout.relative(checkout.cluster(definition.name) / FILE)
    if faults := list(_examples(definition, source)):
        raise InputError.several(faults)


def _examples(definition: Definition, source: str) -> Iterator[Fault]:
    if definition.account in EXAMPLE_ACCOUNTS:
        yield Fault(
            "data.account: an account of documentation",
            path=source,
            found=definition.account,
            fix=f"sign in to yours, then: gitops cluster adopt {definition.name}",
        )
    for network in definition.api_ranges:
        if network == _ANYONE or any(network.subnet_of(example) for example in _DOCUMENTATION):
            what = "every address there is" if network == _ANYONE else "a range of documentation"
            yield Fault(
                f"data.apiRanges: {what}",
                path=source,
                found=str(network),
                fix="write the addresses that your team leaves its network from",
            )

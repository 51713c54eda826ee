"""The stacks of a cluster, in the order in which they are made: each takes what those before it have put out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitops.cluster import generated, state
from gitops.cluster.definition import Definition
from gitops.cluster.generated import StackTemplate
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.repository import services

# CloudFormation's limit for a template that is sent as it is.
MOST_BYTES = 51_200


@dataclass(frozen=True)
class Stack:
    """One stack: `seoul-network` is `network` of the cluster `seoul`. `keeps`: it holds what a person would miss."""

    cluster: str
    part: str
    template: StackTemplate
    keeps: bool
    minutes: int

    @property
    def name(self) -> str:
        """Its name at AWS."""
        return f"{self.cluster}-{self.part}"

    @property
    def resources(self) -> Mapping[str, StackTemplate]:
        """What it makes, by logical id."""
        resources: dict[str, StackTemplate] = self.template["Resources"]
        return resources

    def inputs(self, values: Mapping[str, str]) -> dict[str, str] | None:
        """Its parameters, or None while a stack before it has not put out one of them."""
        names: Sequence[str] = list(self.template.get("Parameters", {}))
        return {name: values[name] for name in names} if all(name in values for name in names) else None


def read(checkout: Checkout, definition: Definition) -> list[Stack]:
    """Every stack, from clusters/<cluster>/aws and from overlays/. Raises InputError."""
    known = services.services(checkout)

    def stack(part: str, template: StackTemplate, minutes: int, *, keeps: bool) -> Stack:
        return Stack(definition.name, part, template, keeps, minutes)

    def file(part: str) -> StackTemplate:
        return yamlfile.read(checkout, checkout.cluster(definition.name) / "aws" / f"{part}.yaml")

    kept = state.state_template(definition, checkout, known)
    stacks = [
        stack("foundation", file("foundation"), 10, keeps=True),
        stack("zones", generated.zones_template(definition), 5, keeps=True),
        # ACM gives up after three days by itself; delegation is looked at before, so it takes minutes.
        stack("certificates", generated.certificates_template(definition, known), 75, keeps=True),
        stack("services", generated.services_template(definition, known), 10, keeps=True),
        # No database can move to another VPC, so it stays with them.
        stack("vpc", file("vpc"), 10, keeps="DatabaseSubnets" in kept["Resources"]),
        # A database takes a quarter of an hour, one with a standby or a past of hundreds of GB a few times that.
        stack("state", kept, 90, keeps=True),
        stack("network", file("network"), 15, keeps=False),
        stack("cluster", file("cluster"), 40, keeps=False),
        stack("access", state.access_template(checkout, known), 10, keeps=False),
    ]
    filled = [stack for stack in stacks if stack.resources]
    _check_inputs(definition, filled)
    return filled


def given(definition: Definition) -> dict[str, str]:
    """The parameters that cluster.yaml itself answers."""
    return {
        "ClusterName": definition.name,
        "Repository": definition.repository,
        "MonthlyBudget": str(definition.monthly_budget),
        "BudgetContact": definition.budget_contact,
        "VpcRange": str(definition.vpc_range),
        "ServiceRange": str(definition.service_range),
        "KubernetesVersion": definition.version,
        "ApiRanges": ",".join(map(str, definition.api_ranges)),
        "AdminRoleArn": definition.admin_role,
        "Domains": ",".join(definition.domains),
    }


def _check_inputs(definition: Definition, stacks: Sequence[Stack]) -> None:
    """Raise InputError where a stack asks for what neither cluster.yaml nor a stack before it gives."""
    known = set(given(definition))
    for stack in stacks:
        for parameter in itertools.filterfalse(known.__contains__, stack.template.get("Parameters", {})):
            raise InputError(
                f"parameter {parameter}: nothing gives it",
                path=f"clusters/{definition.name}/aws/{stack.part}.yaml",
                expected="an output of a stack before it, or a value of cluster.yaml",
            )
        known |= set(stack.template.get("Outputs", {}))

"""What one run of `gitops cluster` works on: the definition, its stacks, and the account."""

from __future__ import annotations

from dataclasses import dataclass

from gitops.clients.aws import Account, Stacks
from gitops.clients.aws.session import AwsSession
from gitops.cluster import definition as definitions
from gitops.cluster import stacks
from gitops.cluster.definition import Definition
from gitops.cluster.stacks import Stack
from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile


@dataclass(frozen=True)
class ClusterWorld:
    """A cluster's files, and AWS."""

    checkout: Checkout
    definition: Definition
    stacks: list[Stack]
    account: Account
    cloudformation: Stacks

    @property
    def data(self) -> dict[str, str]:
        """All that cluster.yaml says, also what AWS is not concerned with."""
        file = self.checkout.cluster(self.definition.name) / definitions.FILE
        data: dict[str, str] = yamlfile.read(self.checkout, file)["data"]
        return data

    @property
    def source(self) -> str:
        """The file that says what the cluster is to be, by its path in the repository."""
        return f"clusters/{self.definition.name}/{definitions.FILE}"

    def stack(self, part: str) -> Stack:
        """One of the stacks."""
        return next(stack for stack in self.stacks if stack.part == part)


def look(checkout: Checkout, name: str) -> ClusterWorld:
    """Read the files; nothing is asked of AWS yet. Raises InputError."""
    definition = definitions.read(checkout, name)
    session = AwsSession(definition.region)
    return ClusterWorld(checkout, definition, stacks.read(checkout, definition), Account(session), Stacks(session))

"""AWS but for its registry: whose account this is, what stands in it, and stacks of CloudFormation."""

from gitops.clients.aws.account import Account as Account
from gitops.clients.aws.account import EksCluster as EksCluster
from gitops.clients.aws.errors import DeniedError as DeniedError
from gitops.clients.aws.stacks import NO_CHANGES as NO_CHANGES
from gitops.clients.aws.stacks import ResourceChange as ResourceChange
from gitops.clients.aws.stacks import StackFailure as StackFailure
from gitops.clients.aws.stacks import Stacks as Stacks
from gitops.clients.aws.stacks import StackState as StackState

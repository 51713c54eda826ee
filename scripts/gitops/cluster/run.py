"""One run of `gitops cluster`: the files, the account, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import yaml

from gitops.clients.github import Hub
from gitops.clients.github.workflow_run import WorkflowRun, pull_request
from gitops.cluster import access, cost, delivery, handover, identity, make, outputs, preflight, scale, world
from gitops.cluster import down as taking_down
from gitops.cluster.cost import CostLine
from gitops.cluster.make import Confirm, Phase, PlannedStack, phase
from gitops.cluster.preflight import Examination
from gitops.cluster.scale import SizedArgo
from gitops.cluster.stacks import Stack
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError
from gitops.ground.progress import Progress


@dataclass(frozen=True)
class StackReport:
    """A stack as AWS has it. `ready`: there is nothing to wait for and nothing to mend."""

    name: str
    status: str
    changed: str
    ready: bool
    reason: str


def adopt(checkout: Checkout, name: str) -> list[Path]:
    """Make every file name the account and the organisation of a cluster; the files that changed."""
    return identity.adopt(checkout, name)


def plan(checkout: Checkout, name: str) -> list[PlannedStack]:
    """What `up` would do."""
    place = world.look(checkout, name)
    preflight.check(place, _today())
    return make.plan(place)


def argo_size(checkout: Checkout, name: str) -> SizedArgo:
    """What the cluster's Argo CD needs for its number of Applications."""
    return scale.sized(checkout, name)


def plan_of(checkout: Checkout, name: str, head: str) -> list[PlannedStack]:
    """What a revision would change at AWS."""
    return delivery.plan(checkout, name, head, _today())


def tell(hub: Hub, run: WorkflowRun, name: str, planned: Sequence[PlannedStack] | GitopsError) -> str:
    """Bring the comment of the pull request that a run was for to a plan, or to why there is none; what was done."""
    if isinstance(planned, GitopsError):
        text: str | None = delivery.refusal(name, planned)
    else:
        text = delivery.comment(name, planned)
    return hub.sticky_comment(pull_request(hub, run), delivery.marker(name), text)


def apply(checkout: Checkout, name: str, confirm: Confirm, progress: Progress) -> list[str]:
    """Make what follows from the overlays; the files that AWS's answers were written into."""
    place = world.look(checkout, name)
    return outputs.save(place, delivery.apply(place, confirm, progress, _today()))


def up(checkout: Checkout, name: str, confirm: Confirm, progress: Progress) -> list[str]:
    """Make the cluster at AWS; the files that were written of what AWS gave."""
    place = world.look(checkout, name)
    preflight.check(place, _today())
    return outputs.save(place, make.up(place, confirm, progress))


def hand_over(checkout: Checkout, name: str, progress: Progress) -> None:
    """Bring Argo CD into the cluster, and wait until every Application is Healthy."""
    handover.run(world.look(checkout, name), progress)


def kubeconfig(checkout: Checkout, name: str) -> str:
    """The way into the cluster for kubectl, in YAML."""
    place = world.look(checkout, name)
    preflight.check_identity(place)
    return yaml.safe_dump(access.kubeconfig(place), sort_keys=False)


def down(checkout: Checkout, name: str, progress: Progress) -> list[Stack]:
    """Take the cluster down; the stacks that stay."""
    place = world.look(checkout, name)
    preflight.check_identity(place)
    return taking_down.down(place, progress)


def status(checkout: Checkout, name: str) -> list[StackReport]:
    """Every stack as AWS has it, and the cluster."""
    place = world.look(checkout, name)
    preflight.check_identity(place)
    reports = []
    for stack in place.stacks:
        state = place.cloudformation.state(stack.name)
        reports.append(
            StackReport(
                stack.name,
                state.status if state else "-",
                f"{state.changed:%Y-%m-%d %H:%M}" if state else "-",
                phase(state) is Phase.READY,
                state.reason if state else "",
            )
        )
    cluster = place.account.cluster(name)
    word = f"{cluster.status} {cluster.version}" if cluster else "-"
    ready = cluster is not None and cluster.status == "ACTIVE"
    return [*reports, StackReport(f"cluster {name}", word, "-", ready, "")]


def costs(checkout: Checkout, name: str) -> list[CostLine]:
    """What it costs a month. Nothing is asked of AWS."""
    return cost.lines(world.look(checkout, name))


def kept_costs(kept: Iterable[Stack]) -> float:
    """USD a month for stacks that stay."""
    return cost.total(cost.stays(kept))


def doctor(checkout: Checkout, name: str) -> Iterator[Examination]:
    """Everything that must be true, whatever is wrong with the one before."""
    return preflight.examine(world.look(checkout, name), _today())


def _today() -> date:
    return datetime.now(UTC).date()

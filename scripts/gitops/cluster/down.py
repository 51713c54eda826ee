"""Taking a cluster down: what can be made anew goes, what holds data stays and is told of."""

from __future__ import annotations

import time
from collections.abc import Iterable

from gitops.cluster import make
from gitops.cluster.make import Phase, phase
from gitops.cluster.stacks import Stack
from gitops.cluster.world import ClusterWorld
from gitops.ground import settings
from gitops.ground.errors import ExternalError
from gitops.ground.progress import Progress

_GROUPS_MINUTES = 10


def down(world: ClusterWorld, progress: Progress) -> list[Stack]:
    """Delete the stacks that keep nothing, the last first; those that stay. Raises what stopped it."""
    for stack in reversed(world.stacks):
        if stack.keeps or world.cloudformation.state(stack.name) is None:
            continue
        if stack.part == "cluster":
            _unprotect(world, progress)
        if stack.part == "network":
            _sweep(world, progress)
        _delete(world, stack, progress)
    return [stack for stack in world.stacks if stack.keeps and world.cloudformation.state(stack.name)]


def _delete(world: ClusterWorld, stack: Stack, progress: Progress) -> None:
    make.wait(world, stack, progress)
    world.cloudformation.delete(stack.name)
    state = make.wait(world, stack, progress)
    if state and phase(state) is not Phase.ABSENT and state.status != "DELETE_COMPLETE":
        raise make.stuck(world, stack, state)


def _unprotect(world: ClusterWorld, progress: Progress) -> None:
    cluster = world.account.cluster(world.definition.name)
    if cluster and cluster.protected:
        world.account.unprotect_cluster(world.definition.name)
        cluster = world.account.cluster(world.definition.name)
    with progress.step("the cluster may be deleted"):
        while cluster and cluster.status == "UPDATING":
            time.sleep(settings.read().aws_pause)
            cluster = world.account.cluster(world.definition.name)


def _sweep(world: ClusterWorld, progress: Progress) -> None:
    """What the cluster's controllers made in the VPC. It is this cluster's alone, and nobody else takes it down now."""
    for network in world.account.networks():
        if network.stack != world.stack("vpc").name:
            continue
        with progress.step("load balancers and their groups"):
            for arn in world.account.load_balancers(network.vpc):
                world.account.delete_load_balancer(arn)
            for arn in world.account.target_groups(network.vpc):
                world.account.delete_target_group(arn)
            _delete_groups(world, world.account.security_groups(network.vpc))


def _delete_groups(world: ClusterWorld, groups: Iterable[str]) -> None:
    """One may name another, and the interfaces of a load balancer go minutes after it."""
    left, deadline = list(groups), time.monotonic() + _GROUPS_MINUTES * 60
    while left := [group for group in left if not world.account.delete_security_group(group)]:
        if time.monotonic() > deadline:
            raise ExternalError(
                f"still held after {_GROUPS_MINUTES} minutes: {', '.join(left)}",
                fix="AWS's page Network Interfaces says what holds them; then run it again",
            )
        time.sleep(settings.read().aws_pause)

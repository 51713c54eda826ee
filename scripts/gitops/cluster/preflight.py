"""What must be true before anything is made: whose credentials these are, and that nothing is in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from gitops.clients import dns
from gitops.cluster import definition as definitions
from gitops.cluster import generated, identity, support
from gitops.cluster.world import ClusterWorld
from gitops.ground.errors import Fault, GitopsError, InputError
from gitops.ground.printable import counted


@dataclass(frozen=True)
class Examination:
    """One thing that was looked at. `faults`: nothing where it is right; `note`: a word on it."""

    name: str
    faults: tuple[Fault, ...]
    note: str = ""


def check(world: ClusterWorld, today: date) -> None:
    """Raise InputError where one thing is not as it must be; ExternalError where AWS cannot be asked."""
    definitions.check_written(world.checkout, world.definition)
    check_identity(world)
    faults = [*identity.faults(world.checkout), *_version(world, today), *_ranges(world), *_name(world), *_step(world)]
    if faults:
        raise InputError.several(faults)


def check_identity(world: ClusterWorld) -> None:
    """Raise InputError where the credentials are of another account, or the environment names another region."""
    faults = [*_region(world), *_account(world)]
    if faults:
        raise InputError.several(faults)


def check_delegation(world: ClusterWorld, zones: dict[str, str]) -> None:
    """Raise InputError for each domain that is not delegated to its zone. `zones`: what the stack `zones` put out."""
    faults = list(_delegation(world, zones))
    if faults:
        raise InputError.several(faults)


def examine(world: ClusterWorld, today: date) -> Iterator[Examination]:
    """Everything, one after the other, whatever is wrong with the one before (`gitops cluster doctor`)."""
    left = support.days_left(world.definition.version, today) if not list(_version(world, today)) else 0
    note = f"standard support ends in {counted(left, 'day')}"
    looks: list[tuple[str, str, Callable[[], list[Fault]]]] = [
        ("definition", "", lambda: list(_written(world))),
        ("names", world.definition.organisation, lambda: identity.faults(world.checkout)),
        ("region", world.definition.region, lambda: list(_region(world))),
        ("account", world.definition.account, lambda: list(_account(world))),
        ("version", note, lambda: [*_version(world, today), *_notice(world, left)]),
        ("argo-cd", "", lambda: list(filter(None, [support.argo_cd_fault(world.checkout, today)]))),
        ("ranges", str(world.definition.vpc_range), lambda: list(_ranges(world))),
        ("name", world.definition.name, lambda: [*_name(world), *_step(world)]),
        ("domains", ", ".join(world.definition.domains), lambda: list(_delegated(world))),
    ]
    for name, word, look in looks:
        try:
            faults = look()
        except GitopsError as error:
            faults = list(error.faults)
        yield Examination(name, tuple(faults), "" if faults else word)


def _written(world: ClusterWorld) -> Iterator[Fault]:
    definitions.check_written(world.checkout, world.definition)
    yield from ()


def _region(world: ClusterWorld) -> Iterator[Fault]:
    configured = world.account.configured_region
    if configured and configured != world.definition.region:
        yield Fault(
            "the environment names another region than the cluster has",
            path=world.source,
            expected=world.definition.region,
            found=configured,
            fix="unset AWS_REGION, or choose the profile of this cluster",
        )


def _account(world: ClusterWorld) -> Iterator[Fault]:
    number = world.account.number()
    if number != world.definition.account:
        yield Fault(
            "these credentials are of another account",
            path=world.source,
            expected=world.definition.account,
            found=number,
            fix="choose the profile of this cluster's account (AWS_PROFILE)",
        )


def _version(world: ClusterWorld, today: date) -> Iterator[Fault]:
    if fault := support.fault(world.definition.version, world.source, today):
        yield fault


def _notice(world: ClusterWorld, left: int) -> Iterator[Fault]:
    if left < support.NOTICE_DAYS:
        yield Fault(
            f"the support of {world.definition.version} ends in {counted(left, 'day')}",
            path=world.source,
            fix="take up a newer one (CONTRIBUTING.md: a new version of Kubernetes)",
        )


def _ranges(world: ClusterWorld) -> Iterator[Fault]:
    for network in world.account.networks():
        if network.stack == world.stack("vpc").name:
            continue
        for block in network.ranges:
            if block.overlaps(world.definition.vpc_range):
                yield Fault(
                    f"data.vpcRange overlaps {network.vpc} of this account",
                    path=world.source,
                    expected="a range that no other network has",
                    found=f"{world.definition.vpc_range} and {block}",
                )


def _name(world: ClusterWorld) -> Iterator[Fault]:
    cluster = world.account.cluster(world.definition.name)
    if cluster and cluster.stack != world.stack("cluster").name:
        yield Fault(
            f"there is a cluster {world.definition.name} in this account already, which this repository did not make",
            path=world.source,
            found=f"stack {cluster.stack}" if cluster.stack else "a cluster of no stack",
            fix="give this one another name: the folder's",
        )


def _step(world: ClusterWorld) -> Iterator[Fault]:
    """EKS goes one minor version up at a time, and never back."""
    cluster = world.account.cluster(world.definition.name)
    if cluster is None:
        return
    running, wish = (int(version.split(".")[1]) for version in (cluster.version, world.definition.version))
    if wish not in (running, running + 1):
        yield Fault(
            "EKS goes one minor version up at a time, and never back",
            path=world.source,
            expected=f"1.{running} or 1.{running + 1}, as {cluster.version} runs",
            found=world.definition.version,
        )


def _delegation(world: ClusterWorld, zones: dict[str, str]) -> Iterator[Fault]:
    for domain in world.definition.domains:
        expected = set(zones[f"{generated.logical(domain)}Servers"].split(","))
        servers = dns.name_servers(domain)
        if servers != expected:
            yield Fault(
                f"{domain} is not delegated to its zone, so no certificate can be validated",
                path=world.source,
                expected=", ".join(sorted(expected)),
                found=", ".join(sorted(servers)) or "nobody",
                fix="enter these name servers where the domain is registered, and run it again",
            )


def _delegated(world: ClusterWorld) -> Iterator[Fault]:
    state = world.cloudformation.state(world.stack("zones").name)
    if state and state.outputs:
        yield from _delegation(world, dict(state.outputs))
    else:
        yield Fault("there are no zones yet", fix=f"gitops cluster up {world.definition.name}")

"""Bringing stacks to what the files say. AWS's own state says how far it is, so a killed run goes on anywhere."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from gitops.clients.aws import NO_CHANGES, ResourceChange, StackFailure, StackState
from gitops.cluster import preflight, stacks
from gitops.cluster.stacks import Stack
from gitops.cluster.world import ClusterWorld
from gitops.ground import settings
from gitops.ground.errors import ExternalError, InputError, NotHealthyError
from gitops.ground.printable import counted
from gitops.ground.progress import Progress

# Says yes or no to what a change set would do.
Confirm = Callable[[Stack, Sequence[ResourceChange]], bool]
# A new one of these has other addresses, other name servers, other content: it is not the same thing again.
_STOOD_ON = {
    "AWS::EC2::Subnet",
    "AWS::EC2::VPC",
    "AWS::ECR::Repository",
    "AWS::EKS::Cluster",
    "AWS::KMS::Key",
    "AWS::RDS::DBInstance",
    "AWS::Route53::HostedZone",
    "AWS::S3::Bucket",
}
_CERTIFICATE = "AWS::CertificateManager::Certificate"


class Phase(Enum):
    """What can be done with a stack in a state of AWS's."""

    ABSENT = "nothing is there"
    MOVING = "AWS is at work on it"
    EMPTY = "its first creation failed: nothing is left but its name"
    STUCK = "AWS gave up in the middle, and a person decides"
    READY = "it is whole"


def phase(state: StackState | None) -> Phase:
    """Which of these a stack is in."""
    if state is None or state.status == "REVIEW_IN_PROGRESS":
        return Phase.ABSENT
    if state.status.endswith("_IN_PROGRESS"):
        return Phase.MOVING
    if state.status == "ROLLBACK_COMPLETE":
        return Phase.EMPTY
    return Phase.STUCK if state.status.endswith("_FAILED") else Phase.READY


@dataclass(frozen=True)
class PlannedStack:
    """What a run would do to a stack. `waits`: what it needs from stacks before it is not known yet."""

    stack: Stack
    status: str
    changes: tuple[ResourceChange, ...]
    waits: bool = False


def plan(world: ClusterWorld) -> list[PlannedStack]:
    """What `up` would do. Nothing is left at AWS, and a stack that is not there is not begun."""
    planned: list[PlannedStack] = []
    values = stacks.given(world.definition)
    for stack in world.stacks:
        state = world.cloudformation.state(stack.name)
        inputs = stack.inputs(values)
        status = state.status if state else "-"
        if inputs is None or phase(state) is not Phase.READY:
            changes = tuple(_new(name, item["Type"]) for name, item in stack.resources.items())
            planned.append(PlannedStack(stack, status, changes, waits=inputs is None))
        else:
            name = _change_set(stack, inputs, state)
            changes = _prepare(world, stack, name, inputs, new=False)
            if changes:
                world.cloudformation.drop(stack.name, name)
            planned.append(PlannedStack(stack, status, changes))
        values |= state.outputs if state else {}
    return planned


def up(world: ClusterWorld, confirm: Confirm, progress: Progress) -> dict[str, str]:
    """Bring every stack to what the files say; all that they put out. Raises what stopped it."""
    values = stacks.given(world.definition)
    given = set(values)
    for stack in world.stacks:
        if stack.part == "certificates":
            preflight.check_delegation(world, values)
        inputs = stack.inputs(values)
        if inputs is None:
            missing = set(stack.template["Parameters"]) - set(values)
            raise ExternalError(f"stack {stack.name}: a stack before it did not put out {', '.join(sorted(missing))}")
        values |= bring(world, stack, inputs, confirm, progress).outputs
    return {name: value for name, value in values.items() if name not in given}


def bring(
    world: ClusterWorld, stack: Stack, inputs: Mapping[str, str], confirm: Confirm, progress: Progress
) -> StackState:
    """Bring one stack to what its template says; its state then. Raises what stopped it."""
    while True:
        state = world.cloudformation.state(stack.name)
        match phase(state):
            case Phase.MOVING:
                _settle(world, stack, progress)
                continue
            case Phase.EMPTY:
                world.cloudformation.delete(stack.name)
                wait(world, stack, progress)
                continue
            case Phase.STUCK:
                raise stuck(world, stack, state)
        name = _change_set(stack, inputs, state)
        changes = _prepare(world, stack, name, inputs, new=phase(state) is Phase.ABSENT)
        if not changes:
            break
        if replaced := _replaced(changes):
            _abandon(world, stack, name, new=phase(state) is Phase.ABSENT)
            raise InputError(
                f"stack {stack.name}: AWS would make {replaced} anew, and what stands on it would not survive",
                path=world.source,
                fix="take the change back; or move to a second cluster beside this one",
            )
        if not confirm(stack, changes):
            _abandon(world, stack, name, new=phase(state) is Phase.ABSENT)
            raise NotHealthyError(
                f"stack {stack.name}: not agreed to, so nothing was done to it",
                fix="what was made before it stays; run it again to go on",
            )
        world.cloudformation.execute(stack.name, name)
        _settle(world, stack, progress)
    if state is None:
        raise ExternalError(f"stack {stack.name}: AWS tells of no change and of no stack")
    if stack.keeps and not state.protected:
        world.cloudformation.protect(stack.name)
    return state


def _change_set(stack: Stack, inputs: Mapping[str, str], state: StackState | None) -> str:
    """One name for one content on one state: a run that was killed finds its own, and none finds another's."""
    # A stack that was begun and never filled is the same nothing as none.
    generation = str(state.changed) if state and phase(state) is Phase.READY else ""
    content = json.dumps([stack.template, inputs, generation], sort_keys=True)
    return f"gitops-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _prepare(
    world: ClusterWorld, stack: Stack, name: str, inputs: Mapping[str, str], *, new: bool
) -> tuple[ResourceChange, ...]:
    """The change set's changes; none where there is nothing to do, and then the change set is gone too."""
    cloudformation = world.cloudformation
    cloudformation.prepare(stack.name, name, stack.template, inputs, new=new)
    deadline = time.monotonic() + 300
    while (prepared := cloudformation.prepared(stack.name, name)).status.endswith(("_PENDING", "_IN_PROGRESS")):
        if time.monotonic() > deadline:
            raise ExternalError(f"stack {stack.name}: AWS did not say within 5 minutes what would change")
        time.sleep(settings.read().aws_pause / 5)
    if prepared.status == NO_CHANGES:
        cloudformation.drop(stack.name, name)
        return ()
    if prepared.status != "CREATE_COMPLETE":
        _abandon(world, stack, name, new=new)
        raise ExternalError(f"stack {stack.name}: AWS refuses the change", found=prepared.reason)
    return prepared.changes


def _replaced(changes: Sequence[ResourceChange]) -> str:
    """What a change set would make anew although others stand on it."""
    return ", ".join(item.name for item in changes if item.replaces == "True" and item.kind in _STOOD_ON)


def _abandon(world: ClusterWorld, stack: Stack, name: str, *, new: bool) -> None:
    """Leave nothing of a change set that will not run: for a new stack AWS has made one that is empty."""
    world.cloudformation.drop(stack.name, name)
    if new:
        world.cloudformation.delete(stack.name)


def wait(world: ClusterWorld, stack: Stack, progress: Progress) -> StackState | None:
    """Wait until AWS is no longer at work on a stack. Raises ExternalError at its deadline."""
    deadline = time.monotonic() + stack.minutes * 60
    state = world.cloudformation.state(stack.name)
    word = state.status if state else ""
    with progress.step(f"stack {stack.name}", note=lambda: word):
        while phase(state) is Phase.MOVING:
            if time.monotonic() > deadline:
                raise _late(stack)
            time.sleep(settings.read().aws_pause)
            state = world.cloudformation.state(stack.name)
            word = state.status if state else ""
    return state


def _settle(world: ClusterWorld, stack: Stack, progress: Progress) -> None:
    """Wait, and raise ExternalError where AWS took the change back."""
    state = wait(world, stack, progress)
    if state is None or phase(state) is Phase.STUCK:
        raise stuck(world, stack, state)
    if "ROLLBACK" in state.status:
        raise _failed(world, stack, state, "AWS took back what it had begun, so the stack is as before")


def stuck(world: ClusterWorld, stack: Stack, state: StackState | None) -> ExternalError:
    """Why a stack stands still, and who frees it."""
    if state is None:
        return ExternalError(f"stack {stack.name}: it is gone; someone else deleted it", fix="run it again")
    verb = "continue-update-rollback" if state.status == "UPDATE_ROLLBACK_FAILED" else "delete-stack"
    fix = f"mend the reason, then: aws cloudformation {verb} --stack-name {stack.name}; then run it again"
    return _failed(world, stack, state, fix)


def _failed(world: ClusterWorld, stack: Stack, state: StackState, fix: str) -> ExternalError:
    failures = world.cloudformation.failures(stack.name)
    first = failures[0] if failures else StackFailure(stack.name, "the stack", state.status, state.reason)
    reason = f"{first.name} ({first.kind}): {first.reason or first.status}"
    hint = _hint(first)
    return ExternalError(
        f"stack {stack.name} is {state.status}", found=reason, fix="; ".join(filter(None, (hint, fix)))
    )


def _hint(failure: StackFailure) -> str:
    """The next step for what accounts say no with; the words are those of AWS's services in a stack's events."""
    reason = failure.reason.lower()
    for words, hint in _HINTS.items():
        if any(word in reason for word in words):
            return hint
    return ""


_HINTS = {
    ("not authorized", "access denied", "accessdenied"): "give the role that you are signed in with that action",
    ("limit", "quota"): "ask for more in AWS's page Service Quotas",
    ("already exists", "alreadyexists"): "the name is taken: delete or rename what has it, or import it into the stack",
    ("rate exceeded", "throttl"): "AWS was asked too often: wait a minute",
    ("not supported", "unsupported", "unrecognized resource"): "this region has no such thing: choose another region",
}


def _late(stack: Stack) -> ExternalError:
    pending = [name for name, item in stack.resources.items() if item["Type"] == _CERTIFICATE]
    fix = "AWS goes on: run it again, and it waits on"
    if pending:
        fix = f"a certificate is pending until its record is seen; look at the zone's CNAME records. {fix}"
    return ExternalError(f"stack {stack.name}: not done after {counted(stack.minutes, 'minute')}", fix=fix)


def _new(name: str, kind: str) -> ResourceChange:
    return ResourceChange(name, kind, "Add", "False")

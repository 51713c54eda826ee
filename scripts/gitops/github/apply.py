"""Making a plan true, one setting after the other. Where one fails, what was done and what was not is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gitops.clients.github import Hub
from gitops.github import remote
from gitops.github.declared import Declared
from gitops.github.plan import Change, Kind, Plan, Verb
from gitops.ground.errors import GitopsError


class State(StrEnum):
    """What became of a change."""

    DONE = "done"
    FAILED = "failed"
    NOT_TRIED = "not tried"
    LEFT = "left"  # an undeclared ruleset, without --prune


@dataclass(frozen=True)
class Step:
    """A change and what became of it."""

    change: Change
    state: State
    error: GitopsError | None = None


def apply(hub: Hub, declared: Declared, plan: Plan, numbers: dict[str, int], *, prune: bool) -> list[Step]:
    """Make each change, and none after the first that fails. Run it again: what is done is not done twice.

    `numbers`: of the rulesets that there are. Without `prune` a ruleset that is not declared is left as it is.
    """
    steps: list[Step] = []
    failed = False
    for change in plan.changes:
        if change.verb is Verb.DELETE and not prune:
            steps.append(Step(change, State.LEFT))
        elif failed:
            steps.append(Step(change, State.NOT_TRIED))
        else:
            steps.append(_step(hub, declared, change, numbers))
            failed = steps[-1].state is State.FAILED
    return steps


def unfinished(steps: Sequence[Step]) -> list[Step]:
    """What is still not as declared."""
    return [step for step in steps if step.state is not State.DONE]


def _step(hub: Hub, declared: Declared, change: Change, numbers: dict[str, int]) -> Step:
    try:
        _make(hub, declared, change, numbers)
    except GitopsError as error:
        return Step(change, State.FAILED, error)
    return Step(change, State.DONE)


def _make(hub: Hub, declared: Declared, change: Change, numbers: dict[str, int]) -> None:
    settings = declared.settings
    match change.kind:
        case Kind.RULESET if change.verb is Verb.DELETE:
            remote.delete_ruleset(hub, numbers[change.name])
        case Kind.RULESET:
            remote.write_ruleset(hub, declared.rulesets[change.name], numbers.get(change.name))
        case Kind.ENVIRONMENT:
            remote.write_environment(hub, change.name, declared.environments[change.name].branches)
        case Kind.ACTIONS:
            remote.write_actions(hub, settings.actions.model_dump())
        case Kind.WORKFLOW_TOKEN:
            remote.write_workflow_token(hub, settings.workflow_token.model_dump())
        case Kind.REPOSITORY:
            remote.write_repository(hub, settings.repository)

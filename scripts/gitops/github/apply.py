"""Making a plan true, one setting after the other. Where one fails, what was done and what was not is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gitops.clients.github import Hub
from gitops.github import access, remote
from gitops.github.declared import Declared
from gitops.github.plan import BY_HAND, SettingChange, SettingKind, SettingsPlan, Verb
from gitops.github.remote import Remote
from gitops.ground.errors import GitopsError


class ChangeState(StrEnum):
    """What became of a change."""

    DONE = "done"
    FAILED = "failed"
    NOT_TRIED = "not tried"
    LEFT = "left"  # an undeclared ruleset, without --prune
    BY_HAND = "by hand"


@dataclass(frozen=True)
class AppliedChange:
    """A change and what became of it."""

    change: SettingChange
    state: ChangeState
    error: GitopsError | None = None


def apply(hub: Hub, declared: Declared, plan: SettingsPlan, actual: Remote, *, prune: bool) -> list[AppliedChange]:
    """Make each change, and none after the first that fails. Run it again: what is done is not done twice.

    Without `prune` a ruleset that is not declared is left as it is.
    """
    steps: list[AppliedChange] = []
    failed = False
    for change in plan.changes:
        if change.kind in BY_HAND:
            steps.append(AppliedChange(change, ChangeState.BY_HAND))
        elif change.verb is Verb.DELETE and not prune:
            steps.append(AppliedChange(change, ChangeState.LEFT))
        elif failed:
            steps.append(AppliedChange(change, ChangeState.NOT_TRIED))
        else:
            steps.append(_step(hub, declared, change, actual))
            failed = steps[-1].state is ChangeState.FAILED
    return steps


def unfinished(steps: Sequence[AppliedChange]) -> list[AppliedChange]:
    """What is still not as declared."""
    return [step for step in steps if step.state is not ChangeState.DONE]


def _step(hub: Hub, declared: Declared, change: SettingChange, actual: Remote) -> AppliedChange:
    try:
        _make(hub, declared, change, actual)
    except GitopsError as error:
        return AppliedChange(change, ChangeState.FAILED, error)
    return AppliedChange(change, ChangeState.DONE)


def _make(hub: Hub, declared: Declared, change: SettingChange, actual: Remote) -> None:
    settings = declared.settings
    match change.kind:
        case SettingKind.RULESET if change.verb is Verb.DELETE:
            remote.delete_ruleset(hub, actual.ids[change.name])
        case SettingKind.RULESET:
            remote.write_ruleset(hub, declared.rulesets[change.name], actual.ids.get(change.name))
        case SettingKind.ENVIRONMENT:
            remote.write_environment(hub, change.name, declared.environments[change.name].branches)
        case SettingKind.ACTIONS:
            remote.write_actions(hub, settings.actions.model_dump())
        case SettingKind.WORKFLOW_TOKEN:
            remote.write_workflow_token(hub, settings.workflow_token.model_dump())
        case SettingKind.REPOSITORY:
            remote.write_repository(hub, settings.repository)
        case SettingKind.WORKFLOW:
            access.enable(hub, actual.access.workflows[change.name].number)

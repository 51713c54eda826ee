"""What has to change for GitHub to be set as declared, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from gitops.github.access import Access
from gitops.github.declared import Declared
from gitops.github.remote import Remote


class SettingKind(StrEnum):
    """What is set. In the order in which it is set: rules close doors, so they come first."""

    RULESET = "ruleset"
    ENVIRONMENT = "environment"
    ACTIONS = "actions"
    WORKFLOW_TOKEN = "workflow-token"  # noqa: S105 - the name of a setting
    REPOSITORY = "repository"
    WORKFLOW = "workflow"
    ADMINS_BYPASS = "environment's can_admins_bypass"
    SECRET = "secret"  # noqa: S105
    VARIABLE = "variable"
    TEAM = "team"
    PERSON = "person"
    KEY = "deploy key that may push"
    OWNERS = "CODEOWNERS"


# What `apply` leaves to a person, on GitHub's pages.
BY_HAND = frozenset(
    {
        SettingKind.ADMINS_BYPASS,
        SettingKind.SECRET,
        SettingKind.VARIABLE,
        SettingKind.TEAM,
        SettingKind.PERSON,
        SettingKind.KEY,
        SettingKind.OWNERS,
    }
)


class Verb(StrEnum):
    """What is done about it."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class FieldDifference:
    """One field. `declared` or `actual` is None where that side does not have it."""

    field: str
    declared: Any
    actual: Any


@dataclass(frozen=True)
class SettingChange:
    """One setting that is not as declared. `name`: of the ruleset, team, secret ...; the kind's where there is one."""

    kind: SettingKind
    name: str
    verb: Verb
    differences: tuple[FieldDifference, ...] = ()


@dataclass(frozen=True)
class SettingsPlan:
    """All changes, in the order in which they are made.

    `unseen`: what GitHub did not show to this token, so that nothing is known of it. `edited`: rulesets of which
    something is unseen, and when they were last edited.
    """

    changes: tuple[SettingChange, ...]
    unseen: tuple[str, ...]
    edited: dict[str, datetime]

    def edited_since(self, moment: datetime | None) -> list[str]:
        """The rulesets that someone edited since then, where what they changed may be unseen."""
        return sorted(name for name, when in self.edited.items() if moment is not None and when > moment)


def make(declared: Declared, remote: Remote) -> SettingsPlan:
    """Compare both sides."""
    unseen: list[str] = []
    changes = [*_rulesets(declared, remote, unseen), *_environments(declared, remote)]
    settings = declared.settings
    for kind, wish, actual in (
        (SettingKind.ACTIONS, settings.actions.model_dump(), remote.actions),
        (SettingKind.WORKFLOW_TOKEN, settings.workflow_token.model_dump(), remote.workflow_token),
        (SettingKind.REPOSITORY, settings.repository, remote.repository),
    ):
        unseen += [f"{kind}.{name}" for name in wish if name not in actual]
        # GitHub says far more of a repository than is declared here.
        shown = {name: actual[name] for name in wish if name in actual}
        if fields := tuple(differences({name: wish[name] for name in shown}, shown)):
            changes.append(SettingChange(kind, kind, Verb.UPDATE, fields))
    changes += [*_admins(declared, remote, unseen), *_access(declared, remote.access, unseen)]
    edited = {name: when for name, when in remote.edited.items() if f"ruleset.{name}.bypass_actors" in unseen}
    return SettingsPlan(tuple(changes), tuple(unseen), edited)


def _rulesets(declared: Declared, remote: Remote, unseen: list[str]) -> Iterator[SettingChange]:
    for name, wish in declared.rulesets.items():
        actual = remote.rulesets.get(name)
        if actual is None:
            yield SettingChange(SettingKind.RULESET, name, Verb.CREATE)
            continue
        hidden = [key for key in wish if key not in actual]
        unseen += [f"ruleset.{name}.{key}" for key in hidden]
        seen = {key: value for key, value in wish.items() if key not in hidden}
        if fields := tuple(differences(seen, actual)):
            yield SettingChange(SettingKind.RULESET, name, Verb.UPDATE, fields)
    for name in sorted(set(remote.rulesets) - set(declared.rulesets)):
        yield SettingChange(SettingKind.RULESET, name, Verb.DELETE)


def _environments(declared: Declared, remote: Remote) -> Iterator[SettingChange]:
    """Others than the declared ones are left alone: a workflow that names one makes it, and it may hold no secret."""
    for name, environment in declared.environments.items():
        if name not in remote.environments:
            yield SettingChange(SettingKind.ENVIRONMENT, name, Verb.CREATE)
        elif (actual := remote.environments[name]) != environment.branches:
            difference = FieldDifference("branches", environment.branches, "every branch" if actual is None else actual)
            yield SettingChange(SettingKind.ENVIRONMENT, name, Verb.UPDATE, (difference,))


def _admins(declared: Declared, remote: Remote, unseen: list[str]) -> Iterator[SettingChange]:
    for name, environment in declared.environments.items():
        if name not in remote.admins_bypass:
            unseen.append(f"environment.{name}.can_admins_bypass")
        elif (actual := remote.admins_bypass[name]) != environment.can_admins_bypass:
            field = FieldDifference("can_admins_bypass", environment.can_admins_bypass, actual)
            yield SettingChange(SettingKind.ADMINS_BYPASS, name, Verb.UPDATE, (field,))


def _access(declared: Declared, access: Access, unseen: list[str]) -> Iterator[SettingChange]:
    """What gets in beside the rules. GitHub says nothing of a workflow that is not on main yet."""
    for path in declared.workflows:
        workflow = access.workflows.get(path)
        if workflow is None:
            unseen.append(f"{SettingKind.WORKFLOW}.{path}")
        elif workflow.state != "active":
            field = FieldDifference("state", "active", workflow.state)
            yield SettingChange(SettingKind.WORKFLOW, path, Verb.UPDATE, (field,))
    for name in access.secrets:
        yield SettingChange(SettingKind.SECRET, name, Verb.DELETE)
    for environment, names in sorted(access.environment_secrets.items()):
        # One that a workflow named first is made by GitHub without any rule: every branch reads what it holds.
        known = declared.environments[environment].secrets if environment in declared.environments else []
        for name in sorted(set(names) - set(known)):
            yield SettingChange(SettingKind.SECRET, f"{name} of the environment {environment}", Verb.DELETE)
    if access.variables is None:
        unseen.append("variables")
    else:
        for name in sorted(set(declared.settings.variables) ^ set(access.variables)):
            verb = Verb.DELETE if name in access.variables else Verb.CREATE
            yield SettingChange(SettingKind.VARIABLE, name, verb)
    roles = declared.settings.more_than_write
    yield from _roles(SettingKind.TEAM, roles.teams, access.teams)
    yield from _roles(SettingKind.PERSON, roles.people, access.people)
    for name in access.keys:
        yield SettingChange(SettingKind.KEY, name, Verb.DELETE)
    for line, fault in access.owner_faults.items():
        yield SettingChange(SettingKind.OWNERS, line, Verb.UPDATE, (FieldDifference("error", None, fault),))


def _roles(kind: SettingKind, declared: Mapping[str, str], actual: Mapping[str, str]) -> Iterator[SettingChange]:
    for name in sorted(declared.keys() | actual.keys()):
        wish, role = declared.get(name, "at most write"), actual.get(name, "at most write")
        if wish != role:
            yield SettingChange(kind, name, Verb.UPDATE, (FieldDifference("role", wish, role),))


def differences(declared: object, actual: object, field: str = "") -> Iterator[FieldDifference]:
    """Where two values differ. What is not declared may be there as long as it says nothing (false, empty, null)."""
    if isinstance(declared, dict) or isinstance(actual, dict):
        ours, theirs = _mapping(declared), _mapping(actual)
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key), theirs.get(key), f"{field}.{key}" if field else key)
    elif _has_entries(declared) or _has_entries(actual):
        ours, theirs = _by_identity(declared), _by_identity(actual)
        for identity in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(identity), theirs.get(identity), f"{field}[{identity}]")
    elif isinstance(declared, list) and isinstance(actual, list):
        if sorted(declared) != sorted(actual):
            yield FieldDifference(field, declared, actual)
    elif declared != actual and (declared or actual):
        yield FieldDifference(field, declared, actual)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {} if value is None else {"value": value}


def _has_entries(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(entry, dict) for entry in value)


def _by_identity(entries: object) -> dict[str, Any]:
    """Rules by their type, checks by their context, actors by type and number: their order says nothing."""
    named: dict[str, Any] = {}
    for entry in entries if isinstance(entries, list) else []:
        name = identity = _identity(entry)
        while name in named:
            name += f", again {identity}"
        named[name] = entry
    return named


def _identity(entry: dict[str, Any]) -> str:
    if "actor_type" in entry:
        return f"{entry['actor_type']} {entry.get('actor_id')}"
    return str(entry.get("type") or entry.get("context") or entry)

"""What GitHub is set to now, read and written one setting at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from gitops.clients.github import Hub, errors
from gitops.github import access
from gitops.github.access import Access
from gitops.github.declared import Ruleset

# What of a ruleset can be set; the rest of GitHub's answer says where it is kept.
_FIELDS = tuple(Ruleset.model_fields)


@dataclass(frozen=True)
class Remote:
    """The settings as GitHub says them. `ids` and `edited`: of each ruleset, its number and when it was last edited.

    `admins_bypass`: of each environment that says so, whether an administrator's run passes its rules.
    """

    rulesets: dict[str, dict[str, Any]]
    repository: dict[str, Any]
    actions: dict[str, Any]
    workflow_token: dict[str, Any]
    environments: dict[str, list[str] | None]
    access: Access
    admins_bypass: dict[str, bool] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    edited: dict[str, datetime] = field(default_factory=dict)


def read(hub: Hub) -> Remote:
    """Ask GitHub for all of it. Raises ExternalError, such as where the token may not see the settings."""
    with errors("read the settings"):
        environments = access.entries(hub, "/environments", "environments")
        remote = Remote(
            rulesets={},
            repository=hub.call("GET", ""),
            actions=hub.call("GET", "/actions/permissions"),
            workflow_token=hub.call("GET", "/actions/permissions/workflow"),
            environments={},
            access=access.read(hub, [environment["name"] for environment in environments]),
        )
        # An organisation's rulesets hold besides, and are not ours to change.
        for entry in access.entries(hub, "/rulesets?includes_parents=false"):
            ruleset = hub.call("GET", f"/rulesets/{entry['id']}")
            remote.rulesets[ruleset["name"]] = {name: ruleset[name] for name in _FIELDS if name in ruleset}
            remote.ids[ruleset["name"]] = ruleset["id"]
            if ruleset.get("updated_at"):
                remote.edited[ruleset["name"]] = datetime.fromisoformat(ruleset["updated_at"]).astimezone(UTC)
        for environment in environments:
            policy = environment.get("deployment_branch_policy") or {}
            custom = bool(policy.get("custom_branch_policies"))
            name = environment["name"]
            # GitHub says it, though its published description does not.
            if "can_admins_bypass" in environment:
                remote.admins_bypass[name] = environment["can_admins_bypass"]
            remote.environments[name] = sorted(_policies(hub, name)) if custom else None
    return remote


def write_ruleset(hub: Hub, ruleset: dict[str, Any], number: int | None) -> None:
    """Create a ruleset, or make the one with this number like it. Raises ExternalError."""
    if number is None:
        hub.call("POST", "/rulesets", ruleset)
    else:
        hub.call("PUT", f"/rulesets/{number}", ruleset)


def delete_ruleset(hub: Hub, number: int) -> None:
    """Raises ExternalError."""
    hub.call("DELETE", f"/rulesets/{number}")


def write_repository(hub: Hub, settings: dict[str, Any]) -> None:
    """Raises ExternalError."""
    hub.call("PATCH", "", settings)


def write_actions(hub: Hub, settings: dict[str, Any]) -> None:
    """Raises ExternalError."""
    hub.call("PUT", "/actions/permissions", settings)


def write_workflow_token(hub: Hub, settings: dict[str, Any]) -> None:
    """Raises ExternalError."""
    hub.call("PUT", "/actions/permissions/workflow", settings)


def write_environment(hub: Hub, name: str, branches: list[str]) -> None:
    """Let runs of these branches alone use an environment. Raises ExternalError."""
    policy = {"protected_branches": False, "custom_branch_policies": True}
    hub.call("PUT", f"/environments/{name}", {"deployment_branch_policy": policy})
    present = _policies(hub, name)
    # What may no longer use it goes first: a run that stops in between leaves less allowed and not more.
    for branch in sorted(set(present) - set(branches)):
        hub.call("DELETE", f"/environments/{name}/deployment-branch-policies/{present[branch]}")
    for branch in sorted(set(branches) - set(present)):
        hub.call("POST", f"/environments/{name}/deployment-branch-policies", {"name": branch, "type": "branch"})


def _policies(hub: Hub, environment: str) -> dict[str, int]:
    """Whose runs may use an environment, each with its number: a branch by its name, a tag as `tag NAME`."""
    policies = access.entries(
        hub, f"/environments/{quote(environment, safe='')}/deployment-branch-policies", "branch_policies"
    )
    return {f"tag {entry['name']}" if entry.get("type") == "tag" else entry["name"]: entry["id"] for entry in policies}

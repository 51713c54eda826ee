"""What gets in beside the rules: secrets that any branch reads, who has more than write, keys that push, and what is
switched off. It is read here; but for a workflow that is switched off, a person puts it right on GitHub's pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gitops.clients.github import Hub, NoAccessError, lists

# Of each call, what the token needs, in the words of GitHub's pages (docs/runbooks/github.md).
RIGHTS = {
    "/actions/secrets": "Secrets: read",
    "/actions/organization-secrets": "Secrets: read",
    "/environments/NAME/secrets": "Environments: read",
    "/actions/variables": "Variables: read",
    "/actions/workflows": "Actions: read",
    "/collaborators": "Metadata: read",
    "/teams": "Administration: read",
    "/keys": "Administration: read",
    "/codeowners/errors": "Contents: read",
}


@dataclass(frozen=True)
class Workflow:
    """A workflow as GitHub has it: `active`, or why it does not run."""

    number: int
    state: str


@dataclass(frozen=True)
class Access:
    """What GitHub holds, by name. `variables` is None where this token is not shown them.

    `environment_secrets`: of each environment that there is, declared or not. `people` and `teams`: who has more than
    write, and how much. `owner_faults`: by the line of CODEOWNERS.
    """

    secrets: tuple[str, ...]
    environment_secrets: dict[str, tuple[str, ...]]
    variables: tuple[str, ...] | None
    workflows: dict[str, Workflow]
    people: dict[str, str]
    teams: dict[str, str]
    keys: tuple[str, ...]
    owner_faults: dict[str, str]


def read(hub: Hub, environments: Sequence[str]) -> Access:
    """Ask GitHub for all of it. `environments`: the names of those that there are.

    Raises ExternalError, NoAccessError where the token has not the right for it.
    """
    secrets = [entry["name"] for entry in entries(hub, "/actions/secrets", "secrets")]
    shared = [entry["name"] for entry in entries(hub, "/actions/organization-secrets", "secrets")]
    workflows = {
        entry["path"]: Workflow(entry["id"], entry["state"])
        for entry in entries(hub, "/actions/workflows", "workflows")
    }
    # An owner of the organisation has all rights anyway, and is named there.
    people = {entry["login"]: _role(entry) for entry in entries(hub, "/collaborators?affiliation=direct")}
    teams = {entry["slug"]: _role(entry) for entry in entries(hub, "/teams")}
    return Access(
        secrets=(*sorted(secrets), *(f"{name} of the organisation" for name in sorted(shared))),
        environment_secrets={name: _secrets_of(hub, name) for name in environments},
        variables=_variables(hub),
        workflows=workflows,
        people={name: role for name, role in people.items() if role},
        teams={name: role for name, role in teams.items() if role},
        keys=tuple(f"{entry['title']} ({entry['id']})" for entry in entries(hub, "/keys") if not entry["read_only"]),
        owner_faults=_owner_faults(hub),
    )


def enable(hub: Hub, number: int) -> None:
    """Switch a workflow on again. Raises ExternalError."""
    hub.call("PUT", f"/actions/workflows/{number}/enable")


def entries(hub: Hub, path: str, key: str = "") -> list[dict[str, Any]]:
    """Every entry of a list; `key`: where it stands. Raises ExternalError, NoAccessError that names the right."""
    with _rights(path):
        return list(lists.entries(hub, path, key))


@contextmanager
def _rights(path: str) -> Iterator[None]:
    """Say which right a token has not, where GitHub refuses a call."""
    try:
        yield
    except NoAccessError as error:
        # It says 404 of what is there, too.
        right = RIGHTS.get(re.sub(r"^/environments/[^/]+/", "/environments/NAME/", path.partition("?")[0]))
        if right is None:
            raise
        fix = f"give the token the right {right} (docs/runbooks/github.md)"
        raise NoAccessError.of(error.status, error.fault.what, fix) from None


def _secrets_of(hub: Hub, environment: str) -> tuple[str, ...]:
    listed = entries(hub, f"/environments/{quote(environment, safe='')}/secrets", "secrets")
    return tuple(sorted(entry["name"] for entry in listed))


def _variables(hub: Hub) -> tuple[str, ...] | None:
    """An App's token cannot be asked for with this right by the action that makes ours."""
    try:
        return tuple(sorted(entry["name"] for entry in entries(hub, "/actions/variables", "variables")))
    except NoAccessError:
        return None


def _owner_faults(hub: Hub) -> dict[str, str]:
    """What GitHub does not understand in main's CODEOWNERS: such a line asks nobody for a review."""
    try:
        with _rights("/codeowners/errors"):
            errors = hub.call("GET", "/codeowners/errors")["errors"]
    except NoAccessError as error:
        if error.status != 404:
            raise
        return {"CODEOWNERS": "there is no such file on main"}
    return {f"line {error['line']}, column {error['column']}": str(error["kind"]) for error in errors}


def _role(entry: Mapping[str, Any]) -> str:
    """What a person or a team has, where it is more than write; a role of the organisation's own by what it lets do."""
    may = entry.get("permissions") or {entry.get("permission", ""): True}
    return next((role for role in ("admin", "maintain") if may.get(role)), "")

"""What a repository on GitHub holds beside its rules: secrets, variables, workflows, who may do more than write, keys.

An App's token is shown what its rights say, and 403 for all else, whatever GitHub's description lists of a call.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.github_repository import Repository

SETTINGS = Path(__file__).parents[2] / ".github/settings.json"
# The rights of our bot's App that are about settings (docs/runbooks/setup.md).
APP_RIGHTS = frozenset({"actions", "administration", "contents", "environments", "issues", "metadata", "secrets"})
# Comments and labels of a pull request go by its own right.
_ISSUES = re.compile(r"/issues(/\d+)?")
NEEDED = {
    "/actions/secrets": "secrets",
    "/actions/organization-secrets": "secrets",
    "/environments/NAME/secrets": "environments",
    "/actions/variables": "variables",
    "/actions/workflows": "actions",
    "/collaborators": "metadata",
    "/teams": "administration",
    "/keys": "administration",
    "/codeowners/errors": "contents",
}
_ROLES = ("pull", "triage", "push", "maintain", "admin")
_FOLDER = ".github/workflows/"


@dataclass
class Holdings:
    """The state. As GitHub makes it: our teams, no secret, every workflow of main switched on."""

    repository: Repository
    secrets: list[str] = field(default_factory=list)
    organisation_secrets: list[str] = field(default_factory=list)
    environment_secrets: dict[str, list[str]] = field(default_factory=dict)
    # Those that .github/settings.json declares.
    variables: list[str] = field(default_factory=lambda: list(json.loads(SETTINGS.read_text())["variables"]))
    # By the workflow's file: why it does not run.
    disabled: dict[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=lambda: {"student": "push"})
    teams: dict[str, str] = field(default_factory=lambda: {"platform": "maintain", "community": "push"})
    # (title, whether it may only read)
    keys: list[tuple[str, bool]] = field(default_factory=list)
    # Owners in CODEOWNERS that GitHub does not know, or that may not write.
    unknown_owners: set[str] = field(default_factory=set)

    def refuses(self, method: str, path: str, rights: frozenset[str]) -> dict[str, Any] | None:
        """What GitHub says to an App without the right."""
        needed = NEEDED.get(re.sub("^/environments/[^/]+/", "/environments/NAME/", path)) if method == "GET" else None
        right = "issues" if _ISSUES.fullmatch(path) else needed
        if right is None or right in rights:
            return None
        return {"message": "Resource not accessible by integration", "documentation_url": "x", "status": "403"}

    def rest(self, method: str, path: str) -> tuple[int, Any] | None:
        """The answer to a call; None where it is about something else."""
        kept = {
            "/actions/secrets": self.secrets,
            "/actions/organization-secrets": self.organisation_secrets,
            "/actions/variables": self.variables,
        }
        if path in kept:
            named = [{"name": name} for name in kept[path]]
            return 200, {"total_count": len(named), path.rpartition("/")[2].removeprefix("organization-"): named}
        if match := re.fullmatch("/environments/([^/]+)/secrets", path):
            named = [{"name": name} for name in self.environment_secrets.get(match[1], [])]
            return 200, {"total_count": len(named), "secrets": named}
        if path == "/actions/workflows":
            listed = self._workflows()
            return 200, {"total_count": len(listed), "workflows": listed}
        if match := re.fullmatch(r"/actions/workflows/(\d+)/enable", path):
            self.disabled.pop(self._workflows()[int(match[1]) - 1]["path"], None)
            return 204, None
        if path == "/collaborators":
            return 200, [{"login": name, "permissions": _permissions(role)} for name, role in self.people.items()]
        if path == "/teams":
            described = {"permission": "x"}
            return 200, [
                {**described, "slug": name, "permissions": _permissions(role)} for name, role in self.teams.items()
            ]
        if path == "/keys":
            return 200, [{"id": n, "title": key[0], "read_only": key[1]} for n, key in enumerate(self.keys, 1)]
        return self._owner_errors() if path == "/codeowners/errors" else None

    def _workflows(self) -> list[dict[str, Any]]:
        paths = self.repository.git("ls-tree", "--name-only", "main", _FOLDER).splitlines()
        return [{"id": n, "path": path, "state": self.disabled.get(path, "active")} for n, path in enumerate(paths, 1)]

    def _owner_errors(self) -> tuple[int, Any]:
        if not self.repository.git("ls-tree", "--name-only", "main", ".github/CODEOWNERS"):
            return 404, {"message": "Not Found", "documentation_url": "x", "status": "404"}
        lines = self.repository.git("show", "main:.github/CODEOWNERS").splitlines()
        errors = [
            {"line": number, "column": line.index("@") + 1, "kind": "Unknown owner", "path": ".github/CODEOWNERS"}
            for number, line in enumerate(lines, 1)
            if line.split()[-1] in self.unknown_owners
        ]
        return 200, {"errors": errors}


def _permissions(role: str) -> dict[str, bool]:
    """A role has all that the roles below it have."""
    return {name: _ROLES.index(name) <= _ROLES.index(role) for name in _ROLES}

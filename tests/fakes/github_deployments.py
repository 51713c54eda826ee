"""Deployments as GitHub keeps them: who may write them, what it refuses, and what it adds by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.github_repository import now
from tests.fakes.github_rulesets import NOT_FOUND, Actor

if TYPE_CHECKING:
    from tests.fakes.github_repository import Repository

ARGOCD_APP, ARGOCD_NAME = 3, "argocd-of-tests"
ARGOCD = Actor(f"{ARGOCD_NAME}[bot]", "write", ARGOCD_APP)
_FORBIDDEN = (403, {"message": "Resource not accessible by integration", "documentation_url": "x", "status": "403"})


@dataclass
class Deployments:
    """Those of one repository, oldest first. `writers`: the Apps whose tokens have `deployments: write`."""

    repository: Repository
    kept: list[dict[str, Any]] = field(default_factory=list)
    statuses: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    writers: tuple[int, ...] = (ARGOCD_APP,)

    def rest(
        self, method: str, path: str, query: dict[str, list[str]], asked: Any, actor: Actor
    ) -> tuple[int, Any] | None:
        """The answer to a call about deployments; None where it is about something else."""
        match = re.fullmatch(r"/deployments(?:/(\d+)/statuses)?", path)
        if match is None:
            return None
        if method == "POST" and actor.app is not None and actor.app not in self.writers:
            return _FORBIDDEN
        if match[1] is None:
            return self._create(asked, actor) if method == "POST" else (200, self._listed(query))
        deployment = next((item for item in self.kept if item["id"] == int(match[1])), None)
        if deployment is None:
            return NOT_FOUND
        if method == "POST":
            return 201, self._set(deployment, asked["state"], asked.get("description", ""), actor, now())
        return 200, self.statuses[deployment["id"]][::-1]

    def says(
        self, application: str, state: str, commit: str, when: datetime | None = None, actor: Actor = ARGOCD
    ) -> None:
        """What Argo CD (or another) tells GitHub of an Application that was synced to a commit."""
        moment = when.strftime("%Y-%m-%dT%H:%M:%SZ") if when else now()
        same = [item for item in self.kept if (item["environment"], item["sha"]) == (application, commit)]
        deployment = same[-1] if same else self._keep(application, commit, commit, actor, moment)
        self._set(deployment, state, "", actor, moment)

    def _listed(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        listed = self.kept[::-1]
        for name in ("environment", "ref", "sha", "task"):
            if name in query:
                listed = [item for item in listed if item[name] == query[name][0]]
        return listed

    def _create(self, asked: Any, actor: Actor) -> tuple[int, Any]:
        try:
            commit = self.repository.git("rev-parse", "--verify", f"{asked['ref']}^{{commit}}")
        except RuntimeError:
            problem = f"No ref found for: {asked['ref']}"
            return 422, {"message": problem, "errors": [], "documentation_url": "x"}
        behind = self.repository.git("rev-list", "-1", f"{commit}..main")
        if asked.get("auto_merge", True) and behind:
            return 202, {"message": f"Auto-merged main into {asked['ref']} on deployment."}
        contexts = asked.get("required_contexts")
        states = {status["context"]: status["state"] for status in self.repository.statuses.get(commit, [])}
        required = states if contexts is None else contexts
        if any(states.get(context) != "success" for context in required):
            return 409, {
                "message": f"Conflict: Commit status checks failed for {asked['ref']}",
                "documentation_url": "x",
            }
        return 201, self._keep(asked.get("environment", "production"), commit, asked["ref"], actor, now())

    def _keep(self, environment: str, commit: str, ref: str, actor: Actor, moment: str) -> dict[str, Any]:
        number = len(self.kept) + 1
        deployment = {
            "id": number,
            "sha": commit,
            "ref": ref,
            "task": "deploy",
            "environment": environment,
            "creator": _user(actor),
            "created_at": moment,
            "updated_at": moment,
        }
        self.kept.append(deployment)
        self.statuses[number] = []
        return deployment

    def _set(
        self, deployment: dict[str, Any], state: str, description: str, actor: Actor, moment: str
    ) -> dict[str, Any]:
        status = {"id": 1, "state": state, "description": description, "creator": _user(actor), "created_at": moment}
        self.statuses[deployment["id"]].append(status)
        if state == "success":
            # As GitHub does by itself (auto_inactive): what another one replaced, and was a success, is over.
            over = {**status, "state": "inactive"}
            for item in self.kept:
                said = self.statuses[item["id"]]
                is_older = item["environment"] == deployment["environment"] and item["id"] < deployment["id"]
                if is_older and said and said[-1]["state"] == "success":
                    said.append(over)
        return status


def _user(actor: Actor) -> dict[str, Any]:
    return {"login": actor.login, "type": "Bot" if actor.app else "User"}

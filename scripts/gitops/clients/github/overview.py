"""What stands open on GitHub and what Argo CD said last, in one question: for a person who waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitops.clients.github.deployments import Health
from gitops.clients.github.hub import Hub
from gitops.ground import settings
from gitops.ground.errors import ExternalError

_OPEN = """query Open($owner: String!, $name: String!, $environments: [String!]) {
  viewer { login }
  repository(owner: $owner, name: $name) {
    pullRequests(states: [OPEN], first: 100) { nodes {
      number title url headRefName isDraft author { login } reviewDecision
      files(first: 100) { nodes { path } }
      commits(last: 1) { nodes { commit { statusCheckRollup { state } } } }
    } }
    deployments(environments: $environments, first: 100, orderBy: {field: CREATED_AT, direction: DESC}) { nodes {
      environment commitOid latestStatus { state creator { login __typename } }
    } }
  }
}"""
_TEAMS = """query Teams($owner: String!) {
  organization(login: $owner) { teams(first: 100, role: MEMBER) { nodes { combinedSlug } } }
}"""


@dataclass(frozen=True)
class OpenPull:
    """An open pull request. `checks` and `review`: GitHub's words in lower case, empty where there are none."""

    number: int
    title: str
    url: str
    branch: str
    author: str
    draft: bool
    checks: str
    review: str
    paths: tuple[str, ...]

    @property
    def waits(self) -> str:
        """What it waits for, as far as GitHub says it."""
        if self.draft:
            return "a draft"
        if self.checks in ("failure", "error"):
            return "its checks failed"
        if self.review == "changes_requested":
            return "changes were asked for"
        if self.checks in ("pending", "expected"):
            return "its checks"
        return "a review" if self.review == "review_required" else "its merge"


@dataclass(frozen=True)
class HubOverview:
    """`health`: what Argo CD said last of each Application; None where no App is named whose word counts."""

    login: str
    pulls: tuple[OpenPull, ...]
    health: Mapping[str, Health] | None


def look(hub: Hub, applications: Sequence[str]) -> HubOverview:
    """What is open, and what Argo CD said of these Applications. Raises ExternalError."""
    owner, _, name = hub.settings.repository.partition("/")
    variables = {"owner": owner, "name": name, "environments": list(applications)}
    answer = hub.graphql(_OPEN, variables, "list what is open")
    repository = answer["repository"]
    if not repository:
        raise ExternalError(f"GitHub: {hub.settings.repository}: there is none, or this token may not see it")
    pulls = tuple(_pull(node) for node in repository["pullRequests"]["nodes"])
    return HubOverview(answer["viewer"]["login"], pulls, _health(repository["deployments"]["nodes"]))


def teams(hub: Hub) -> list[str]:
    """The handles of the teams that who asks is in, as owner/team. Raises ExternalError: also for no organization."""
    answer = hub.graphql(_TEAMS, {"owner": hub.owner}, "list your teams")
    nodes = (answer["organization"] or {"teams": {"nodes": []}})["teams"]["nodes"]
    return [str(node["combinedSlug"]) for node in nodes]


def _pull(node: Mapping[str, Any]) -> OpenPull:
    commits = node["commits"]["nodes"]
    rollup = commits[-1]["commit"]["statusCheckRollup"] if commits else None
    return OpenPull(
        node["number"],
        node["title"],
        node["url"],
        node["headRefName"],
        (node["author"] or {}).get("login", ""),
        node["isDraft"],
        (rollup or {}).get("state", "").lower(),
        (node["reviewDecision"] or "").lower(),
        tuple(entry["path"] for entry in (node["files"] or {"nodes": []})["nodes"]),
    )


def _health(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Health] | None:
    app = settings.read().argocd_app
    if app is None:
        return None
    said: dict[str, Health] = {}
    states = {health.name: health for health in Health}
    words = {"SUCCESS": "HEALTHY", "IN_PROGRESS": "PROGRESSING", "FAILURE": "DEGRADED", "ERROR": "FAILED"}
    for node in nodes:
        status = node["latestStatus"] or {}
        creator = status.get("creator") or {}
        # Here a bot has no `[bot]` behind its name.
        by_app = (creator.get("__typename"), creator.get("login", "").removesuffix("[bot]")) == ("Bot", app)
        if by_app and status["state"] in words:
            said.setdefault(node["environment"], states[words[status["state"]]])
    return said

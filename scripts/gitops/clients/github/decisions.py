"""What people decided about pull requests without a word: by a button or a review, as GitHub's timeline has it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from gitops.clients.github.errors import errors
from gitops.clients.github.hub import Hub

# Whoever closes a pull request and then deletes its branch presses two buttons.
_ONE_ACT = timedelta(seconds=1)
_CLOSINGS = """query Closings($owner: String!, $name: String!, $branch: String!) {
  repository(owner: $owner, name: $name) {
    pullRequests(headRefName: $branch, states: [CLOSED], last: 50) {
      nodes {
        number
        timelineItems(last: 20, itemTypes: [CLOSED_EVENT, HEAD_REF_DELETED_EVENT]) {
          nodes {
            __typename
            ... on ClosedEvent { createdAt actor { __typename login } }
            ... on HeadRefDeletedEvent { createdAt actor { __typename login } }
          }
        }
      }
    }
  }
}"""
_OBJECTIONS = """query Objections($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      isDraft
      latestOpinionatedReviews(last: 50, writersOnly: true) { nodes { state author { __typename login } } }
      timelineItems(
        last: 50, itemTypes: [AUTO_MERGE_DISABLED_EVENT, AUTO_MERGE_ENABLED_EVENT, AUTO_SQUASH_ENABLED_EVENT]
      ) {
        nodes {
          __typename
          ... on AutoMergeDisabledEvent { actor { __typename login } }
          ... on AutoMergeEnabledEvent { actor { __typename login } }
          ... on AutoSquashEnabledEvent { actor { __typename login } }
        }
      }
    }
  }
}"""


def objection(hub: Hub, number: int) -> str:
    """Why a person does not want a pull request to merge by itself; empty where none said so. Raises ExternalError.

    It is a draft, one who may write asks for changes, or somebody disabled auto-merge and nobody enabled it again.
    """
    what = f"read what was decided about #{number}"
    pull = _repository(hub, _OBJECTIONS, {"number": number}, what)["pullRequest"]
    with errors(what):
        if pull["isDraft"]:
            return "it is a draft"
        for review in pull["latestOpinionatedReviews"]["nodes"]:
            if review["state"] == "CHANGES_REQUESTED":
                return f"{_login(review['author'])} asks for changes"
        by_people = [event for event in pull["timelineItems"]["nodes"] if _is_person(event["actor"])]
        if by_people and by_people[-1]["__typename"] == "AutoMergeDisabledEvent":
            return f"{_login(by_people[-1]['actor'])} disabled auto-merge"
    return ""


def closed_by_the_way(hub: Hub, branch: str) -> set[int]:
    """The closed pull requests of a branch that nobody declined, by their numbers. Raises ExternalError.

    An App closed them, or GitHub did as their branch was deleted.
    """
    what = f"read how the pull requests of {branch} were closed"
    pulls = _repository(hub, _CLOSINGS, {"branch": branch}, what)["pullRequests"]["nodes"]
    with errors(what):
        return {int(pull["number"]) for pull in pulls if _is_by_the_way(pull["timelineItems"]["nodes"])}


def _is_by_the_way(events: list[dict[str, Any]]) -> bool:
    closed = [event for event in events if event["__typename"] == "ClosedEvent"]
    deleted = [event for event in events if event["__typename"] == "HeadRefDeletedEvent"]
    if not closed:
        return False
    if not _is_person(closed[-1]["actor"]):
        return True
    # A branch that goes takes its open pull request along: it went before, or in the same moment.
    return bool(deleted) and _moment(deleted[-1]) <= _moment(closed[-1]) + _ONE_ACT


def _repository(hub: Hub, query: str, asked: dict[str, Any], what: str) -> dict[str, Any]:
    owner, _, name = hub.settings.repository.partition("/")
    repository: dict[str, Any] = hub.graphql(query, {"owner": owner, "name": name, **asked}, what)["repository"]
    return repository


def _moment(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["createdAt"])


def _is_person(actor: dict[str, Any] | None) -> bool:
    # Somebody whose account is gone was one.
    return actor is None or actor["__typename"] != "Bot"


def _login(actor: dict[str, Any] | None) -> str:
    return str(actor["login"]) if actor else "somebody"

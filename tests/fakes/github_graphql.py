"""GitHub's GraphQL: the mutations that our code makes, on GitHub's own schema."""

from __future__ import annotations

import base64
from typing import Any

from graphql import GraphQLError, graphql_sync

from tests.fakes import openapi
from tests.fakes.github_deployments import Deployments
from tests.fakes.github_repository import BOT, GITHUB, Pull, Repository
from tests.fakes.github_rulesets import Actor, Rules


def execute(
    repository: Repository,
    rules: Rules,
    actor: Actor,
    asked: dict[str, Any],
    deployments: Deployments,
    members: list[str] | None,
) -> dict[str, Any]:
    """What GitHub answers to a query of an actor, which has to be one of its schema."""
    root = {
        "viewer": lambda info: {"login": actor.login},
        "repository": lambda info, owner, name, **_: (
            _described(repository, deployments) if f"{owner}/{name}" == repository.name else None
        ),
        "organization": lambda info, login: _organization(login, members),
        "createCommitOnBranch": lambda info, input: _create_commit(repository, rules, actor, input),
        "updateRefs": lambda info, input: _update_refs(repository, rules, actor, input),
        "disablePullRequestAutoMerge": lambda info, input: _disarm(repository, actor, input),
        "enablePullRequestAutoMerge": lambda info, input: _arm(repository, rules, actor, input),
    }
    done = graphql_sync(openapi.graphql_schema(), asked["query"], root, variable_values=asked.get("variables"))
    told: dict[str, Any] = {"data": done.data}
    if done.errors:
        told["errors"] = [
            {
                "type": (error.extensions or {}).get("type", "UNPROCESSABLE"),
                "message": error.message,
                "path": error.path,
            }
            for error in done.errors
        ]
    return told


def _organization(login: str, members: list[str] | None) -> dict[str, Any]:
    if members is None:
        what = f"Could not resolve to an Organization with the login of '{login}'."
        raise GraphQLError(what, extensions={"type": "NOT_FOUND"})
    nodes = [{"combinedSlug": name} for name in members]
    # GitHub fills in what was not asked, such as rootTeamsOnly.
    return {"teams": lambda info, first, **_: {"nodes": nodes[:first]}}


def _described(repository: Repository, deployments: Deployments) -> dict[str, Any]:
    return {
        "deployments": lambda info, environments, first, orderBy: {
            "nodes": _deployments(deployments, environments)[:first]
        },
        "id": "R_1",
        "pullRequest": lambda info, number: _pull(repository.pulls[number], repository),
        "pullRequests": lambda info, states, headRefName=None, last=100, first=100: {
            "nodes": [
                _pull(pull, repository)
                for pull in repository.pulls.values()
                if headRefName in (None, pull.head) and ("MERGED" if pull.merged_at else pull.state.upper()) in states
            ][-last:][:first]
        },
    }


def _deployments(deployments: Deployments, environments: list[str]) -> list[dict[str, Any]]:
    """The newest first, each with what was said of it last. Here a bot's login has no `[bot]`."""
    nodes = []
    for item in deployments.kept[::-1]:
        if item["environment"] not in environments:
            continue
        said = deployments.statuses.get(item["id"], [])[-1:]
        login = said[0]["creator"]["login"] if said else ""
        kind = "Bot" if login.endswith("[bot]") else "User"
        last = {
            "state": said[0]["state"].upper() if said else "",
            "creator": {"__typename": kind, "login": login.removesuffix("[bot]")},
        }
        own = {"environment": item["environment"], "commitOid": item["sha"]}
        nodes.append({**own, "latestStatus": last if said else None})
    return nodes


def _rollup(repository: Repository, head: str) -> dict[str, Any] | None:
    states = {status["context"]: status["state"] for status in repository.statuses.get(head, [])}.values()
    if not states:
        return None
    worst = [state for state in ("failure", "pending", "success") if state in states]
    return {"state": worst[0].upper()}


def _pull(pull: Pull, repository: Repository) -> dict[str, Any]:
    def timeline(info: Any, itemTypes: list[str], last: int) -> dict[str, Any]:
        asked = {name.title().replace("_", "") for name in itemTypes}
        return {"nodes": [event for event in pull.timeline if event["__typename"] in asked][-last:]}

    reviews = [
        {"state": "CHANGES_REQUESTED", "author": {"__typename": "User", "login": name}} for name in sorted(pull.opposed)
    ]
    return {
        "number": pull.number,
        "isDraft": pull.draft,
        "title": pull.title,
        "url": f"https://github.com/{repository.name}/pull/{pull.number}",
        "headRefName": pull.head,
        "author": {"__typename": "User", "login": pull.user.removesuffix("[bot]")},
        "reviewDecision": "CHANGES_REQUESTED" if pull.opposed else "REVIEW_REQUIRED",
        "files": lambda info, first: {"nodes": [{"path": path} for path in _paths(repository, pull)[:first]]},
        "commits": lambda info, last: {
            "nodes": [{"commit": {"statusCheckRollup": _rollup(repository, repository.head(pull.head) or "")}}]
        },
        "latestOpinionatedReviews": lambda info, last, writersOnly: {"nodes": reviews[-last:]},
        "timelineItems": timeline,
    }


def _paths(repository: Repository, pull: Pull) -> list[str]:
    return repository.git("diff", "--name-only", f"{pull.base}...{pull.head}").splitlines()


def _create_commit(repository: Repository, rules: Rules, actor: Actor, asked: dict[str, Any]) -> dict[str, Any]:
    branch = asked["branch"]["branchName"]
    if asked["branch"]["repositoryNameWithOwner"] != repository.name:
        raise GraphQLError("Could not resolve to a Repository", extensions={"type": "NOT_FOUND"})
    head = repository.head(branch)
    if head is None:
        raise GraphQLError(f"No commit exists with specified branch {branch}", extensions={"type": "NOT_FOUND"})
    if head != asked["expectedHeadOid"]:
        text = f'Expected branch to point to "{head}" but it did not. Pull and try again.'
        raise GraphQLError(text, extensions={"type": "STALE_DATA"})
    # It is moved to a commit that is not made yet; no rule asks which.
    _check_rules(rules, actor, branch, head, head)
    changes = asked["fileChanges"]
    files: dict[str, bytes | None] = {
        addition["path"]: base64.b64decode(addition["contents"]) for addition in changes.get("additions", [])
    }
    files |= {deletion["path"]: None for deletion in changes.get("deletions", [])}
    message = f"{asked['message']['headline']}\n\n{asked['message'].get('body', '')}".strip()
    author = BOT if actor.login == BOT[0] else (actor.login, f"{actor.login}@example.com")
    oid = repository.commit(branch, files, message, author=author, committer=GITHUB, signed=True)
    return {"commit": {"oid": oid}}


def _check_rules(rules: Rules, actor: Actor, branch: str, before: str, after: str) -> None:
    if reason := rules.refuses_push(branch, before, after, actor):
        raise GraphQLError(f"Repository rule violations found\n\n{reason}\n\n")


def _update_refs(repository: Repository, rules: Rules, actor: Actor, asked: dict[str, Any]) -> dict[str, Any]:
    lines = ["start"]
    for update in asked["refUpdates"]:
        before, after = update.get("beforeOid"), update["afterOid"]
        assert before is not None, "a move without beforeOid compares nothing"
        _check_rules(rules, actor, update["name"].removeprefix("refs/heads/"), before, after)
        lines.append(f"update {update['name']} {after} {before}")
    try:
        repository.git("update-ref", "--stdin", stdin="\n".join([*lines, "commit", ""]).encode())
    except RuntimeError:
        raise GraphQLError("The ref updates could not be applied") from None
    repository.settle(actor.login)
    return {"clientMutationId": None}


def _disarm(repository: Repository, actor: Actor, asked: dict[str, Any]) -> dict[str, Any]:
    pull = repository.pulls[int(asked["pullRequestId"].removeprefix("PR_"))]
    if not pull.auto_merge:
        raise GraphQLError("Can't disable auto-merge for this pull request")
    pull.auto_merge = False
    pull.happens("AutoMergeDisabledEvent", actor.login)
    return {"clientMutationId": None}


def _arm(repository: Repository, rules: Rules, actor: Actor, asked: dict[str, Any]) -> dict[str, Any]:
    """GitHub arms only what waits for something: what could be merged at once, or never, it refuses."""
    pull = repository.pulls[int(asked["pullRequestId"].removeprefix("PR_"))]
    if pull.draft:
        raise GraphQLError("Pull request Pull request is in draft status")
    if not rules.refuses_merge(pull, actor):
        raise GraphQLError("Pull request Pull request is in clean status")
    pull.auto_merge = True
    pull.happens("AutoSquashEnabledEvent", actor.login)
    return {"clientMutationId": None}

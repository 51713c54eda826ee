"""GitHub's GraphQL: the mutations that our code makes, on GitHub's own schema."""

from __future__ import annotations

import base64
from typing import Any

from graphql import GraphQLError, graphql_sync

from tests.fakes import openapi
from tests.fakes.github_repository import BOT, GITHUB, Repository


def execute(repository: Repository, asked: dict[str, Any]) -> dict[str, Any]:
    """What GitHub answers to a query, which has to be one of its schema."""
    root = {
        "repository": lambda info, owner, name, **_: {"id": "R_1"} if f"{owner}/{name}" == repository.name else None,
        "createCommitOnBranch": lambda info, input: _create_commit(repository, input),
        "updateRefs": lambda info, input: _update_refs(repository, input),
        "enablePullRequestAutoMerge": lambda info, input: _auto_merge(repository, input),
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


def _create_commit(repository: Repository, asked: dict[str, Any]) -> dict[str, Any]:
    branch = asked["branch"]["branchName"]
    if asked["branch"]["repositoryNameWithOwner"] != repository.name:
        raise GraphQLError("Could not resolve to a Repository", extensions={"type": "NOT_FOUND"})
    head = repository.head(branch)
    if head is None:
        raise GraphQLError(f"No commit exists with specified branch {branch}", extensions={"type": "NOT_FOUND"})
    if head != asked["expectedHeadOid"]:
        text = f'Expected branch to point to "{head}" but it did not. Pull and try again.'
        raise GraphQLError(text, extensions={"type": "STALE_DATA"})
    changes = asked["fileChanges"]
    files: dict[str, bytes | None] = {
        addition["path"]: base64.b64decode(addition["contents"]) for addition in changes.get("additions", [])
    }
    files |= {deletion["path"]: None for deletion in changes.get("deletions", [])}
    message = f"{asked['message']['headline']}\n\n{asked['message'].get('body', '')}".strip()
    oid = repository.commit(branch, files, message, author=BOT, committer=GITHUB)
    return {"commit": {"oid": oid}}


def _update_refs(repository: Repository, asked: dict[str, Any]) -> dict[str, Any]:
    lines = ["start"]
    for update in asked["refUpdates"]:
        before, after = update.get("beforeOid"), update["afterOid"]
        assert before is not None, "a move without beforeOid compares nothing"
        lines.append(f"update {update['name']} {after} {before}")
    try:
        repository.git("update-ref", "--stdin", stdin="\n".join([*lines, "commit", ""]).encode())
    except RuntimeError:
        raise GraphQLError("The ref updates could not be applied") from None
    repository.settle()
    return {"clientMutationId": None}


def _auto_merge(repository: Repository, asked: dict[str, Any]) -> dict[str, Any]:
    repository.pulls[int(asked["pullRequestId"].removeprefix("PR_"))].auto_merge = True
    return {"clientMutationId": None}

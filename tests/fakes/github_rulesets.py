"""GitHub's settings and what they forbid: rulesets, environments, and who may push, merge and set a status.

What a request may do follows from its token: each belongs to an actor. The rules are read from the rulesets that were
written by the API, as GitHub reads them, and refuse pushes, moves of branches and merges.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.github_access import APP_RIGHTS, Holdings
from tests.fakes.github_repository import BOT, ZERO

if TYPE_CHECKING:
    from tests.fakes.github_repository import Pull, Repository

# What GitHub knows GitHub Actions by, and our bot's App.
ACTIONS_APP, BOT_APP = 15368, 1
NOT_FOUND = (404, {"message": "Not Found", "documentation_url": "x", "status": "404"})
# Which rules a repository's own rulesets can have, beyond those of every plan.
ENTERPRISE_ALONE = {
    "workflows",
    "commit_message_pattern",
    "commit_author_email_pattern",
    "committer_email_pattern",
    "branch_name_pattern",
    "tag_name_pattern",
}


@dataclass(frozen=True)
class Actor:
    """Whose a token is. `role`: admin, maintain, write or read; `app`: an App's number; `rights`: an App's token's."""

    login: str
    role: str = "write"
    app: int | None = None
    rights: frozenset[str] = APP_RIGHTS


BOT_ACTOR = Actor(BOT[0], "write", BOT_APP)
MEMBER = Actor("student")
WORKFLOW = Actor("github-actions[bot]", "write", ACTIONS_APP)
ADMIN = Actor("operator", "admin")


@dataclass
class Rules:
    """The settings of one repository. `plan`: public, team (private) or enterprise."""

    repository: Repository
    plan: str = "public"
    rulesets: dict[int, dict[str, Any]] = field(default_factory=dict)
    environments: dict[str, dict[int, str] | None] = field(default_factory=dict)
    # Of which of them the tick "Allow administrators to bypass" was taken; GitHub sets it in each that is made.
    no_bypass: set[str] = field(default_factory=set)
    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "allow_squash_merge": True,
            "allow_merge_commit": True,
            "allow_rebase_merge": True,
            "allow_auto_merge": False,
            "delete_branch_on_merge": False,
            "has_issues": True,
            "default_branch": "main",
        }
    )
    actions: dict[str, Any] = field(
        default_factory=lambda: {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False}
    )
    workflow_token: dict[str, Any] = field(
        default_factory=lambda: {"default_workflow_permissions": "write", "can_approve_pull_request_reviews": True}
    )
    # (sha, context): the App that set the status; none for a person's.
    status_apps: dict[tuple[str, str], int | None] = field(default_factory=dict)
    # By sha: name, conclusion and App of each check run.
    check_runs: dict[str, list[tuple[str, str, int]]] = field(default_factory=dict)
    # By pull request: who approved it, of which teams, at which commit.
    approvals: dict[int, list[tuple[str, frozenset[str], str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.holdings = Holdings(self.repository)

    # -- what people and GitHub do

    def approve(self, number: int, user: str, *teams: str) -> None:
        """Someone approves a pull request as it stands."""
        head = self.repository.pulls[number].last_head
        self.approvals.setdefault(number, []).append((user, frozenset(teams), head))

    def checked(self, sha: str, name: str = "check", conclusion: str = "success", app: int = ACTIONS_APP) -> None:
        """A job of this name, or an App's check run, ended on a commit."""
        self.check_runs.setdefault(sha, []).append((name, conclusion, app))

    def status(self, sha: str, context: str, state: str, actor: Actor, description: str = "") -> None:
        """Someone sets a commit status, which hides what another set under this name."""
        kept = [entry for entry in self.repository.statuses.get(sha, []) if entry["context"] != context]
        status = {"context": context, "state": state, "description": description, "creator": {"login": actor.login}}
        self.repository.statuses[sha] = [*kept, status]
        self.status_apps[sha, context] = actor.app

    # -- what the rules forbid

    def _active(self, branch: str, actor: Actor, *, by_pull: bool) -> Iterator[dict[str, Any]]:
        kind = "tag" if branch.startswith("refs/tags/") else "branch"
        for ruleset in self.rulesets.values():
            names = ruleset["conditions"]["ref_name"]
            if ruleset["target"] != kind:
                continue
            if ruleset["enforcement"] != "active" or not any(_fits(text, branch) for text in names["include"]):
                continue
            if any(_fits(text, branch) for text in names["exclude"]):
                continue
            modes = ("always", "pull_request") if by_pull else ("always",)
            bypassed = any(
                entry["actor_type"] == "Integration"
                and entry["actor_id"] == actor.app
                and entry.get("bypass_mode", "always") in modes
                for entry in ruleset["bypass_actors"]
            )
            if not bypassed:
                yield from ruleset["rules"]

    def refuses_push(self, branch: str, before: str, after: str, actor: Actor) -> str:
        """Why a branch may not be moved so; empty where it may. A tag is written as a whole, `refs/tags/...`."""
        kinds = {rule["type"] for rule in self._active(branch, actor, by_pull=False)}
        if before == ZERO:
            return "Cannot create ref due to creations being restricted." if "creation" in kinds else ""
        if after == ZERO:
            return "Cannot delete this ref." if "deletion" in kinds else ""
        if "update" in kinds:
            return "Cannot update this protected ref."
        if kinds & {"pull_request", "merge_queue"}:
            return "Changes must be made through a pull request."
        if "non_fast_forward" in kinds and self.repository.git("rev-list", "-1", before, f"^{after}"):
            return "Cannot force-push to this branch"
        return ""

    def refuses_merge(self, pull: Pull, actor: Actor) -> str:
        """Why a pull request may not be merged now; empty where it may."""
        for rule in self._active(pull.base, actor, by_pull=True):
            parameters = rule.get("parameters", {})
            if rule["type"] == "required_status_checks":
                for check in parameters["required_status_checks"]:
                    if not self._passed(pull.last_head, check["context"], check.get("integration_id")):
                        return f'Required status check "{check["context"]}" is expected.'
            if rule["type"] == "pull_request" and (reason := self._refuses_unreviewed(pull, parameters)):
                return reason
            if rule["type"] == "merge_queue":
                return "Changes must be made through the merge queue"
        return ""

    def merge(self, pull: Pull, asked: dict[str, Any], actor: Actor) -> tuple[int, Any]:
        """Someone presses the button, or asks for it by the API."""
        if asked.get("sha", pull.last_head) != pull.last_head:
            message = "Head branch was modified. Review and try the merge again."
            return 409, {"message": message, "documentation_url": "x"}
        if pull.draft and pull.state == "open":
            return 405, {"message": "Pull Request is still a draft", "documentation_url": "x"}
        stuck = pull.state != "open" or self.repository.conflicts(pull)
        reason = "Pull Request is not mergeable" if stuck else ""
        if reason := reason or self.refuses_merge(pull, actor):
            message = f"Repository rule violations found\n\n{reason}\n\n"
            return 405, {"message": message, "documentation_url": "x"}
        merged = self.repository.merge(pull.number, user=actor.login)
        return 200, {"sha": merged, "merged": True, "message": "Pull Request successfully merged"}

    def _passed(self, sha: str, context: str, app: int | None) -> bool:
        results = [
            conclusion == "success"
            for name, conclusion, source in self.check_runs.get(sha, [])
            if name == context and app in (None, source)
        ]
        for status in self.repository.statuses.get(sha, []):
            if status["context"] == context and app in (None, self.status_apps.get((sha, context))):
                results.append(status["state"] == "success")
        # As on GitHub, the newest of one name counts.
        return bool(results) and results[-1]

    def _refuses_unreviewed(self, pull: Pull, parameters: dict[str, Any]) -> str:
        stale = not parameters["dismiss_stale_reviews_on_push"]
        counted = [entry for entry in self.approvals.get(pull.number, []) if stale or entry[2] == pull.last_head]
        counted = [entry for entry in counted if entry[0] != pull.user]
        missing = parameters["required_approving_review_count"] - len(counted)
        if missing > 0:
            return f"At least {missing} approving review is required by reviewers with write access."
        teams = frozenset().union(*(own for _, own, _ in counted))
        if parameters["require_code_owner_review"] and not self._owners(pull) <= teams:
            return "Waiting on code owner review"
        return ""

    def _owners(self, pull: Pull) -> set[str]:
        lines = self.repository.git("show", f"{pull.base}:.github/CODEOWNERS").splitlines()
        entries = [line.split() for line in lines if line and not line.startswith("#")]
        base = self.repository.git("merge-base", pull.base, pull.last_head)
        owners = set()
        for path in self.repository.git("diff", "--name-only", base, pull.last_head).splitlines():
            fitting = [team for pattern, team in entries if pattern == "*" or f"/{path}".startswith(pattern)]
            owners.add(fitting[-1])
        return owners

    # -- REST

    def rest(self, method: str, path: str, asked: Any, actor: Actor) -> tuple[int, Any] | None:
        """The answer to a call about settings; None where it is about something else."""
        admin = actor.role == "admin"
        if (
            method != "GET"
            and not admin
            and re.match(r"$|/rulesets|/environments|/actions/(permissions|workflows/\d+/)", path)
        ):
            return NOT_FOUND
        if path == "":
            if method == "PATCH":
                self.settings |= asked
            return 200, {"full_name": self.repository.name, **(self.settings if actor.role != "read" else {})}
        if path in ("/actions/permissions", "/actions/permissions/workflow"):
            kept = self.workflow_token if path.endswith("workflow") else self.actions
            if method == "PUT":
                kept |= asked
            return (204, None) if method == "PUT" else (200, dict(kept))
        if match := re.fullmatch(r"/rulesets(?:/(\d+))?", path):
            return self._ruleset(method, int(match[1]) if match[1] else None, asked, admin)
        if match := re.fullmatch(r"/environments(?:/([^/]+)(/deployment-branch-policies(?:/(\d+))?)?)?", path):
            return self._environment(method, match[1], bool(match[2]), int(match[3] or 0), asked)
        if match := re.fullmatch(r"/commits/([0-9a-f]{40})/check-runs", path):
            return 200, self._runs(match[1])
        if match := re.fullmatch(r"/git/commits/([0-9a-f]{40})", path):
            return 200, self._commit(match[1])
        return self.holdings.rest(method, path)

    def _ruleset(self, method: str, number: int | None, asked: Any, admin: bool) -> tuple[int, Any]:
        if number is None and method == "GET":
            brief = ("id", "name", "target", "enforcement", "source", "source_type", "updated_at")
            return 200, [_part(ruleset, brief) for ruleset in self.rulesets.values()]
        if number is not None and number not in self.rulesets:
            return NOT_FOUND
        if method == "DELETE":
            del self.rulesets[number or 0]
            return 204, None
        if method in ("POST", "PUT"):
            if problem := self._refuses_ruleset(asked, number):
                errors = [{"code": "custom", "message": problem}]
                return 422, {"message": "Validation Failed", "errors": errors, "documentation_url": "x"}
            number = number or max(self.rulesets, default=0) + 1
            self.keep(asked, number)
        status = 201 if method == "POST" else 200
        hidden = set() if admin else {"bypass_actors"}
        return status, {name: value for name, value in self.rulesets[number or 0].items() if name not in hidden}

    def keep(self, asked: dict[str, Any], number: int) -> None:
        """Keep a ruleset with what GitHub adds to it by itself."""
        rules = [{**rule, **({"parameters": _full(rule)} if "parameters" in rule else {})} for rule in asked["rules"]]
        edits = 1 + int(self.rulesets.get(number, {}).get("node_id", "0"))
        self.rulesets[number] = {
            "bypass_actors": [],
            **asked,
            "id": number,
            "rules": rules,
            "source": self.repository.name,
            "source_type": "Repository",
            "node_id": str(edits),
            "created_at": "2026-11-01T00:00:00Z",
            "updated_at": f"2026-11-01T00:00:{edits:02}Z",
        }

    def _refuses_ruleset(self, asked: dict[str, Any], number: int | None) -> str:
        if any(kept["name"] == asked["name"] for own, kept in self.rulesets.items() if own != number):
            return "Name must be unique"
        for actor in asked.get("bypass_actors", []):
            if actor["actor_type"] == "Integration" and actor["actor_id"] != BOT_APP:
                return "Actor integration must be part of the ruleset source or owner organization"
        for kind in (rule["type"] for rule in asked["rules"]):
            if kind in ENTERPRISE_ALONE and self.plan != "enterprise":
                return f"Invalid rule '{kind}': "
            if kind == "merge_queue" and self.plan == "team":
                return f"Invalid rule '{kind}': "
        return ""

    def _environment(self, method: str, name: str | None, policies: bool, number: int, asked: Any) -> tuple[int, Any]:
        if name is None:
            listed = [self._described(own) for own in self.environments]
            return 200, {"total_count": len(listed), "environments": listed}
        if not policies:
            if method == "PUT":
                custom = (asked.get("deployment_branch_policy") or {}).get("custom_branch_policies")
                self.environments[name] = (self.environments.get(name) or {}) if custom else None
            return 200, self._described(name)
        branches = self.environments.get(name)
        if branches is None:
            return NOT_FOUND
        if method == "DELETE":
            del branches[number]
            return 204, None
        if method == "POST":
            if asked["name"] in branches.values():
                return 303, None
            number = max(branches, default=0) + 1
            branches[number] = asked["name"]
            return 200, {"id": number, "name": asked["name"]}
        listed = [{"id": own, **_policy(entry)} for own, entry in branches.items()]
        return 200, {"total_count": len(listed), "branch_policies": listed}

    def _described(self, name: str) -> dict[str, Any]:
        custom = self.environments[name] is not None
        policy = {"protected_branches": False, "custom_branch_policies": True} if custom else None
        return {"name": name, "deployment_branch_policy": policy, "can_admins_bypass": name not in self.no_bypass}

    def _runs(self, sha: str) -> dict[str, Any]:
        # Newest first.
        runs = [
            {
                "id": n,
                "name": name,
                "conclusion": conclusion,
                "status": "completed",
                "head_sha": sha,
                "app": {"id": app},
                "check_suite": {"id": n},
                "output": {"annotations_count": 0, "annotations_url": "x"},
            }
            for n, (name, conclusion, app) in enumerate(self.check_runs.get(sha, []), 1)
        ]
        return {"total_count": len(runs), "check_runs": runs[::-1]}

    def _commit(self, sha: str) -> dict[str, Any]:
        name, email = self.repository.git("show", "-s", "--format=%cn%n%ce", sha).splitlines()
        signed = sha in self.repository.signed
        reason = "valid" if signed else "unsigned"
        who = {"name": name, "email": email}
        return {"sha": sha, "committer": who, "verification": {"verified": signed, "reason": reason}}


def _policy(entry: str) -> dict[str, str]:
    """A branch by its name; a tag is kept as `tag NAME`."""
    kind, _, name = entry.rpartition(" ")
    return {"name": name, "type": kind or "branch"}


def _part(mapping: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: mapping[name] for name in names}


def _full(rule: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, dict[str, Any]] = {
        "pull_request": {"allowed_merge_methods": ["merge", "squash", "rebase"], "required_reviewers": []},
        "required_status_checks": {"do_not_enforce_on_create": False},
    }
    return {**defaults.get(rule["type"], {}), **rule["parameters"]}


def _fits(pattern: str, branch: str) -> bool:
    """As fnmatch with FNM_PATHNAME: `*` stops at a slash, `**/` is any number of folders."""
    if pattern in ("~ALL", "~DEFAULT_BRANCH"):
        return pattern == "~ALL" or branch == "main"
    parts = re.split(r"(\*\*/|\*)", pattern)
    text = "".join({"**/": "(?:.+/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
    return bool(re.fullmatch(text, branch if branch.startswith("refs/tags/") else f"refs/heads/{branch}"))


def token_of(header: str) -> str:
    """The token of an Authorization header: git sends it as a password."""
    kind, _, value = header.partition(" ")
    return base64.b64decode(value).decode().partition(":")[2] if kind == "Basic" else value


def pushed(body: bytes) -> list[tuple[str, str, str]]:
    """What a push asks for: branch, its commit before and after, from the lines of git's protocol."""
    moves, start = [], 0
    while (size := int(body[start : start + 4] or b"0", 16)) >= 4:
        line = body[start + 4 : start + size].split(b"\0")[0].decode()
        before, after, ref = line.strip().split(" ", 2)
        moves.append((ref.removeprefix("refs/heads/"), before, after))
        start += size
    return moves

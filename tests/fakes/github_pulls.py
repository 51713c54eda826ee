"""Pull requests and what is said of them, as GitHub's REST API has them."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from tests.fakes.github_repository import BOT, ZERO, Pull, Repository, now
from tests.fakes.github_rulesets import NOT_FOUND, Actor

if TYPE_CHECKING:
    from tests.fakes.github_rulesets import Rules


class Pulls(Repository):
    """A repository whose pull requests are asked for by REST."""

    url: str
    rules: Rules

    def pulls_rest(
        self, method: str, path: str, query: dict[str, list[str]], asked: Any, actor: Actor
    ) -> tuple[int, Any] | None:
        """The answer to a call about pull requests; None where it is about something else."""
        if path == "/pulls" and method == "GET":
            state, head = query.get("state", ["open"])[0], query.get("head", [""])[0].rpartition(":")[2]
            listed = [p for p in self.pulls.values() if state in ("all", p.state) and head in ("", p.head)]
            return 200, [self._pull(pull) for pull in reversed(listed)]
        if path == "/pulls" and method == "POST":
            return self._open(asked)
        if match := re.fullmatch(r"/pulls/(\d+)/merge", path):
            return self.rules.merge(self.pulls[int(match[1])], asked, actor)
        if match := re.fullmatch(r"/pulls/(\d+)", path):
            pull = self.pulls.get(int(match[1]))
            if pull is None:
                return NOT_FOUND
            return self._edit(pull, asked, actor) if method == "PATCH" else (200, self._pull(pull))
        if match := re.fullmatch(r"/issues/comments/(\d+)", path):
            return self._note(method, int(match[1]), asked)
        if match := re.fullmatch(r"/issues/(\d+)/(comments|labels)", path):
            return self._issue(method, self.pulls[int(match[1])], match[2], asked)
        return None

    def _edit(self, pull: Pull, asked: Any, actor: Actor) -> tuple[int, Any]:
        state = asked.get("state", pull.state)
        if (state, pull.state) == ("open", "closed") and (problem := self._refuses_reopen(pull)):
            errors = [{"resource": "PullRequest", "code": "invalid", "field": "state", "message": problem}]
            return 422, {"message": "Validation Failed", "errors": errors, "documentation_url": "x"}
        pull.title, pull.body = asked.get("title", pull.title), asked.get("body", pull.body)
        if state != pull.state:
            pull.state = state
            pull.happens("ClosedEvent" if state == "closed" else "ReopenedEvent", actor.login)
        return 200, self._pull(pull)

    def _refuses_reopen(self, pull: Pull) -> str:
        head = self.head(pull.head)
        if head is None:
            return f"state cannot be changed. The {pull.head} branch has been deleted."
        if head != pull.last_head:
            return f"state cannot be changed. The {pull.head} branch was force-pushed or recreated."
        if any((rival.state, rival.head) == ("open", pull.head) for rival in self.pulls.values()):
            return f"state cannot be changed. There is already an open pull request from {pull.head}."
        return ""

    def fork_opens(self, fork: str, branch: str, head: str) -> Pull:
        """A stranger opens a pull request from a repository of their own, `owner/name`."""
        number = len(self.pulls) + 1
        pull = Pull(number, branch, "main", "A stranger's", "", fork.partition("/")[0], last_head=head, fork=fork)
        self.pulls[number] = pull
        return pull

    def _open(self, asked: dict[str, Any]) -> tuple[int, Any]:
        head = self.head(asked["head"])
        problem = ""
        if head is None:
            problem = "head is invalid"
        elif any(
            (p.state, p.head, p.base, p.fork) == ("open", asked["head"], asked["base"], "") for p in self.pulls.values()
        ):
            problem = f"A pull request already exists for {self.name.partition('/')[0]}:{asked['head']}."
        elif not self.git("rev-list", "-1", f"{asked['base']}..{head}"):
            problem = f"No commits between {asked['base']} and {asked['head']}"
        if problem:
            errors = [{"resource": "PullRequest", "code": "custom", "message": problem}]
            return 422, {"message": "Validation Failed", "errors": errors, "documentation_url": "x"}
        number = len(self.pulls) + 1
        title, body = asked["title"], asked.get("body") or ""
        self.pulls[number] = Pull(number, asked["head"], asked["base"], title, body, BOT[0], last_head=head or "")
        return 201, self._pull(self.pulls[number])

    def _issue(self, method: str, pull: Pull, what: str, asked: Any) -> tuple[int, Any]:
        if what == "labels":
            names = asked["labels"] if isinstance(asked, dict) else asked
            pull.labels.extend(name for name in names if name not in pull.labels)
            return 200, [{"name": name} for name in pull.labels]
        if method == "POST":
            return 201, self.comment(pull, asked["body"])
        return 200, [self._comment(number, *note) for number, note in pull.notes.items()]

    def comment(self, pull: Pull, text: str, *, user: str = BOT[0]) -> dict[str, Any]:
        """Someone comments on a pull request."""
        number = 1 + max(itertools.chain.from_iterable(pull.notes for pull in self.pulls.values()), default=0)
        pull.notes[number] = (user, text)
        return self._comment(number, user, text)

    def _note(self, method: str, number: int, asked: Any) -> tuple[int, Any]:
        pull = next((pull for pull in self.pulls.values() if number in pull.notes), None)
        if pull is None:
            return NOT_FOUND
        if method == "DELETE":
            del pull.notes[number]
            return 204, None
        if method == "PATCH":
            pull.notes[number] = (pull.notes[number][0], asked["body"])
        return 200, self._comment(number, *pull.notes[number])

    def _comment(self, number: int, user: str, text: str) -> dict[str, Any]:
        kind = "Bot" if user.endswith("[bot]") else "User"
        url = f"{self.url}/api/v3/repos/{self.name}/issues/comments/{number}"
        return {"id": number, "body": text, "user": {"login": user, "type": kind}, "url": url}

    def _pull(self, pull: Pull) -> dict[str, Any]:
        owner, name = self.name.split("/")
        user = {"login": owner}
        repo = {"name": name, "full_name": self.name, "owner": user, "private": False}
        head = {"ref": pull.head, "sha": pull.last_head, "label": f"{owner}:{pull.head}", "user": user, "repo": repo}
        base = {**head, "ref": pull.base, "sha": self.head(pull.base) or ZERO, "label": f"{owner}:{pull.base}"}
        if pull.fork:
            stranger, name = pull.fork.split("/")
            theirs = {"name": name, "full_name": pull.fork, "owner": {"login": stranger}, "private": False}
            head |= {"label": f"{stranger}:{pull.head}", "user": {"login": stranger}, "repo": theirs}
        address = f"{self.url}/{self.name}/pull/{pull.number}"
        return {
            "number": pull.number,
            "node_id": f"PR_{pull.number}",
            "html_url": address,
            "url": f"{self.url}/api/v3/repos/{self.name}/pulls/{pull.number}",
            "issue_url": f"{self.url}/api/v3/repos/{self.name}/issues/{pull.number}",
            "state": pull.state,
            "draft": pull.draft,
            "title": pull.title,
            "body": pull.body,
            "labels": [{"id": n, "node_id": "L", "name": text} for n, text in enumerate(pull.labels, 1)],
            "user": {"login": pull.user, "type": "Bot" if pull.user.endswith("[bot]") else "User"},
            "head": head,
            "base": base,
            "merged_at": pull.merged_at,
            "closed_at": None if pull.state == "open" else now(),
            "auto_merge": {"enabled_by": {"login": BOT[0]}, "merge_method": "squash"} if pull.auto_merge else None,
        }

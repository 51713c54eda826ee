"""A repository's issues on GitHub, which are no pull requests."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.github_rulesets import NOT_FOUND

if TYPE_CHECKING:
    from tests.fakes.github_rulesets import Actor

# Far from the pull requests' numbers, which tests count from 1.
_FIRST = 1001


@dataclass
class Issue:
    """One issue. `user`: who opened it."""

    number: int
    title: str
    body: str
    labels: list[str]
    user: str
    state: str = "open"


@dataclass
class Issues:
    """All of a repository. `enabled`: whether it has issues at all."""

    enabled: bool = True
    issues: dict[int, Issue] = field(default_factory=dict)

    def open(self, title: str, labels: list[str], *, user: str, body: str = "") -> Issue:
        """Somebody opens one."""
        issue = Issue(_FIRST + len(self.issues), title, body, labels, user)
        self.issues[issue.number] = issue
        return issue

    def rest(
        self, method: str, path: str, query: dict[str, list[str]], asked: Any, actor: Actor
    ) -> tuple[int, Any] | None:
        """The answer to a call; None where it is about something else."""
        match = re.fullmatch(r"/issues(?:/(\d+))?", path)
        if match is None:
            return None
        if not self.enabled:
            return 410, {"message": "Issues are disabled for this repo", "documentation_url": "x"}
        if match[1] is None and method == "POST":
            return 201, self._described(
                self.open(asked["title"], asked.get("labels", []), user=actor.login, body=asked.get("body", ""))
            )
        if match[1] is None:
            labels = set(filter(None, query.get("labels", [""])[0].split(",")))
            state = query.get("state", ["open"])[0]
            listed = [i for i in self.issues.values() if state in ("all", i.state) and labels <= set(i.labels)]
            return 200, [self._described(issue) for issue in listed]
        issue = self.issues.get(int(match[1]))
        if issue is None:
            return NOT_FOUND
        if method == "PATCH":
            issue.title, issue.body = asked.get("title", issue.title), asked.get("body", issue.body)
            issue.state = asked.get("state", issue.state)
        return 200, self._described(issue)

    def _described(self, issue: Issue) -> dict[str, Any]:
        kind = "Bot" if issue.user.endswith("[bot]") else "User"
        return {
            "number": issue.number,
            "title": issue.title,
            "body": issue.body,
            "state": issue.state,
            "labels": [{"id": n, "node_id": "L", "name": name} for n, name in enumerate(issue.labels, 1)],
            "user": {"login": issue.user, "type": kind},
        }

"""A repository as GitHub keeps it: a real git repository, pull requests and statuses.

As on GitHub, a pull request whose branch is deleted, or is without a commit of its own, is closed by that.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

ZERO = "0" * 40
BOT = ("gitops-bot[bot]", "1+gitops-bot[bot]@users.noreply.github.com")
GITHUB = ("GitHub", "noreply@github.com")


@dataclass
class Pull:
    """A pull request as GitHub keeps it."""

    number: int
    head: str
    base: str
    title: str
    body: str
    user: str
    state: str = "open"
    merged_at: str | None = None
    labels: list[str] = field(default_factory=list)
    notes: dict[int, tuple[str, str]] = field(default_factory=dict)  # id: (login, text)
    auto_merge: bool = False
    last_head: str = ""
    # The repository of its branch, `owner/name`; without one: this repository.
    fork: str = ""
    draft: bool = False
    # What happened to it, oldest first, as GraphQL's timeline has it; and who asks for changes.
    timeline: list[dict[str, Any]] = field(default_factory=list)
    opposed: set[str] = field(default_factory=set)

    def happens(self, kind: str, login: str, when: datetime | None = None) -> None:
        """Something of which GitHub keeps an event of this type."""
        actor = {"__typename": "Bot" if login.endswith("[bot]") else "User", "login": login.removesuffix("[bot]")}
        moment = when.strftime("%Y-%m-%dT%H:%M:%SZ") if when else now()
        self.timeline.append({"__typename": kind, "createdAt": moment, "actor": actor})

    @property
    def comments(self) -> list[str]:
        """What was said, oldest first."""
        return [text for _, text in self.notes.values()]


class Repository:
    """One repository: what people and GitHub itself do to it."""

    def __init__(self, repository: Path, name: str) -> None:
        """`repository`: a bare git repository, which may be another git host's too."""
        self.git_dir, self.name = repository, name
        self.pulls: dict[int, Pull] = {}
        self.statuses: dict[str, list[dict[str, Any]]] = {}
        # Commits that GitHub made and signed itself.
        self.signed: set[str] = set()
        self._lock = threading.RLock()

    def git(self, *words: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["git", "--git-dir", str(self.git_dir), *words],
            input=stdin,
            env={**os.environ, **(env or {})},
            capture_output=True,
        )
        if done.returncode:
            raise RuntimeError(f"git {words}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def head(self, branch: str) -> str | None:
        # Such a pattern names whole folders of branches, too.
        listed = self.git("for-each-ref", "--format=%(objectname) %(refname)", f"refs/heads/{branch}").splitlines()
        return next((sha for sha, name in map(str.split, listed) if name == f"refs/heads/{branch}"), None)

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/").splitlines()

    def commit(
        self,
        branch: str,
        files: dict[str, bytes | None],
        message: str,
        author: tuple[str, str] = ("student", "student@example.com"),
        committer: tuple[str, str] | None = None,
        parent: str | None = None,
        parents: list[str] | None = None,
        when: str | None = None,
        signed: bool = False,
    ) -> str:
        """Commit to a branch as a person or as GitHub does, with git's own plumbing. Returns the commit.

        `signed`: GitHub made it, by its API or a button of its pages.
        """
        committer = committer or author
        with self._lock:
            onto = parent or self.head(branch) or ""
            index = self.git_dir / f"index-{threading.get_ident()}"
            env = {"GIT_INDEX_FILE": str(index)}
            try:
                self.git("read-tree", onto, env=env)
                for path, content in files.items():
                    if content is None:
                        self.git("update-index", "--index-info", stdin=f"0 {ZERO}\t{path}\n".encode(), env=env)
                    else:
                        blob = self.git("hash-object", "-w", "--stdin", stdin=content)
                        self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
                tree = self.git("write-tree", env=env)
            finally:
                index.unlink(missing_ok=True)
            who = {
                "GIT_AUTHOR_NAME": author[0],
                "GIT_AUTHOR_EMAIL": author[1],
                "GIT_COMMITTER_NAME": committer[0],
                "GIT_COMMITTER_EMAIL": committer[1],
            }
            if when:
                who |= {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
            words = ["commit-tree", tree]
            for commit in parents or [onto]:
                words += ["-p", commit]
            made = self.git(*words, stdin=message.encode(), env=who)
            if signed:
                self.signed.add(made)
            self.git("update-ref", f"refs/heads/{branch}", made)
            self.settle()
            return made

    def merge(self, number: int, *, user: str = "student", method: str = "squash", when: datetime | None = None) -> str:
        """Squash and merge (or `merge`: a commit of two parents), as the button does, now or `when`.

        Returns main's commit. Raises RuntimeError where main has changed the same lines.
        """
        with self._lock:
            pull = self.pulls[number]
            head = self.head(pull.head)
            assert head, f"#{number} has no branch"
            assert pull.state == "open"
            tree = self.git("merge-tree", "--write-tree", "main", head)
            author = BOT if pull.user == BOT[0] else (user, f"{user}@example.com")
            who = {"GIT_AUTHOR_NAME": author[0], "GIT_AUTHOR_EMAIL": author[1]}
            who |= {"GIT_COMMITTER_NAME": GITHUB[0], "GIT_COMMITTER_EMAIL": GITHUB[1]}
            if when:
                who |= {"GIT_AUTHOR_DATE": when.isoformat(), "GIT_COMMITTER_DATE": when.isoformat()}
            parents = ["-p", "main", *(["-p", head] if method == "merge" else [])]
            message = f"{pull.title} (#{number})".encode()
            made = self.git("commit-tree", tree, *parents, stdin=message, env=who)
            self.signed.add(made)
            self.git("update-ref", "refs/heads/main", made)
            pull.state, pull.merged_at, pull.last_head = (
                "closed",
                when.strftime("%Y-%m-%dT%H:%M:%SZ") if when else now(),
                head,
            )
            self.settle()
            return made

    def conflicts(self, pull: Pull) -> bool:
        """Whether a pull request cannot be merged, as main has changed the same lines since."""
        try:
            self.git("merge-tree", "--write-tree", pull.base, pull.last_head)
        except RuntimeError:
            return True
        return False

    def settle(self, actor: str = "student") -> None:
        """What GitHub does by itself once `actor` moved a branch: a pull request without branch or commit is closed."""
        for pull in self.pulls.values():
            if pull.state != "open" or pull.fork:
                continue
            head = self.head(pull.head)
            if head is None:
                pull.happens("HeadRefDeletedEvent", actor)
            if head is None or not self.git("rev-list", "-1", f"{pull.base}..{head}"):
                pull.state = "closed"
                pull.happens("ClosedEvent", actor)
            else:
                pull.last_head = head


def now() -> str:
    """The moment as GitHub writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

"""The repository's own history, read from this checkout's clone: what main says, what a branch adds, who wrote it."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from pydantic import SecretStr

from gitops.clients.github import GITHUB_COMMITTER
from gitops.ground.command import CommandError, run
from gitops.ground.errors import ExternalError, InputError
from gitops.repository import versions
from gitops.repository.git import Commit, GitError, Repo
from gitops.repository.versions import Version


class History:
    """One clone. Reads only; nothing of the working copy or its index is touched."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.Lock()
        self._ahead: dict[tuple[str, int], list[Version]] = {}
        try:
            self._repo = Repo(root)
        except GitError:
            raise InputError("not a git working copy", path=str(root), fix="clone the repository") from None

    def fetch(self, token: SecretStr | None) -> None:
        """Bring origin's branches up to date. Raises InputError for a shallow clone, ExternalError."""
        if self._repo.is_shallow:
            fix = "fetch-depth: 0, or git fetch --unshallow"
            raise InputError("a shallow clone has no history", path=str(self.root), fix=fix)
        env = dict(os.environ, GIT_TERMINAL_PROMPT="0")
        if token:
            # By environment and not by URL or argument: those are seen by all.
            basic = base64.b64encode(f"x-access-token:{token.get_secret_value()}".encode()).decode()
            env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader"}
            env["GIT_CONFIG_VALUE_0"] = f"Authorization: Basic {basic}"
        spec = "+refs/heads/*:refs/remotes/origin/*"
        self._ahead = {}
        vars(self).pop("_branches", None)
        try:
            run(["git", "-C", self.root, "fetch", "--quiet", "--prune", "origin", spec], timeout=120, env=env)
        except CommandError as error:
            what = "\n".join([f"origin cannot be fetched: git {error.how}", *error.last_lines])
            raise ExternalError(what, path=str(self.root), fix=f"try: git -C {self.root} fetch origin") from None
        # With the paths that each commit changed, a file's history is found without reading every commit's trees. A
        # clone that cannot be written to, or that another process writes to, answers all the same, only slower.
        with suppress(CommandError):
            words = ["commit-graph", "write", "--reachable", "--changed-paths", "--split", "--no-progress"]
            run(["git", "-C", self.root, *words], timeout=60)

    def branch(self, name: str) -> str | None:
        """The commit of origin's branch, as the last fetch left it."""
        return self._branches.get(name)

    def branches(self, prefix: str) -> list[tuple[str, str]]:
        """Every branch of origin whose name begins so, with its commit."""
        return [(name, sha) for name, sha in self._branches.items() if name.startswith(prefix)]

    @cached_property
    def _branches(self) -> dict[str, str]:
        form = "%(objectname) %(refname:lstrip=3)"
        listed = str(self._repo.git.for_each_ref("refs/remotes/origin/", format=form)).splitlines()
        return dict(line.split(" ", 1)[::-1] for line in listed)

    def main(self) -> str:
        """The commit of origin's main. Raises InputError where there is none."""
        sha = self.branch("main")
        if not sha:
            raise InputError("origin has no branch main", path=str(self.root))
        return sha

    def when(self, sha: str) -> datetime:
        """When a commit was made, by its committer."""
        return datetime.fromtimestamp(self._repo.commit(sha).committed_date, UTC)

    def content(self, sha: str, path: str) -> bytes | None:
        """A file at a commit, or None where it is not there."""
        if "\n" in path:  # git is asked in lines
            return None
        # One question, where a walk from the commit through its trees would be one for each folder.
        content: bytes | None = self._repo.git.blob(f"{sha}:{path}")
        return content

    def ahead(self, branch: str) -> list[Commit]:
        """What a branch adds to main, oldest first."""
        return list(self._repo.iter_commits(f"{self.main()}..{branch}", reverse=True))

    def changes(self, base: str, head: str) -> dict[str, str]:
        """The paths that differ between two commits, each with its mode at `head` (100644: a file, 000000: gone)."""
        raw = str(self._repo.git.diff("--raw", "--no-renames", "--abbrev=40", "-z", base, head))
        fields = raw.rstrip("\0").split("\0") if raw else []
        # `:100644 100644 BEFORE AFTER M`, then the path.
        return {path: fact.split(" ")[1] for fact, path in zip(fields[::2], fields[1::2], strict=True)}

    def fork_point(self, head: str) -> str | None:
        """The newest commit that main and `head` share; None where there is none, or where this clone has no `head`."""
        try:
            return str(self._repo.git.merge_base(self.main(), head))
        except GitError:
            return None

    def by_people(
        self, branch: str, trailer: str, may_change: Callable[[str, str], bool], signed: Callable[[str], bool]
    ) -> list[Commit]:
        """The commits of a branch that the bot with this trailer did not make.

        Committer and trailer are text that anyone can write, so `signed` has to say, as GitHub does, that GitHub made
        and signed the commit; and a bot changes no file but what it `may_change` (asked by the commit's parent and a
        path). The merge of main that the button "Update branch" makes changes nothing of ours and does not count.
        """
        return [
            commit
            for commit in self.ahead(branch)
            if not self._by_bot(commit, trailer, may_change, signed) and not self._brings_main(commit)
        ]

    def _by_bot(
        self, commit: Commit, trailer: str, may_change: Callable[[str, str], bool], signed: Callable[[str], bool]
    ) -> bool:
        if commit.committer.email != GITHUB_COMMITTER or trailer not in str(commit.message).splitlines():
            return False
        if len(commit.parents) != 1:
            return False
        parent = commit.parents[0].hexsha
        return all(may_change(parent, path) for path in self.changes(parent, commit.hexsha)) and signed(commit.hexsha)

    def _brings_main(self, commit: Commit) -> bool:
        """Whether a commit is exactly what git makes of its two parents by itself; what they are is asked of each."""
        if len(commit.parents) != 2:
            return False
        try:
            merged = str(self._repo.git.merge_tree("--write-tree", *(parent.hexsha for parent in commit.parents)))
        except GitError:  # they conflict, so a person decided
            return False
        return merged.split("\n", 1)[0] == commit.tree.hexsha

    def read_ahead(self, paths: Iterable[str], *, limit: int = 100) -> None:
        """Have the versions of many files at hand until the next fetch: git goes through the commits once for all.

        Raises CommandError.
        """
        read = versions.of_files(self.root, self.main(), paths, limit=limit)
        self._ahead |= {(path, limit): past for path, past in read.items()}

    def versions(self, path: str, *, limit: int = 100) -> Iterator[Version]:
        """What a file of main was, newest first, by main's own line of commits (a merge counts when it was merged).

        Raises CommandError.
        """
        if (path, limit) not in self._ahead:
            self.read_ahead([path], limit=limit)
        return iter(self._ahead[path, limit])

    def export(self, sha: str, target: Path) -> None:
        """Write the files of a commit, through an index of its own. Raises ExternalError."""
        target.mkdir(parents=True, exist_ok=True)
        with _own_index(target) as env:
            git: list[str | Path] = ["git", "-C", self.root]
            run([*git, "read-tree", sha], timeout=60, env=env)
            run([*git, "checkout-index", "--all", "--force", f"--prefix={target.resolve()}/"], timeout=60, env=env)


@contextmanager
def _own_index(target: Path) -> Iterator[dict[str, str]]:
    index = target / ".index"
    try:
        yield {"GIT_INDEX_FILE": str(index.resolve())}
    except CommandError as error:
        # Not what git printed: that has the folder, which is nobody's business and gone.
        raise ExternalError(f"the files of main cannot be written: git {error.how}") from None
    finally:
        index.unlink(missing_ok=True)

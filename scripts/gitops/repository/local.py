"""A commit on a branch of its own, by git's objects alone: working copy and index stay as they are."""

from __future__ import annotations

from collections.abc import Mapping

from gitops.ground import temporary
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, run
from gitops.ground.errors import ExternalError, InputError
from gitops.repository import revision
from gitops.repository.contents import Contents
from gitops.repository.git import FILE_MODE


def main(checkout: Checkout) -> str:
    """The commit of main as this clone knows it: origin's at its last fetch or, without one, its own.

    Raises InputError.
    """
    with revision.open_repository(checkout) as repo:
        return revision.resolve(repo, revision.default_base(repo))


def missing_history(checkout: Checkout) -> str | None:
    """How to get the history that a shallow clone has not; None where it is all here."""
    with revision.open_repository(checkout) as repo:
        return "this clone is shallow, so first: git fetch --unshallow" if repo.is_shallow else None


def commit(checkout: Checkout, start: str, branch: str, message: str, files: Contents) -> str:
    """Make a branch at `start` with one commit more. Returns the commit. All or nothing.

    Raises InputError where the branch is there with another content, ExternalError where git refuses.
    """
    with temporary.folder() as folder:
        env = {"GIT_INDEX_FILE": str(folder / "index")}
        _git(checkout, env, "read-tree", start)
        for path, content in files.items():
            if content is None:
                _git(checkout, env, "update-index", "--force-remove", "--", path)
                continue
            oid = _git(checkout, env, "hash-object", "-w", "--stdin", stdin=content)
            _git(checkout, env, "update-index", "--add", "--cacheinfo", f"{FILE_MODE},{oid},{path}")
        tree = _git(checkout, env, "write-tree")
    if _known(checkout, f"refs/heads/{branch}"):
        if _known(checkout, f"refs/heads/{branch}^{{tree}}") == tree:
            return _known(checkout, f"refs/heads/{branch}")
        fix = f"push it, or take it away: git branch -D {branch}"
        raise InputError(f"the branch {branch} is there with something else", fix=fix)
    sha = _git(checkout, {}, "commit-tree", tree, "-p", start, "-m", message)
    _git(checkout, {}, "update-ref", f"refs/heads/{branch}", sha, "0" * 40)
    return sha


def _git(checkout: Checkout, env: Mapping[str, str], *words: str, stdin: bytes | None = None) -> str:
    try:
        return run(["git", "-C", checkout.root, *words], timeout=60, env=env, stdin=stdin).decode().strip()
    except CommandError as error:
        what = "\n".join([f"git {words[0]} {error.how}", *error.last_lines])
        raise ExternalError(what, path=str(checkout.root)) from None


def _known(checkout: Checkout, name: str) -> str:
    """The object of a name; empty where there is none."""
    try:
        return run(["git", "-C", checkout.root, "rev-parse", "--verify", "--quiet", name], timeout=60).decode().strip()
    except CommandError:
        return ""

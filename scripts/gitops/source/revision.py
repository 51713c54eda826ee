"""Two revisions side by side, each in a folder of its own. The user's working copy is read, never touched."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from git import Repo
from git.exc import BadName, GitError

from gitops.errors import ExternalError, GitopsError, InputError
from gitops.mainline import as_in_repository
from gitops.paths import Checkout

WORKING_COPY = "the working copy"
# A worktree is files alone: no hook of the user's runs, nothing is asked, large files stay pointers.
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}


@dataclass(frozen=True)
class Change:
    """From `base` to `head`. `base` is None where nothing is compared: everything counts as changed.

    `files`: every path that differs, as the repository has it. `commits`: the range that `git log` understands.
    """

    base: Checkout | None
    head: Checkout
    base_name: str
    head_name: str
    files: frozenset[str]
    commits: str | None


def open_repository(checkout: Checkout) -> Repo:
    """The repository of a checkout. Raises InputError where there is none, or where it has no commit yet."""
    try:
        repo = Repo(checkout.root)
    except GitError:
        raise InputError(f"{checkout.root}: not a git repository; clone the repository, or run: git init") from None
    try:
        repo.head.commit  # noqa: B018
    except ValueError:
        branch = "a commit that is not there" if repo.head.is_detached else repo.active_branch.name
        raise InputError(f"{checkout.root}: the branch {branch} has no commit yet; commit first") from None
    return repo


def resolve(repo: Repo, revision: str) -> str:
    """The commit of a revision. Raises InputError where git does not know it."""
    # A revision that begins with a hyphen would be an option.
    if not revision.startswith("-"):
        with suppress(BadName, ValueError, GitError, IndexError):
            return str(repo.commit(revision).hexsha)
    raise InputError(f"{revision!r}: git knows no such revision here; try: git fetch origin")


def default_base(repo: Repo) -> str:
    """origin/main, or main where there is no such remote. Raises InputError where there is neither."""
    for name in ("origin/main", "main"):
        with suppress(InputError):
            resolve(repo, name)
            return name
    raise InputError("no origin/main and no main to compare with; name a revision with --base, or use --all")


@contextmanager
def compare(checkout: Checkout, base: str | None, head: str | None) -> Iterator[Change]:
    """Lay both revisions side by side. `head` None: the working copy as it is, with what is not committed.

    What `base` has gained since the two parted is no part of the change: the common ancestor is compared.

    Raises InputError (no repository, no such revision, a shallow clone, no common ancestor), ExternalError.
    """
    with open_repository(checkout) as repo:
        name = base or default_base(repo)
        wanted = resolve(repo, name)
        ours = resolve(repo, head or "HEAD")
        shallow = Path(repo.common_dir, "shallow").exists()
        common = repo.merge_base(wanted, ours)
        if not common or common[0] is None:
            if shallow:
                raise InputError(
                    f"{checkout.root}: a shallow clone does not reach where {name} and {head or 'HEAD'} parted; "
                    "fetch-depth: 0 in a workflow, or git fetch --unshallow"
                )
            raise InputError(f"{name} and {head or 'HEAD'} have no common ancestor: they are two histories")
        before = str(common[0].hexsha)
        with _folder() as folder, _worktree(repo, before, folder / "base", checkout) as left:
            if head is None:
                yield Change(left, checkout, name, WORKING_COPY, _differs(repo, before, None), f"{before}..HEAD")
                return
            with _worktree(repo, ours, folder / "head", checkout) as right:
                yield Change(left, right, name, head, _differs(repo, before, ours), f"{before}..{ours}")


@contextmanager
def whole(checkout: Checkout, head: str | None) -> Iterator[Change]:
    """One revision, nothing to compare it with. Raises as `compare` does."""
    with open_repository(checkout) as repo:
        if head is None:
            yield Change(None, checkout, "nothing", WORKING_COPY, frozenset(), None)
            return
        sha = resolve(repo, head)
        with _folder() as folder, _worktree(repo, sha, folder / "head", checkout) as tree:
            yield Change(None, tree, "nothing", head, frozenset(), None)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gitops-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder).resolve()
        except GitopsError as error:
            # Paths as the repository has them.
            raise as_in_repository(as_in_repository(error, Path(folder) / "head"), Path(folder) / "base") from None


@contextmanager
def _worktree(repo: Repo, sha: str, folder: Path, checkout: Checkout) -> Iterator[Checkout]:
    try:
        # Entries of runs that were killed, whose folders are gone.
        repo.git.worktree("prune")
        with repo.git.custom_environment(**_QUIET):
            repo.git.execute(
                ["git", "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--force", str(folder), sha],
                kill_after_timeout=300,
            )
    except GitError as error:
        raise ExternalError(f"git worktree of {sha[:12]}: {_reason(error)}") from None
    try:
        if not (folder / ".tools").exists():
            (folder / ".tools").symlink_to(checkout.tools)
        yield Checkout(folder)
    finally:
        with suppress(GitError):
            repo.git.worktree("remove", "--force", str(folder))


def _differs(repo: Repo, before: str, after: str | None) -> frozenset[str]:
    try:
        words = [
            "diff",
            "--name-only",
            "-z",
            "--no-renames",
            "--no-ext-diff",
            before,
            *([after] if after else []),
            "--",
        ]
        found = _paths(repo, words)
        if after is None:
            found += _paths(repo, ["ls-files", "-z", "--others", "--exclude-standard"])
    except subprocess.SubprocessError as error:
        raise ExternalError(f"git: {error}") from None
    return frozenset(found)


def _paths(repo: Repo, words: list[str]) -> list[str]:
    # From the root, or a checkout's subfolder would give paths of its own.
    out = repo.git.execute(
        ["git", "-C", str(repo.working_dir), *words], stdout_as_string=False, strip_newline_in_stdout=False
    )
    return [part.decode(errors="surrogateescape") for part in out.split(b"\0") if part]


def _reason(error: GitError) -> str:
    text = str(getattr(error, "stderr", "") or error).strip()
    return text.removeprefix("stderr: ").strip("' \n")

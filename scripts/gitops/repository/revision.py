"""Two revisions side by side, each in a folder of its own. The user's working copy is read, never touched."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gitops.ground import temporary
from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, run
from gitops.ground.errors import ExternalError, InputError
from gitops.manifests.graph import RENDERER, TEXTS, Overview, is_closed, is_self_contained, unit_of
from gitops.manifests.reach import NAMES
from gitops.manifests.render import in_parallel
from gitops.manifests.yamlfile import MOST_BYTES
from gitops.repository import versions
from gitops.repository.contents import Contents, write_all
from gitops.repository.git import LINK_MODE, BadName, GitError, Repo

WORKING_COPY = "the working copy"
_BASE = "base"
# git does not add two worktrees at once.
_LIST = threading.Lock()
# A worktree is files alone: no hook of the user's runs, nothing is asked, large files stay pointers.
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}


@dataclass(frozen=True)
class Change:
    """From `base` to `head`. `base` is None where nothing is compared: everything counts as changed.

    `files`: every path that differs, as the repository has it. `commits`: the range that `git log` understands.
    A revision's folder has all files but those of overlays that the change cannot concern; `overviews` know of these
    (of base and head; None where all files are there).
    """

    base: Checkout | None
    head: Checkout
    base_name: str
    head_name: str
    files: frozenset[str]
    commits: str | None
    overviews: tuple[Overview | None, Overview | None] = (None, None)


def open_repository(checkout: Checkout) -> Repo:
    """The repository of a checkout. Raises InputError where there is none, or where it has no commit yet."""
    try:
        repo = Repo(checkout.root)
    except GitError:
        fix = "clone the repository, or run: git init"
        raise InputError("not a git repository", path=str(checkout.root), fix=fix) from None
    try:
        repo.head.commit  # noqa: B018
    except ValueError:
        branch = "a commit that is not there" if repo.head.is_detached else repo.active_branch.name
        what = f"the branch {branch} has no commit yet"
        raise InputError(what, path=str(checkout.root), fix="commit first") from None
    return repo


def resolve(repo: Repo, revision: str) -> str:
    """The commit of a revision. Raises InputError where git does not know it.

    A branch comes before a tag of its name: git takes the tag, and whoever may push one could call it `origin/main`.
    """
    # A revision that begins with a hyphen would be an option.
    for name in () if revision.startswith("-") else (f"refs/remotes/{revision}", f"refs/heads/{revision}", revision):
        with suppress(BadName, ValueError, GitError, IndexError):
            return str(repo.commit(name).hexsha)
    raise InputError(f"{revision!r}: git knows no such revision here", fix="try: git fetch origin")


def default_base(repo: Repo) -> str:
    """origin/main, or main where there is no such remote. Raises InputError where there is neither."""
    for name in ("origin/main", "main"):
        with suppress(InputError):
            resolve(repo, name)
            return name
    raise InputError("no origin/main and no main to compare with; name a revision with --base, or use --all")


@contextmanager
def compare(
    checkout: Checkout, base: str | None, head: str | None, *, for_all: Sequence[str] = (), renders: bool = False
) -> Iterator[Change]:
    """Lay both revisions side by side. `head` None: the working copy as it is, with what is not committed.

    `for_all`: paths (beside the bases') whose change concerns every overlay; an empty one stands for any. `renders`: of
    the base only what the changed overlays render from is needed, where nothing else changed.

    What `base` has gained since the two parted is no part of the change: the common ancestor is compared.

    Raises InputError (no repository, no such revision, a shallow clone, no common ancestor), ExternalError.
    """
    with open_repository(checkout) as repo:
        name = base or default_base(repo)
        theirs = resolve(repo, name)
        ours = resolve(repo, head or "HEAD")
        common = repo.merge_base(theirs, ours)
        if not common or common[0] is None:
            if repo.is_shallow:
                raise InputError(
                    f"a shallow clone does not reach where {name} and {head or 'HEAD'} parted",
                    path=str(checkout.root),
                    fix="fetch-depth: 0 in a workflow, or git fetch --unshallow",
                )
            raise InputError(f"{name} and {head or 'HEAD'} have no common ancestor: they are two histories")
        before = str(common[0].hexsha)
        files = _differs(repo, before, None if head is None else ours)
        # Overlays that read base/ can be concerned by a change of it: then all must be there.
        own = {unit_of(path) for path in files if path.startswith("overlays/")}
        everywhere = "" in for_all or any(path.startswith(("base/", RENDERER, *for_all)) for path in files)
        narrow = None if everywhere else own
        only_renders = renders and all(path.startswith("overlays/") for path in files)
        with temporary.folder() as folder, ExitStack() as stack:

            def lay(side: str, sha: str, *, renders: bool = False) -> _Tree:
                return stack.enter_context(_worktree(repo, sha, folder / side, checkout, narrow, renders=renders))

            def lay_base() -> _Tree:
                return lay("base", before, renders=only_renders)

            def lay_head() -> _Tree:
                return _Tree(checkout, None) if head is None else lay("head", ours)

            left, right = in_parallel(lambda side: side(), (lay_base, lay_head))
            overviews = (left.overview, right.overview)
            yield Change(
                left.checkout, right.checkout, name, head or WORKING_COPY, files, f"{before}..{ours}", overviews
            )


@contextmanager
def whole(checkout: Checkout, head: str | None) -> Iterator[Change]:
    """One revision, nothing to compare it with. Raises as `compare` does."""
    with open_repository(checkout) as repo:
        if head is None:
            yield Change(None, checkout, "nothing", WORKING_COPY, frozenset(), None)
            return
        sha = resolve(repo, head)
        with temporary.folder() as folder, _worktree(repo, sha, folder / "head", checkout, None) as tree:
            yield Change(None, tree.checkout, "nothing", head, frozenset(), None)


@contextmanager
def draft(checkout: Checkout, files: Contents, commit: str = "") -> Iterator[Change]:
    """A change that nobody has made yet: files laid over a commit (default: HEAD, as which the working copy stands).

    Raises as `compare` does.
    """
    with open_repository(checkout) as repo, temporary.folder() as folder, ExitStack() as stack:
        sha = resolve(repo, commit or "HEAD")
        head = stack.enter_context(_worktree(repo, sha, folder / "head", checkout, None)).checkout
        base = checkout
        if commit:
            base = stack.enter_context(_worktree(repo, sha, folder / "base", checkout, None)).checkout
        write_all(head, files)
        yield Change(base, head, sha, WORKING_COPY, frozenset(files), None)


@dataclass(frozen=True)
class _Tree:
    """The files of one revision; the overview of its overlays where not all are there."""

    checkout: Checkout
    overview: Overview | None


@contextmanager
def _worktree(
    repo: Repo, sha: str, folder: Path, checkout: Checkout, narrow: set[str] | None, *, renders: bool = False
) -> Iterator[_Tree]:
    """`narrow`: of overlays/ only these folders are needed, unless one of the others may read elsewhere; None: all.
    `renders`: beside them only what they are made of.
    """
    overview = _overview(repo, sha) if narrow is not None else None
    if overview and set(overview.units) - overview.self_contained:
        overview = None
    try:
        with _LIST:
            # Entries of runs that were killed, whose folders are gone.
            repo.git.worktree("prune")
            repo.git.worktree("add", "--detach", "--force", "--no-checkout", str(folder), sha)
        options = ["-c", "core.hooksPath=/dev/null"]
        if overview:
            names = repo.git.ls_tree("--name-only", sha).splitlines()
            closed = renders and overview.closed_base
            top = ["/base/"] if closed else [f"/{name}" for name in names if name != "overlays"]
            listed = Path(repo.git.execute(["git", "-C", str(folder), "rev-parse", "--absolute-git-dir"])) / "info"
            listed.mkdir(exist_ok=True)
            patterns = [*top, *(f"/{path}/" for path in sorted(narrow or ()))]
            (listed / "sparse-checkout").write_text("".join(f"{pattern}\n" for pattern in patterns))
            options += ["-c", "core.sparseCheckout=true", "-c", "core.sparseCheckoutCone=false"]
        run(["git", "-C", folder, *options, "read-tree", "-mu", "HEAD"], timeout=300, env=_QUIET)
    except (GitError, CommandError) as error:
        raise ExternalError(f"git worktree of {sha[:12]}: {_reason(error)}") from None
    try:
        if not (folder / ".tools").exists():
            (folder / ".tools").symlink_to(checkout.tools)
        yield _Tree(Checkout(folder), overview)
    finally:
        with suppress(GitError):
            repo.git.worktree("remove", "--force", str(folder))


def _overview(repo: Repo, sha: str) -> Overview:
    """Read from git's objects, as writing thousands of files takes longer than all else."""
    files: dict[str, dict[str, str]] = {_BASE: {}}
    unsure: set[str] = set()
    for line in paths(Path(repo.working_dir), "ls-tree", "-r", "-l", "-z", sha, f"{_BASE}/", "overlays/"):
        about, _, path = line.partition("\t")
        mode, _, oid, size = about.split()
        unit = _BASE if path.startswith(f"{_BASE}/") else unit_of(path)
        # What is too large to be parsed is not read either; where it is laid out it is refused.
        if mode == LINK_MODE or (size.isdigit() and int(size) > MOST_BYTES):
            unsure.add(unit)
        elif path.endswith(TEXTS) and (unit == _BASE or path.count("/") > 2):
            files.setdefault(unit, {})[path] = oid
    units = {unit for unit, own in files.items() if unit != _BASE and _is_unit(unit, own)}
    oids = itertools.chain.from_iterable(files[unit].values() for unit in {_BASE, *units} - unsure)
    contents = versions.contents(Path(repo.working_dir), oids, seconds=120)
    home = {unit for unit in units - unsure if is_self_contained(_texts(files[unit], contents))}
    closed = _BASE not in unsure and is_closed(_texts(files[_BASE], contents))
    return Overview(tuple(sorted(units)), frozenset(home), closed)


def _is_unit(folder: str, files: Container[str]) -> bool:
    """Whether a folder has a kustomization among its files. A hidden one is a draft."""
    return "/." not in folder and any(f"{folder}/{name}" in files for name in NAMES)


def _texts(files: Mapping[str, str], contents: Mapping[str, bytes]) -> dict[str, bytes]:
    return {path: contents[oid] for path, oid in files.items()}


def _differs(repo: Repo, before: str, after: str | None) -> frozenset[str]:
    root = Path(repo.working_dir)
    sides = [before, *([after] if after else [])]
    changed = paths(root, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", *sides, "--")
    if after is None:
        changed += paths(root, "ls-files", "-z", "--others", "--exclude-standard")
    return frozenset(changed)


def paths(root: Path, *words: str) -> list[str]:
    """What a git command lists with -z, as the repository has it. Raises CommandError."""
    out = run(["git", "-C", root, *words], timeout=120)
    return [part.decode(errors="surrogateescape") for part in out.split(b"\0") if part]


def _reason(error: GitError | CommandError) -> str:
    """What git said; not how it was called, which names a folder that is gone."""
    text = str(getattr(error, "stderr", "") or type(error).__name__).strip()
    return text.removeprefix("stderr: ").strip("' \n")

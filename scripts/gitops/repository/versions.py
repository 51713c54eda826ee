"""Versions of files. All that a range of commits brought, also what a later commit took out and what merges made; and
what files of main were, by main's own line of commits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, starmap
from pathlib import Path

from gitops.ground.command import run
from gitops.repository.git import SUBMODULE_MODE

_SECONDS = 300.0


@dataclass(frozen=True)
class FileVersion:
    """What a commit made of a file: of a symbolic link its target. `content` None: larger than was asked for."""

    commit: str
    path: str
    content: bytes | None


@dataclass(frozen=True)
class Message:
    """Who a commit names, and what it says."""

    commit: str
    text: str


def in_range(root: Path, commits: str, *, limit: int) -> Iterator[FileVersion]:
    """The versions of a range. git's objects are read: attributes, which a commit brings along, hide nothing of them.

    Of a merge what it made beside its parents. `limit`: bytes of a content. Raises CommandError.
    """
    words = ("--raw", "--diff-merges=combined", "--no-renames", "--no-abbrev", "--root", "-z", "--format=%x00%H")
    listed = _git(root, "log", *words, commits, "--").split(b"\0")
    entries = list(_entries([field.decode(errors="surrogateescape") for field in listed]))
    sizes = _sizes(root, sorted({oid for _, _, oid in entries}))
    small = contents(root, [oid for oid, size in sizes.items() if size <= limit])
    for commit, path, oid in entries:
        yield FileVersion(commit, path, small.get(oid))


def _entries(fields: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(commit, path, object): a commit's id stands alone, a change's facts before its path."""
    commit, oid = "", ""
    for field in fields:
        text = field.strip("\n")
        if oid:
            if oid.strip("0"):
                yield commit, field, oid
            oid = ""
        elif text.startswith(":"):
            # One colon a parent; modes and objects of the parents, then the commit's own.
            parents = len(text) - len(text.lstrip(":"))
            words = text.lstrip(":").split(" ")
            oid = "0" if words[parents] == SUBMODULE_MODE else words[2 * parents + 1]
        elif text:
            commit = text


@dataclass(frozen=True)
class Version:
    """A file's content as one commit of main made it. `lines`: of the commit's message, and of what it merged."""

    sha: str
    when: datetime
    author: str
    message: str
    content: bytes
    lines: frozenset[str] = frozenset()


def of_files(root: Path, main: str, paths: Iterable[str], *, limit: int) -> dict[str, list[Version]]:
    """The last versions of files, newest first and `limit` at most, by main's own line of commits.

    A merge counts when it was merged. Many files are read at once, as git goes through the commits once for all. Raises
    CommandError.
    """
    changes = _changes(root, main, sorted(set(paths)), limit)
    pairs = list(chain.from_iterable(changes.values()))
    objects = contents(root, set(chain.from_iterable(pairs)))
    commits = {sha: _Commit.parse(objects[sha]) for sha, _ in pairs}
    merged = set(chain.from_iterable(commit.merged for commit in commits.values()))
    others = {sha: _Commit.parse(raw) for sha, raw in contents(root, merged).items()}

    def version(sha: str, blob: str) -> Version:
        own = commits[sha]
        said = [own.message, *(others[parent].message for parent in own.merged)]
        lines = frozenset("\n".join(said).splitlines())
        return Version(sha, own.when, own.author, own.message.split("\n", 1)[0], objects[blob], lines)

    return {path: list(starmap(version, changed)) for path, changed in changes.items()}


@dataclass(frozen=True)
class _Commit:
    """A commit as git keeps it. `when`: by its committer. `merged`: its parents but the first."""

    when: datetime
    author: str
    message: str
    merged: tuple[str, ...]

    @classmethod
    def parse(cls, raw: bytes) -> _Commit:
        head, _, message = raw.decode(errors="replace").partition("\n\n")
        # A signature goes on in lines that begin with a space.
        fields = [tuple(line.split(" ", 1)) for line in head.split("\n") if not line.startswith(" ")]
        parents = [value for name, value in fields if name == "parent"]
        named = {name: value for name, value in fields if name in ("author", "committer")}
        seconds = int(named["committer"].rsplit(" ", 2)[1])
        return cls(
            datetime.fromtimestamp(seconds, UTC), named["author"].rpartition(" <")[0], message, tuple(parents[1:])
        )


def _changes(root: Path, main: str, paths: Sequence[str], limit: int) -> dict[str, list[tuple[str, str]]]:
    """By path the commits of main that left another content, newest first, each with that content's object."""
    changes: dict[str, list[tuple[str, str]]] = {path: [] for path in paths}
    if not paths:
        return changes
    words = ("--first-parent", "--diff-merges=first-parent", "--raw", "--no-renames", "--no-abbrev", "--root", "-z")
    most = (f"--max-count={limit}",) if len(paths) == 1 else ()
    # One folder: git holds each path of each commit against each that it is given.
    place = os.path.commonpath(paths) or "."
    listed = _git(root, "--literal-pathspecs", "log", *words, *most, "--format=%x00%H", main, "--", place).split(b"\0")
    for commit, path, oid in _entries([field.decode(errors="surrogateescape") for field in listed]):
        if path in changes and len(changes[path]) < limit:
            changes[path].append((commit, oid))
    return changes


def messages(root: Path, commits: str) -> list[Message]:
    """What the commits of a range say. Raises CommandError."""
    out = _git(root, "log", "-z", "--format=%H%n%an%n%ae%n%cn%n%ce%n%B", commits, "--").decode(errors="replace")
    return [Message(*text.split("\n", 1)) for text in out.split("\0") if text]


def content(root: Path, revision: str, path: str) -> bytes | None:
    """A file of a revision, None where it has none. Raises CommandError for another reason."""
    entry = _git(root, "ls-tree", "-z", revision, "--", path)
    return _git(root, "cat-file", "blob", f"{revision}:{path}") if entry else None


def _sizes(root: Path, oids: Sequence[str]) -> dict[str, int]:
    out = _git(root, "cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=_lines(oids)).decode()
    pairs = [line.split(" ") for line in out.splitlines()]
    return {oid: int(size) for oid, size in pairs}


def contents(root: Path, oids: Iterable[str], *, seconds: float = _SECONDS) -> dict[str, bytes]:
    """The bytes of git's objects, by id. Raises CommandError, also after `seconds`."""
    out = run(["git", "-C", root, "cat-file", "--batch"], timeout=seconds, stdin=_lines(oids))
    read: dict[str, bytes] = {}
    start = 0
    while start < len(out):
        end = out.index(b"\n", start)
        oid, _, size = out[start:end].decode().split(" ")
        read[oid] = out[end + 1 : end + 1 + int(size)]
        start = end + int(size) + 2
    return read


def _lines(oids: Iterable[str]) -> bytes:
    return "".join(f"{oid}\n" for oid in oids).encode()


def _git(root: Path, *words: str, stdin: bytes | None = None) -> bytes:
    return run(["git", "-C", root, *words], timeout=_SECONDS, stdin=stdin)

"""Every version of a file that a range of commits brought: also what a later commit took out, and what merges made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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

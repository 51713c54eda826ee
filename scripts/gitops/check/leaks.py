"""gitleaks over the change: its files, each version that its commits brought, what these say, what files are called.

A secret that was taken out again is in the history all the same. What is no secret is main's word: the pull request
that is looked at may not say it, neither in .gitleaks.toml nor in a comment, a .gitleaksignore or git's attributes. And
it is looked at as text under a name of ours, as gitleaks passes over what it takes for an archive, a picture or a lock.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from gitops.ground import jsontext, temporary
from gitops.ground.checkout import Checkout
from gitops.ground.command import Limits, run
from gitops.ground.errors import InputError
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place
from gitops.repository import versions
from gitops.repository.revision import WORKING_COPY, Change, paths

CONFIG = ".gitleaks.toml"
# What no person reads any more, and gitleaks reads slowly.
LIMIT = 5_000_000
_SECONDS = 300.0
# It takes 60 MiB for all of this repository; what Go has reserved and never used counts too.
_LIMITS = Limits(memory=4 * 2**30, output=64 * 2**20)
_FIX = (
    "replace it where it was issued, then take it out; a false alarm goes into .gitleaks.toml on main, with its reason"
)
_DEFAULT = "[extend]\nuseDefault = true\n"
_OPTIONS = ("--no-banner", "--log-level", "error", "--redact=100", "--report-format", "json", "--exit-code", "0")
_STRICT = ("--ignore-gitleaks-allow", "--max-decode-depth", "5")


@dataclass(frozen=True)
class _Text:
    """Something that may have a secret. `place`: of its first line; `commit`: empty for what stands there now."""

    place: str
    what: str
    content: bytes
    commit: str = ""
    lines: bool = True

    def finding(self, line: int, rule: str) -> Finding:
        where = f" (commit {self.commit[:12]})" if self.commit else ""
        problem = f"{self.what} looks like a secret: {rule}{where}".strip()
        return Finding("leaked-secret", Place(self.place, line if self.lines else 1), problem, _FIX)


@dataclass
class _Folder:
    """What gitleaks is shown: each text in a file. `kept`: which names main's configuration has a word on."""

    root: Path
    kept: tuple[re.Pattern[str], ...]
    texts: dict[str, _Text] = field(default_factory=dict)

    def add(self, text: _Text) -> None:
        """The first line is empty: what a text begins with would make it a picture or an archive."""
        name = self._name(text)
        content = b"\n" + text.content
        try:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(content)
        except OSError:  # too long, or a folder in another version
            name = self._neutral()
            (self.root / name).write_bytes(content)
        self.texts[name] = text

    def _name(self, text: _Text) -> str:
        if not (text.lines and text.place.isprintable()):
            return self._neutral()
        stem, suffix = posixpath.splitext(text.place)
        # Another version of a file is no other file: what main says of the one holds for it too.
        for name in (text.place, f"{stem}-version-{len(self.texts)}{suffix}"):
            if any(pattern.search(name) for pattern in self.kept) and not (self.root / name).exists():
                return name
        return self._neutral()

    def _neutral(self) -> str:
        return f"text-{len(self.texts)}.txt"


def check(checkout: Checkout, change: Change) -> Iterator[Finding]:
    """Secrets in the change, and files that nobody can look into. Raises InputError for main's own configuration."""
    config = _config(checkout, change)
    opaque: dict[tuple[str, str], Finding] = {}
    contents = set[tuple[str, bytes]]()
    names = dict[str, str]()
    with temporary.folder() as folder, temporary.folder() as own:
        shown = _Folder(folder, _kept(config))
        for path, commit, content in chain(_files(change), _versions(checkout, change)):
            names.setdefault(path, commit)
            if content is None or not _readable(content):
                opaque.setdefault((path, commit if content is None else ""), _opaque(path, commit))
            elif (path, content) not in contents:
                contents.add((path, content))
                shown.add(_Text(path, "", content, commit))
        for text in _words(checkout, change, names):
            shown.add(text)
        (own / "config.toml").write_bytes(config)
        yield from opaque.values()
        yield from _run(checkout, shown, own)


def _config(checkout: Checkout, change: Change) -> bytes:
    """Main's; where nothing is compared, what is looked at has it."""
    if change.base is None:
        file = change.head.root / CONFIG
        return file.read_bytes() if file.is_file() and not file.is_symlink() else _DEFAULT.encode()
    content = versions.content(checkout.root, change.base_name, CONFIG)
    return _DEFAULT.encode() if content is None else content


def _kept(config: bytes) -> tuple[re.Pattern[str], ...]:
    try:
        document = tomllib.loads(config.decode())
        lists = [*document.get("allowlists", []), document.get("allowlist", {})]
        patterns = [item.get("paths", []) for item in lists]
        return tuple(map(re.compile, chain.from_iterable(patterns)))
    except (ValueError, re.error, AttributeError) as error:
        raise InputError(f"cannot be read: {error}", path=CONFIG, fix="mend it on main") from None


def _files(change: Change) -> Iterator[tuple[str, str, bytes | None]]:
    """The files as they are."""
    for path in sorted(change.files) if change.base else _all(change):
        file = change.head.root / path
        with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            if file.is_symlink():
                yield path, "", str(file.readlink()).encode(errors="surrogateescape")
            elif file.is_file():
                yield path, "", file.read_bytes() if file.stat().st_size <= LIMIT else None


def _all(change: Change) -> list[str]:
    more = ("--cached", "--others", "--exclude-standard") if change.head_name == WORKING_COPY else ()
    return paths(change.head.root, "ls-files", "-z", *more)


def _versions(checkout: Checkout, change: Change) -> Iterator[tuple[str, str, bytes | None]]:
    if change.commits:
        for version in versions.in_range(checkout.root, change.commits, limit=LIMIT):
            yield version.path, version.commit, version.content


def _words(checkout: Checkout, change: Change, names: dict[str, str]) -> Iterator[_Text]:
    """What commits say and files are called. A name is told by its folder: it may be the secret."""
    for path, commit in names.items():
        folder = path.partition("/")[0] if "/" in path else "."
        yield _Text(folder, "a file's name", path.encode(errors="surrogateescape"), commit, lines=False)
    for message in versions.messages(checkout.root, change.commits) if change.commits else ():
        yield _Text(".", "the message", message.text.encode(), message.commit, lines=False)


def _readable(content: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        content.decode()
        return b"\0" not in content
    return False


def _opaque(path: str, commit: str) -> Finding:
    where = f" (commit {commit[:12]})" if commit else ""
    problem = f"is no text in UTF-8 of at most {LIMIT // 1_000_000} MB, so nobody sees what is in it{where}"
    return Finding("opaque-file", Place(path, 1), problem, "keep it as text, or outside of git")


def _run(checkout: Checkout, shown: _Folder, own: Path) -> Iterator[Finding]:
    config, report = own / "config.toml", own / "report.json"
    files = ("--config", str(config), "--report-path", str(report), "--gitleaks-ignore-path", str(own))
    argv = [str(checkout.tool("gitleaks")), "dir", ".", *_OPTIONS, *_STRICT, *files]
    run(argv, timeout=_SECONDS, cwd=shown.root, limits=_LIMITS)
    for leak in jsontext.parse(report.read_bytes() or b"[]"):
        text = shown.texts[str(leak["File"])]
        yield text.finding(max(1, int(leak["StartLine"]) - 1), str(leak["RuleID"]))

"""Building the tools that are missing from the cache, and linking them into .tools/."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gitops.ground import jsontext, settings
from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from gitops.ground.errors import InputError, MachineError
from gitops.ground.progress import Progress
from gitops.ground.suggest import unknown
from gitops.tools.pins import Tool, go_binary, load

# A cold build of the largest takes 5 minutes on 2 cores; a machine ten times slower still gets there.
BUILD_TIMEOUT = 3000.0
MANIFEST = "manifest.json"


def ensure(checkout: Checkout, progress: Progress, names: Collection[str] = ()) -> list[Tool]:
    """Build what is missing, check what is there, and link all of it into .tools/bin and .tools/share.

    `names`: only these tools are built and linked (the others stay as they are).

    Raises InputError for a name that no pin has, MachineError when a cached file is not what was built, CommandError
    when a build fails.
    """
    own = settings.read()
    pinned = load(checkout)
    there = [tool.name for tool in pinned]
    if mistyped := [name for name in names if name not in there]:
        raise unknown("tool", mistyped[0], there)
    tools = [tool for tool in pinned if not names or tool.name in names]
    with _only_one(checkout.tool_cache):
        missing = [tool for tool in tools if not _folder(checkout, tool).exists()]
        left = sum(tool.seconds for tool in missing)
        pace = 1.0
        for number, tool in enumerate(missing, 1):
            what = f"building {tool.name} {tool.version} ({number} of {len(missing)})"
            with progress.step(what, expected=tool.seconds * pace, after=(left - tool.seconds) * pace) as step:
                _build(checkout, tool)
            left -= tool.seconds
            pace = max(0.2, min(5.0, step.seconds / tool.seconds))
        if missing and not own.go_cache:
            # Several GiB that only a change of pins would use again.
            shutil.rmtree(checkout.tool_cache / "go", ignore_errors=True)
        known = _Known(checkout.tool_cache)
        for tool in tools:
            verify(_folder(checkout, tool), known.sha256)
        known.keep()
        _link(checkout, tools, sweep=not names)
    return tools


def prune(checkout: Checkout) -> list[str]:
    """Remove from the cache what no pin of this checkout names any more, and say what.

    Raises InputError for a cache that other checkouts may share: their pins are not known here.
    """
    if checkout.tool_cache != checkout.tools / "cache" or checkout.tool_cache.is_symlink():
        raise InputError(
            "other checkouts may share it; only a checkout's own cache is pruned", path=str(checkout.tool_cache)
        )
    with _only_one(checkout.tool_cache):
        named = {_folder(checkout, tool) for tool in load(checkout)}
        old = [file for file in checkout.tool_cache.iterdir() if file.is_dir() and file not in named]
        for folder in old:
            shutil.rmtree(folder)
    return sorted(folder.name for folder in old)


def verify(folder: Path, sha256: Callable[[Path], str] | None = None) -> None:
    """Raise MachineError unless every file of a cached build has the bytes that were built. `sha256`: of a file."""
    try:
        manifest: dict[str, str] = jsontext.parse((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        raise _corrupt(folder, folder / MANIFEST, "a manifest of the build", "none that can be read") from None
    for name, expected in manifest.items():
        try:
            actual = (sha256 or _sha256)(folder / name)
        except OSError:
            actual = "no file"
        if actual != expected:
            raise _corrupt(folder, folder / name, expected, actual)


def _corrupt(folder: Path, file: Path, expected: str, actual: str) -> MachineError:
    return MachineError(
        "the tool cache is corrupt",
        path=str(file),
        expected=expected[:26],
        found=actual[:26],
        fix=f"build this one tool again: rm -rf {folder} && make tools",
    )


def _folder(checkout: Checkout, tool: Tool) -> Path:
    return checkout.tool_cache / f"{tool.name}-{tool.key}"


def _build(checkout: Checkout, tool: Tool) -> None:
    own = settings.read()
    final = _folder(checkout, tool)
    work = final.with_name(f"{final.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    (work / "bin").mkdir(parents=True)
    env = {
        **tool.env,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw -mod=readonly -buildvcs=false",
        "GOCACHE": str(own.go_cache or checkout.tool_cache / "go/build"),
        "GOMODCACHE": str(own.go_modules or checkout.tool_cache / "go/mod"),
    }
    go = go_binary()
    out = work / "built"
    out.mkdir()
    argv = ["build", "-trimpath", "-ldflags", tool.ldflags, "-o", f"{out}/", "tool"]
    run([go, *(argv if tool.binaries else ["mod", "download"])], cwd=tool.folder, env=env, timeout=BUILD_TIMEOUT)
    for built, name in tool.binaries.items():
        (out / built).rename(work / "bin" / name)
    for target, names in tool.links.items():
        for name in names:
            (work / "bin" / name).symlink_to(target)
    if tool.scripts or tool.share:
        listed = run([go, "list", "-m", "-f", "{{.Dir}}", tool.module], cwd=tool.folder, env=env, timeout=60)
        module = Path(listed.decode().strip())
        for source, name in tool.scripts.items():
            # The module cache drops the run bit.
            shutil.copyfile(module / source, work / "bin" / name)
            (work / "bin" / name).chmod(0o755)
        for source in tool.share:
            shutil.copytree(module / source, work / "share" / tool.name / source)
    shutil.rmtree(out)
    files = sorted(file for file in work.rglob("*") if file.is_file() and not file.is_symlink())
    (work / MANIFEST).write_text(json.dumps({str(file.relative_to(work)): _sha256(file) for file in files}, indent=1))
    # Only a whole build ever carries the final name: a killed one is begun again.
    work.rename(final)


def _link(checkout: Checkout, tools: list[Tool], *, sweep: bool) -> None:
    bin_folder, share = checkout.tools / "bin", checkout.tools / "share"
    for folder in (bin_folder, share):
        folder.mkdir(parents=True, exist_ok=True)
    links: dict[Path, Path] = {}
    for tool in tools:
        # Resolved: .tools may itself be a link from a checkout that will be gone one day.
        folder = _folder(checkout, tool).resolve()
        links |= {bin_folder / file.name: file for file in (folder / "bin").iterdir()}
        if tool.share:
            links[share / tool.name] = folder / "share" / tool.name
    for old in [*bin_folder.iterdir(), *share.iterdir()]:
        if sweep and old not in links:
            old.unlink()
    for link, target in links.items():
        if not (link.is_symlink() and link.readlink() == target):
            # In one step: another command may be about to start the tool.
            fresh = link.with_name(f".{link.name}.{os.getpid()}")
            fresh.symlink_to(target)
            fresh.replace(link)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


class _Known:
    """What files of the cache had when they were last read whole: hundreds of MiB are not read by every command.

    Nobody can write to a file, or put another in its place, and leave its number, size and ctime as they were. Kept in
    the cache, which is its owner's like the tools themselves.
    """

    def __init__(self, cache: Path) -> None:
        self._file = cache / "known.json"
        try:
            content = jsontext.parse(self._file.read_text())
        except (OSError, ValueError):
            content = {}
        self._had: dict[str, list[Any]] = content if isinstance(content, dict) else {}
        self._has: dict[str, list[Any]] = {}

    def sha256(self, file: Path) -> str:
        """Of a file, read where it is not known as it is. Raises OSError."""
        about = file.stat()
        identity = [about.st_dev, about.st_ino, about.st_size, about.st_ctime_ns]
        entry = self._has.get(str(file)) or self._had.get(str(file))
        if not (isinstance(entry, list) and entry[:-1] == identity):
            entry = [*identity, _sha256(file)]
        self._has[str(file)] = entry
        return str(entry[-1])

    def keep(self) -> None:
        """For the next command; one that is asked for a few tools forgets nothing of the others."""
        merged = {**self._had, **self._has}
        if merged == self._had:
            return
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps({file: entry for file, entry in merged.items() if Path(file).exists()}))
        partial.rename(self._file)


@contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Hold the cache alone: a second `make` waits for the first one's builds instead of repeating them."""
    lock = cache / "lock"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        stream = lock.open("w")
    except OSError as error:
        raise MachineError(
            f"the tool cache cannot be written: {error.strerror}",
            path=str(cache),
            fix="set GITOPS_TOOL_CACHE to a folder that can be, or to nothing",
        ) from None
    with stream:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - began > BUILD_TIMEOUT:
                    raise MachineError(
                        f"another build has held the tool cache for {BUILD_TIMEOUT:g} s", path=str(lock)
                    ) from None
                time.sleep(0.5)
        yield

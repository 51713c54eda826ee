"""How long the bots read the histories of overlays in a repository of 20,000 commits: of one, and of all in one run."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from tests.bench_report import Report


@dataclass(frozen=True)
class Size:
    """How many commits, of how many overlays, how many look-ups are measured, and of how many overlays a run is."""

    commits: int
    overlays: int
    look_ups: int
    run: int


FULL = Size(commits=20_000, overlays=200, look_ups=20, run=100)
SMALLEST = Size(commits=200, overlays=10, look_ups=2, run=5)
RUN_LIMIT = 5.0  # seconds


def path(overlay: int) -> str:
    return f"overlays/service-{overlay:03d}/prod/kustomization.yaml"


def make(folder: Path, size: Size) -> tuple[Path, Path]:
    """An origin whose main has these commits, each a change of one overlay in turn, and a clone of it."""
    origin, clone = folder / "origin.git", folder / "clone"
    run(["git", "init", "--quiet", "--bare", "--initial-branch=main", origin], timeout=60)
    lines = []
    for number in range(size.commits):
        content = f"version {number}"
        lines += ["commit refs/heads/main", f"committer test <test@example.com> {1_600_000_000 + number * 600} +0000"]
        lines += ["data 4", "bump", f"M 100644 inline {path(number % size.overlays)}", f"data {len(content)}", content]
    stream = "".join(f"{line}\n" for line in lines).encode()
    run(["git", "-C", origin, "fast-import", "--quiet"], timeout=120, stdin=stream)
    run(["git", "clone", "--quiet", origin, clone], timeout=120)
    return origin, clone


def look_ups(history: History, size: Size) -> float:
    """The seconds of one look-up of an overlay's last versions."""
    began = time.monotonic()
    for overlay in range(size.look_ups):
        versions = list(history.versions(path(overlay), limit=10))
        assert versions
    return (time.monotonic() - began) / size.look_ups


def whole_run(clone: Path, size: Size) -> float:
    """The seconds that a run over many overlays spends in git: the fetch, main's files, and every history."""
    began = time.monotonic()
    history = History(clone)
    history.fetch(None)
    with main_files(Checkout(clone), history):
        paths = [path(overlay) for overlay in range(size.run)]
        history.read_ahead(paths)
        for name in paths:
            assert len(list(history.versions(name))) == min(100, size.commits // size.overlays)
    return time.monotonic() - began


def measure(size: Size, report: Report) -> None:
    """With the index of changed paths that a fetch leaves, against without it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _, clone = make(Path(folder), size)
        history = History(clone)
        without = look_ups(history, size)
        began = time.monotonic()
        history.fetch(None)
        fetched = time.monotonic() - began
        indexed = look_ups(history, size)
        run_seconds = whole_run(clone, size)
    report.ratio("history-look-up", indexed, without, 1.0, "seconds with the index of changed paths / without")
    what = f"seconds in git of a run over {size.run} overlays / the limit"
    report.ratio("history-run", run_seconds, RUN_LIMIT, 1.0, what)
    report.keep(commits=size.commits, fetch_seconds=fetched, run=size.run)

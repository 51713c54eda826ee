"""`make bench BENCH=gate`: preview and check of repositories of 10, 100 and 500 overlays, against bare renders."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from git import Repo

from gitops.ground.checkout import Checkout
from gitops.manifests.graph import Graph
from tests import generated
from tests.conftest import GITOPS, commit_all

SIZES = (10, 100, 500)
# What argocd-diff-preview publishes of itself for 500 Applications.
PEER = 330.0
FULL, ONE, FLOOR, FIRST_LINE = 60.0, 3.0, 1.3, 0.5


@dataclass(frozen=True)
class Row:
    """Seconds for one size of repository."""

    overlays: int
    one: float
    base: float
    check: float
    floor: float


def gate(line: Callable[[str, float, float, float, str], None]) -> None:
    """Print a table and the ratios. `line`: name, what was measured, against what, bound, words."""
    rows = [measure(size) for size in SIZES]
    print("bench: overlays | preview of one | preview of a base | full check | bare kustomize build of both sides")
    for row in rows:
        print(
            f"bench: {row.overlays:8} | {row.one:12.2f} s | {row.base:15.2f} s | {row.check:8.2f} s | {row.floor:.2f} s"
        )
    small, large = rows[0], rows[-1]
    count = f"{large.overlays} overlays"
    line(
        "gate-preview",
        large.base,
        large.floor,
        FLOOR,
        f"s to preview a base's change in {count} / bare kustomize builds",
    )
    line("gate-preview-limit", large.base, FULL, 1.0, f"s to preview a base's change in {count} / its limit of 60 s")
    line("gate-preview-peer", large.base, PEER, 1.0, f"s to preview {count} / argocd-diff-preview's own figure")
    line("gate-one", large.one, ONE, 1.0, f"s to preview one overlay of {large.overlays} / its limit of 3 s")
    what = f"s to preview one overlay of {large.overlays} / one of {small.overlays}, git's work included"
    line("gate-one-growth", large.one, small.one, 2.0, what)
    line(
        "gate-check",
        large.check,
        large.floor / 2,
        10.0,
        f"s for a full check of {count} / bare kustomize builds of one side",
    )
    line("gate-first-line", first_line(), FIRST_LINE, 1.0, "s until the first line / its limit of 0.5 s")


def measure(size: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        checkout = generated.repository(Path(folder) / "repository", size)
        units = [unit for unit in Graph(checkout).units if unit.startswith("overlays/")]
        one = checkout.root / units[0] / "configmap.yaml"
        one.write_text(one.read_text() + "  more: changed\n")
        commit_all(checkout, "one overlay")
        taken_one = _timed(checkout, "preview")
        base = checkout.root / "base/workload/deployment.yaml"
        base.write_text(base.read_text().replace("revisionHistoryLimit: 3", "revisionHistoryLimit: 4"))
        commit_all(checkout, "a base")
        rounds = 3 if size <= 100 else 1
        # In turns, as a machine's pace changes.
        pairs = [(_floor(checkout, units), _timed(checkout, "preview")) for _ in range(rounds)]
        floors, previews = (statistics.median(side) for side in zip(*pairs, strict=True))
        checked = _timed(checkout, "check", "--all")
        return Row(size, taken_one, previews, checked, floors)


def _timed(checkout: Checkout, *words: str) -> float:
    argv = [str(GITOPS), *words]
    if words[0] == "preview":
        argv += ["--base", "HEAD~1", "--head", "HEAD", "--output", "json"]
    began = time.monotonic()
    done = subprocess.run(argv, cwd=checkout.root, capture_output=True, text=True, timeout=1800)
    taken = time.monotonic() - began
    # A repository of that many services has more hosts than one load balancer has rules: the check says so.
    assert done.returncode == 0 or (words[0] == "check" and "lb-quota" in done.stdout), (
        done.stderr + done.stdout[-2000:]
    )
    return taken


def _floor(checkout: Checkout, units: list[str]) -> float:
    """Bare `kustomize build` of every overlay on both sides, as many at once as the preview has."""
    with tempfile.TemporaryDirectory() as folder, Repo(checkout.root) as repo:
        repo.git.worktree("add", "--detach", f"{folder}/base", "HEAD~1")
        tool = checkout.tools / "bin/kustomize"
        wanted = [root / unit for unit in units for root in (Path(folder) / "base", checkout.root)]
        began = time.monotonic()
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            list(pool.map(lambda path: subprocess.run([tool, "build", path], check=True, capture_output=True), wanted))
        taken = time.monotonic() - began
        repo.git.worktree("remove", "--force", f"{folder}/base")
    return taken


def first_line() -> float:
    """Seconds from the start of `gitops check` to its first line, the median of five."""
    times = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        checkout = generated.repository(Path(folder) / "repository", 2)
        for _ in range(5):
            began = time.monotonic()
            argv = [str(GITOPS), "check", "--base", "HEAD"]
            with subprocess.Popen(
                argv, cwd=checkout.root, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
            ) as process:
                assert process.stderr
                process.stderr.readline()
                times.append(time.monotonic() - began)
                process.stderr.read()
    return statistics.median(times)

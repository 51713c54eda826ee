"""`make bench BENCH=gate`: preview and check of repositories of 10, 100 and 500 overlays, against bare renders."""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from git import Repo

from gitops.check.standby import Home
from gitops.clients.kubernetes import Cluster
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError
from gitops.lab import control
from gitops.lab.layout import Lab, find_labs
from gitops.lab.process import end_all, wait_until
from gitops.manifests.graph import Graph
from tests import generated
from tests.bench_report import Report
from tests.conftest import GITOPS, commit_all

# How many overlays each repository has.
FULL, SMALLEST = (10, 100, 500), (2,)
# What argocd-diff-preview publishes of itself for 500 Applications.
PEER = 330.0
# Seconds for a preview of all and of one, times the bare builds, seconds until the first line.
FULL_LIMIT, ONE_LIMIT, BARE, FIRST_LINE = 60.0, 3.0, 0.35, 0.5
# Seconds for a check of one overlay: without an API server, with one that is started, with one that stands by.
OFFLINE, COLD, WARM = 0.8, 3.5, 1.2
# The goal of 3.5 s against the 2.3 s that a bare API server and its dry runs took where it was set.
COLD_FLOOR = 1.5
DRY_RUNS = 100


@dataclass(frozen=True)
class Row:
    """Seconds for one size of repository: previews of one overlay's and of a base's change, a full check, and bare
    `kustomize build` of every overlay on both sides. `offline`, `cold` and `warm`: a check of one overlay.
    """

    overlays: int
    offline: float
    cold: float
    warm: float
    one: float
    base: float
    check: float
    bare: float


def measure(sizes: tuple[int, ...], report: Report) -> None:
    """A row for each size of repository, and the ratios of the largest."""
    rows = [_row(size) for size in sizes]
    for row in rows:
        report.row("rows", **vars(row))
    small, large = rows[0], rows[-1]
    count = f"{large.overlays} overlays"
    what = f"s to preview a base's change in {count} / bare kustomize builds"
    report.ratio("gate-preview", large.base, large.bare, BARE, what)
    what = f"s to preview a base's change in {count} / its limit of {FULL_LIMIT:g} s"
    report.ratio("gate-preview-limit", large.base, FULL_LIMIT, 1.0, what)
    what = f"s to preview {count} / argocd-diff-preview's own figure"
    report.ratio("gate-preview-peer", large.base, PEER, 1.0, what)
    what = f"s to preview one overlay of {large.overlays} / its limit of {ONE_LIMIT:g} s"
    report.ratio("gate-one", large.one, ONE_LIMIT, 1.0, what)
    what = f"s to preview one overlay of {large.overlays} / one of {small.overlays}, git's work included"
    report.ratio("gate-one-growth", large.one, small.one, 2.0, what)
    what = f"s for a full check of {count} / bare kustomize builds of one side"
    report.ratio("gate-check", large.check, large.bare / 2, 10.0, what)
    for name, value, limit, how in (
        ("gate-offline", small.offline, OFFLINE, "offline"),
        ("gate-cold", small.cold, COLD, "with an API server that is started"),
        ("gate-warm", small.warm, WARM, "with an API server that stands by"),
    ):
        report.ratio(name, value, limit, 1.0, f"s to check one overlay of {small.overlays} {how} / its goal")
    floor = bare_server(_rounds(small.overlays))
    what = f"s to check one overlay with an API server that is started / a bare one's start and {DRY_RUNS} dry runs"
    report.ratio("gate-cold-floor", small.cold, floor, COLD_FLOOR, what)
    what = f"s until the first line / its limit of {FIRST_LINE:g} s"
    report.ratio("gate-first-line", first_line(), FIRST_LINE, 1.0, what)


def _row(size: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        checkout = generated.repository(Path(folder) / "repository", size)
        units = [unit for unit in Graph(checkout).units if unit.startswith("overlays/")]
        one = checkout.root / units[0] / "configmap.yaml"
        one.write_text(one.read_text() + "  more: changed\n")
        commit_all(checkout, "one overlay")
        taken_one = _timed(checkout, "preview")
        rounds = _rounds(size)
        offline, cold, warm = _checks(checkout, rounds)
        base = checkout.root / "base/workload/deployment.yaml"
        base.write_text(base.read_text().replace("revisionHistoryLimit: 3", "revisionHistoryLimit: 4"))
        commit_all(checkout, "a base")
        # In turns, as a machine's pace changes.
        pairs = [(_bare(checkout, units), _timed(checkout, "preview")) for _ in range(rounds)]
        bare, previews = (statistics.median(side) for side in zip(*pairs, strict=True))
        checked = _timed(checkout, "check", "--all")
        _nobody_stands_by(checkout)
        return Row(size, offline, cold, warm, taken_one, previews, checked, bare)


def _rounds(size: int) -> int:
    return 3 if 2 < size <= 100 else 1


def _checks(checkout: Checkout, rounds: int) -> tuple[float, float, float]:
    """Of what the last commit changed: offline, with an API server that is started, with one that stands by."""
    words = ("check", "--base", "HEAD~1")
    offline = statistics.median(_timed(checkout, *words, "--offline") for _ in range(rounds))
    cold, warm = [], []
    try:
        # The first one leaves the template.
        _timed(checkout, *words)
        for _ in range(rounds):
            _stands_by(checkout)
            warm.append(_timed(checkout, *words))
            _nobody_stands_by(checkout)
            cold.append(_timed(checkout, *words))
    finally:
        _nobody_stands_by(checkout)
    return offline, statistics.median(cold), statistics.median(warm)


def _stands_by(checkout: Checkout) -> None:
    """Wait until the next check's API server answers, and nothing else is done beside."""

    def ready() -> bool:
        labs = find_labs(checkout)
        if not (Home(checkout).folder / "door").exists() or len(labs) != 1 or not labs[0].kubeconfig.exists():
            return False
        with suppress(ExternalError):
            return Cluster(labs[0].kubeconfig).text("/readyz") == "ok"
        return False

    wait_until("an API server stands by", ready, seconds=120)
    time.sleep(1)


def _nobody_stands_by(checkout: Checkout) -> None:
    """Wait until no keeper is left. Without the checkout's labs one has nothing to stand by for; the template stays."""

    def gone() -> bool:
        for lab in find_labs(checkout):
            shutil.rmtree(lab.folder, ignore_errors=True)
        own = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        return not any(str(checkout.root) in " ".join(words) for words in own)

    wait_until("no API server stands by", gone, seconds=120)


def bare_server(rounds: int) -> float:
    """Seconds from the start of a bare etcd and kube-apiserver to the last of its dry runs, the median of `rounds`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        checkout = generated.repository(Path(folder) / "repository", 2)
        return statistics.median(_bare_server(Lab(checkout, f"bare-{number}")) for number in range(rounds))


def _bare_server(lab: Lab) -> float:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
    began = time.monotonic()
    try:
        control.control_plane(lab)
        cluster = Cluster(lab.kubeconfig)
        for _ in range(DRY_RUNS):
            cluster.ask("POST", "/api/v1/namespaces/default/configmaps", item)
        return time.monotonic() - began
    finally:
        end_all(lab, patience=0)


def _timed(checkout: Checkout, *words: str) -> float:
    argv = [str(GITOPS), *words]
    if words[0] == "preview":
        argv += ["--base", "HEAD~1", "--head", "HEAD", "--output", "json"]
    began = time.monotonic()
    env = {**os.environ, "GITOPS_CHECK_KEEP": "120", "CI": ""}
    done = subprocess.run(argv, cwd=checkout.root, env=env, capture_output=True, text=True, timeout=1800)
    taken = time.monotonic() - began
    # A repository of that many services has more hosts than one load balancer has rules: the check says so.
    assert done.returncode == 0 or (words[0] == "check" and "lb-quota" in done.stdout), (
        done.stderr + done.stdout[-2000:]
    )
    return taken


def _bare(checkout: Checkout, units: list[str]) -> float:
    """Bare `kustomize build` of every overlay on both sides, as many at once as the preview has."""
    with tempfile.TemporaryDirectory() as folder, Repo(checkout.root) as repo:
        repo.git.worktree("add", "--detach", f"{folder}/base", "HEAD~1")
        tool = checkout.tools / "bin/kustomize"
        roots = (Path(folder) / "base", checkout.root)
        folders = [root / unit for unit, root in itertools.product(units, roots)]
        began = time.monotonic()
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            list(pool.map(lambda path: subprocess.run([tool, "build", path], check=True, capture_output=True), folders))
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

"""How long a bot's pull request waits from opened to mergeable: check.yaml's and gate.yaml's jobs, by act, for a bump.

Each job of check.yaml has a runner of its own, so they are run one after another and the longer one counts; gate.yaml's
judge and report follow it, one after the other. Cold: nothing is in the caches, so the packages are installed and the
tools are built. What act cannot count: the wait for a runner and its start (four in a row), and the download of caches.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git import Repo

from gitops.ground.checkout import Checkout
from gitops.images import edit
from gitops.manifests.image import Image
from tests.bench_report import Report
from tests.fakes import act
from tests.fakes.github import GitHub
from tests.frozen import TEST, clone, live_clone

# What a slow machine may take to build all tools.
TIMEOUT = 3600.0
_SETUP = re.compile(r"Success - Main \./\.github/actions/setup \[(.*?)\]")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "µs": 0.000001}


@dataclass(frozen=True)
class Size:
    """Which tree is cloned, and what the environment of the jobs has besides, with warm and with cold caches."""

    clone: Callable[[Path], Checkout]
    warm: dict[str, str]
    cold: dict[str, str]


_DRY = {"MAKEFLAGS": "n"}
FULL = Size(live_clone, {}, {"STANDIN_CACHE": "cold"})
# No tests run and nothing is built.
SMALLEST = Size(clone, _DRY, {"STANDIN_CACHE": "stale", **_DRY})


@dataclass(frozen=True)
class Run:
    """Seconds of a run, and of these for the setup (packages and tools) of each of its jobs."""

    whole: float
    setups: list[float]

    @property
    def work(self) -> float:
        """What no cache changes."""
        return self.whole - sum(self.setups)


def measure(size: Size, report: Report) -> None:
    """Seconds of all jobs with warm caches and, as the setup alone differs, of main's own verdict with cold ones.

    Its first job is set up as those of check.yaml are.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        runner = _Runner(size.clone, Path(folder))
        try:
            gate, tests = (runner.check(job, size.warm) for job in ("gate", "tests"))
            verdict, cold = (runner.judge(environment) for environment in (size.warm, size.cold))
        finally:
            runner.github.close()
    setup = cold.setups[0]
    _row(report, cached=1, setup=gate.setups[0], gate=gate.whole, tests=tests.whole, verdict=verdict.whole)
    _row(report, cached=0, setup=setup, gate=setup + gate.work, tests=setup + tests.work, verdict=cold.whole)


def _row(report: Report, *, gate: float, tests: float, verdict: float, **others: float) -> None:
    wait = max(gate, tests) + verdict
    report.row("rows", **others, gate=gate, tests=tests, verdict=verdict, wait=wait)


class _Runner:
    """A clone in which a bump is proposed."""

    def __init__(self, clone_into: Callable[[Path], Checkout], folder: Path) -> None:
        source = clone_into(folder / "source")
        with Repo.init(folder / "origin.git", bare=True, initial_branch="main") as repo:
            repo.git.fetch(str(source.root), "+HEAD:refs/heads/main")
        self.github, self.artifacts = GitHub(folder / "origin.git"), folder / "artifacts"
        self.clone = Path(Repo.clone_from(self.github.clone_url, folder / "runner").working_dir)
        self.head = _bump(self.clone)
        with Repo(self.clone) as repo:
            repo.git.push("--quiet", str(folder / "origin.git"), "HEAD:refs/heads/bump")
        self.github._open({"head": "bump", "base": "main", "title": "Bump"})

    def check(self, job: str, environment: dict[str, str]) -> Run:
        """A job of what runs for the pull request."""
        pull = {"number": 1, "head": {"sha": self.head}, "base": {"ref": "main"}}
        return self._run("check.yaml", "pull_request", job, {"pull_request": pull}, environment)

    def judge(self, environment: dict[str, str]) -> Run:
        """What main runs when that has ended: the job that judges, and the one that needs it and reports."""
        ended = {"event": "pull_request", "conclusion": "success", "head_sha": self.head, "id": 1}
        return self._run("gate.yaml", "workflow_run", "report", {"workflow_run": ended}, environment)

    def _run(self, workflow: str, event: str, job: str, payload: dict[str, Any], environment: dict[str, str]) -> Run:
        """Run one job, with those that it needs, as GitHub would. Raises AssertionError where it fails."""
        began = time.monotonic()
        done = act.run(
            self.clone,
            workflow,
            event,
            job=job,
            github=self.github,
            payload=payload,
            # The cache of this machine's tools is no runner's.
            environment={"STANDIN_ARTIFACTS": str(self.artifacts), "GITOPS_TOOL_CACHE": "", **environment},
            timeout=TIMEOUT,
        )
        whole = time.monotonic() - began
        assert done.code == 0, done.text[-5000:]
        return Run(whole, [_seconds(setup) for setup in _SETUP.findall(done.text)])


def _bump(clone: Path) -> str:
    """Commit another image of the first overlay that has one, as a bot would. Returns the commit."""
    checkout = Checkout(clone)
    for file in sorted(checkout.overlays.glob("[!.]*/*/kustomization.yaml")):
        path = checkout.relative(file)
        before = file.read_bytes()
        if b"\nimages:" in before:
            image = edit.read(before, path).image
            digest = f"sha256:{hashlib.sha256(before).hexdigest()}"
            file.write_bytes(edit.replace(before, path, Image(image.name, image.tag, digest)))
            with Repo(clone) as repo:
                repo.git.add("--all")
                return repo.index.commit(f"{path}: another image", author=TEST, committer=TEST).hexsha
    raise AssertionError("no overlay has an image of its own")


def _seconds(duration: str) -> float:
    """The seconds of a duration as Go writes it, such as 11m30.5s."""
    parts = re.findall(r"([\d.]+)(ms|µs|h|m|s)", duration)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)

"""How long a bot's pull request waits from opened to mergeable: check.yaml's jobs, by act, for a bump.

Each job has a runner of its own, so they are run one after another and the longer one counts. Cold: nothing is in the
caches, so the packages are installed and the tools are built. What act cannot count: the wait for a runner and its
start (twice, as `check` needs the other jobs), and the download of the caches.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
class Job:
    """Seconds of a job, and of these for its setup: packages and tools."""

    whole: float
    setup: float


def measure(size: Size, report: Report) -> None:
    """Seconds of both jobs with warm caches, and of the gate with cold ones: the setup of both is the same."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        runner = _Runner(size.clone, Path(folder))
        try:
            gate, tests = (runner.run(job, size.warm) for job in ("gate", "tests"))
            cold = runner.run("gate", size.cold)
        finally:
            runner.github.close()
    cold_tests = cold.setup + tests.whole - tests.setup
    for cached, setup, *jobs in (
        (1, gate.setup, gate.whole, tests.whole),
        (0, cold.setup, cold.whole, cold_tests),
    ):
        report.row("rows", cached=cached, setup=setup, gate=jobs[0], tests=jobs[1], wait=max(jobs))
    report.figures["cold_tools"] = "built in the very run"


class _Runner:
    """A clone in which a bump is proposed."""

    def __init__(self, clone_into: Callable[[Path], Checkout], folder: Path) -> None:
        source = clone_into(folder / "source")
        with Repo.init(folder / "origin.git", bare=True, initial_branch="main") as repo:
            repo.git.fetch(str(source.root), "+HEAD:refs/heads/main")
        self.github, self.artifacts = GitHub(folder / "origin.git"), folder / "artifacts"
        self.clone = Path(Repo.clone_from(self.github.clone_url, folder / "runner").working_dir)
        self.head = _bump(self.clone)

    def run(self, job: str, environment: dict[str, str]) -> Job:
        """Run one job as GitHub would for the pull request. Raises AssertionError where it fails."""
        pull = {"number": 1, "head": {"sha": self.head}, "base": {"ref": "main"}}
        began = time.monotonic()
        done = act.run(
            self.clone,
            "check.yaml",
            "pull_request",
            job=job,
            github=self.github,
            payload={"pull_request": pull},
            # The cache of this machine's tools is no runner's.
            environment={"STANDIN_ARTIFACTS": str(self.artifacts), "GITOPS_TOOL_CACHE": "", **environment},
            timeout=TIMEOUT,
        )
        whole = time.monotonic() - began
        assert done.code == 0, done.text[-5000:]
        [setup] = _SETUP.findall(done.text)
        return Job(whole, _seconds(setup))


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

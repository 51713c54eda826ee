"""Breakages as an operator meets them at night: told once, with the reason and what to type first, and once that it is
over. What is no fault is not told.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from git import Repo

from gitops.lab import lab as labs
from gitops.lab.bootstrap import missing_nodes
from tests.conftest import gitops
from tests.lab.running import Running
from tests.lab.test_health import PATIENCE
from tests.lab.test_lab import until

pytestmark = pytest.mark.lab

OVER = "is Synced and Healthy again"
# Seconds from the push to the message: Argo CD's notifications look once in a minute at what does not change.
TOLD = 90.0


@dataclass(frozen=True)
class Drill:
    """What is broken, what Slack says of it, and what of the reason `gitops lab status` must name."""

    application: str
    old: str
    new: str
    says: str
    reason: str
    file: str = "kustomization.yaml"


DRILLS = (
    Drill("jobs-bot-prod", "resources:\n", "resources:\n  - gone.yaml\n", "does not render", "gone.yaml"),
    Drill("benefit-staging", "newName: ", "newName: registry.example.com/", "is refused", "is from another registry"),
    Drill(
        "mogle-staging",
        "secret: mogle-oauth-42-g1",
        "secret: mogle-oauth-42-g9",
        "is Degraded",
        'secret "mogle-oauth-42-g9" not found',
        "oauth-42.yaml",
    ),
    Drill(
        "notice-bot-prod",
        "client-secret: Ag",
        "client-secret: AgBBBB",
        "is Degraded",
        "no key could decrypt secret",
        "sealedsecret-oauth-42-g1.yaml",
    ),
)


class Slack:
    """What came since, by Application."""

    def __init__(self, running: Running) -> None:
        self.file = running.lab.slack_file
        self.before = len(self._lines())

    def _lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []

    def messages(self, application: str | None = None) -> list[dict[str, str]]:
        """All of them, or those of one Application."""
        sent = [json.loads(line) for line in self._lines()[self.before :]]
        return [item for item in sent if application is None or f" {application} " in item["text"]]


@pytest.fixture
def slack(running: Running) -> Slack:
    return Slack(running)


def broken(running: Running, drill: Drill) -> Callable[[], None]:
    """Break it. Returns what mends it."""
    path = running.overlay(drill.application) / drill.file
    whole = path.read_bytes()
    running.edit(drill.application, drill.old, drill.new, file=drill.file)
    return lambda: _write(path, whole)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def test_each_breakage_is_told_once_with_its_reason_and_once_that_it_is_over(running: Running, slack: Slack) -> None:
    kustomization = running.overlay("mogle-staging") / "kustomization.yaml"
    patient = kustomization.read_bytes()
    running.edit("mogle-staging", "patches:\n", PATIENCE)
    # No fault: every pod of one service is replaced, and one overlay is taken out.
    running.edit("mogle-prod", "labels:\n", "commonAnnotations: {example.com/drill: one}\nlabels:\n")
    kept = running.work.parent / "kept"
    shutil.copytree(running.overlay("umbrella-staging"), kept)
    shutil.rmtree(running.overlay("umbrella-staging"))
    mends = [broken(running, drill) for drill in DRILLS]
    running.push("break four, replace one, take one out")
    try:
        for drill in DRILLS:
            until(f"Slack hears of {drill.application}", lambda: slack.messages(drill.application), TOLD)  # noqa: B023
        status = gitops(running.lab.checkout, "lab", "status", "--name", "test")
        assert status.code == 1
        # A cell may be wrapped.
        told = " ".join(status.out.split())
        for drill in DRILLS:
            assert drill.reason in told
            [message] = slack.messages(drill.application)
            assert drill.says in message["text"]
            assert "First: " in message["blocks"]
            assert "Since 20" in message["blocks"]
    finally:
        for mend in mends:
            mend()
        kustomization.write_bytes(patient)
        shutil.copytree(kept, running.overlay("umbrella-staging"))
        running.edit("mogle-prod", "commonAnnotations: {example.com/drill: one}\n", "")
        commit = running.push("mend all")
    running.wait(*(drill.application for drill in DRILLS), "mogle-prod", "umbrella-staging", revision=commit)
    for drill in DRILLS:
        until(f"the end of {drill.application}", lambda: len(slack.messages(drill.application)) > 1, 2 * TOLD)  # noqa: B023
        assert OVER in slack.messages(drill.application)[1]["text"]
    assert len(slack.messages()) == 2 * len(DRILLS), "each twice, and nothing of what was no fault"


def test_up_brings_back_what_was_lost_meanwhile(running: Running) -> None:
    settings = running.lab.settings()
    assert missing_nodes(running.cluster, settings.nodes_per_zone) == {}
    running.cluster.delete("/api/v1/nodes/lab-a-1")
    again = gitops(running.lab.checkout, "lab", "up", "--name", "test", timeout=300)
    assert again.code == 0, again.err
    assert missing_nodes(running.cluster, settings.nodes_per_zone) == {}
    running.wait(*(app.name for app in labs.applications(running.lab) or []))


def test_a_push_of_nothing_new_ends_at_once(running: Running) -> None:
    # After the tests' own commits the first brings the origin back to the checkout's.
    first = gitops(running.lab.checkout, "lab", "push", "--name", "test", timeout=300)
    assert first.code == 0, first.err
    began = time.monotonic()
    again = gitops(running.lab.checkout, "lab", "push", "--name", "test", timeout=300)
    assert f"nothing new: the lab already runs {first.out.split()[-1]}" in again.out
    assert time.monotonic() - began < 15
    with Repo(running.work) as repo:
        repo.git.fetch("origin")
        repo.git.reset("--hard", "origin/main")

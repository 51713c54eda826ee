"""A person at night: a terminal in the lab's checkout, the runbooks' commands as written, and ways to break things."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from git import Repo

from gitops.lab import process
from tests import runbooks
from tests.conftest import GITOPS, Ran, commit_all, gitops
from tests.lab.running import Running

# Seconds until the cause is named, and until all is well after the first command that mends it.
NAMED, MENDED = 120.0, 180.0


class Operator:
    """A person in the lab's checkout, with a terminal as the runbooks have it."""

    def __init__(self, running: Running) -> None:
        self.running, self.root = running, running.lab.checkout.root
        who = {f"GIT_{role}_NAME": "test" for role in ("AUTHOR", "COMMITTER")}
        who |= {f"GIT_{role}_EMAIL": "test@example.com" for role in ("AUTHOR", "COMMITTER")}
        path = f"{GITOPS.parent}:{running.lab.checkout.tools / 'bin'}:{os.environ['PATH']}"
        self.env = {**os.environ, **who, "PATH": path}
        self.env |= {"GITOPS_LAB_NAME": running.lab.name, "KUBECONFIG": str(running.lab.kubeconfig)}

    def types(self, line: str, *, name: str = "") -> Ran:
        """One line of a runbook; `name` stands for its NAME."""
        argv = ["bash", "-c", line.replace("NAME", name or "NAME")]
        done = subprocess.run(argv, cwd=self.root, env=self.env, capture_output=True, text=True, timeout=400)
        return Ran(done.returncode, done.stdout, done.stderr)

    def follows(self, file: str, section: str, block: int = 0, *, name: str = "") -> list[Ran]:
        """All lines of one block of a section's commands."""
        return [self.types(line, name=name) for line in runbooks.commands(file, section, block)]

    def kill(self, part: str) -> None:
        """End a part of the lab, and all that belongs to it."""
        for victim in process.running(self.running.lab)[part]:
            victim.kill()
        lab = self.running.lab
        process.wait_until(f"{part} ended", lambda: part not in process.running(lab), seconds=60)


@pytest.fixture
def operator(running: Running) -> Iterator[Operator]:
    """The lab runs what the checkout has, before and after, however a test ended."""
    with Repo(running.lab.checkout.root) as repo:
        before = repo.head.commit.hexsha
    first = gitops(running.lab.checkout, "lab", "push", "--name", running.lab.name, timeout=400)
    assert first.code == 0, first.err
    yield Operator(running)
    with Repo(running.lab.checkout.root) as repo:
        repo.git.reset("--hard", before)
    with Repo(running.work) as repo:
        repo.git.fetch("origin")
        repo.git.reset("--hard", "origin/main")


def told(operator: Operator) -> str:
    """What the lab's status says, as one line: a cell may be wrapped."""
    return " ".join(operator.types("gitops lab status").out.split())


@dataclass(frozen=True)
class Breakage:
    """An edit of an overlay, and what of the reason must be named, whole."""

    application: str
    old: str
    new: str
    reason: str
    file: str = "kustomization.yaml"


def patch(kind: str, *operations: str) -> str:
    """A patch of the first of a kind, before the other patches."""
    lines = "".join(f"      - {operation}\n" for operation in operations)
    return f"  - target: {{kind: {kind}}}\n    patch: |\n{lines}"


def break_overlays(operator: Operator, breakages: Sequence[Breakage], message: str) -> None:
    """Commit them all at once."""
    for breakage in breakages:
        service, _, environment = breakage.application.rpartition("-")
        file = operator.root / "overlays" / service / environment / breakage.file
        text = file.read_text()
        assert breakage.old in text, breakage
        file.write_text(text.replace(breakage.old, breakage.new, 1))
    commit_all(operator.running.lab.checkout, message)


def until_named(operator: Operator, breakages: Sequence[Breakage]) -> float:
    """The seconds until the runbook's first command names every cause, whole."""

    def every_one() -> bool:
        [status] = operator.follows("application-not-healthy.md", "Which ones, and why")
        said = " ".join(status.out.split())  # a cell may be wrapped
        return status.code == 1 and all(breakage.reason in said for breakage in breakages)

    return process.wait_until("each cause is named", every_one, seconds=NAMED)

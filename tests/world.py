"""What the bots' tests share: a GitHub, and a clone of its main in which the command runs as its user gives it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import pytest
from botocore.loaders import create_loader
from git import Repo

from gitops.cli import main
from gitops.ground.checkout import Checkout
from tests.conftest import GITOPS, Ran
from tests.fakes.github import GitHub
from tests.frozen import ROOT

_loader = cache(create_loader)


class World:
    """One GitHub and one clone. What else there is (a registry, a 42, a Slack) is added by what tests it."""

    def __init__(self, github: GitHub, folder: Path) -> None:
        self.github = github
        self.checkout = self.clone(folder)

    def clone(self, folder: Path) -> Checkout:
        """Another clone of main, with the tools."""
        with Repo.clone_from(self.github.git_dir, folder) as repo:  # faster than by HTTP
            repo.remotes.origin.set_url(self.github.clone_url)
        (folder / ".tools").symlink_to(ROOT / ".tools")
        return Checkout(folder)

    def tree(self, branch: str, folder: str = ".") -> list[str]:
        """The paths of a branch's files."""
        return self.github.git("ls-tree", "-r", "--name-only", branch, folder).splitlines()

    def file(self, path: str, branch: str = "main") -> bytes:
        return subprocess.check_output(["git", "--git-dir", str(self.github.git_dir), "show", f"{branch}:{path}"])

    @property
    def environment(self) -> dict[str, str]:
        """The addresses of everything there is, and what may be done there."""
        return {**self.github.environment, "GITOPS_GITHUB_PAUSE": "0"}

    def run(self, *words: str, stdin: str | None = None, **env: str) -> Ran:
        """The command, in the checkout and where everything there is can be reached."""
        return run_here(self.checkout.root, words, stdin, {**self.environment, **env})

    def start(self, *words: str, folder: Path | None = None, **env: str) -> subprocess.Popen[str]:
        """The real command as a process of its own, in this clone or in another."""
        return subprocess.Popen(
            [str(GITOPS), *words],
            cwd=folder or self.checkout.root,
            env={**os.environ, **self.environment, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def run_here(folder: Path, words: Sequence[str], stdin: str | None, environment: Mapping[str, str]) -> Ran:
    """The command, in this process: a hundred interpreters would take a minute to start."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["gitops", *words])
        patch.setattr("gitops.clients.intra42.PER_SECOND", 1000)
        # botocore reads its descriptions of AWS's services for each session: a third of a second.
        patch.setattr("botocore.session.create_loader", _loader)
        # What a process holds ends with it.
        patch.setattr("gitops.ground.hidden._kept", {})
        patch.setattr("gitops.ground.hidden._forms", set())
        if stdin is not None:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as exit_:
            main()
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return Ran(int(exit_.value.code or 0), out.getvalue(), err.getvalue())

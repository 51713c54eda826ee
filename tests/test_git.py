"""The one door to git: what each process may take, and what a long history costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitops.ground.command import run
from gitops.repository import git
from gitops.repository.history import History
from tests import bench_history

SIZE = bench_history.SMALLEST


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, on a machine whose git never answers, with a limit of half a second."""
    git.Repo.init(tmp_path / "repo", initial_branch="main").close()
    program = tmp_path / "bin/git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 300\n")
    program.chmod(0o755)
    monkeypatch.setattr(git, "SECONDS", 0.5)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "repo"


def test_a_git_that_never_answers_is_ended(hanging: Path) -> None:
    with git.Repo(hanging) as repo, pytest.raises(git.TimeLimitError, match=r"git status gave no answer within 0\.5 s"):
        repo.git.status("--porcelain")


def test_a_walk_of_commits_that_never_ends_is_ended(hanging: Path) -> None:
    with git.Repo(hanging) as repo, pytest.raises((git.GitError, git.TimeLimitError, ValueError)):
        list(repo.iter_commits("main"))


def test_an_object_that_never_comes_is_given_up(hanging: Path) -> None:
    with git.Repo(hanging) as repo, pytest.raises(git.TimeLimitError):
        repo.git.get_object_data("a" * 40)


def test_a_fetch_indexes_the_changed_paths_and_the_history_is_the_same(tmp_path: Path) -> None:
    origin, clone = bench_history.make(tmp_path, SIZE)
    history = History(clone)
    before = list(history.versions(bench_history.path(3)))
    assert len(before) == SIZE.commits // SIZE.overlays
    history.fetch(None)
    assert list((clone / ".git/objects/info/commit-graphs").glob("*.graph"))
    assert list(history.versions(bench_history.path(3))) == before
    # What comes later is found too.
    run(["git", "-C", origin, "gc", "--quiet"], timeout=60)
    stream = "commit refs/heads/main\ncommitter test <test@example.com> 1800000000 +0000\ndata 4\nbump\n"
    stream += f"from refs/heads/main^0\nM 100644 inline {bench_history.path(3)}\ndata 3\nnew\n"
    run(["git", "-C", origin, "fast-import", "--quiet"], timeout=60, stdin=stream.encode())
    history.fetch(None)
    assert next(version.content for version in history.versions(bench_history.path(3))) == b"new"

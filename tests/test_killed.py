"""What a run that is killed leaves behind: nothing, at the latest when the next one begins."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gitops.ground import temporary
from gitops.ground.checkout import Checkout
from gitops.lab.process import TAG, wait_until
from tests.conftest import GITOPS

pytestmark = pytest.mark.bots
OLD = time.time() - 3600


def parts(checkout: Checkout) -> Iterator[str]:
    """The programs that run for a lab of the checkout."""
    for process in psutil.process_iter(["name", "environ"]):
        if (process.info["environ"] or {}).get(TAG, "").startswith(str(checkout.labs)):
            yield process.info["name"]


def test_a_killed_check_leaves_nothing(scratch: Checkout, tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    words = [str(GITOPS), "check", "--all", "--base", "HEAD", "--head", "HEAD"]
    run = subprocess.Popen(words, cwd=scratch.root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("an API server", lambda: "kube-apiserver" in parts(scratch), seconds=60)
    run.kill()
    run.wait()
    wait_until("nothing runs", lambda: not list(parts(scratch)), seconds=30)
    wait_until("no lab", lambda: not list(scratch.labs.glob("check-*")), seconds=30)
    left = list(tmp_path.glob(f"{temporary.PREFIX}*"))
    assert left
    for folder in left:
        os.utime(folder, (OLD, OLD))
    done = subprocess.run([*words, "--offline"], cwd=scratch.root, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob(f"{temporary.PREFIX}*")) == []
    listed = subprocess.check_output(["git", "worktree", "list", "--porcelain"], cwd=scratch.root, text=True)
    assert listed.count("worktree ") == 1


@pytest.mark.parametrize("held", [True, False])
def test_a_folder_goes_where_nobody_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    temporary._clear.cache_clear()
    with temporary.folder() as first:
        left = first if held else tmp_path / f"{temporary.PREFIX}left"
        (left / "sub").mkdir(parents=True)
        os.utime(left, (OLD, OLD))
        temporary._clear.cache_clear()
        with temporary.folder():
            assert left.exists() == held


def test_a_new_folder_and_a_link_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    elsewhere, new = tmp_path / "elsewhere", tmp_path / f"{temporary.PREFIX}new"
    elsewhere.mkdir()
    new.mkdir()
    (tmp_path / f"{temporary.PREFIX}link").symlink_to(elsewhere)
    os.utime(elsewhere, (OLD, OLD))
    temporary._clear.cache_clear()
    with temporary.folder():
        assert new.exists()
        assert elsewhere.exists()

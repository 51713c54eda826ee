"""The product on a small platform of its own: the product's files of this working copy with tests/platform laid over.

What people and bots write day by day (`gitops.scope.targets.DATA`) may take any legal state at any time, by pull
requests that do not run the tests of the product. So no such test reads it: tests/platform stands in its place. It
began as a copy of the live data, has every shape and feature, and changes with the product alone. Tests of the live
tree are marked `live` (tests/test_live.py); any other that reads it fails (tests/guard.py).
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from git import Actor, Repo

from gitops.cluster import identity
from gitops.ground.checkout import Checkout
from gitops.repository import contents
from gitops.scope.targets import is_data as is_data

ROOT = Path(__file__).parent.parent
PLATFORM = ROOT / "tests/platform"
# Its cluster, beside the lab.
CLUSTER = "clusters/seoul"
TEST = Actor("test", "test@example.com")


def working_copy() -> list[str]:
    """Every file of this working copy that git would commit, by its path in the repository."""
    argv = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout.decode().split("\0")
    return sorted({path for path in listed if path and (ROOT / path).is_file()})


def copy(paths: list[str], folder: Path) -> None:
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target, follow_symlinks=False)


def commit(folder: Path) -> None:
    """Make a folder a repository whose one commit, on main, is what stands there; the tools are this checkout's."""
    (folder / ".tools").symlink_to(ROOT / ".tools")
    with Repo.init(folder, initial_branch="main") as repo:
        repo.git.add("--all")
        repo.index.commit("the working copy", author=TEST, committer=TEST)


@cache
def platform() -> Checkout:
    """The frozen platform, to be read alone: one for the whole process. `clone` makes one that may be changed."""
    folder = Path(tempfile.mkdtemp(prefix="platform-")).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy([path for path in working_copy() if not is_data(path)], folder)
    shutil.copytree(PLATFORM, folder, dirs_exist_ok=True)
    # The product's files name the live cluster's account, which may be any.
    contents.write(Checkout(folder), identity.renamed(Checkout(folder), "seoul"))
    commit(folder)
    return Checkout(folder)


def clone(folder: Path) -> Checkout:
    """A scratch checkout of the frozen platform with its tools."""
    Repo.clone_from(platform().root, folder).close()
    (folder / ".tools").symlink_to(ROOT / ".tools")
    return Checkout(folder)


def live_clone(folder: Path) -> Checkout:
    """A scratch checkout of the live tree, as this working copy has it, for tests that are marked `live`."""
    copy(working_copy(), folder)
    commit(folder)
    return Checkout(folder)

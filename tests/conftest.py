from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from tests import guard
from tests.fakes.aws import Ecr, ecr_server
from tests.fakes.github import GitHub
from tests.fakes.registry import Registry
from tests.frozen import ROOT, TEST, clone
from tests.memory import work_in_memory

if TYPE_CHECKING:  # those modules use this one
    from tests.image_world import ImageWorld
    from tests.oauth_world import RotationWorld

pytest_plugins = ["tests.lab.running", "tests.lab.operating", "tests.secret_world", "tests.service_world"]

# A machine with other work is slow, and no test fails for that.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
GITOPS = Path(sys.prefix) / "bin/gitops"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with guard.allowed(item.get_closest_marker("live") is not None):
        return (yield)


def pytest_configure() -> None:
    """For tests alone: a bench or the demo that uses this module's helpers works on what it likes."""
    guard.install()
    work_in_memory()
    # What a shell starts in the background ignores it, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Nothing that a test starts outlives it. One that is about the next check says so.
    os.environ["GITOPS_CHECK_KEEP"] = "0"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden renders instead of comparing")
    parser.addoption("--keep-pile", metavar="FOLDER", help="keep the clone with every change (test_every_change.py)")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can reach a real account by accident."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GITHUB_", "GH_", "SLACK_", "KUBECONFIG")):
            monkeypatch.delenv(name)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def gitops(checkout: Checkout, *words: str, timeout: float = 300, **env: str) -> Ran:
    """Run the real command in a checkout, as its user would."""
    done = subprocess.run(
        [str(GITOPS), *words],
        cwd=checkout.root,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def commit_all(checkout: Checkout, message: str = "change") -> str:
    with Repo(checkout.root) as repo:
        repo.git.add("--all")
        return repo.index.commit(message, author=TEST, committer=TEST).hexsha


@pytest.fixture(scope="session")
def checkout() -> Checkout:
    return Checkout(ROOT)


@pytest.fixture
def scratch(tmp_path: Path) -> Checkout:
    return clone(tmp_path / "clone")


@pytest.fixture
def registry() -> Iterator[Registry]:
    fake = Registry()
    yield fake
    fake.close()


@pytest.fixture(scope="session")
def bare_main(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository whose one branch, main, is the frozen platform."""
    folder = tmp_path_factory.mktemp("bare")
    source = clone(folder / "source")
    with Repo.init(folder / "origin.git", bare=True, initial_branch="main") as repo:
        repo.git.fetch(str(source.root), "+HEAD:refs/heads/main")
        with repo.config_writer() as writer:
            writer.set_value("http", "receivepack", "true")
    return folder / "origin.git"


@pytest.fixture
def github(tmp_path: Path, bare_main: Path) -> Iterator[GitHub]:
    """A GitHub whose main is the frozen platform."""
    fake = GitHub(Path(shutil.copytree(bare_main, tmp_path / "origin.git")))
    yield fake
    fake.close()


@pytest.fixture(scope="session")
def oauth_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository in which mogle/prod deploys a secret of 42 that git knows."""
    from tests.oauth_world import make_template

    return make_template(tmp_path_factory.mktemp("oauth"))


@pytest.fixture
def rotation(github: GitHub, tmp_path: Path) -> Iterator[RotationWorld]:
    """What mogle/prod deploys is a secret that git does not know."""
    from tests.oauth_world import RotationWorld

    world = RotationWorld(github, tmp_path / "checkout")
    yield world
    world.close()


@pytest.fixture
def known(oauth_template: Path, tmp_path: Path) -> Iterator[RotationWorld]:
    """The current secret runs as generation 2, and 42 shows no next one yet."""
    from tests.oauth_world import RotationWorld

    github = GitHub(Path(shutil.copytree(oauth_template, tmp_path / "origin.git")))
    world = RotationWorld(github, tmp_path / "checkout", known=True)
    yield world
    world.close()
    github.close()


@pytest.fixture
def images(github: GitHub, ecr: Ecr, tmp_path: Path) -> ImageWorld:
    """mogle runs 3.0.0 in both environments."""
    from tests.image_world import ImageWorld

    return ImageWorld(ecr, github, tmp_path / "checkout")


@pytest.fixture
def ecr() -> Iterator[Ecr]:
    with ecr_server() as fake:
        yield fake


Run = Callable[..., Ran]


@pytest.fixture
def run(scratch: Checkout) -> Run:
    return lambda *words, **env: gitops(scratch, *words, **env)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first: begun last, it would run for minutes beside an idle process."""
    items.sort(key=lambda item: item.path.name != "test_every_change.py")

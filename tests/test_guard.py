"""The guard itself: a test that is not marked `live` cannot read the live data, by whichever way."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.manifests import kustomize
from tests.conftest import gitops
from tests.frozen import ROOT, live_clone, platform
from tests.guard import LiveDataRead

FILE = ROOT / "clusters/lab/cluster.yaml"


def relative(path: Path) -> str:
    return os.path.relpath(path, Path.cwd())


READS: dict[str, Callable[[], object]] = {
    "a file": FILE.read_text,
    "a file from another folder": lambda: Path(relative(FILE)).read_text(),
    "a file by a way around": lambda: (ROOT / "base/../clusters/lab/cluster.yaml").read_text(),
    "a single file": Checkout(ROOT).teams_file.read_text,
    "the list of a folder": lambda: list(Checkout(ROOT).overlays.iterdir()),
    "a pattern": lambda: list(ROOT.glob("overlays/*/*/kustomization.yaml")),
    "a copy": lambda: shutil.copytree(ROOT / "overlays", "/nowhere"),
    "a render": lambda: kustomize.build(Checkout(ROOT), ROOT / "clusters/lab"),
    "the command": lambda: gitops(Checkout(ROOT), "service", "list"),
    "git": lambda: Repo(ROOT).git.status(),
    "a program that is given a path": lambda: subprocess.run(["cat", str(FILE)]),
    "a clone": lambda: Repo.clone_from(ROOT, "/nowhere"),
    "the working copy in another folder": lambda: live_clone(Path("/nowhere")),
}


@pytest.mark.parametrize("way", READS)
def test_the_live_data_cannot_be_read(way: str) -> None:
    with pytest.raises(LiveDataRead, match="the live data may change at any time"):
        READS[way]()


def test_product_and_frozen_platform_can() -> None:
    assert (ROOT / "base/web/service.yaml").read_text()
    assert (ROOT / "apps/services.yaml").read_text()
    assert list(ROOT.iterdir())
    assert (platform().root / "clusters/lab/cluster.yaml").read_text()
    assert gitops(platform(), "service", "list").code == 0


@pytest.mark.live
def test_a_live_test_can() -> None:
    assert FILE.read_text()
    assert list(Checkout(ROOT).overlays.iterdir())

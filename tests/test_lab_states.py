"""What an interrupted start, push or reset of a lab leaves, and what is said of a lab that is down. No part runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.lab import lab as labs
from gitops.lab import origin, upstream
from gitops.lab.layout import Lab, find_labs
from tests.conftest import gitops


@pytest.mark.parametrize("verb", ["status", "push"])
def test_a_lab_that_is_down_is_said_with_how_it_starts(scratch: Checkout, verb: str) -> None:
    Lab(scratch, "mine").create(2)
    done = gitops(scratch, "lab", verb, "--name", "mine")
    assert (done.code, done.err) == (1, "gitops: lab 'mine' is down; run: gitops lab up --name mine\n")


def test_what_an_interrupt_left_half_made_is_made_anew(scratch: Checkout) -> None:
    lab = Lab(scratch, "mine")
    lab.create(2)
    (lab.origin / "objects").mkdir(parents=True)
    assert not origin.seeded(lab)
    origin.create(lab)
    with Repo(lab.origin) as repo:
        assert repo.bare
    half = lab.upstream / "argoproj/argo-cd.partial"
    (half / "objects").mkdir(parents=True)
    upstream.create(lab)
    assert not half.exists()
    with Repo(half.with_suffix(".git")) as repo:
        assert repo.tags


def test_a_reset_that_is_interrupted_leaves_no_half_of_a_lab(
    scratch: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(scratch, "mine")
    lab.create(2)

    def interrupted(path: Path, **_: Any) -> None:
        if path.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            labs.reset(lab)
    assert not lab.folder.exists()
    assert find_labs(scratch) == []
    lab.create(2)
    labs.reset(lab)
    assert list(scratch.labs.iterdir()) == []

"""What Argo CD needs for a number of Applications, and that git says so."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from gitops.cluster import scale
from gitops.ground.checkout import Checkout
from tests.cluster_world import aws_world
from tests.frozen import ROOT, platform


def test_each_step_is_larger_than_the_one_before_in_all_that_it_says() -> None:
    steps = scale.table().steps
    assert [step.applications for step in steps] == [10, 100, 1000, 10000]
    assert [step.repo_servers for step in steps] == sorted(step.repo_servers for step in steps)
    assert [step.shards for step in steps] == sorted(step.shards for step in steps)
    for smaller, larger in itertools.pairwise(steps):
        assert smaller.settings.keys() <= larger.settings.keys()


@pytest.mark.parametrize(("count", "expected"), [(1, 10), (10, 10), (11, 100), (1000, 1000), (1001, 10000)])
def test_the_first_step_that_is_large_enough_is_taken(count: int, expected: int) -> None:
    step = scale.step_for(count)
    assert step
    assert step.applications == expected


def test_more_than_one_argo_cd_was_tried_with_has_no_step() -> None:
    assert scale.step_for(10_001) is None


def test_what_is_set_otherwise_is_said(scratch: Checkout) -> None:
    file = scratch.root / "apps/argocd/argocd-cmd-params-cm.yaml"
    assert scale.sized(scratch, "seoul").unset == {}
    file.write_text(file.read_text().replace('reposerver.parallelism.limit: "10"', 'reposerver.parallelism.limit: "1"'))
    size = scale.sized(scratch, "seoul")
    assert size.unset == {"reposerver.parallelism.limit": "1"}
    for number in range(100):
        shutil.copytree(scratch.overlays / "mogle/prod", scratch.overlays / f"many-{number}/prod")
    grown = scale.sized(scratch, "seoul")
    assert grown.applications == size.applications + 100
    assert grown.step
    assert grown.step.applications == 1000
    assert grown.unset["controller.status.processors"] == ""


@pytest.mark.live
def test_argo_cd_is_set_for_the_applications_that_there_are() -> None:
    for file in sorted((ROOT / "clusters").glob("*/cluster.yaml")):
        assert scale.sized(Checkout(ROOT), file.parent.name).unset == {}


@pytest.mark.bots
def test_the_plan_says_what_argo_cd_needs(tmp_path: Path) -> None:
    with aws_world(tmp_path / "clone") as aws:
        done = aws.run("plan", "seoul")
        size = scale.sized(platform(), "seoul")
        assert f"Argo CD: {size.applications} Applications (settings for up to 100)" in done.err
        assert "  reposerver.parallelism.limit: 10\n" in done.err

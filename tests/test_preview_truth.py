"""Preview against the truth: what it says of random edits is what dry runs of a real API server show."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from gitops.check.control_plane import control_plane
from gitops.check.dry_run import Server
from gitops.check.schema import definitions
from gitops.clients.kubernetes import wait_established
from gitops.manifests.kustomize import renderer
from gitops.manifests.objects import Object, name
from gitops.manifests.render import build
from tests import preview_edits
from tests.frozen import platform

pytestmark = pytest.mark.bots
UNITS = ("overlays/mogle/prod", "overlays/benefit/prod", "overlays/notice-bot/prod", "overlays/oauth-watch/prod")
Renders = dict[str, list[Object]]


@pytest.fixture(scope="module")
def renders() -> Renders:
    with renderer(platform()) as tool:
        return {unit: build(tool, platform().root, unit).objects() for unit in UNITS}


@pytest.fixture(scope="module")
def server(renders: Renders) -> Iterator[Server]:
    """An API server that has all of them, and no policy."""
    with control_plane(platform(), None) as started:
        sealed = [item for item in definitions(platform()) if item["spec"]["names"]["kind"] == "SealedSecret"]
        for item in sealed:
            started.apply(item)
        wait_established(started.cluster, sealed)
        started.forget_kinds()
        for unit, objects in renders.items():
            space = "-".join(unit.split("/")[1:])
            started.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
            for item in objects:
                started.apply(item)
        yield started


def hold(server: Server, renders: Renders, seeds: range) -> None:
    wrong, taken = [], 0
    for seed in seeds:
        chance = random.Random(seed)
        unit = chance.choice(UNITS)
        what, after = preview_edits.edited(renders[unit], chance)
        truth, said = preview_edits.happens(server, renders[unit], after), preview_edits.said(renders[unit], after)
        if truth.refused:
            # What the server refuses is a change, and nothing more is known of it.
            wrong += [(seed, what, truth, said)] if said.nothing else []
            continue
        taken += 1
        if (said.restarts, said.deletes, said.nothing) != (truth.restarts, truth.deletes, truth.nothing):
            wrong.append((seed, what, truth, said))
    assert not wrong, "\n".join(map(str, wrong))
    assert taken > len(seeds) / 2


def test_a_preview_says_what_happens(server: Server, renders: Renders) -> None:
    hold(server, renders, range(25))


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_a_preview_says_what_happens_for_300_edits(server: Server, renders: Renders) -> None:
    hold(server, renders, range(1000, 1300))


def test_the_edits_do_all_that_a_preview_tells_of(renders: Renders) -> None:
    told = []
    for seed in range(60):
        chance = random.Random(seed)
        unit = chance.choice(UNITS)
        told.append(preview_edits.said(renders[unit], preview_edits.edited(renders[unit], chance)[1]))
    assert any(said.restarts for said in told)
    assert any(said.deletes for said in told)
    assert any(said.nothing for said in told)
    assert {name(item) for item in renders[UNITS[0]]}

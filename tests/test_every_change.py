"""No change that the product makes, or tells people to make, turns a required check red: all of them, piled up."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.every_change import CHANGES
from tests.frozen import ROOT
from tests.live_world import live_world

# Of README's "Daily tasks": those that change no file of the repository.
READS_ONLY = {
    "service list", "service status", "lab up", "lab push", "lab status", "lab logs", "lab down", "oauth status",
    "secrets list", "images status", "preview", "check", "exceptions", "lb show", "lb route",
}  # fmt: skip


def commands(text: str) -> set[str]:
    """The commands of the package in a document's blocks of shell."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = re.findall(r"\bgitops ([a-z]+)(?: ([a-z]+))?", "\n".join(blocks))
    return {group if group in ("check", "preview") else f"{group} {verb}".strip() for group, verb in lines}


# After how many changes the live tests run: the gate looks at each one, and the tests are most of the time.
@pytest.mark.bots
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.matrix)])
def test_every_change_piled_up_keeps_the_live_tree_green(
    tmp_path: Path, request: pytest.FixtureRequest, every: int
) -> None:
    with live_world(tmp_path) as world:
        red = [f"before any change: {problem}" for problem in world.red_at_all()]
        for number, change in enumerate(CHANGES, 1):
            before = world.head
            try:
                change.make(world)
                world.land(change.name)
            except Exception as error:
                error.add_note(f"while making: {change.name}")
                raise
            assert world.head != before, f"{change.name} changed nothing"
            others = [path for path in world.product_files(before) if not path.startswith(change.product)]
            assert not others, f"{change.name} changes {others}, which is no data"
            problems = world.red(before, warns=change.warns, tests=number % every == 0)
            red += [f"after {change.name}: {problem}" for problem in problems]
        red += [f"after all: {problem}" for problem in world.red_at_all()]
        if target := request.config.getoption("--keep-pile"):
            shutil.copytree(world.checkout.root, target, symlinks=True)
    assert not red, "\n".join(red)
    daily = (ROOT / "README.md").read_text().partition("## Daily tasks")[2].partition("\n## ")[0]
    assert commands(daily) - READS_ONLY <= world.commands, "a daily task that no change of this test does"

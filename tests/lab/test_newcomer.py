"""The newcomer types docs/newcomer.md and docs/daily.md into a terminal, and sees what the pages show."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.lab import lab as labs
from gitops.lab.layout import Lab
from tests import newcomer
from tests.fakes.aws import Ecr
from tests.fakes.github import GitHub
from tests.frozen import ROOT
from tests.terminal import terminal

pytestmark = [pytest.mark.lab, pytest.mark.matrix]


@pytest.mark.timeout(1800)
def test_the_pages_show_what_a_newcomer_sees(
    tmp_path: Path, github: GitHub, ecr: Ecr, request: pytest.FixtureRequest
) -> None:
    checkout, engine = newcomer.clone(tmp_path / "clone", github, ecr), newcomer.engine(tmp_path)
    texts = {page: (ROOT / page).read_text() for page in newcomer.PAGES}
    recordings: dict[str, list[str]] = {}
    wrong: list[str] = []
    try:
        with terminal(checkout.root, newcomer.environment(github, ecr, engine)) as shell:
            for page, text in texts.items():
                recordings[page] = []
                for step in newcomer.steps(text):
                    if newcomer.needs_engine(step.command) and not engine:
                        recordings[page].append(step.shown or "")
                        continue
                    typed = shell.type(step.command, seconds=600)
                    if typed.code != newcomer.code_of(step.command):
                        wrong.append(f"{step.command}: exit code {typed.code}\n{typed.shown}")
                    recordings[page].append(newcomer.recording(typed, checkout))
                    newcomer.merge(step.command, checkout, github)
    finally:
        labs.down(Lab(checkout, "default"))
    now = {page: newcomer.written(text, recordings[page]) for page, text in texts.items()}
    if request.config.getoption("--update-golden"):
        for page, text in now.items():
            (ROOT / page).write_text(text)
    assert wrong == []
    for page, text in now.items():
        assert newcomer.masked((ROOT / page).read_text()) == newcomer.masked(text), (
            "run: .venv/bin/python -m tests.newcomer"
        )

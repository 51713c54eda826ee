"""README's figures are those that were measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from git import Repo

from tests import figures
from tests.frozen import ROOT, TEST

pytestmark = pytest.mark.docs

# Names that are no measurements: a service, an answer, a signal.
NAMES = re.compile(r"\b42's\b|\(429,|\bkill -9\b")
PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def invented(template: str) -> list[str]:
    """Every number of the template that no measurement wrote."""
    return re.findall(r"[\d.,]*\d", NAMES.sub("", PLACEHOLDER.sub("", template)))


def test_readme_is_rendered_from_the_figures() -> None:
    section = figures.render((ROOT / figures.TEMPLATE).read_text(), figures.read())
    readme = (ROOT / figures.README).read_text()
    assert readme == figures.with_section(readme, section), "run: .venv/bin/python -m tests.figures"


def test_every_figure_of_readme_was_measured() -> None:
    assert invented((ROOT / figures.TEMPLATE).read_text()) == []
    readme = (ROOT / figures.README).read_text()
    section = readme.split("## Measured\n")[1].split("\n## ")[0]
    marked = section.split(figures.BEGIN)[1].split(figures.END)[0]
    assert section == f"\n{figures.BEGIN}{marked}{figures.END}", "words of the section stand in the template alone"


def test_a_figure_by_hand_is_noticed() -> None:
    assert invented("42's page, {oauth[seal][ratio]:.2f} times, 1,234.5 s, limit 7") == ["1,234.5", "7"]


def test_a_record_adds_commit_and_date_and_renders_readme(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / figures.FIGURES).write_text(json.dumps({"gate": {"commit": "old"}, "lab": {"up": 50}}))
    (tmp_path / figures.TEMPLATE).write_text("{gate[rows][0][one]:.1f} s at {gate[commit]}, {lab[up]} s\n")
    (tmp_path / figures.README).write_text(f"before\n{figures.BEGIN}old{figures.END}after\n")
    with Repo.init(tmp_path) as repo:
        repo.git.add("--all")
        commit = repo.index.commit("first", author=TEST, committer=TEST).hexsha[:12]
    figures.record("gate", {"rows": [{"one": 0.62}]}, tmp_path)
    assert f"before\n{figures.BEGIN}0.6 s at {commit}, 50 s\n{figures.END}after\n" == (
        (tmp_path / figures.README).read_text()
    )
    written = figures.read(tmp_path)["gate"]
    assert written["commit"] == commit, "what a measurement writes is no change of what is measured"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", written["date"])
    (tmp_path / "code.py").write_text("changed")
    figures.record("gate", {"rows": [{"one": 0.62}]}, tmp_path)
    assert figures.read(tmp_path)["gate"]["commit"] == f"{commit}+"


@pytest.mark.parametrize("template", ["{gate[rows][3][one]}", "{gate[nothing]}", "{nothing}", "{gate[rows]:.1f}"])
def test_a_figure_that_nobody_measured_is_an_error(template: str) -> None:
    with pytest.raises(figures.FiguresError, match="has no such figure"):
        figures.render(template, {"gate": {"rows": [{"one": 1.0}]}})

"""README's figures are those that were measured, in both languages."""

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
NAMES = re.compile(r"\b42('s\b|의)|\(429,|\bkill -9(?!\d)")
PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def invented(template: str) -> list[str]:
    """Every number of the template that no measurement wrote."""
    return re.findall(r"[\d.,]*\d", NAMES.sub("", PLACEHOLDER.sub("", template)))


# A README, what its section is rendered from, and how that is headed.
READMES = [
    (figures.README, figures.TEMPLATE, "## Measured\n"),
    (figures.KOREAN_README, figures.KOREAN_TEMPLATE, "## 측정 결과\n"),
]
readmes = pytest.mark.parametrize(("document", "template", "heading"), READMES, ids=["English", "Korean"])


@readmes
def test_readme_is_rendered_from_the_figures(document: str, template: str, heading: str) -> None:
    section = figures.render((ROOT / template).read_text(), figures.read())
    readme = (ROOT / document).read_text()
    assert readme == figures.with_section(readme, section), "run: .venv/bin/python -m tests.figures"


@readmes
def test_every_figure_of_readme_was_measured(document: str, template: str, heading: str) -> None:
    assert invented((ROOT / template).read_text()) == []
    readme = (ROOT / document).read_text()
    section = readme.split(heading)[1].split("\n## ")[0]
    marked = section.split(figures.BEGIN)[1].split(figures.END)[0]
    assert section == f"\n{figures.BEGIN}{marked}{figures.END}", "words of the section stand in the template alone"


def test_both_languages_have_the_same_figures_in_the_same_form() -> None:
    english, korean = (sorted(PLACEHOLDER.findall((ROOT / template).read_text())) for _, template, _ in READMES)
    assert english == korean


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

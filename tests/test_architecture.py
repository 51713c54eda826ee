"""docs/architecture.md is true: its places exist, its floors are the contract's, and the structure keeps its form."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

from tests import structure
from tests.frozen import ROOT

TEXT = (ROOT / "docs/architecture.md").read_text()
QUESTIONS = re.findall(r"^\| (\w.+?) \| `(\S+\.py)` \| `(\w+)` \|$", TEXT, re.MULTILINE)
# `images/plan.py:make` and `clients/ecr.py` in the running text, below the package.
PLACES = sorted(set(re.findall(r"`(\w+/\w+\.py)(?::(\w+))?`", TEXT)))


def names(file: str) -> set[str]:
    """Every function, method, class and constant of a module."""
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text())))
    targets = [node.targets[0] for node in nodes if isinstance(node, ast.Assign)]
    constants = {target.id for target in targets if isinstance(target, ast.Name)}
    return constants | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize(("question", "file", "name"), QUESTIONS, ids=[question for question, _, _ in QUESTIONS])
def test_what_a_question_is_answered_with_is_there(question: str, file: str, name: str) -> None:
    assert name in names(file)


def test_there_are_questions_for_a_reader() -> None:
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize(("file", "name"), PLACES, ids=[f"{file}:{name}" for file, name in PLACES])
def test_what_a_journey_passes_is_there(file: str, name: str) -> None:
    path = next(folder + file for folder in ("scripts/gitops/", "") if (ROOT / (folder + file)).exists())
    assert not name or name in names(path)


def test_the_floors_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["name"] == "floors")
    floors = re.findall(r"^\| [\w ]*\| ((?:`\w+`[ ,]*)+) \|", TEXT.partition("## Three journeys")[0], re.MULTILINE)
    assert re.findall(r"\w+", " ".join(floors)) == re.findall(r"\w+", " ".join(layers))


def test_no_module_stands_in_a_circle_and_none_has_grown_past_reading() -> None:
    now = structure.measure(ROOT / "scripts")
    assert (now.circles, now.part_circles) == (0, 0)
    assert now.loose_modules == 1, "the door alone: cli.py"
    assert now.longest_function <= 70
    assert now.deepest_nesting <= 5
    assert now.largest_file <= 450

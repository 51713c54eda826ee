"""docs/architecture.md is true: its places exist, its floors are the contract's, and the structure keeps its form."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests import reading, structure
from tests.frozen import ROOT

TEXT = (ROOT / "docs/architecture.md").read_text()
QUESTIONS = re.findall(r"^\| (\w.+?) \| `(\S+\.py)` \| `(\w+)` \|$", TEXT, re.MULTILINE)
# `images/plan.py:make` and `clients/ecr.py` in the running text, below the package.
PLACES = sorted(set(re.findall(r"`(\w+/\w+\.py)(?::(\w+))?`", TEXT)))

# What may be hard to read, and why.
HARD_TO_READ = {
    ("scripts/gitops/ground/errors.py", "the name found"),  # the field beside `expected`: what stands there instead
    ("scripts/gitops/manifests/overlay.py", reading.OVERLAY_NAME),  # where it stands once
}


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
    floors = re.findall(r"^\| [\w ]*\| ((?:`\w+`[ ,]*)+) \|", TEXT.partition("## Four journeys")[0], re.MULTILINE)
    assert re.findall(r"\w+", " ".join(floors)) == re.findall(r"\w+", " ".join(layers))


def test_no_module_stands_in_a_circle_and_none_has_grown_past_reading() -> None:
    now = structure.measure(ROOT / "scripts")
    assert (now.circles, now.part_circles) == (0, 0)
    assert now.loose_modules == 2, "the door alone: start.py and cli.py"
    assert now.longest_function <= reading.FUNCTION_LINES
    assert now.deepest_nesting <= 5
    assert now.largest_file <= reading.FILE_LINES


def test_code_is_read_once_and_understood() -> None:
    """No empty name, no comprehension that is read twice, no file or function that nobody keeps in mind."""
    faults = [*reading.faults(ROOT / "scripts/gitops", ROOT), *reading.faults(ROOT / "tests", ROOT)]
    assert [fault for fault in faults if (fault.file, fault.what) not in HARD_TO_READ] == []
    assert HARD_TO_READ - {(fault.file, fault.what) for fault in faults} == set(), "no exception any more"


def test_a_name_means_one_thing() -> None:
    assert reading.names_of_two(ROOT / "scripts/gitops") == {}


def test_a_name_of_two_things_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class Plan: pass\nStep = str | int\nclass _Own: pass\nLIMIT = 1\n")
    (tmp_path / "b.py").write_text("class Plan: pass\nclass Step: pass\nclass _Own: pass\nLIMIT = 1\n")
    assert reading.names_of_two(tmp_path) == {"Plan": ["a.py", "b.py"], "Step": ["a.py", "b.py"]}


UNREADABLE = {
    "found = 1": ["the name found"],
    "def f(at): pass": ["the name at"],
    "def f(*, other=None): pass": ["the name other"],
    "def each(): pass": ["the name each"],
    "lambda wanted: 1": ["the name wanted"],
    "class A:\n    found: int": ["the name found"],
    "self.other = 1": ["the name other"],
    "import a as other": ["the name other"],
    "try:\n    f()\nexcept E as found:\n    pass": ["the name found"],
    "match x:\n    case {'a': other}:\n        pass": ["the name other"],
    "with f() as found: pass": ["the name found"],
    "for each in y: pass": ["the name each"],
    "[each for each in y]": ["the name each"],
    "if (found := f()): pass": ["the name found"],
    "[a for b in c for a in b]": [reading.TWO_LOOPS],
    "{a: [c for c in a] for a in b}": [reading.NESTED],
    "{a for a in [c for c in b]}": [reading.NESTED],
    "any(all(c for c in a) for a in b)": [reading.NESTED],
    "def f():\n" + "    x()\n" * 60: ["f has more than 60 lines"],
    "raise InputError(f'name {name}: expected letters')": [reading.FIELD],
    "Fault('gone; there are: ' + names)": [reading.FIELD],
    "f'{service}-{environment}'": [reading.OVERLAY_NAME],
    "f'overlays/{a.service}/{a.environment}/x'": [reading.OVERLAY_NAME],
    "f'namespace: {name}-prod\\n'": [reading.OVERLAY_NAME],
    "x()\n" * 401: ["a file of more than 400 lines"],
}


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: text[:40])
def test_what_is_hard_to_read_is_found(text: str) -> None:
    assert [what for _, what in reading.in_text(text)] == UNREADABLE[text]


READABLE = [
    "f'{kind}-{name}'",
    "f'{name}-product'",
    "raise ValueError('expected a time zone')",
    "raise InputError('name', expected='letters')",
    "x.found",
    "f(at=1)",
    "print(other)",
    "def f():\n" + "    x()\n" * 59,
    "x()\n" * 400,
    "[f(a) for a in b]",
]


@pytest.mark.parametrize("text", READABLE, ids=lambda text: text[:40])
def test_what_reads_well_is_no_fault(text: str) -> None:
    assert list(reading.in_text(text)) == []

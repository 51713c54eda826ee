"""The table of decisions is what the planner answers, and leaves out no reason that it knows."""

from __future__ import annotations

import inspect
import itertools

import pytest

from gitops.images import reasons
from gitops.images.reasons import Alert, NoChange, RejectionReason
from tests import decision_faults, decisions
from tests.frozen import ROOT

# They need a media type or a real signature: tests/test_images_select.py, tests/test_images_bump.py.
NOT_IN_WORDS = {RejectionReason.NO_IMAGE, RejectionReason.BAD_SIGNATURE}


COMMAND = "run: .venv/bin/python -m tests.decisions"


def test_the_table_is_what_the_planner_answers() -> None:
    assert decisions.DOCUMENT.read_text().startswith(decisions.choices()), COMMAND


@pytest.mark.bots
def test_the_table_is_what_the_bots_own_runs_do() -> None:
    assert decisions.DOCUMENT.read_text().endswith(decisions.runs()), COMMAND


@pytest.mark.parametrize("fault", decision_faults.FAULTS)
def test_every_fault_that_was_found_has_its_rows(fault: str) -> None:
    written = decisions.DOCUMENT.read_text()
    for says in decision_faults.FAULTS[fault]:
        assert f"\n| {says} | " in written


@pytest.mark.parametrize("fault", decision_faults.ELSEWHERE)
def test_what_is_no_decision_has_a_test(fault: str) -> None:
    file, name = decision_faults.ELSEWHERE[fault]
    assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text()


def test_every_reason_that_there_is_has_a_row() -> None:
    plans = [plan for _, _, plan in decisions.rows()]
    assert len(plans) >= 60
    assessments = itertools.chain.from_iterable(plan.assessments for plan in plans)
    rejected = {own.rejection.reason for own in assessments if own.rejection}
    assert set(RejectionReason) - rejected == NOT_IN_WORDS
    told = {type(plan.no_change) for plan in plans} | {type(plan.waits) for plan in plans}
    told |= {type(getattr(plan.no_change, "waits", None)) for plan in plans}
    # Of a pull request whose policy is gone nothing is planned: tests/test_images_people.py.
    assert kinds(NoChange) - told == {reasons.NoPolicy, reasons.NotGrouped}
    assert kinds(Alert) - {type(plan.alert) for plan in plans} == set()


def kinds(base: type) -> set[type]:
    """Every kind of a reason."""
    classes = inspect.getmembers(reasons, inspect.isclass)
    return {kind for _, kind in classes if issubclass(kind, base) and kind is not base}


def test_no_situation_stands_there_twice() -> None:
    said = [(section, case.says) for section, case, _ in decisions.rows()]
    assert len(said) == len(set(said))
    assert len(decisions.names()) >= 180

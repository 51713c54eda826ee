"""A sample of `make matrix`: a kill after a transition, another fault in the run after it, and a search for leaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import oauth_matrix
from tests.oauth_case import PROMISES, Record, Result, bad, broken_promises, run_case, unheard
from tests.oauth_matrix import summary
from tests.oauth_troubles import KILLS, TROUBLES

pytestmark = pytest.mark.bots

SAMPLE = [
    ("VERIFIED", "layout changed"),
    ("SEALED", "push race"),
    ("branch moved", "two runs at once"),
    ("PR_OPEN", "pull request has human commits"),
    ("CONFIRMED", "merge after the switch"),
    ("MERGED", "not synced"),
    ("RETIRED", "Secret not opened, or pods not rolled"),
]


@pytest.mark.parametrize(("kill", "trouble"), SAMPLE, ids=["-".join(case) for case in SAMPLE])
def test_a_rotation_survives(oauth_template: Path, kill: str, trouble: str) -> None:
    result = run_case(kill, trouble, oauth_template)
    assert not bad(result), result
    assert (result.gap > 0) == (TROUBLES[trouble].when == "late"), "seconds without an accepted secret"


def test_the_same_search_finds_what_is_planted(oauth_template: Path) -> None:
    assert run_case("none", "none", oauth_template, plant=True).control


def test_the_closing_line_counts() -> None:
    results = [Result("none", "none"), Result("DUE", "429", "gone", 1, 1, ("a", "b"))]
    expected = "matrix: cases=2 lost=1 duplicates=1 silent=1 leaks=2 control=MISSED"
    assert summary(results, control=False) == expected
    assert [bad(result) for result in results] == [False, True]
    assert {kill for kill, _ in SAMPLE} < KILLS.keys()


def test_the_smallest_matrix_runs_to_its_closing_line(capfd: pytest.CaptureFixture[str]) -> None:
    """What `make matrix` runs, of one case."""
    assert oauth_matrix.main(["none"], ["none"]) == 0
    closing = capfd.readouterr().out.splitlines()[-1]
    assert closing == "matrix: cases=1 lost=0 duplicates=0 silent=0 leaks=0 control=found"


def test_an_empty_record_breaks_every_promise_that_it_can() -> None:
    broken = broken_promises(Record(late=False, stages={"MERGED": ""}))
    assert [line.partition(":")[0] for line in broken.split("; ")] == [promise.__name__ for promise in PROMISES]
    assert unheard(Record(late=False)) == 0
    assert unheard(Record(late=True, late_run=(0, ""))) == 1

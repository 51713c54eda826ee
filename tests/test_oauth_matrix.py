"""A sample of `make matrix`: a kill after a transition, another fault in the run after it, and a search for leaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oauth_matrix import KILLS, Result, bad, play, summary
from tests.oauth_troubles import TROUBLES

pytestmark = pytest.mark.bots

SAMPLE = [
    ("FETCHED", "429"),
    ("VERIFIED", "layout changed"),
    ("SEALED", "push race"),
    ("committed", "controller key renewed between seal and merge"),
    ("branch moved", "two runs at once"),
    ("PR_OPEN", "pull request has human commits"),
    ("MERGED", "secret changed between fetch and verify"),
    ("SYNCED", "another application's secret"),
    ("CONFIRMED", "merge after the switch"),
]


@pytest.mark.parametrize(("kill", "trouble"), SAMPLE, ids=["-".join(each) for each in SAMPLE])
def test_a_rotation_survives(oauth_template: Path, kill: str, trouble: str) -> None:
    result = play(kill, trouble, oauth_template)
    assert not bad(result), result
    assert (result.gap > 0) == (TROUBLES[trouble].when == "late"), "seconds without an accepted secret"


def test_the_same_search_finds_what_is_planted(oauth_template: Path) -> None:
    assert play("none", "none", oauth_template, plant=True).control


def test_the_closing_line_counts() -> None:
    results = [Result("none", "none"), Result("DUE", "429", "gone", 1, 1, ("a", "b"))]
    expected = "matrix: cases=2 lost=1 duplicates=1 silent=1 leaks=2 control=MISSED"
    assert summary(results, control=False) == expected
    assert [bad(each) for each in results] == [False, True]
    assert {kill for kill, _ in SAMPLE} < KILLS.keys()

"""The harness itself: an attack that no guard stops, or that never succeeds, fails."""

from __future__ import annotations

import pytest

CASES = """
import pytest
from tests.attacks import Door, Guard, attack
pytest_plugins = []

@attack(Door.MEMBER, "a {word} that is stopped twice", Guard.GATE, Guard.CLUSTER)
@pytest.mark.parametrize("word", ["miner"])
def test_stopped(word, guard):
    return None if guard is None else f"rule {word}"

@attack(Door.FORK, "gets through the gate", Guard.GATE)
def test_through(guard):
    return None

@attack(Door.FORK, "works never", Guard.GATE)
def test_never(guard):
    return "always"
"""


def test_a_guard_stops_alone_and_the_control_succeeds(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CASES)
    pytester.makeini("[pytest]\nmarkers = attack: an attack\n")
    ran = pytester.runpytest_inprocess("-p", "tests.attacks.conftest")
    ran.assert_outcomes(passed=5, failed=2)
    output = ran.stdout.str()
    assert "attacks: tried=3 stopped=1 by_two_layers=1" in output
    assert "the gate alone did not stop the attack" in output
    assert "control: without a guard the attack was stopped all the same: always" in output
    assert "a miner that is stopped twice" in output

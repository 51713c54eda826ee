"""Attacks on the platform: `make attacks`. Each is tried with one guard left in force, and with none.

    @attack(Door.MEMBER, "a privileged pod in {environment}", Guard.GATE, Guard.CLUSTER)
    @pytest.mark.parametrize("environment", ["prod", "x-prod"])
    def test_privileged_pod(gate: ..., environment: str, guard: Guard | None) -> str | None:
        ...

Such a test is called once for each guard that it names, which must stop the attack alone, and once for None, where
every guard is taken away and the attack must succeed: an attack that never works shows nothing of a guard (the
control). It returns what stopped the attack, such as a finding's rule, or None where it succeeded; the conftest.py
beside it judges the answers and closes with the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import pytest
from _pytest.mark.structures import ParameterSet

Test = Callable[..., str | None]


class Door(StrEnum):
    """Who attacks."""

    FORK = "a stranger's fork"
    MEMBER = "a member of one service's team"
    TOKEN = "a stolen bot token"
    MACHINE = "another user of the machine"
    PACKAGE = "a compromised action or package"


class Guard(StrEnum):
    """What stops an attack."""

    GATE = "gate"
    CLUSTER = "cluster"
    GITHUB = "GitHub setting"
    SYSTEM = "operating system"
    WORKFLOW = "workflow"
    BOT = "bot"
    AWS = "AWS role"
    LOCK = "password or certificate"


def sample(cases: Iterable[str], *kept: str) -> list[ParameterSet]:
    """Cases of which `make test` tries those that are kept, and `make attacks` all."""
    return [pytest.param(case, marks=[] if case in kept else [pytest.mark.matrix]) for case in cases]


def attack(door: Door, tries: str, *guards: Guard) -> Callable[[Test], Test]:
    """Make a test an attack. `tries`: what it does, in a few words; names of the test's parameters are filled in."""

    def mark(test: Test) -> Test:
        cases = pytest.mark.parametrize(
            "guard", [*guards, None], ids=[*(guard.name.lower() for guard in guards), "none"]
        )
        marked: Test = pytest.mark.attack(door=door, tries=tries)(cases(test))
        return marked

    return mark

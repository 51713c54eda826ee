"""Whatever stands in a file: a finding or an error with a place; never a traceback, never nothing in silence."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from functools import cache

import pytest

from tests.frozen import platform
from tests.node_fuzzer import KINDS, Case, Fuzzer, cases

pytestmark = pytest.mark.bots
PARTS = 40
# Of make test: the same ones each time, of every kind.
SAMPLE = 40


@cache
def every_case() -> list[Case]:
    return cases(platform().root)


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    with pytest.MonkeyPatch.context() as patch:
        yield Fuzzer(tmp_path_factory.mktemp("fuzz"), patch)


def faults(fuzzer: Fuzzer, chosen: list[Case]) -> list[str]:
    made = []
    for case in chosen:
        try:
            if fault := fuzzer.fault(fuzzer.tell(case), case):
                made.append(f"{case}: {fault}")
        except Exception as error:
            [*_, last] = traceback.extract_tb(error.__traceback__)
            made.append(f"{case}: {type(error).__name__} at {last.filename}:{last.lineno}: {str(error)[:200]}")
    return made


def test_a_node_of_any_value_is_told_with_a_place(fuzzer: Fuzzer) -> None:
    every = every_case()
    assert faults(fuzzer, every[:: len(every) // SAMPLE // len(KINDS) * len(KINDS) + 1]) == []


@pytest.mark.matrix
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_node_of_any_value_is_told_with_a_place(fuzzer: Fuzzer, part: int) -> None:
    assert faults(fuzzer, every_case()[part::PARTS]) == []

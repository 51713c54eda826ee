"""Every bench runs at its smallest size, so that none rots, and measures all that README says of it."""

from __future__ import annotations

import pytest

from tests import bench
from tests.bench_report import Report
from tests.figures import missing

pytestmark = pytest.mark.bots


@pytest.mark.parametrize("part", ["oauth", "images", "gate", "ci"])
def test_the_smallest_bench_measures_what_readme_says(part: str, capfd: pytest.CaptureFixture[str]) -> None:
    report = Report()
    bench.SMALLEST[part](report)
    assert missing(part, report.figures) == []
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("bench: ")]
    assert len(lines) == sum(len(figure) if isinstance(figure, list) else 1 for figure in printed(report))
    assert all(" ratio=" in line or line.startswith("bench: rows ") for line in lines)


def printed(report: Report) -> list[object]:
    return [figure for figure in report.figures.values() if isinstance(figure, dict | list)]

"""The lab's bench at its smallest size, in a lab of its own."""

from __future__ import annotations

import pytest

from tests import bench
from tests.bench_report import Report
from tests.figures import missing

pytestmark = pytest.mark.lab


def test_the_smallest_bench_measures_what_readme_says(capfd: pytest.CaptureFixture[str]) -> None:
    report = Report()
    bench.SMALLEST["lab"](report)
    # A lost zone takes a minute, and is a test of its own.
    assert [name for name in missing("lab", report.figures) if "lost-zone" not in name] == []
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("bench: ")]
    assert [line.split()[1] for line in lines] == ["lab-up", "lab-memory", "push", "push-floor", "growth"]

"""Measurements: `make bench`, or one part with `make bench BENCH=lab`. They print and never fail for being slow.

What the full size of a part measured goes to docs/figures.json and README (`tests.figures`). `--smallest` takes seconds
and writes nothing: the size that `make test` runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from tests import bench_ci, bench_gate, bench_history, bench_images, bench_lab, bench_oauth, bench_scale, figures
from tests.bench_report import Report

FULL: dict[str, Callable[[Report], None]] = {
    "lab": partial(bench_lab.measure, bench_lab.FULL),
    "images": partial(bench_images.measure, bench_images.FULL),
    "oauth": partial(bench_oauth.measure, bench_oauth.FULL),
    "gate": partial(bench_gate.measure, bench_gate.FULL),
    "ci": partial(bench_ci.measure, bench_ci.FULL),
    "history": partial(bench_history.measure, bench_history.FULL),
    "scale": partial(bench_scale.measure, bench_scale.FULL),
}
SMALLEST: dict[str, Callable[[Report], None]] = {
    "lab": partial(bench_lab.measure, bench_lab.SMALLEST),
    "images": partial(bench_images.measure, bench_images.SMALLEST),
    "oauth": partial(bench_oauth.measure, bench_oauth.SMALLEST),
    "gate": partial(bench_gate.measure, bench_gate.SMALLEST),
    "ci": partial(bench_ci.measure, bench_ci.SMALLEST),
    "history": partial(bench_history.measure, bench_history.SMALLEST),
    "scale": partial(bench_scale.measure, bench_scale.SMALLEST),
}


def main() -> None:
    smallest = "--smallest" in sys.argv[1:]
    parts = [word for word in sys.argv[1:] if word != "--smallest"] or list(FULL)
    if unknown := [part for part in parts if part not in FULL]:
        sys.exit(f"bench: no part {unknown[0]!r}; there are: {', '.join(FULL)}")
    for part in parts:
        report = Report()
        (SMALLEST if smallest else FULL)[part](report)
        if not smallest:
            figures.record(part, report.figures)


if __name__ == "__main__":
    main()

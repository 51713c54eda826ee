"""`make year`: a whole year, counted in one line and drawn; or so many days of it: `python -m tests.year --days 30`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from tests import figures
from tests.frozen import ROOT
from tests.memory import work_in_memory
from tests.year.simulation import Simulation, simulation

YEAR = 365
WEEK = timedelta(days=7)
SEED = 42
# Ignored by git.
PICTURES = ROOT / ".lab/year"


def main() -> int:
    """Returns the exit code: 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.year", description=__doc__)
    parser.add_argument("--days", type=int, default=YEAR, help="how much of the year (365)")
    parser.add_argument("--seed", type=int, default=SEED, help="what is drawn from: the same is the same year")
    given = parser.parse_args()
    began = time.monotonic()
    work_in_memory()
    span = timedelta(days=given.days)
    with (
        tempfile.TemporaryDirectory(prefix="year-") as folder,
        simulation(Path(folder), span, seed=given.seed, live=True) as year,
    ):
        _show_weeks(year, began)
        year.run()
        return report(year, given.days, (time.monotonic() - began) / 60)


def _show_weeks(year: Simulation, began: float) -> None:
    """A line for each week that is over: the whole takes an hour."""

    def show(week: int) -> None:
        minutes = (time.monotonic() - began) / 60
        runs = ", ".join(f"{name} {count}" for name, count in year.actions.runs.most_common(4))
        print(f"week {week}: {minutes:.1f} minutes, {len(year.actions.opened)} pull requests; {runs}", flush=True)

    for week in range(1, (year.plan.end - year.plan.begin) // WEEK + 1):
        year.events.when(year.plan.begin + week * WEEK, lambda week=week: show(week))  # type: ignore[misc]


def report(year: Simulation, days: int, minutes: float) -> int:
    """Print what came of it, draw it, and keep a whole year's figures."""
    score = year.score()
    for fault in score.faults:
        print(f"  {fault}")
    file = PICTURES / f"year-{year.plan.seed}-{days}.svg"
    year.picture(score.line).write(file)
    print(circumstances(year, days, minutes))
    print(f"by hand: {', '.join(f'{what} {count}' for what, count in sorted(year.people.by_hand.items()))}")
    print(f"drawn: {file.relative_to(ROOT)}")
    print(score.line, flush=True)
    if days == YEAR and not score.bad:
        facts = {"seed": year.plan.seed, "minutes": round(minutes), "line": score.line}
        figures.record("year", {**score.counts, **facts, **sample(year)})
    return 1 if score.bad else 0


def sample(year: Simulation) -> dict[str, int]:
    """How much of it was run, and how much was known to be as before."""
    actions, verdicts = year.actions, year.verdicts
    return {
        "runs": sum(actions.runs.values()),
        "quiet": sum(actions.left_out.values()),
        "sampled": sum(actions.sampled.values()),
        "checked": verdicts.real,
        "known": verdicts.known,
    }


def circumstances(year: Simulation, days: int, minutes: float) -> str:
    """One line: what was simulated and what of it was a sample."""
    counts = sample(year)
    return (
        f"{days} days, seed {year.plan.seed}, in {minutes:.0f} minutes: {counts['runs']} runs of commands; "
        f"{counts['quiet']} more had nothing new to read and were left out ({counts['sampled']} of the like were run, "
        f"{len(year.actions.unquiet)} of them wrote something); {counts['checked']} pull requests through the gate and "
        f"the live tests, {counts['known']} of the same shape taken as known"
    )


if __name__ == "__main__":
    sys.exit(main())

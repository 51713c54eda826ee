"""What GitHub bills of the schedules in .github/workflows: each job's minutes, begun ones whole, in a month."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from tests.year.clock import Cron
from tests.year.workflow import Workflow

# Jobs that take longer than the one minute of all others (setup from the caches, one or two commands): nobody measures
# them here, so these are assumed (the whole of `make test`, and the check of all overlays).
ASSUMED = {("check.yaml", "tests"): 54, ("check.yaml", "gate"): 5}
_YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Schedule:
    """One workflow's: how often it starts in a month, and the minutes that one start is billed."""

    workflow: str
    runs: float
    minutes: int

    @property
    def monthly(self) -> float:
        """Minutes in a month, a twelfth of a year."""
        return self.runs * self.minutes


def schedules(folder: Path) -> list[Schedule]:
    """Every workflow of a folder that starts by a clock, the dearest first."""
    read = [Workflow.read(file) for file in sorted(folder.glob("*.yaml"))]
    listed = [Schedule(workflow.file, _runs(workflow.crons), _minutes(workflow)) for workflow in read if workflow.crons]
    return sorted(listed, key=lambda schedule: -schedule.monthly)


def _runs(crons: tuple[Cron, ...]) -> float:
    return len(list(chain.from_iterable(map(_moments, crons)))) / 12


def _moments(cron: Cron) -> Iterator[datetime]:
    moment = begin = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    while (moment := cron.after(moment)) <= begin + _YEAR:
        yield moment


def _minutes(workflow: Workflow) -> int:
    facts = {"github.event_name": "schedule", "github.ref": "refs/heads/main"}
    done = {f"needs.{job.name}.result": "success" for job in workflow.jobs}
    started = [job.name for job in workflow.jobs if job.starts({**facts, **done})]
    return sum(ASSUMED.get((workflow.file, name), 1) for name in started)

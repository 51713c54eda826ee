"""The time of a simulation, for all that asks for it: the product, the fakes, git; and cron's schedules on it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

import gitops

SEOUL = ZoneInfo("Asia/Seoul")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# What names a moment of a commit, for every git that anybody starts.
_GIT = ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")


class Clock:
    """`now` moves forward by `set` alone."""

    def __init__(self, begin: datetime) -> None:
        self.now = begin

    def set(self, moment: datetime) -> None:
        """Raises ValueError for a moment that is over."""
        if moment < self.now:
            raise ValueError(f"{moment} is before {self.now}")
        self.now = moment.astimezone(UTC)
        for name in _GIT:
            os.environ[name] = self._of_commit

    @property
    def _of_commit(self) -> str:
        """The one form that git and GitPython both read."""
        return f"{int(self.now.timestamp())} +0000"

    def text(self) -> str:
        """As GitHub writes it."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within, every module of the product, the fakes' GitHub and git take this clock's time for the time."""
        for module in pkgutil.walk_packages(gitops.__path__, "gitops."):
            importlib.import_module(module.name)
        own = simulated(self)
        with pytest.MonkeyPatch.context() as patch:
            for name, loaded in list(sys.modules.items()):
                if name.startswith("gitops.") and vars(loaded).get("datetime") is datetime:
                    patch.setattr(loaded, "datetime", own)
            for name, loaded in list(sys.modules.items()):
                if name.startswith("tests.fakes.github") and "now" in vars(loaded):
                    patch.setattr(loaded, "now", self.text)
            for name in _GIT:
                patch.setenv(name, self._of_commit)
            yield


def simulated(clock: Clock) -> type[datetime]:
    """A `datetime` whose now is the clock's."""

    class Kind(type):
        """Whatever is a datetime is one of these: the product asks with isinstance."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Simulated(datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return clock.now.astimezone(tz)

    return Simulated


@dataclass(frozen=True)
class Cron:
    """A schedule as cron and GitHub write it: five fields of numbers, `*`, steps, ranges and lists. UTC."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    # With both a day of the month and a weekday, either is enough.
    either: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Raises ValueError."""
        minutes, hours, days, months, weekdays = text.split()
        sunday_last = {day % 7 for day in _numbers(weekdays, 0, 7)}
        return cls(
            _numbers(minutes, 0, 59),
            _numbers(hours, 0, 23),
            _numbers(days, 1, 31),
            _numbers(months, 1, 12),
            frozenset(sunday_last),
            either=days != "*" and weekdays != "*",
        )

    def fits(self, moment: datetime) -> bool:
        """Whether it is due in this minute."""
        if moment.minute not in self.minutes or moment.hour not in self.hours or moment.month not in self.months:
            return False
        by_day, by_weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either else by_day and by_weekday

    def after(self, moment: datetime) -> datetime:
        """The first minute after `moment` in which it is due."""
        moment = moment.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
        while not self.fits(moment):
            # To the next hour at once where this one has none.
            skip = 1 if moment.hour in self.hours else 60 - moment.minute
            moment += skip * MINUTE
        return moment


def _numbers(field: str, low: int, high: int) -> frozenset[int]:
    numbers: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last or first))
        if step and span != "*" and not last:
            end = high
        if not low <= begin <= end <= high:
            raise ValueError(f"{field!r}: not within {low} to {high}")
        numbers |= set(range(begin, end + 1, int(step or 1)))
    return frozenset(numbers)


def in_office(moment: datetime) -> bool:
    """Whether people of Seoul are at work: Monday to Friday, 10 to 18 o'clock."""
    there = moment.astimezone(SEOUL)
    return there.weekday() < 5 and 10 <= there.hour < 18

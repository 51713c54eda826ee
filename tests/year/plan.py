"""What happens to the platform and when, drawn from one seed: the same seed is the same year."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tests.year.clock import DAY, HOUR, MINUTE, SEOUL

# A Monday. Later than any commit of this repository that a test may be run at is not needed: main begins anew.
BEGIN = datetime(2027, 1, 4, tzinfo=UTC)
# What a service's team pushes in a weekday: so likely is it that there is an image.
PUSHES = 0.16
RENEWAL = timedelta(days=30)


class Away(StrEnum):
    """What does not answer. `ACTIONS`: GitHub starts no run; `GITHUB`: it starts them and its API fails."""

    INTRA42 = "42"
    GITHUB = "GitHub"
    ACTIONS = "Actions"
    ECR = "ECR"
    ARGOCD = "Argo CD"
    LAYOUT = "42's layout"


class Trouble(StrEnum):
    """What keeps a merged secret from the pods of one overlay."""

    OUT_OF_SYNC = "not synced"
    SYNC_FAILS = "its sync fails"
    DEGRADED = "its pods do not become ready"
    UNOPENED = "the seal is not opened"


class Act(StrEnum):
    """What a person does to a bot's pull request."""

    CLOSE = "closes it"
    COMMIT = "commits to it"
    REBASE = "rebases it"


@dataclass(frozen=True)
class Span:
    """From `begin` until `end`, which does not belong to it."""

    begin: datetime
    end: datetime

    def covers(self, moment: datetime) -> bool:
        return self.begin <= moment < self.end

    @property
    def hours(self) -> float:
        return (self.end - self.begin) / HOUR


@dataclass(frozen=True)
class Outage(Span):
    what: Away


@dataclass(frozen=True)
class Hindrance(Span):
    """`application`: 42's number of it."""

    application: str
    what: Trouble


@dataclass(frozen=True)
class Intervention:
    """The first pull request of a kind (`oauth` or `bump`) that is open from `moment` on is treated so."""

    moment: datetime
    kind: str
    what: Act


@dataclass(frozen=True)
class Plan:
    """`switches`: 42's first switch of each application; `pushes`: when and of which service; `away`: of which team."""

    seed: int
    begin: datetime
    end: datetime
    switches: dict[str, datetime]
    pushes: list[tuple[datetime, str]]
    outages: list[Outage]
    hindrances: list[Hindrance]
    interventions: list[Intervention]
    freezes: list[Span]
    renewals: list[datetime]
    away: dict[str, Span] = field(default_factory=dict)

    def is_away(self, what: Away, moment: datetime) -> bool:
        return any(outage.what is what and outage.covers(moment) for outage in self.outages)


# Of each: how many days are between two of the kind, and how many hours one lasts, at least and at most.
_OUTAGES: dict[Away, tuple[tuple[float, float, float], ...]] = {
    Away.INTRA42: ((41, 2, 10), (150, 26, 60)),
    Away.GITHUB: ((53, 1, 6),),
    Away.ACTIONS: ((67, 2, 9), (210, 27, 40)),
    Away.ECR: ((47, 2, 9), (190, 26, 50)),
    Away.ARGOCD: ((44, 2, 8), (170, 14, 30)),
    Away.LAYOUT: ((160, 20, 52),),
}
_ACTS = ((Act.CLOSE, 61), (Act.COMMIT, 73), (Act.REBASE, 83))


def make(
    seed: int,
    span: timedelta,
    applications: Sequence[str],
    services: Sequence[str],
    teams: Sequence[str],
) -> Plan:
    """A plan of a length. Of a month it has each kind of outage and of trouble once, of a few days hardly any."""
    draw = random.Random(seed)
    begin, end = BEGIN, BEGIN + span
    # 42 shows a secret five days before its switch: 26 in 365 days, where none is shown before the second day.
    first = 6.05 if span > 300 * DAY else 5.02
    last = 13.9 if span > 9 * DAY else first + 3 * span / DAY  # a few hours have some of them too
    switches = {number: begin + draw.uniform(first, last) * DAY for number in applications}
    outages = list(itertools.chain.from_iterable(_outages(draw, what, begin, end) for what in Away))
    return Plan(
        seed,
        begin,
        end,
        switches,
        _pushes(draw, begin, end, services),
        outages,
        _hindrances(draw, switches, end),
        _interventions(draw, begin, end),
        _freezes(draw, begin, end),
        [begin + number * RENEWAL for number in range(1, span // RENEWAL + 1)],
        {team: _holiday(draw, begin, span) for team in teams},
    )


def _moments(draw: random.Random, begin: datetime, end: datetime, days: float) -> list[datetime]:
    """One in each stretch of `days`; the first stretch is a month at most."""
    moments, start, length = [], begin, min(days, 26.0)
    while start + 2 * DAY < end:
        moments.append(start + draw.uniform(1.5, length) * DAY)
        start, length = start + length * DAY, days
    return [moment for moment in moments if moment < end]


def _outages(draw: random.Random, what: Away, begin: datetime, end: datetime) -> list[Outage]:
    outages: list[Outage] = []
    for days, least, most in _OUTAGES[what]:
        for moment in _moments(draw, begin, end, days):
            until = min(moment + draw.uniform(least, most) * HOUR, end)
            # Two of a kind that touch would be one that lasts longer than any is meant to.
            if all(until + DAY < outage.begin or outage.end + DAY < moment for outage in outages):
                outages.append(Outage(moment, until, what))
    return outages


def _hindrances(draw: random.Random, switches: dict[str, datetime], end: datetime) -> list[Hindrance]:
    """Around the moments at which 42 shows a secret, as it is the rotation that must be hindered."""
    hindrances = []
    for number, what in enumerate(list(Trouble) * 3):
        application = draw.choice(sorted(switches))
        shows = switches[application] - 5 * DAY + 14 * DAY * (2 * number + draw.randrange(2))
        if shows < end - 3 * DAY:
            hindrances.append(Hindrance(shows, shows + draw.uniform(9, 30) * HOUR, application, what))
    return hindrances


def _interventions(draw: random.Random, begin: datetime, end: datetime) -> list[Intervention]:
    acts = []
    for kind, (act, days) in itertools.product(("oauth", "bump"), _ACTS):
        acts += [Intervention(moment, kind, act) for moment in _moments(draw, begin, end - 4 * DAY, days)]
    return sorted(acts, key=lambda act: act.moment)


def _freezes(draw: random.Random, begin: datetime, end: datetime) -> list[Span]:
    """A day each month; a whole week in the third, as the opening of the campus has it."""
    freezes = []
    for number, moment in enumerate(_moments(draw, begin + DAY, end, 30)):
        start = moment.replace(hour=23, minute=0, second=0, microsecond=0)
        freezes.append(Span(start, start + (4.5 if number % 6 == 2 else 0.75) * DAY))
    return freezes


def _pushes(draw: random.Random, begin: datetime, end: datetime, services: Sequence[str]) -> list[tuple[datetime, str]]:
    pushes, day = [], begin
    while day < end:
        local = day.astimezone(SEOUL).replace(hour=10, minute=0)
        for service in services:
            if local.weekday() < 5 and draw.random() < PUSHES:
                pushes.append((local.astimezone(UTC) + draw.randrange(9 * 60) * MINUTE, service))
        day += DAY
    return sorted(push for push in pushes if push[0] < end)


def _holiday(draw: random.Random, begin: datetime, span: timedelta) -> Span:
    start = begin + draw.uniform(0.1, 0.9) * span
    return Span(start, start + 14 * DAY)

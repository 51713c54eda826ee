"""The rotation's table: one state for any facts, and promises that hold for all of them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.oauth.state import (
    ALERTS,
    KEEP,
    PATIENCE,
    RISK,
    STEPS,
    TABLE,
    Act,
    Facts,
    Obstacle,
    Shown,
    Stage,
    SyncStatus,
    asked,
    crossed,
    decide,
)
from tests.frozen import ROOT

NOW = datetime(2026, 11, 24, tzinfo=UTC)
A, B, C = "a" * 64, "b" * 64, "c" * 64


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


def facts(**changes: object) -> Facts:
    """Main and the pods run A, 42 shows A and nothing else, and ten days are left."""
    known = Facts(now=NOW, deployed=A, recorded=days(-4), shown=Shown(A, None, days(10)), sync=SyncStatus.HEALTHY)
    return replace(known, **changes)  # type: ignore[arg-type]


def shown(current: str = A, following: str | None = None, left: float = 10) -> Shown:
    return Shown(current, following, days(left))


def scheduled(left: float, begins: float, *, refused: bool = False) -> Shown:
    """42 shows B as the next one, which it accepts from a date."""
    return Shown(A, B, days(left), next_from=days(begins), next_refused=refused)


def merged(**changes: object) -> Facts:
    """Main runs B, which 42 shows as the next one; the previous generation stands beside it."""
    return facts(**({"deployed": B, "older": True, "shown": shown(following=B)} | changes))


CASES: dict[str, tuple[Facts, Stage, Act]] = {
    "nothing to do": (facts(), Stage.IDLE, Act.WITHDRAW),
    "the next secret shows": (facts(shown=shown(following=B)), Stage.DUE, Act.ROTATE),
    "git does not know what runs": (facts(deployed=None), Stage.DUE, Act.ROTATE),
    "its pull request is open": (facts(shown=shown(following=B), proposed=B), Stage.PR_OPEN, Act.ROTATE),
    "an older one is proposed": (facts(shown=shown(following=C), proposed=B), Stage.PR_OPEN, Act.ROTATE),
    "merged, Argo CD is behind": (
        facts(deployed=B, shown=shown(following=B), sync=SyncStatus.BEHIND),
        Stage.MERGED,
        Act.WITHDRAW,
    ),
    "synced, pods start": (
        facts(deployed=B, shown=shown(following=B), sync=SyncStatus.SYNCED),
        Stage.SYNCED,
        Act.WITHDRAW,
    ),
    "pods run, 42 has not switched": (
        facts(deployed=B, older=True, shown=shown(following=B), sync=SyncStatus.HEALTHY),
        Stage.CONFIRMED,
        Act.WITHDRAW,
    ),
    "42 just switched": (
        facts(deployed=B, older=True, recorded=days(-0.5), shown=shown(B)),
        Stage.CONFIRMED,
        Act.WITHDRAW,
    ),
    "42 switched a while ago": (
        facts(deployed=B, older=True, recorded=days(-2), shown=shown(B)),
        Stage.RETIRED,
        Act.WITHDRAW,
    ),
    "42 switched a while ago, and no rotation is near": (
        facts(deployed=B, older=True, recorded=days(-2), shown=shown(B, left=15)),
        Stage.RETIRED,
        Act.CLEAN_UP,
    ),
    "merged, and nothing is known of the cluster": (
        merged(sync=SyncStatus.SILENT, undelivered=timedelta(minutes=59)),
        Stage.MERGED,
        Act.WITHDRAW,
    ),
    "the same an hour after the merge": (
        merged(sync=SyncStatus.SILENT, undelivered=timedelta(hours=1)),
        Stage.STUCK,
        Act.WITHDRAW,
    ),
    "pods that do not roll": (
        merged(sync=SyncStatus.SYNCED, undelivered=timedelta(days=1)),
        Stage.STUCK,
        Act.WITHDRAW,
    ),
    "pods that do not roll, and another secret shows": (
        merged(sync=SyncStatus.SYNCED, undelivered=timedelta(days=1), shown=shown(A, C), running=A),
        Stage.STUCK,
        Act.ROTATE,
    ),
    "main is ahead of the switch, the pods are not": (
        merged(shown=shown(A, B, 0.1), sync=SyncStatus.BEHIND, running=A),
        Stage.AT_RISK,
        Act.WITHDRAW,
    ),
    "main has what 42 accepts, the pods have what it refuses": (
        merged(shown=shown(B), sync=SyncStatus.BEHIND, running=A),
        Stage.EXPIRED,
        Act.WITHDRAW,
    ),
    "a merge that does not come": (
        facts(shown=shown(following=B), proposed=B, waiting=timedelta(hours=6)),
        Stage.STUCK,
        Act.ROTATE,
    ),
    "two generations, and the cluster was not asked": (merged(sync=SyncStatus.UNKNOWN), Stage.MERGED, Act.WITHDRAW),
    "but the pods are not healthy": (
        facts(deployed=B, older=True, recorded=days(-2), shown=shown(B), sync=SyncStatus.SYNCED),
        Stage.SYNCED,
        Act.WITHDRAW,
    ),
    "no next one with six days left": (facts(shown=shown(left=6)), Stage.WAITING, Act.WITHDRAW),
    "no next one with two days left": (facts(shown=shown(left=2)), Stage.AT_RISK, Act.WITHDRAW),
    "not merged with two days left": (facts(shown=shown(A, B, 2), proposed=B), Stage.AT_RISK, Act.ROTATE),
    "ahead of the switch": (facts(deployed=B, shown=shown(A, B, 0.1)), Stage.IDLE, Act.WITHDRAW),
    "42 accepts the next one from a date": (facts(shown=scheduled(left=5, begins=3)), Stage.SCHEDULED, Act.WITHDRAW),
    "and the end is near, but not before that": (
        facts(shown=scheduled(left=1, begins=1)),
        Stage.SCHEDULED,
        Act.WITHDRAW,
    ),
    "the date has come": (facts(shown=scheduled(left=2, begins=-0.1)), Stage.DUE, Act.ROTATE),
    "a while ago": (facts(shown=scheduled(left=2, begins=-2.2)), Stage.AT_RISK, Act.ROTATE),
    "and a day is left": (facts(shown=scheduled(left=1, begins=-0.1)), Stage.AT_RISK, Act.ROTATE),
    "but it is not that day there yet": (
        facts(shown=scheduled(left=1, begins=-0.1, refused=True)),
        Stage.SCHEDULED,
        Act.WITHDRAW,
    ),
    "42 accepts the next one only after the current one": (
        facts(shown=scheduled(left=2, begins=4)),
        Stage.AT_RISK,
        Act.WITHDRAW,
    ),
    "what runs is dead and the next one not accepted yet": (
        facts(deployed=C, shown=scheduled(left=5, begins=3)),
        Stage.EXPIRED,
        Act.ROTATE,
    ),
    "not merged when it ended": (facts(shown=shown(A, B, 0), proposed=B), Stage.EXPIRED, Act.ROTATE),
    "42 has switched past us": (facts(shown=shown(B)), Stage.EXPIRED, Act.ROTATE),
    "42 refuses what runs": (facts(refused=True), Stage.EXPIRED, Act.WITHDRAW),
    "the page cannot be read": (
        facts(shown=None, blocked=Obstacle.LAYOUT, recorded=days(9)),
        Stage.BLOCKED,
        Act.NOTHING,
    ),
    "and the end is near": (
        facts(shown=None, blocked=Obstacle.LAYOUT, recorded=days(2)),
        Stage.AT_RISK,
        Act.NOTHING,
    ),
    "and over": (facts(shown=None, blocked=Obstacle.LAYOUT, recorded=days(-1)), Stage.EXPIRED, Act.NOTHING),
    "a person declined it": (
        facts(shown=shown(following=B), declined=frozenset({B})),
        Stage.BLOCKED,
        Act.NOTHING,
    ),
    "42 was not asked": (facts(shown=None, recorded=days(-1)), Stage.IDLE, Act.NOTHING),
    "42 was not asked, a pull request is open": (facts(shown=None, proposed=B), Stage.PR_OPEN, Act.NOTHING),
}


@pytest.mark.parametrize("name", CASES)
def test_the_table(name: str) -> None:
    given_facts, state, act = CASES[name]
    decision = decide(given_facts)
    assert (decision.state, decision.act) == (state, act)


def test_the_cases_show_every_row() -> None:
    assert {state for _, state, _ in CASES.values()} == {row.state for row in TABLE}


def test_every_state_is_a_row_or_lives_in_memory_alone() -> None:
    assert set(Stage) == {row.state for row in TABLE} | {
        Stage.FETCHED,
        Stage.VERIFIED,
        Stage.SEALED,
    }
    assert [state for state, after in STEPS.items() if Stage.SEALED in after] == [Stage.VERIFIED]
    assert [state for state, after in STEPS.items() if Stage.VERIFIED in after] == [
        Stage.FETCHED,
        Stage.SEALED,
    ]


moments = st.floats(min_value=-20, max_value=20).map(days)
ids = st.sampled_from([A, B, C])
any_shown = st.builds(
    Shown, ids, st.none() | ids, moments, st.none() | moments, st.none() | moments, st.booleans()
).filter(lambda shown: shown.current != shown.next)
any_facts = st.builds(
    Facts,
    now=moments,
    deployed=st.none() | ids,
    recorded=st.none() | moments,
    ends=st.none() | moments,
    older=st.booleans(),
    shown=st.none() | any_shown,
    blocked=st.none() | st.sampled_from(Obstacle),
    proposed=st.none() | ids,
    declined=st.frozensets(ids),
    refused=st.booleans(),
    sync=st.sampled_from(SyncStatus),
    running=st.none() | ids,
    undelivered=st.none() | st.floats(min_value=0, max_value=20).map(lambda count: timedelta(days=count)),
    waiting=st.none() | st.floats(min_value=0, max_value=20).map(lambda count: timedelta(days=count)),
)


@given(any_facts)
def test_the_bot_acts_on_what_it_sees_alone(observed: Facts) -> None:
    decision = decide(observed)
    if observed.shown is None or observed.blocked:
        assert decision.act is Act.NOTHING
    if decision.act is Act.ROTATE:
        assert observed.intended != observed.deployed
        assert observed.intended not in observed.declined
    if decision.act is Act.CLEAN_UP:
        assert observed.shown
        assert observed.deployed == observed.shown.current, "only once 42 has switched"
        assert observed.recorded is None or observed.now >= observed.recorded + KEEP
        assert observed.sync is SyncStatus.HEALTHY, "only once its pods hold what is left"


@given(any_facts)
def test_nothing_that_ends_is_silent(observed: Facts) -> None:
    decision = decide(observed)
    quiet = observed.ahead or observed.quiet
    if asked(observed) and observed.left is not None and observed.left <= RISK and not quiet:
        assert decision.needs_a_person
    if observed.blocked:
        assert decision.needs_a_person
    if decision.act is Act.NOTHING and asked(observed):
        assert decision.needs_a_person, "a bot that cannot act says so"
    if observed.undelivered is not None and observed.undelivered >= PATIENCE:
        assert decision.needs_a_person
    if observed.sync is SyncStatus.SILENT:
        assert decision.state not in (Stage.CONFIRMED, Stage.RETIRED, Stage.IDLE), "nobody knows"
    if observed.refused and asked(observed):
        assert decision.state is Stage.EXPIRED


@given(any_facts, st.floats(min_value=0, max_value=30))
def test_time_alone_never_makes_it_less_urgent(observed: Facts, later: float) -> None:
    urgency = {Stage.EXPIRED: 3, Stage.AT_RISK: 2}
    after = replace(observed, now=observed.now + timedelta(days=later))
    assert urgency.get(decide(after).state, 0) >= urgency.get(decide(observed).state, 0)


@given(any_facts)
def test_what_is_merged_is_settled(observed: Facts) -> None:
    if observed.shown and not observed.blocked and decide(observed).act is Act.ROTATE:
        shown = replace(observed.shown, next_refused=False)
        merged = replace(observed, deployed=observed.intended, proposed=None, refused=False, shown=shown)
        if merged.intended != merged.deployed:  # the current one went ahead of a next one that was refused
            assert merged.deployed == shown.current
            return
        assert decide(merged).act in (Act.WITHDRAW, Act.CLEAN_UP)


@given(st.floats(min_value=0.01, max_value=20), st.lists(st.floats(min_value=0.01, max_value=3), max_size=30))
def test_each_threshold_is_told_exactly_once_whenever_the_runs_are(left: float, gaps: list[float]) -> None:
    told = []
    since: datetime | None = days(-0.001)
    moment = NOW
    for gap in [0.0, *gaps]:
        moment += timedelta(days=gap)
        observed = facts(now=moment, shown=shown(left=left))
        if span := crossed(observed, since):
            told.append(span)
        since = moment
    assert len(told) == len(set(told))
    below = [span for span in ALERTS if days(left) - moment <= span < days(left + 0.001) - NOW]
    assert not below or min(below) in told, "whatever was skipped, the nearest one is told"


def test_a_first_run_tells_the_nearest_threshold() -> None:
    assert crossed(facts(shown=shown(left=2)), None) == timedelta(days=3)
    assert crossed(facts(shown=shown(left=8)), None) is None
    assert crossed(facts(deployed=B, shown=shown(A, B, 0.5)), None) is None, "already handled"


def test_every_state_and_reason_stands_in_the_runbook() -> None:
    text = (ROOT / "docs/runbooks/oauth.md").read_text()
    assert [reason for reason in Obstacle if f"\n## BLOCKED ({reason})" not in text] == []
    rows = re.findall(r"^\| ([A-Z_, ]+) \|", text, re.MULTILINE)
    assert {Stage(name) for name in ", ".join(rows).split(", ")} == {row.state for row in TABLE}

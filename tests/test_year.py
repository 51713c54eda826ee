"""The simulated year (tests/year): its clock, its workflows and its plan, and that its counts count what is planted."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.github_repository import BOT, Pull
from tests.fakes.intra42 import App, new_secret
from tests.frozen import ROOT
from tests.year import conditions, score
from tests.year.actions import LEFT_OUT
from tests.year.clock import DAY, HOUR, MINUTE, Cron, in_office
from tests.year.cluster import Held
from tests.year.conditions import Condition, Message
from tests.year.needles import Needles
from tests.year.plan import BEGIN, Away, Outage, Plan, Trouble, make
from tests.year.workflow import Command, Job, Workflow, expand, value

SEED = 7


# -- the clock


@pytest.mark.parametrize(
    ("text", "moment", "then"),
    [
        ("*/15 * * * *", "2027-01-04T10:15", "2027-01-04T10:30"),
        ("17 */6 * * *", "2027-01-04T18:17", "2027-01-05T00:17"),
        ("41 5,17 * * *", "2027-01-04T05:40", "2027-01-04T05:41"),
        ("23 6 * * 1", "2027-01-04T06:23", "2027-01-11T06:23"),
        ("23 3 * * 1,4", "2027-01-05T00:00", "2027-01-07T03:23"),
        ("0 0 1 * *", "2027-01-04T00:00", "2027-02-01T00:00"),
        ("5-7 0 29 2 *", "2027-01-04T00:00", "2028-02-29T00:05"),
        ("0 12 13 * 5", "2027-01-04T00:00", "2027-01-08T12:00"),  # the 13th, or a Friday
        ("0 0 * * 7", "2027-01-04T00:00", "2027-01-10T00:00"),
    ],
)
def test_a_schedule_is_due_when_cron_says(text: str, moment: str, then: str) -> None:
    zone = "+00:00"
    assert Cron.parse(text).after(datetime.fromisoformat(moment + zone)) == datetime.fromisoformat(then + zone)


@pytest.mark.parametrize("text", ["60 * * * *", "* * * *", "a * * * *", "5-2 * * * *"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not within|not enough|invalid literal"):
        Cron.parse(text)


def test_people_of_seoul_are_at_work_by_their_own_clock() -> None:
    monday = datetime(2027, 1, 4, tzinfo=UTC)
    assert in_office(monday + 1 * HOUR)  # ten o'clock there
    assert not in_office(monday + 9 * HOUR)
    assert not in_office(monday + 5 * DAY + 3 * HOUR)


# -- the workflows


def test_every_workflow_of_ours_can_be_read_and_its_conditions_too() -> None:
    workflows = [Workflow.read(file) for file in sorted((ROOT / ".github/workflows").glob("*.yaml"))]
    assert {workflow.file for workflow in workflows} >= LEFT_OUT
    for workflow in workflows:
        if workflow.file not in LEFT_OUT:
            needs = {f"needs.{job.name}.result": "success" for job in workflow.jobs}
            assert workflow.crons or workflow.after, workflow.file
            given = itertools.chain.from_iterable(_commands(job, needs) for job in workflow.jobs)
            mentioned = (ROOT / ".github/workflows" / workflow.file).read_text().count("/bin/gitops ")
            assert len(list(given)) == mentioned - (1 if workflow.file == "check.yaml" else 0), workflow.file


def _commands(job: Job, facts: dict[str, str]) -> list[Command]:
    job.starts(facts)
    return list(job.commands(facts))


def test_an_expression_is_what_actions_makes_of_it() -> None:
    facts = {"a.event": "push", "needs.b.result": "failure", "secrets.TOKEN": "t"}
    assert value("""contains(fromJSON('["push", "x"]'), a.event)""", facts)
    assert value("always() && a.event == 'push' && needs.b.result != 'success'", facts)
    assert not value("!cancelled() && a.unknown == 'push'", facts)
    assert expand("${{ secrets.TOKEN }}-${{ secrets.NONE }}", facts) == "t-"
    with pytest.raises(ValueError, match="not known"):
        value("a.event[0]", facts)


def test_a_job_waits_for_those_that_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\non: {schedule: [{cron: '1 2 * * *'}], workflow_run: {workflows: [check]}}\njobs:\n"
        "  a: {steps: [{run: .venv/bin/gitops check --base \"$BASE\", env: {BASE: '${{ steps.s.outputs.base }}'}}]}\n"
        "  b: {needs: a, steps: []}\n  c: {needs: [a], if: always(), steps: []}\n"
    )
    workflow = Workflow.read(file)
    first, second, third = workflow.jobs
    assert workflow.after == ("check",)
    assert [command.words for command in first.commands({"steps.s.outputs.base": "main"})] == [
        ("check", "--base", "main")
    ]
    assert not second.starts({"needs.a.result": "failure"})
    assert third.starts({"needs.a.result": "failure"})


# -- what happens


def plan(span: timedelta = 365 * DAY, seed: int = SEED) -> Plan:
    numbers = [str(number) for number in range(41001, 41011)]
    return make(seed, span, numbers, ["mogle", "benefit"], ["community"])


def test_a_year_has_each_kind_of_trouble_and_each_application_26_secrets() -> None:
    year = plan()
    assert {outage.what for outage in year.outages} == set(Away)
    assert {hindrance.what for hindrance in year.hindrances} == set(Trouble)
    assert any(outage.hours > 24 for outage in year.outages)
    assert len(year.renewals) == 12
    for switch in year.switches.values():
        shows = itertools.takewhile(
            lambda moment: moment < year.end, (switch - 5 * DAY + n * 14 * DAY for n in itertools.count())
        )
        assert len(list(shows)) == 26
    assert plan() == year, "the same seed is the same year"
    assert plan(seed=SEED + 1) != year


def test_a_month_has_each_kind_of_outage_too() -> None:
    assert {outage.what for outage in plan(30 * DAY).outages} == set(Away)


# -- the score, of a world that is made by hand


@dataclass
class Past:
    """One application: `first` ran when all began, `second` came, `third` after it; all as it should be."""

    app: App
    held: list[Held]

    @property
    def values(self) -> list[str]:
        return list(self.app.accepted)


END = BEGIN + 30 * DAY
SWITCHES = (BEGIN + 8 * DAY, BEGIN + 22 * DAY)
OVERLAP = 6 * HOUR


@pytest.fixture
def past() -> Past:
    first, second, third = (new_secret() for _ in range(3))
    app = App("41001", "uid", switch=END + 6 * DAY, current=third)
    app.accepted = {
        first: (BEGIN - 6 * DAY, SWITCHES[0] + OVERLAP),
        second: (SWITCHES[0] - 5 * DAY, SWITCHES[1] + OVERLAP),
        third: (SWITCHES[1] - 5 * DAY, None),
    }
    held = [
        Held(BEGIN, first, "g1"),
        Held(SWITCHES[0] - 4 * DAY, second, "g2"),
        Held(SWITCHES[1] - 4 * DAY, third, "g3"),
    ]
    return Past(app, held)


def quiet(*outages: Outage) -> Plan:
    return replace(plan(30 * DAY), outages=list(outages))


def test_all_well_counts_as_all_well(past: Past) -> None:
    assert [window.value for window in score.rotated(past.app, past.held)] == past.values[1:]
    assert score.lost(past.app, past.held, quiet(), END) == []
    assert score.without(past.app, past.held, quiet(), END) == score.Without(0, 0)


def test_a_secret_that_no_pod_ever_held_is_lost(past: Past) -> None:
    del past.held[1]
    assert [window.value for window in score.lost(past.app, past.held, quiet(), END)] == [past.values[1]]
    assert len(score.rotated(past.app, past.held)) == 1


def test_a_secret_that_is_still_accepted_is_not_lost_yet(past: Past) -> None:
    del past.held[2]
    assert score.lost(past.app, past.held, quiet(), END) == []


def test_every_second_with_a_refused_secret_counts(past: Past) -> None:
    past.held[1] = replace(past.held[1], since=SWITCHES[0] + OVERLAP + timedelta(seconds=17))
    assert score.without(past.app, past.held, quiet(), END) == score.Without(17, 0)
    # What nobody knows is refused as long as it is held.
    past.held[1] = replace(past.held[1], since=SWITCHES[0], value=None)
    gap = past.held[2].since - SWITCHES[0]
    assert score.without(past.app, past.held, quiet(), END).seconds == gap.total_seconds()


def test_a_secret_that_is_never_replaced_is_refused_to_the_end(past: Past) -> None:
    del past.held[1:]
    gap = END - SWITCHES[0] - OVERLAP
    assert score.without(past.app, past.held, quiet(), END) == score.Without(gap.total_seconds(), 0)


def test_where_42_was_away_for_a_whole_window_it_is_told_apart(past: Past) -> None:
    del past.held[1]
    shown, over = SWITCHES[0] - 5 * DAY, SWITCHES[0] + OVERLAP
    whole = quiet(Outage(shown - HOUR, over + HOUR, Away.INTRA42))
    assert score.lost(past.app, past.held, whole, END) == []
    gap = (past.held[1].since - over).total_seconds()
    assert score.without(past.app, past.held, whole, END) == score.Without(gap, gap)
    for part in (Outage(shown + HOUR, over + HOUR, Away.INTRA42), Outage(shown - HOUR, over + HOUR, Away.GITHUB)):
        assert len(score.lost(past.app, past.held, quiet(part), END)) == 1
        assert score.without(past.app, past.held, quiet(part), END) == score.Without(gap, 0)


def pull(number: int, proposed: str, **facts: str) -> Pull:
    body = f'<!-- gitops-oauth: {{"rotation": "{proposed}"}} -->'
    made = Pull(number, "oauth/mogle/prod", "main", "title", body, BOT[0], last_head=f"{number:040}")
    for name, text in facts.items():
        setattr(made, name, text)
    return made


@pytest.mark.parametrize(
    ("before", "count"),
    [
        ({"state": "closed", "merged_at": "then"}, 1),
        ({"state": "open"}, 1),
        ({"state": "closed"}, 0),  # a person closed it, or the bot withdrew it
    ],
)
def test_a_secret_that_is_proposed_twice_is_a_duplicate(before: dict[str, str], count: int) -> None:
    assert len(score.duplicates([pull(1, "a", **before), pull(2, "b"), pull(3, "a")])) == count


def test_a_bots_red_pull_request_counts_and_a_persons_does_not() -> None:
    pulls = [pull(1, "a"), pull(2, "b"), pull(3, "c"), pull(4, "d", user="student")]
    failed = {one.last_head: "check" for one in pulls if one.number != 2}
    assert [text.partition(" ")[0] for text in score.red(pulls, failed, [3])] == ["#1"]


# -- who heard


def stuck(plan_: Plan, end: datetime = END) -> Condition:
    return conditions.undelivered(plan_, "mogle/prod", BEGIN, end)


def said(after: timedelta, text: str = ":warning: mogle/prod: MERGED and not delivered") -> list[Message]:
    return [Message(BEGIN + after, "#platform-alerts", f"Hello\n{text}")]


@pytest.mark.parametrize(
    ("messages", "count"),
    [
        ([], 1),
        (said(90 * MINUTE), 0),
        (said(10 * HOUR), 1),  # too late
        (said(-HOUR), 1),  # of something before
        (said(90 * MINUTE, ":warning: umbrella/prod: MERGED"), 1),  # of another
    ],
)
def test_what_nobody_heard_of_in_time_is_untold(messages: list[Message], count: int) -> None:
    assert len(score.untold([stuck(quiet())], messages)) == count


def test_what_was_over_in_time_needs_no_word() -> None:
    assert score.untold([stuck(quiet(), BEGIN + 100 * MINUTE)], []) == []


def test_where_github_starts_no_run_it_is_told_a_period_later() -> None:
    outage = Outage(BEGIN + HOUR, BEGIN + 10 * HOUR, Away.ACTIONS)
    assert score.untold([stuck(quiet(outage))], said(12 * HOUR)) == []
    assert len(score.untold([stuck(quiet(outage))], said(20 * HOUR))) == 1


def test_each_lasting_outage_is_somebodys_affair() -> None:
    outages = [Outage(BEGIN, BEGIN + 3 * DAY, what) for what in (Away.INTRA42, Away.LAYOUT, Away.ACTIONS, Away.ECR)]
    for outage in outages:
        assert len(score.untold(conditions.of_plan(quiet(outage)), [])) == 1, outage.what


# -- leaks

FORMS: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "hex": lambda text: text.encode().hex().encode(),
    "base64": lambda text: base64.b64encode(b"x" + text.encode()),
    "in a line": lambda text: f"curl -H 'Authorization: Bearer {text}' https://api".encode(),
    "a part": lambda text: text[20:50].encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    value_ = new_secret()
    needles = Needles([value_, new_secret()])
    text = b"nothing 0123456789abcdef0123 here " + FORMS[form](value_) + b" and nothing there"
    assert needles.search("here", text)
    assert not needles.search("here", text.replace(FORMS[form](value_), FORMS[form](new_secret())))


def test_a_password_with_spaces_is_found_too() -> None:
    assert Needles(["correct horse"]).search("log", b"it was correct horse, he said")

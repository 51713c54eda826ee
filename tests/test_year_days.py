"""Some days of the simulated year (tests/year), and each fault that is planted in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fakes.github_repository import BOT
from tests.year import score
from tests.year.clock import DAY, HOUR
from tests.year.plan import Act, Hindrance, Intervention, Plan, Trouble
from tests.year.simulation import Simulation, simulation

SEED = 7


@pytest.mark.bots
def test_a_day_of_the_platform_and_each_fault_that_is_planted_in_it(tmp_path: Path) -> None:
    with simulation(tmp_path, 8 * HOUR, seed=SEED, live=False) as day:
        day.run()
        whole = day.score()
        assert whole.faults == ()
        assert whole.rotations >= 1
        assert whole.bumps >= 1
        assert day.verdicts.real >= 2
        drawn = ElementTree.tostring(day.picture(whole.line).root).decode()
        assert "mogle/prod" in drawn
        for plant in (*PLANTS.values(), refuse):
            plant(day)
        planted = day.score()
    for name in PLANTS:
        assert getattr(planted, name) == getattr(whole, name) + 1, f"{name}: {planted.faults}"
    assert planted.without_secret_s >= 3600
    assert planted.bad
    assert any("by hand: rotation" in fault for fault in planted.faults)
    assert any("held for quiet" in fault for fault in planted.faults)


def leak(day: Simulation) -> None:
    """Somebody is told a secret, in a comment."""
    [first, *_] = day.world.github.pulls.values()
    day.world.github.comment(first, f"It is {next(iter(day.world.intra.apps['41001'].accepted))}.")


def double(day: Simulation) -> None:
    merged = next(own for own in day.world.github.pulls.values() if own.head.startswith("oauth/") and own.merged_at)
    number = len(day.world.github.pulls) + 1
    day.world.github.pulls[number] = replace(merged, number=number, last_head="")


def silence(day: Simulation) -> None:
    """A rotation came to main long ago, and reaches no pod."""
    overlay, secret, _ = day.merges[0]
    held = day.cluster.running[overlay].held
    held[:] = [period for period in held if period.secret != secret]
    day.merges[0] = (overlay, secret, day.plan.begin)


def redden(day: Simulation) -> None:
    own = next(own for own in day.world.github.pulls.values() if own.user == BOT[0])
    day.actions.red[own.last_head] = "check"


def merge_by_hand(day: Simulation) -> None:
    day.people.by_hand["rotation"] += 1


def refuse(day: Simulation) -> None:
    """42 takes back what runs, and a run that was held for quiet is not."""
    app = next(iter(day.world.intra.apps.values()))
    app.accepted = {text: (begins, day.plan.end - HOUR) for text, (begins, _) in app.accepted.items()}
    day.actions.unquiet.append("oauth rotate")


PLANTS: dict[str, Callable[[Simulation], None]] = {
    "leaks": leak,
    "duplicates": double,
    "untold": silence,
    "red_by_bot": redden,
    "by_hand": merge_by_hand,
}


def with_every_trouble(own: Plan) -> Plan:
    """42 shows four applications their next secret, and each is kept from its pods in another way until the evening."""
    hindered = dict(zip(sorted(own.switches), Trouble, strict=False))
    begin, evening = own.begin + HOUR, own.begin + 18 * HOUR
    hindrances = [Hindrance(begin, evening, number, what) for number, what in hindered.items()]
    switches = dict.fromkeys(hindered, own.begin + 5 * DAY + 2 * HOUR)
    return replace(own, hindrances=hindrances, switches=own.switches | switches, pushes=[])


@pytest.mark.matrix
def test_whatever_keeps_a_secret_from_the_pods_is_told_and_delivered_afterwards(tmp_path: Path) -> None:
    with simulation(tmp_path, 20 * HOUR, seed=SEED, live=False, change=with_every_trouble) as day:
        day.run()
        counted = day.score()
        stuck_ones = [one for one in day.expected() if one.what == "merged and not delivered" and one.end > one.due]
    assert len(stuck_ones) == len(Trouble)
    assert counted.faults == ()
    assert counted.rotations >= len(Trouble)
    assert score.untold(stuck_ones, []) != [], "not told, it would count"


def with_every_act(own: Plan) -> Plan:
    """42 shows four applications a next secret; a person closes, commits to or rebases the pull requests of three."""
    numbers = sorted(own.switches)
    shown = dict.fromkeys(numbers[:4], own.begin + 5 * DAY + 2 * HOUR)
    later = dict.fromkeys(numbers[4:], own.begin + 12 * DAY)
    acts = [Intervention(own.begin, "oauth", act) for act in Act]
    return replace(own, switches=shown | later, interventions=acts, hindrances=[], pushes=[])


@pytest.mark.matrix
def test_what_a_person_does_to_a_rotation_is_told_and_stops_no_other(tmp_path: Path) -> None:
    with simulation(tmp_path, 19 * HOUR, seed=SEED, live=False, change=with_every_act) as day:
        day.run()
        counted = day.score()
        acts = [one for one in day.expected() if one.what == "a person's act on a rotation" and one.end > one.due]
    assert len(acts) == len(Act)
    assert counted.faults == ()
    assert (counted.rotations, counted.by_hand) == (1, len(Act))
    assert len(score.untold(acts, [])) == len(Act), "not told, each would count"


@pytest.mark.matrix
@pytest.mark.timeout(7200)
def test_a_month_of_the_platform(tmp_path: Path) -> None:
    with simulation(tmp_path, 30 * DAY, seed=SEED, live=True) as month:
        month.run()
        counted = month.score()
    assert counted.faults == ()
    assert counted.rotations >= 18
    assert counted.line.startswith(
        f"year: rotations={counted.rotations} bumps={counted.bumps} lost=0 without_secret_s=0"
    )

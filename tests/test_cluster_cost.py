"""What a cluster costs: every resource of the templates has a price or is known to have none, and the sum is theirs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from gitops.cluster import cost, world
from gitops.cluster.world import ClusterWorld
from gitops.ground.errors import InputError
from tests import costs, figures, minutes
from tests.conftest import GITOPS
from tests.frozen import ROOT, platform


def place() -> ClusterWorld:
    return world.look(platform(), "seoul")


def monthly(what: str) -> float:
    [line] = [line for line in cost.lines(place()) if line.what == what]
    return round(line.monthly, 2)


def test_what_the_templates_make_is_counted() -> None:
    assert monthly("NAT gateways") == round(3 * 0.059 * 730, 2)
    assert monthly("control plane") == 73.0
    assert monthly("nodes") == round(3 * 0.118 * 730, 2)
    assert monthly("staging's spot nodes") == round(2 * 0.118 * 730 * 0.4, 2)
    assert monthly("Auto Mode's surcharge") == round(5 * 0.118 * 730 * 0.12, 2)
    lines = cost.lines(place())
    assert cost.total(lines) == pytest.approx(sum(line.monthly for line in lines))
    assert not any(line.assumed for line in lines if line.what in ("NAT gateways", "control plane", "zones", "key"))


def test_a_database_is_a_machine_a_disk_and_a_password_and_its_standby_once_more() -> None:
    assert monthly("databases, machines") == round(2 * 0.025 * 730, 2)
    assert monthly("databases, GB") == round(2 * 20 * 0.131, 2)
    assert monthly("databases' passwords") == 0.40
    lines = [line.monthly for line in cost.lines(place()) if line.what.startswith("databases")]
    assert sum(lines) == pytest.approx(cost.database(cost.prices(), 2, 20))


def test_every_assumption_of_the_price_file_is_in_the_sum() -> None:
    """Twice as much of each makes the sum larger: none is written down and forgotten."""
    before = cost.total(cost.lines(place()))
    for name in cost.prices().assumed:
        listed = cost.prices()
        listed.assumed[name] *= 2
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cost, "prices", lambda listed=listed: listed)
            assert cost.total(cost.lines(place())) > before, name


def test_a_resource_of_which_nobody_said_what_it_costs_is_refused() -> None:
    known = place()
    stack = known.stack("network")
    queue: dict[str, Any] = {"Type": "AWS::SQS::Queue"}
    other_stack = replace(stack, template={**stack.template, "Resources": {**stack.resources, "Queue": queue}})
    with pytest.raises(InputError, match="nobody said what these cost: AWS::SQS::Queue"):
        cost.lines(replace(known, stacks=[other_stack]))


def test_a_region_without_prices_is_refused() -> None:
    known = place()
    elsewhere = known.definition.model_copy(update={"region": "eu-west-3"})
    with pytest.raises(InputError, match="no prices are known of eu-west-3"):
        cost.lines(replace(known, definition=elsewhere))


def test_nine_machines_are_replaced_and_what_is_not_known_of_them_is_marked() -> None:
    lines = cost.replaced()
    machines = [line for line in lines if line.what.startswith("t3.")]
    assert sum(line.quantity for line in machines) == 9
    assert {(line.what, line.quantity) for line in machines if not line.assumed} == {("t3.micro", 3), ("t3.small", 2)}
    assert {line.what for line in lines if line.assumed} == {"t3.micro", "disks, GB", "public addresses"}


def test_every_price_says_where_it_was_read() -> None:
    text = cost.FILE.read_text()
    listed = cost.prices()
    sources = {price.source for price in listed.prices.values()} | {listed.surcharge.source, listed.spot.source}
    for source in sources:
        assert f"# {source}: " in text, source


def test_what_stays_after_down_is_a_part_of_the_sum() -> None:
    kept = cost.stays(place().stacks)
    assert {line.stack for line in kept} == {"foundation", "zones", "services", "state"}
    assert set(kept) <= set(cost.lines(place()))


def test_endpoints_are_left_out_because_they_would_not_pay() -> None:
    monthly_price, from_gb = cost.endpoints(cost.prices())
    assert monthly_price == pytest.approx(6 * 0.013 * 730)
    assert from_gb > cost.prices().assumed["nat-gateway-gb"]


def test_the_command_says_the_same() -> None:
    words = [str(GITOPS), "cluster", "cost", "seoul", "--output", "json"]
    ran = subprocess.run(words, cwd=platform().root, capture_output=True, text=True, check=True)
    assert sum(line["monthly"] for line in json.loads(ran.stdout)) == pytest.approx(cost.total(cost.lines(place())))


def test_the_measurement_has_every_figure_of_the_page() -> None:
    template = (ROOT / "docs/cost.template.md").read_text()
    measured = {"commit": "", "date": "", "cores": 0, **costs.measure(platform())}
    assert "NAT gateways" in figures.render(template, {"cost": measured})


@pytest.mark.docs
def test_the_page_has_the_minutes_of_the_schedules_as_they_are() -> None:
    billed = {schedule.workflow: schedule for schedule in minutes.schedules(costs.WORKFLOWS)}
    assert costs.minutes_table(list(billed.values())) in (ROOT / "docs/cost.md").read_text()
    assert billed["images.yaml"].runs == 365 * 24 / 12
    assert billed["images.yaml"].minutes == 1, "bump and freeze are one job"


@pytest.mark.docs
@pytest.mark.parametrize("document", figures.TEMPLATES)
def test_a_page_with_figures_is_rendered_from_them(document: str) -> None:
    section = figures.render((ROOT / figures.TEMPLATES[document]).read_text(), figures.read())
    text = (ROOT / document).read_text()
    assert text == figures.with_section(text, section), "run: .venv/bin/python -m tests.figures"

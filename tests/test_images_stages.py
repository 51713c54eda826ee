"""More than one stage: staging, canary, prod, each with its soak and its health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gitops.images import policy, wording
from tests.image_planner import Situation, plans, winners

STAGES: dict[str, dict[str, Any]] = {
    "staging": {"semver": {}},
    "canary": {"promote": {"from": "staging", "soak": "1d"}},
    "prod": {"promote": {"from": "canary", "soak": "3d"}},
}
FIRST = "3.0.0 30d"


def decide(folder: Path, staging: str, canary: str, prod: str = FIRST, **more: Any) -> tuple[dict[str, str], str]:
    """What is proposed, and what is said of prod."""
    ran = {"staging": staging, "canary": canary, "prod": prod}
    registry = "3.0.0 30d, 3.1.0 9d, 3.2.0 8d"
    made = plans(Situation(policies=STAGES, registry=registry, ran=ran, **more), folder)
    assert not [own.error for own in made.values() if own.error]
    return winners(made), wording.no_change(made["prod"].no_change)


def test_an_image_goes_from_stage_to_stage_each_after_its_soak(tmp_path: Path) -> None:
    new = f"{FIRST}, 3.2.0 7d"
    assert decide(tmp_path, FIRST, FIRST)[0] == {"staging": "3.2.0"}
    assert decide(tmp_path, new, FIRST)[0] == {"canary": "3.2.0"}, "prod takes nothing from staging"
    assert decide(tmp_path, new, f"{FIRST}, 3.2.0 2d") == (
        {},
        "runs what was promoted last; 3.2.0 has not run in canary for 3d",
    )
    assert decide(tmp_path, new, f"{FIRST}, 3.2.0 4d")[0] == {"prod": "3.2.0"}


def test_each_stage_is_asked_for_its_own_health(tmp_path: Path) -> None:
    new = f"{FIRST}, 3.2.0 4d"
    sick = {"canary": "success 30d, failure 2d"}
    proposed, why = decide(tmp_path, new, new, health=sick)
    assert proposed == {}
    assert "mogle-canary is Degraded with 3.2.0 since" in why
    # What staging is like now is no matter any more once canary took it.
    assert decide(tmp_path, new, new, health={"staging": "failure 1d"})[0] == {"prod": "3.2.0"}


@pytest.mark.parametrize("place", ["staging", "canary", "prod"])
def test_what_a_person_took_back_in_any_stage_goes_no_further(tmp_path: Path, place: str) -> None:
    ran = dict.fromkeys(STAGES, f"{FIRST}, 3.2.0 7d")
    ran["prod"] = FIRST
    ran[place] = f"{FIRST}, 3.2.0 7d, 3.0.0 6d"
    if place == "canary":  # and staging went on
        ran["canary"] += ", 3.1.0 5d"
    proposed, why = decide(tmp_path, **ran)
    assert "3.2.0" not in proposed.values()
    if place != "canary":
        assert f"3.2.0 was taken back in {place}" in why


def test_a_hotfix_in_a_later_stage_stays(tmp_path: Path) -> None:
    new = f"{FIRST}, 3.1.0 9d"
    proposed, why = decide(tmp_path, new, f"{new}, 3.1.1 1d", f"{FIRST}, 3.2.0 1d")
    assert proposed == {"staging": "3.2.0"}
    assert why == "runs 3.2.0, which is newer than 3.1.1"


CIRCLES = {
    "itself": ({"prod": "prod"}, "promotes in a circle: prod from prod"),
    "two": ({"prod": "canary", "canary": "prod"}, "promotes in a circle: prod from canary from prod"),
    "behind a way in": (
        {"prod": "canary", "canary": "staging", "staging": "canary"},
        "promotes in a circle: prod from canary from staging from canary",
    ),
    "from nowhere, in the second stage": (
        {"prod": "canary", "canary": "qa"},
        "canary promotes from 'qa', which has no",
    ),
}


@pytest.mark.parametrize("name", CIRCLES)
def test_stages_that_never_begin_are_refused(name: str) -> None:
    stages, message = CIRCLES[name]
    raw = {place: {"promote": {"from": source, "soak": "1d"}} for place, source in stages.items()}
    with pytest.raises(ValidationError) as raised:
        policy.Policies.model_validate(raw)
    assert message in str(raised.value)

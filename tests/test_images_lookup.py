"""A registry that lists names alone is asked for as little as decides; the choice is the same as with all facts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast
from unittest.mock import patch

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gitops.clients.registries import ListedImage, Registry
from gitops.images import lookup
from tests import image_planner
from tests.image_planner import Situation, plans, winners

SEMVER: dict[str, Any] = {"semver": {"range": "*"}}
POLICIES: list[dict[str, Any]] = [
    SEMVER,
    {"semver": {"range": "<3.0.0"}},
    {"pattern": {"match": r"\d+\.\d+\.\d+", "order": "alphabetical"}},
    {"pattern": {"match": r"(\d+\.\d+)\.\d+", "group": 1, "order": "numerical"}},
    {"newest": {}},
    {"newest": {}, "allow": [r"[0-2]\..*"]},
    {"digest": {"tag": "1.1.0"}},
    {**SEMVER, "minimum-release-age": "9d"},
]
TAGS = st.builds("{}.{}.0".format, st.integers(0, 3), st.integers(0, 3))


class NamesAlone(image_planner._Registry):
    """Tells a digest and a time where it is asked for them."""

    asked: ClassVar[Counter[str]] = Counter()

    def listing(self, name: str) -> list[ListedImage]:
        return [ListedImage(image.tag, "", None) for image in super().listing(name)]

    def look(self, name: str, *, tag: str = "", digest: str = "", dated: bool = False) -> ListedImage | None:
        self.asked["dated" if dated else "named"] += 1
        image = super().look(name, tag=tag, digest=digest)
        return image if image is None or dated else replace(image, pushed=None)


def choice(situation: Situation, registry: type[Any], folder: Path) -> dict[str, str]:
    with patch.object(image_planner, "_Registry", registry):
        return winners(plans(situation, folder))


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Tags that were pushed at some time, some of them of one digest; some ran, some were declined, some do not fit."""
    tags = draw(st.lists(TAGS, min_size=1, max_size=9, unique=True))
    ages = {tag: draw(st.integers(1, 30)) for tag in tags}
    twins = {tag: draw(st.sampled_from(tags)) for tag in tags if draw(st.integers(0, 4)) == 0}
    names = {tag: twins.get(twins.get(tag, tag), twins.get(tag, tag)) for tag in tags}
    assume(all(names[name] == name for name in names.values()))
    words = [f"{tag}={name} {ages[name]}d" for tag, name in names.items()]
    ran = draw(st.lists(st.sampled_from(tags), min_size=1, max_size=3))
    past = ", ".join(f"{tag}={names[tag]} {40 - place}d" for place, tag in enumerate(ran))
    declined = draw(st.lists(st.sampled_from(tags), max_size=2))
    foreign = draw(st.lists(st.sampled_from(sorted(set(names.values()))), max_size=2))
    return Situation(
        policies={"staging": draw(st.sampled_from(POLICIES))},
        registry=", ".join(words),
        ran={"staging": past},
        declined={"staging": ", ".join(f"{tag}={names[tag]}" for tag in declined)},
        platforms=dict.fromkeys(foreign, "linux/arm64"),
    )


# A person declined what the policy does not allow (any more).
DECLINED_OUTSIDE = Situation(
    policies={"staging": {"newest": {}, "allow": [r"[0-2]\..*"]}},
    registry="3.1.0=3.1.0 14d, 0.1.0=0.1.0 17d, 1.2.0=1.2.0 23d",
    ran={"staging": "1.2.0=1.2.0 39d"},
    declined={"staging": "3.1.0=3.1.0"},
)


def test_what_the_policy_does_not_allow_holds_nothing_back(tmp_path: Path) -> None:
    assert choice(DECLINED_OUTSIDE, image_planner._Registry, tmp_path) == {"staging": "0.1.0"}


@settings(max_examples=100)
@example(situation=DECLINED_OUTSIDE)
@given(situation=situations())
def test_the_choice_is_the_same_as_with_all_facts(
    situation: Situation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert choice(situation, NamesAlone, folder) == choice(situation, image_planner._Registry, folder)


def test_a_long_history_asks_for_no_more_times_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "MOST", 3)
    registry = NamesAlone(Situation(policies={}, registry=", ".join(f"{n} {n}d" for n in range(1, 9)), ran={}))
    when = lookup.times(cast(Registry, registry), "mogle", registry.listing("mogle"))
    known = [when(image_planner.digest(str(number))) for number in (1, 2, 3, 4, 1)]
    assert [moment is not None for moment in known] == [True, True, True, False, True]


@pytest.mark.parametrize(
    ("policy", "declined", "expected"),
    [
        (SEMVER, "", {"named": 2}),
        ({"digest": {"tag": "1.7.0"}}, "", {"named": 2}),
        ({**SEMVER, "minimum-release-age": "1h"}, "", {"named": 1, "dated": 1}),
        # What stands between what runs and what was declined, and what was declined.
        (SEMVER, "1.9.0", {"named": 2, "dated": 2}),
        ({"newest": {}}, "", {"dated": 100}),
    ],
)
def test_no_more_is_asked_than_decides(
    policy: dict[str, Any], declined: str, expected: dict[str, int], tmp_path: Path
) -> None:
    tags = [f"1.{number}.0 {200 - number}d" for number in range(100)]
    runs = "1.7.0 9d" if declined else "1.0.0 9d"
    situation = Situation(
        policies={"staging": policy}, registry=", ".join(tags), ran={"staging": runs}, declined={"staging": declined}
    )
    NamesAlone.asked.clear()
    choice(situation, NamesAlone, tmp_path)
    assert NamesAlone.asked == expected

"""Nothing older, nothing that a person took back, and in the end the newest: the order of images."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from typing import Any

import pytest
import semantic_version
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gitops.clients import registries
from gitops.clients.registries import ListedImage
from gitops.images import memory, order, policy
from gitops.images.memory import Declined
from gitops.images.select import select
from gitops.manifests.image import Image
from gitops.repository.ours import TRAILER
from gitops.repository.versions import Version
from tests.test_images_select import SEMVER, START, digest, winner


def listed_image(tag: str, number: int, hours: int) -> ListedImage:
    return ListedImage(tag, digest(number), START + timedelta(hours=hours))


def newest(listed: list[ListedImage], tag: str, number: int, **raw: Any) -> list[str]:
    own = policy.Policy.model_validate({"newest": {}, **raw})
    chosen = select(own, listed, tag=tag, digest=digest(number), brought=START + timedelta(hours=2))
    return [image.tag for image in chosen.ranked]


def test_the_newest_goes_on_where_ci_moves_latest() -> None:
    first = [listed_image("sha-1", 1, 1), listed_image("latest", 1, 1)]
    assert newest(first, "sha-0", 9) == []
    assert newest([listed_image("sha-1", 1, 3), listed_image("latest", 1, 3)], "sha-0", 9)[0] == "sha-1", (
        "a tag that stays"
    )
    moved = [listed_image("sha-1", 1, 1), listed_image("sha-2", 2, 2), listed_image("latest", 2, 2)]
    assert newest(moved, "latest", 1)[0] == "sha-2", "what runs has its place by its digest"
    assert newest(moved, "sha-2", 2) == [], "another tag of what runs is nothing new"


@pytest.mark.parametrize(("hours", "expected"), [(1, []), (3, ["b"])])
def test_the_newest_never_goes_back_where_what_runs_is_gone_or_not_allowed(hours: int, expected: list[str]) -> None:
    # Main has had what runs since hour 2.
    assert newest([listed_image("b", 2, hours)], "gone", 9) == expected
    assert newest([listed_image("b", 2, hours), listed_image("x", 9, 2)], "x", 9, allow=["b"]) == expected


def test_pushes_of_one_moment_are_ordered_by_numbers_and_not_by_text() -> None:
    listed = [listed_image("0.0.9", 1, 3), listed_image("0.0.10", 2, 3), listed_image("edge", 3, 3)]
    assert newest(listed, "0.0.8", 9) == ["0.0.10", "0.0.9", "edge"]
    assert newest(listed, "0.0.9", 1) == ["0.0.10"]


def test_a_version_by_mistake_that_was_declined_holds_back_nothing_that_is_pushed_later() -> None:
    listed = ["3.0.0", "3.0.1", "30.1.0", "3.1.0"]
    assert winner(SEMVER, *listed, runs="3.0.0", refused=("30.1.0",)) == "3.1.0"
    assert winner(SEMVER, *listed[:3], runs="3.0.0", refused=("30.1.0",)) is None
    dates = {"pattern": {"match": ".*", "order": "alphabetical"}}
    assert winner(dates, "2026-01", "hotfix", "2026-02", runs="2026-01", refused=("hotfix",)) == "2026-02"
    # Of one that the registry has no more nothing is known but its place.
    assert winner(SEMVER, "3.0.0", "3.0.1", runs="3.0.0", refused=("30.1.0",)) is None


TAGS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12), st.integers(0, 9)), min_size=1, max_size=12)
WAYS: list[dict[str, Any]] = [
    SEMVER,
    {"newest": {}},
    {"pattern": {"match": r"\d+\.\d+\.\d+", "order": "alphabetical"}},
    {"newest": {}, "allow": [r"[0-3]\..*"]},
]


@given(TAGS, st.sampled_from(WAYS), st.lists(st.integers(0, 11), max_size=3), st.integers(0, 11))
@settings(max_examples=300)
def test_nothing_older_nothing_declined_and_in_the_end_the_newest(
    parts: list[tuple[int, int, int]], raw: dict[str, Any], refused: list[int], begin: int
) -> None:
    own = policy.Policy.model_validate(raw)
    tags = {f"{major}.{minor}.0": hour for major, minor, hour in parts}
    listed = [listed_image(tag, number + 1, hour) for number, (tag, hour) in enumerate(tags.items())]
    runs = listed[begin % len(listed)]
    images = [listed[number % len(listed)] for number in refused]
    declined = [Declined(image.tag, image.digest) for image in images]
    refused_digests = {image.digest for image in declined}
    for _ in range(len(listed) + 1):
        chosen = select(own, listed, tag=runs.tag, digest=runs.digest, declined=declined)
        if not chosen.ranked:
            break
        best = chosen.ranked[0]
        assert best.digest not in refused_digests | {runs.digest}
        if "newest" in raw:
            assert (best.pushed, order.natural(best.tag)) > (runs.pushed, order.natural(runs.tag))
        elif (key := order.key(own, runs.tag)) is not None:
            assert (order.key(own, best.tag) or ()) > key
        runs = best
    else:
        pytest.fail("it never rests")
    if not declined:
        fitting = [image for image in listed if not own.allow or re.fullmatch(own.allow[0], image.tag)]
        keys = {image: order.key(own, image.tag) or (image.pushed, order.natural(image.tag)) for image in fitting}
        assert all(keys[image] <= keys.get(runs, keys[image]) for image in fitting)


def past(*runs: str, by_bot: bool = False) -> list[memory.PastImage]:
    """What ran, oldest first: `tag` or `tag@number`; the digest is the tag's own otherwise."""
    lines = frozenset({TRAILER} if by_bot else {"by a person"})
    made = []
    for number, run in enumerate(runs):
        tag, _, own = run.partition("@")
        version = Version(str(number), START + timedelta(hours=number), "x", "x", b"", lines)
        made.append(memory.PastImage(version, Image("mogle", tag, own or tag)))
    return made[::-1]


ALPHABET = {"pattern": {"match": ".*", "order": "alphabetical"}}
FOLLOWED = {"digest": {"tag": "stable"}}
# The policy, what ran, whether the bot brought it, when digests were pushed; and what a person took back.
TAKEN_BACK: dict[str, tuple[dict[str, Any], list[str], bool, dict[str, int], list[str]]] = {
    "a downgrade": (SEMVER, ["1.0.0", "1.1.0", "1.0.0"], False, {}, ["1.1.0"]),
    "to what never ran": (SEMVER, ["1.1.0", "1.0.0"], False, {}, ["1.1.0"]),
    "brought again": (SEMVER, ["1.0.0", "1.1.0", "1.0.0", "1.1.0"], False, {}, []),
    "brought again and taken back again": (SEMVER, ["1.1.0", "1.0.0", "1.1.0", "1.0.0"], False, {}, ["1.1.0"]),
    "by no order, to what ran": ({"newest": {}}, ["a", "b", "a"], False, {}, ["b"]),
    "by no order, to what never ran": ({"newest": {}}, ["b", "a"], False, {"a": 1, "b": 2}, ["b"]),
    "forward by the time of the push": ({"newest": {}}, ["b", "a"], False, {"a": 2, "b": 1}, []),
    "of unknown times": ({"newest": {}}, ["b", "a"], False, {"a": 2}, []),
    "a tag that CI moves to and fro": (FOLLOWED, ["stable@A", "stable@B", "stable@A", "stable@B"], True, {}, []),
    "a person takes its digest back": (FOLLOWED, ["stable@A", "stable@B", "stable@A"], False, {}, ["stable"]),
    "by the alphabet": (ALPHABET, ["2026-01", "2026-02", "2026-01"], False, {}, ["2026-02"]),
}


@pytest.mark.parametrize("case", TAKEN_BACK)
def test_what_a_person_took_back(case: str) -> None:
    raw, ran, by_bot, hours, expected = TAKEN_BACK[case]
    pushed = {name: START + timedelta(hours=hour) for name, hour in hours.items()}
    taken = memory.downgraded(policy.Policy.model_validate(raw), past(*ran, by_bot=by_bot), pushed.get)
    assert [image.tag for image in taken] == expected


def test_another_tag_of_one_digest_is_the_same_image_since_it_first_ran() -> None:
    joined = memory.by_digest(past("1.0.0@A", "1.1.0-rc.1@B", "1.1.0@B", "1.0.0@A"))
    assert [(run.image.tag, run.version.sha) for run in joined] == [("1.0.0", "3"), ("1.1.0", "1"), ("1.0.0", "0")]


@pytest.mark.parametrize(
    ("platform", "built", "equal"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/arm64", "linux/arm64/v9", False),
        ("linux/arm64", "linux/amd64", False),
    ],
)
def test_the_variant_that_goes_without_saying(platform: str, built: str, equal: bool) -> None:
    assert (registries.normal_platform(platform) == registries.normal_platform(built)) == equal


PRERELEASES = st.lists(st.sampled_from(["rc", "0", "1", "10", "01", "rc-1", "-", "", "a1", "1a"]), max_size=3)
NUMBERS = st.integers(0, 3)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, PRERELEASES), min_size=2, max_size=2))
def test_versions_stand_as_semver_says(drawn: list[tuple[int, int, int, list[str]]]) -> None:
    tags = [f"{major}.{minor}.{patch}{'-' * bool(parts)}{'.'.join(parts)}" for major, minor, patch, parts in drawn]
    first, second = (order.version(tag) for tag in tags)
    keys = [order.precedence(tag) for tag in tags]
    assert [key is None for key in keys] == [first is None, second is None]
    if first and second:
        assert keys[0] is not None
        assert keys[1] is not None
        assert (keys[0] < keys[1], keys[0] == keys[1]) == (first < second, first == second)


PARTIAL = st.builds(
    lambda *numbers: ".".join(map(str, numbers)), NUMBERS, NUMBERS, st.sampled_from([0, 2, "x", "2-rc.1"])
)
COMPARISON = st.builds("{}{}".format, st.sampled_from(["", ">=", "<", ">", "<=", "^", "~", "="]), PARTIAL)
RANGES = st.lists(st.lists(COMPARISON, min_size=1, max_size=2).map(" ".join), min_size=1, max_size=3).map(" || ".join)


@given(RANGES)
def test_a_range_has_what_the_library_says_that_it_has(text: str) -> None:
    try:
        spec = semantic_version.NpmSpec(text)
    except ValueError:
        assume(False)
    asked = order.VersionRange(text)
    for triple in itertools.product(range(4), repeat=3):
        named = semantic_version.Version("{}.{}.{}".format(*triple))
        assert asked.has((named.major, named.minor, named.patch)) == spec.match(named), triple

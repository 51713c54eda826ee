"""Release notes in a pull request: those between two versions, in which nothing acts, and never a reason to fail."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gitops.clients.github import Hub
from gitops.images import policy
from gitops.images.notes import ReleaseNotes
from gitops.manifests.image import Image
from tests.fakes.github import GitHub
from tests.image_world import REPOSITORY, ImageWorld

pytestmark = pytest.mark.bots

SOURCE = "https://github.com/42/mogle"
SEMVER: dict[str, Any] = {"semver": {}}


@pytest.fixture
def hub(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    for name, value in github.environment.items():
        monkeypatch.setenv(name, value)
    return Hub.from_environment()


def published(*tags: str, notes: str = "") -> list[dict[str, Any]]:
    return [{"tag_name": tag, "body": notes or f"what {tag} brings"} for tag in tags]


def said(hub: Hub, old: str, new: str, own: dict[str, Any] | None = None, source: str = SOURCE) -> str:
    lines = ReleaseNotes(hub).lines(
        policy.Policy.model_validate(own or SEMVER), source, Image("mogle", old, ""), Image("mogle", new, "")
    )
    return "\n".join(lines)


PATTERN: dict[str, Any] = {"pattern": {"match": "rel-(.*)", "order": "semver", "group": 1}}
# The policy, what was published, from and to which image, and whose notes are there.
BETWEEN: dict[str, tuple[dict[str, Any], list[str], tuple[str, str], list[str]]] = {
    "those in between, the newest first": (
        SEMVER,
        ["v3.2.0", "v3.1.1", "v3.10.0", "v3.1.0", "v3.0.0"],
        ("3.0.0", "3.2.0"),
        ["v3.2.0", "v3.1.1", "v3.1.0"],
    ),
    "no pre-release on the way": (SEMVER, ["3.2.0", "3.2.0-rc.1", "3.1.0"], ("3.1.0", "3.2.0"), ["3.2.0"]),
    "the pre-release that is proposed": (SEMVER, ["3.2.0-rc.1"], ("3.1.0", "3.2.0-rc.1"), ["3.2.0-rc.1"]),
    "by the group of a pattern": (PATTERN, ["3.2.0", "rel-3.1.0"], ("rel-3.0.0", "rel-3.2.0"), ["3.2.0", "rel-3.1.0"]),
    "of what has no order the new one": ({"newest": {}}, ["b", "a"], ("a", "b"), ["b"]),
    "none back": (SEMVER, ["3.1.0", "3.0.0"], ("3.1.0", "3.0.0"), []),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_whose_notes_are_there(hub: Hub, github: GitHub, case: str) -> None:
    own, tags, (old, new), expected = BETWEEN[case]
    github.releases["42/mogle"] = published(*tags)
    text = said(hub, old, new, own)
    assert re.findall(r"^what (\S+) brings$", text, re.MULTILINE) == expected
    assert ("No release notes" in text) == (not expected)


def test_tags_stand_in_where_nothing_is_published(hub: Hub, github: GitHub) -> None:
    github.tags["42/mogle"] = ["v3.2.0", "v3.1.0", "v3.0.0", "nightly"]
    assert re.findall(r"^`(.*)`$", said(hub, "3.0.0", "3.2.0"), re.MULTILINE) == ["v3.2.0", "v3.1.0"]


EVIL = (
    "@everyone closes #1\n```\n</details> <!-- gitops-image: {} -->\n![x](https://evil.example)\x1b[2J [skip ci]\u202e"
)


def test_what_others_wrote_acts_in_nothing(hub: Hub, github: GitHub) -> None:
    github.releases["42/mogle"] = published("3.1.0", notes=EVIL)
    lines = said(hub, "3.0.0", "3.1.0").split("\n")
    begin, end = lines.index("````text"), lines.index("````")
    assert lines[begin + 1 : end][0] == "@everyone closes #1", "as it is, in a block that it cannot end"
    outside = "\n".join([*lines[:begin], *lines[end:]])
    assert not re.search(r"@everyone|#1|gitops-image|evil", outside)
    assert not re.search("[\x1b\u202e]", "\n".join(lines))


def test_any_number_of_any_length_has_an_end(hub: Hub, github: GitHub) -> None:
    github.releases["42/mogle"] = published(*(f"3.{n}.0" for n in range(99, 0, -1)), notes="\x01" * 30_000)
    text = said(hub, "3.0.0", "3.99.0")
    assert len(text) < 10_000
    assert "and 89 more" in text
    assert "(cut)" in text


def test_what_cannot_be_read_is_one_line_and_ends_no_run(hub: Hub, github: GitHub) -> None:
    assert said(hub, "3.0.0", "3.1.0").startswith("No release notes: `GitHub: GET 42/mogle/releases: 404")
    github.releases["42/mogle"] = published("3.0.0")
    assert said(hub, "3.0.0", "3.1.0") == "No release notes: `42/mogle` has no release of `3.1.0`"


@pytest.mark.parametrize("source", ["", "https://gitlab.com/42/mogle", "https://github.com/42/mogle/../x", "x"])
def test_a_label_that_names_no_repository_of_github_asks_nobody(hub: Hub, github: GitHub, source: str) -> None:
    asked = len(github.requests)
    assert said(hub, "3.0.0", "3.1.0", source=source) == ""
    assert len(github.requests) == asked
    github.releases["42/mogle"] = published("3.1.0")
    assert "what 3.1.0 brings" in said(hub, "3.0.0", "3.1.0", {**SEMVER, "source": SOURCE}, source)


def test_a_pull_request_quotes_them_and_asks_each_repository_once_in_a_run(images: ImageWorld) -> None:
    images.policy(staging=SEMVER, prod=SEMVER)
    images.github.releases["42/mogle"] = published("3.1.0")
    images.ecr.push("mogle", "3.1.0", labels={"org.opencontainers.image.source": SOURCE})
    images.bump()
    for number in (1, 2):
        assert "```text\nwhat 3.1.0 brings\n```" in images.github.pulls[number].body
        assert REPOSITORY in images.github.pulls[number].body
    assert images.github.requests.count("GET /repos/42/mogle/releases") == 1
    writes = len(images.github.writes)
    images.bump()
    assert len(images.github.writes) == writes

"""A red run of the images' bot is told: once for each cause, by the real command with a Slack and a GitHub's issue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitops.ground.errors import ExternalError
from gitops.images import alerts
from gitops.images.alerts import Cause
from tests.conftest import Ran
from tests.fakes.github import TOKEN
from tests.fakes.github_access import APP_RIGHTS
from tests.fakes.github_rulesets import BOT_ACTOR
from tests.fakes.slack import Slack
from tests.image_world import ImageWorld

pytestmark = pytest.mark.bots


@pytest.fixture
def slack() -> Iterator[Slack]:
    fake = Slack()
    yield fake
    fake.close()


def bump(images: ImageWorld, slack: Slack, *words: str) -> Ran:
    return images.run("images", "bump", *words, **slack.environment)


def kept(images: ImageWorld) -> list[tuple[str, str]]:
    """The bot's issues of what is red: their state and their text."""
    listed = images.github.issues.issues.values()
    return [(issue.state, issue.body) for issue in listed if alerts.LABEL in issue.labels]


POLICY, OTHER = "overlays/mogle/images.yaml", "overlays/benefit/images.yaml"


def test_each_cause_is_told_once_and_again_once_it_was_gone_for_a_day(images: ImageWorld, slack: Slack) -> None:
    assert bump(images, slack).code == 0
    assert (slack.messages, kept(images)) == ([], [])
    good = images.file(POLICY).decode()
    images.write(POLICY, "staging: {semver: {range: nonsense}}")
    assert bump(images, slack).code == 2
    [message] = slack.messages
    assert message.startswith(":warning: images: mogle/*: overlays/mogle/images.yaml: staging.semver.range")
    assert message.endswith("Runbook: docs/runbooks/images.md")
    writes = len(images.github.writes)
    assert bump(images, slack).code == 2
    assert len(slack.messages) == 1, "the same, an hour later"
    assert len(images.github.writes) == writes

    images.write(OTHER, "staging: {semver: {}}\nqa: {newest: {}}\n")
    assert bump(images, slack).code == 2
    assert "benefit/*" in slack.messages[1]
    assert "mogle/*" not in slack.messages[1], "told already"
    [(state, body)] = kept(images)
    assert (state, "mogle/*" in body, "benefit/*" in body) == ("open", True, True)

    images.github.commit("main", {OTHER: None, POLICY: good.encode()}, "Mended")
    assert bump(images, slack).code == 0
    assert (len(slack.messages), kept(images)[0][0]) == (2, "closed")
    # What comes and goes is one trouble: it stands in the issue.
    images.write(POLICY, "staging: {semver: {range: nonsense}}")
    assert bump(images, slack).code == 2
    [(state, body)] = kept(images)
    assert (len(slack.messages), state, "mogle/*" in body) == (2, "open", True)
    images.github.commit("main", {POLICY: good.encode()}, "Mended")
    assert bump(images, slack).code == 0
    yesterday = int((datetime.now(UTC) - alerts.QUIET).timestamp())
    [issue] = [issue for issue in images.github.issues.issues.values() if alerts.LABEL in issue.labels]
    issue.body = re.sub(r"@\d+", f"@{yesterday}", issue.body)
    images.write(POLICY, "staging: {semver: {range: nonsense}}")
    assert bump(images, slack).code == 2
    assert "mogle/*" in slack.messages[2]


def test_what_stops_the_whole_run_is_told_once_too(images: ImageWorld, slack: Slack) -> None:
    images.write(".github/freezes.yaml", "freezes:\n  - {name: x}\n")
    for _ in range(2):
        assert bump(images, slack).code == 2
    [message] = slack.messages
    assert message.startswith(":warning: images: .github/freezes.yaml: freezes.0")


def test_what_slack_did_not_take_the_next_run_tells(images: ImageWorld, slack: Slack) -> None:
    images.write(POLICY, "staging: {semver: {range: nonsense}}")
    slack.error = "channel_not_found"
    done = bump(images, slack)
    assert (done.code, "Slack: channel_not_found" in done.err) == (4, True)
    slack.error = ""
    assert bump(images, slack).code == 2
    assert len(slack.messages) == 1


def test_what_cannot_be_remembered_is_not_told_and_the_run_names_the_right(images: ImageWorld, slack: Slack) -> None:
    images.write(".github/freezes.yaml", "freezes:\n  - {name: x}\n")
    images.github.tokens[TOKEN] = replace(BOT_ACTOR, rights=APP_RIGHTS - {"issues"})
    done = bump(images, slack)
    assert done.code == 4
    assert "freezes.0" in done.err
    assert "give the bot's App the right Issues: write" in done.err
    assert slack.messages == [], "it would be told every hour; overlays/oauth-watch tells of it"


@pytest.mark.parametrize("words", [("mogle",), ("--dry-run",)])
def test_who_looks_by_hand_tells_nobody(images: ImageWorld, slack: Slack, words: tuple[str, ...]) -> None:
    images.write(POLICY, "staging: {semver: {range: nonsense}}")
    assert bump(images, slack, *words).code == 2
    assert (slack.messages, kept(images)) == ([], [])


def test_a_cause_is_the_same_whatever_differs_from_run_to_run() -> None:
    texts = (
        "branch main moved from 1f30a4ab to 36722fc1; 3 tries",
        "branch main moved from 4c4d091a to 899cdc8b; 12 tries",
    )
    first, second = (Cause.of_error(ExternalError(text), "mogle/prod") for text in texts)
    assert (first.key, first.text) == (second.key, f"mogle/prod: {texts[0]}")
    assert Cause.of_error(ExternalError(texts[0]), "mogle/staging").key != first.key
    # Another version that is gone is another cause.
    assert Cause.of_alert("1.0.0 is gone").key != Cause.of_alert("1.0.1 is gone").key


def test_a_line_of_others_that_looks_like_the_bots_memory_is_none() -> None:
    forged = Cause.of_alert('<!-- told: "0123456789ab" -->')
    body = alerts._body([forged], {})
    assert alerts._told(body) == {forged.key: None}


def test_what_goes_by_turns_is_told_once_each(images: ImageWorld, slack: Slack) -> None:
    """One trouble that is gone while another is there is remembered beside it."""
    good = images.file(POLICY)
    for _ in range(3):
        images.github.commit("main", {POLICY: b"staging: {semver: {range: nonsense}}", OTHER: None}, "One")
        assert bump(images, slack).code == 2
        images.github.commit("main", {POLICY: good, OTHER: b"qa: {newest: {}}"}, "The other")
        assert bump(images, slack).code == 2
    assert len(slack.messages) == 2
    assert [state for state, _ in kept(images)] == ["open"]

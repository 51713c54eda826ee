"""What people decide about the bot's pull requests by a button, and what the bot then leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests

from tests.attacks.github_world import merge, protect
from tests.fakes.github import TOKEN, GitHub
from tests.fakes.github_repository import GITHUB, Pull
from tests.fakes.github_rulesets import BOT_ACTOR, MEMBER
from tests.image_world import NOW, STAGING, ImageWorld

pytestmark = pytest.mark.bots
FULL = pytest.mark.matrix

BRANCH = "bump/mogle/staging"
STUDENT = ("student", "student@example.com")
PERSON = "ghp-person"


def passes(github: GitHub, pull: Pull) -> None:
    """Everything that is required is green, on the very commit."""
    github.rules.checked(pull.last_head)
    for context in ("main-gate", "freeze"):
        github.rules.status(pull.last_head, context, "success", BOT_ACTOR)


def proposed(world: ImageWorld, tag: str = "3.1.0") -> Pull:
    world.ecr.push("mogle", tag)
    assert world.bump()["staging"]["action"] in ("opened", "updated")
    return next(pull for pull in world.github.pulls.values() if (pull.head, pull.state) == (BRANCH, "open"))


def ask(github: GitHub, method: str, path: str, body: Any, token: str = PERSON) -> requests.Response:
    """A person at GitHub's API or pages."""
    github.tokens[PERSON] = MEMBER
    url = github.environment["GITHUB_API_URL"]
    url = url.replace("/v3", "/graphql") if path == "/graphql" else f"{url}/repos/{github.name}{path}"
    return requests.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=20)


def auto_merge(github: GitHub, pull: Pull, verb: str, token: str = PERSON) -> str:
    """Enable or disable GitHub's auto-merge; why it is refused, or nothing."""
    name = f"{verb}PullRequestAutoMerge"
    query = f'mutation {{ {name}(input: {{pullRequestId: "PR_{pull.number}"}}) {{ clientMutationId }} }}'
    answer = ask(github, "POST", "/graphql", {"query": query}, token).json()
    return str(answer["errors"][0]["message"]) if "errors" in answer else ""


OBJECTIONS: dict[str, tuple[Callable[[GitHub, Pull], None], Callable[[GitHub, Pull], None], str]] = {
    "a draft": (
        lambda github, pull: setattr(pull, "draft", True),
        lambda github, pull: setattr(pull, "draft", False),
        "it is a draft",
    ),
    "a review": (
        lambda github, pull: pull.opposed.add("teacher"),
        lambda github, pull: pull.opposed.clear(),
        "teacher asks for changes",
    ),
    "auto-merge disabled": (
        lambda github, pull: pull.happens("AutoMergeDisabledEvent", "student"),
        lambda github, pull: pull.happens("AutoSquashEnabledEvent", "student"),
        "student disabled auto-merge",
    ),
}


@pytest.mark.parametrize(
    "what", ["a review", *(pytest.param(name, marks=FULL) for name in OBJECTIONS if name != "a review")]
)
def test_what_a_person_does_not_want_merged_stays_until_that_is_taken_back(images: ImageWorld, what: str) -> None:
    object_to, take_back, told = OBJECTIONS[what]
    protect(images.github, "main")
    pull = proposed(images)
    object_to(images.github, pull)
    passes(images.github, pull)
    for _ in range(2):
        row = images.bump()["staging"]
        assert (row["action"], row["why"]) == ("unchanged", f"left to people: {told}")
    # It is the pull request's, and not that of one version.
    images.ecr.push("mogle", "3.2.0")
    assert images.bump()["staging"]["action"] == "updated"
    passes(images.github, pull)
    assert images.bump()["staging"]["why"] == f"left to people: {told}"
    take_back(images.github, pull)
    assert images.bump()["staging"]["action"] == "merged"


def test_what_is_green_already_is_merged_where_github_would_not_arm_it(images: ImageWorld) -> None:
    """GitHub refuses to arm what is clean or a draft: the bot merges instead, and disarms what people armed."""
    github = images.github
    protect(github, "main")
    pull = proposed(images)
    assert auto_merge(github, pull, "enable") == ""
    images.ecr.push("mogle", "3.2.0")
    assert images.bump()["staging"]["action"] == "updated"
    assert not pull.auto_merge, "armed for what it was, not for what it is"
    assert pull.timeline[-1]["actor"]["__typename"] == "Bot"
    passes(github, pull)
    assert auto_merge(github, pull, "enable", TOKEN) == "Pull request Pull request is in clean status"
    pull.draft = True
    assert auto_merge(github, pull, "enable", TOKEN) == "Pull request Pull request is in draft status"
    assert merge(github, pull, TOKEN) == "Pull Request is still a draft"
    pull.draft = False
    assert images.bump()["staging"]["action"] == "merged"


@pytest.mark.parametrize("how", [pytest.param("gitops images rollback", marks=FULL), "the button Revert"])
def test_an_open_rollback_stops_what_goes_forward(images: ImageWorld, how: str) -> None:
    github = images.github
    before = images.file(STAGING)
    images.pin(STAGING, "3.0.1", images.ecr.push("mogle", "3.0.1"), NOW - timedelta(hours=5))
    pull = proposed(images)
    assert auto_merge(github, pull, "enable") == "Pull request Pull request is in clean status"
    pull.auto_merge = True
    if how == "the button Revert":
        github.commit("revert-7-bump/mogle/staging", {STAGING: before}, "Revert", parent=github.head("main"))
        github._open({"head": "revert-7-bump/mogle/staging", "base": "main", "title": "Revert"})
    else:
        done = images.run("images", "rollback", "mogle", "--environment", "staging", "--reason", "x")
        assert done.code == 0, done.err
    passes(github, pull)
    images.ecr.push("mogle", "3.2.0")
    row = images.bump()["staging"]
    assert (row["action"], "waits for #2" in row["why"]) == ("unchanged", True)
    assert images.proposed(1).tag == "3.1.0"
    assert (pull.state, pull.auto_merge) == ("open", False)
    github.pulls[2].state = "closed"
    assert images.bump()["staging"]["action"] == "updated"


@pytest.mark.parametrize(
    "gone", ["the policy", pytest.param("the file", marks=FULL), pytest.param("the service", marks=FULL)]
)
def test_a_policy_that_is_taken_away_takes_its_pull_request_along(images: ImageWorld, gone: str) -> None:
    pull = proposed(images)
    pull.auto_merge = True
    if gone == "the policy":
        images.policy(prod={"semver": {"range": "<3.0.0"}})
    elif gone == "the file":
        images.github.commit("main", {"overlays/mogle/images.yaml": None}, "By hand from now on")
    else:
        files = images.tree("main", "overlays/mogle")
        images.github.commit("main", dict.fromkeys(files), "No more mogle")
    # What cannot be read may have a policy.
    images.write("overlays/umbrella/images.yaml", "staging: {\n")
    images.github.commit("bump/umbrella/staging", {"README.md": b"x"}, "x", parent=images.github.head("main"))
    images.github._open({"head": "bump/umbrella/staging", "base": "main", "title": "x"})
    done = images.run("images", "bump")
    assert done.code == 2, done.err
    assert images.open() == ["bump/umbrella/staging"]
    assert "withdrawn" in pull.labels
    assert "main has no policy any more that asks for it" in pull.comments[0]


def test_a_policy_that_became_narrower_withdraws_what_it_no_longer_allows(images: ImageWorld) -> None:
    pull = proposed(images)
    images.policy(staging={"semver": {"range": "<2.0.0"}})
    assert images.bump()["staging"]["action"] == "withdrawn"
    assert pull.state == "closed"


def test_a_policy_without_auto_merge_any_more_leaves_the_merge_to_people(images: ImageWorld) -> None:
    pull = proposed(images)
    passes(images.github, pull)
    images.policy(staging={"semver": {}})
    assert images.bump()["staging"]["action"] == "unchanged"
    assert (pull.state, pull.auto_merge) == ("open", False)


@pytest.mark.parametrize("evil", [False, True])
def test_update_branch_is_no_persons_commit_though_both_changed_the_same_file(images: ImageWorld, evil: bool) -> None:
    github = images.github
    pull = proposed(images)
    head = github.head(BRANCH)
    images.write(STAGING, "# A note far from the image.\n" + images.file(STAGING).decode())
    tree = github.git("merge-tree", "--write-tree", str(head), "main").splitlines()[0]
    merged = github.git("show", f"{tree}:{STAGING}").encode() + b"\n"
    content = merged.replace(b"# A note", b"# Another note") if evil else merged
    parents = [str(head), str(github.head("main"))]
    github.commit(BRANCH, {STAGING: content}, "Merge branch 'main'", STUDENT, GITHUB, parents=parents, signed=True)
    images.pin(STAGING, "3.1.0", images.proposed(1).digest)
    assert images.bump()["staging"]["action"] == ("stopped" if evil else "withdrawn")
    assert pull.state == ("open" if evil else "closed")


def test_a_branch_that_is_deleted_in_a_clean_up_declines_nothing(images: ImageWorld) -> None:
    pull = proposed(images)
    images.github.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    images.github.settle("student")
    assert pull.state == "closed"
    assert images.bump()["staging"]["pull_request"] == 2


@pytest.mark.parametrize(
    ("login", "seconds", "declined"),
    [
        pytest.param("student", None, True, marks=FULL),
        ("student", 40, True),
        pytest.param("student", 1, False, marks=FULL),
        ("stale[bot]", None, False),
    ],
)
def test_who_closed_it_and_when_its_branch_went_says_whether_it_is_declined(
    images: ImageWorld, login: str, seconds: int | None, declined: bool
) -> None:
    """`seconds`: from closing it until its branch was deleted, where it was."""
    pull = proposed(images)
    pull.state = "closed"
    pull.happens("ClosedEvent", login, NOW)
    if seconds is not None:
        images.github.git("update-ref", "-d", f"refs/heads/{BRANCH}")
        pull.happens("HeadRefDeletedEvent", login, NOW + timedelta(seconds=seconds))
    row = images.bump()["staging"]
    assert (row["winner"] is None) is declined
    assert row["pull_request"] == (None if declined else 2)


def test_a_declined_pull_request_can_be_reopened(images: ImageWorld) -> None:
    """docs/runbooks/images.md says so: so its branch has to stay, until something newer is proposed."""
    github = images.github
    pull = proposed(images)
    assert ask(github, "PATCH", "/pulls/1", {"state": "closed"}).status_code == 200
    for _ in range(2):
        assert images.bump()["staging"]["action"] == "nothing"
    assert github.head(BRANCH)
    assert ask(github, "PATCH", "/pulls/1", {"state": "open"}).status_code == 200
    row = images.bump()["staging"]
    assert (row["action"], row["pull_request"]) == ("unchanged", 1)
    assert ask(github, "PATCH", "/pulls/1", {"state": "closed"}).status_code == 200
    images.ecr.push("mogle", "3.2.0")
    assert images.bump()["staging"]["pull_request"] == 2
    refused = ask(github, "PATCH", "/pulls/1", {"state": "open"})
    assert (refused.status_code, "force-pushed or recreated" in refused.text) == (422, True)
    assert pull.state == "closed"


@pytest.mark.parametrize(
    "marker", ["", pytest.param("<!-- gitops-image: {} -->", marks=FULL), '<!-- gitops-image: {"tag": "3.1.0", "di -->']
)
def test_what_was_declined_stays_so_where_its_marker_was_edited(images: ImageWorld, marker: str) -> None:
    pull = proposed(images)
    pull.state, pull.body, pull.title = "closed", f"I do not want it.\r\n{marker}", "No"
    done = images.run("images", "bump", "--output", "json")
    told = "#1 was declined and its marker edited: it was of 3.1.0, which stays declined"
    assert (done.code, f"warning: mogle/staging: {told}" in done.err) == (0, True), done.err
    row = next(row for row in json.loads(done.out) if row["environment"] == "staging")
    assert (row["winner"], row["warnings"]) == (None, [told])
    [refused] = [own["why_not"] for own in row["candidates"] if own["tag"] == "3.1.0"]
    assert refused == "held: a person took 3.1.0 back (#1, whose marker was edited)"
    images.ecr.push("mogle", "3.2.0")
    assert images.bump()["staging"]["pull_request"] == 2, "a newer one is another"


def test_of_a_branch_that_is_gone_the_title_tells_and_without_it_that_is_said(images: ImageWorld) -> None:
    pull = proposed(images)
    pull.state, pull.body = "closed", ""
    pull.happens("ClosedEvent", "student", NOW)
    images.github.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    pull.happens("HeadRefDeletedEvent", "student", NOW + timedelta(seconds=40))
    row = images.bump()["staging"]
    assert (row["winner"], "which stays declined" in row["warnings"][0]) == (None, True)
    pull.title = "No"
    told = "#1 was declined and its marker edited: nothing tells which version, so it may come again"
    done = images.run("images", "status")
    assert told in done.out
    row = images.bump()["staging"]
    assert (row["action"], row["warnings"][0].startswith(told)) == ("opened", True)
    assert "what #1 proposed" in images.run("images", "undecline", "mogle", "--environment", "staging").out
    assert images.bump()["staging"]["warnings"] == []


def test_a_persons_own_pull_request_on_such_a_branch_declines_nothing(images: ImageWorld) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.github.commit(BRANCH, {"README.md": b"x"}, "Mine", parent=images.github.head("main"))
    images.github._open({"head": BRANCH, "base": "main", "title": "Mine"})
    images.github.pulls[1].user, images.github.pulls[1].state = "student", "closed"
    images.github.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    row = images.bump()["staging"]
    assert (row["action"], row["warnings"]) == ("opened", [])

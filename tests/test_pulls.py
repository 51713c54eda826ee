"""Pull requests of the bots, on a real git repository behind a GitHub that fails on demand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from git import Repo
from pydantic import SecretStr

from gitops.clients.github import Hub, RaceError, RepositorySettings
from gitops.ground.errors import ExternalError
from gitops.repository.history import History
from gitops.repository.ours import TRAILER
from gitops.repository.pulls import WITHDRAWN, Outcome, Proposal, PullAction, propose, withdraw
from tests.fakes.github import TOKEN, Fault, GitHub
from tests.fakes.github_repository import BOT, GITHUB

pytestmark = pytest.mark.bots

FILE = "overlays/mogle/prod/kustomization.yaml"
WANTED = Proposal("bump/mogle/prod", "", "Bump mogle", "body", {FILE: b"new: true\n"}, ("images",))


@pytest.fixture
def work(github: GitHub, tmp_path: Path) -> Path:
    Repo.clone_from(github.clone_url, tmp_path / "work").close()
    return tmp_path / "work"


def hub(github: GitHub) -> Hub:
    return Hub(RepositorySettings(github.name, SecretStr(TOKEN), github.environment["GITHUB_API_URL"]), pause=0)


def test_the_settings_of_a_repository_do_not_show_their_token(github: GitHub) -> None:
    assert TOKEN not in repr(hub(github).settings)


def bring(github: GitHub, work: Path, proposal: Proposal = WANTED) -> Outcome:
    """One run of a bot."""
    own, history = hub(github), History(work)
    history.fetch(SecretStr(TOKEN))
    return propose(own, history, own.open_pulls().get(proposal.branch), replace(proposal, base=history.main()))


def take_back(github: GitHub, work: Path) -> Outcome:
    own, history = hub(github), History(work)
    history.fetch(SecretStr(TOKEN))
    return withdraw(own, history, own.open_pulls().get(WANTED.branch), WANTED.branch, "nothing to bump")


def check_one(github: GitHub, content: str = "new: true") -> None:
    """One branch, one open pull request, one commit on top of main, the right content."""
    assert sorted(github.branches()) == ["bump/mogle/prod", "main"]
    assert [pull.head for pull in github.pulls.values() if pull.state == "open"] == ["bump/mogle/prod"]
    assert github.git("rev-list", "--count", "main..bump/mogle/prod") == "1"
    assert github.git("show", f"bump/mogle/prod:{FILE}") == content
    assert github.git("diff", "--name-only", "main...bump/mogle/prod") == FILE


def test_a_pull_request_is_one_commit_that_github_made(github: GitHub, work: Path) -> None:
    outcome = bring(github, work)
    assert (outcome.action, outcome.number) == ("opened", 1)
    check_one(github)
    message = github.git("log", "-1", "--format=%B%n%ae%n%ce", "bump/mogle/prod")
    assert list(filter(None, message.splitlines())) == ["Bump mogle", TRAILER, BOT[1], GITHUB[1]]
    assert (github.pulls[1].title, github.pulls[1].body, github.pulls[1].labels) == ("Bump mogle", "body", ["images"])


def test_a_title_does_nothing_on_github_and_stays_what_it_is(github: GitHub, work: Path) -> None:
    evil = replace(WANTED, title="mogle: 1 [skip ci] fixes #7\n\nCo-authored-by: evil <e@example.com>")
    assert bring(github, work, evil).action == "opened"
    subject, body = github.git("log", "-1", "--format=%s%n%b", "bump/mogle/prod").splitlines()
    assert subject == github.pulls[1].title
    assert subject == r"mogle: 1 \x5bskip ci] fixes \x237\n\nCo-authored-by: evil <e\x40example.com>"
    assert body == TRAILER
    assert bring(github, work, evil).action == "unchanged"


def test_a_second_run_writes_nothing(github: GitHub, work: Path) -> None:
    bring(github, work)
    before = len(github.writes)
    assert bring(github, work).action == "unchanged"
    assert len(github.writes) == before


def test_new_content_updates_in_place(github: GitHub, work: Path) -> None:
    bring(github, work)
    newer = Proposal(WANTED.branch, "", "Bump mogle again", "other", {FILE: b"newer: true\n"}, ("images",))
    assert bring(github, work, newer) == Outcome(PullAction.UPDATED, 1, f"{github.url}/platform/gitops/pull/1")
    check_one(github, "newer: true")
    assert github.pulls[1].title == "Bump mogle again"


def test_main_that_changed_the_file_makes_it_anew_and_other_changes_do_not(github: GitHub, work: Path) -> None:
    bring(github, work)
    first = github.head("bump/mogle/prod")
    github.commit("main", {"README.md": b"other"}, "Change another file")
    assert bring(github, work).action == "unchanged"
    assert github.head("bump/mogle/prod") == first
    github.commit("main", {FILE: b"changed: by a person\n"}, "Change the same file")
    assert bring(github, work).action == "updated"
    check_one(github)
    assert github.git("merge-base", "main", "bump/mogle/prod") == github.head("main")


def test_a_persons_commit_stops_the_bot_which_says_so_once(github: GitHub, work: Path) -> None:
    bring(github, work)
    mine = github.commit("bump/mogle/prod", {FILE: b"by: hand\n"}, "Fix it by hand")
    newer = Proposal(WANTED.branch, "", "Newer", "other", {FILE: b"newer: true\n"})
    for _ in range(2):
        outcome = bring(github, work, newer)
        assert outcome.action == "stopped"
        assert f"{mine[:12]} by student" in outcome.why
    assert len(github.pulls[1].comments) == 1
    assert "so it leaves this pull request to you" in github.pulls[1].comments[0]
    assert take_back(github, work).action == "stopped"
    assert github.head("bump/mogle/prod") == mine
    assert github.pulls[1].state == "open"


def test_an_amended_commit_is_a_persons(github: GitHub, work: Path) -> None:
    bring(github, work)
    parent = github.head("main")
    amended = f"Bump mogle\n\n{TRAILER}"
    person = ("student", "student@example.com")
    github.commit("bump/mogle/prod", {FILE: b"x: 1\n"}, amended, author=BOT, committer=person, parent=parent)
    assert bring(github, work).action == "stopped"


def test_the_update_branch_button_is_no_persons_commit(github: GitHub, work: Path) -> None:
    bring(github, work)
    head, main = github.head("bump/mogle/prod"), github.commit("main", {"README.md": b"other"}, "Other")
    assert head
    person = ("student", "student@example.com")
    github.commit(
        "bump/mogle/prod", {"README.md": b"other"}, "Merge branch 'main'", person, GITHUB, parents=[head, main]
    )
    assert bring(github, work).action == "unchanged"


def test_it_is_withdrawn_when_its_reason_is_gone(github: GitHub, work: Path) -> None:
    bring(github, work)
    assert take_back(github, work).action == "withdrawn"
    assert github.pulls[1].state == "closed"
    assert github.pulls[1].labels == ["images", WITHDRAWN]
    assert github.pulls[1].comments[0].startswith("Withdrawn: `nothing to bump`.")
    assert github.branches() == ["main"]
    before = len(github.writes)
    assert take_back(github, work).action == "nothing"
    assert len(github.writes) == before


def test_a_branch_left_of_a_merge_is_used_again(github: GitHub, work: Path) -> None:
    bring(github, work)
    github.merge(1)
    newer = Proposal(WANTED.branch, "", "Newer", "other", {FILE: b"newer: true\n"})
    assert bring(github, work, newer).number == 2
    check_one(github, "newer: true")


def test_a_branch_with_a_persons_commit_and_no_pull_request_is_left_alone(github: GitHub, work: Path) -> None:
    mine = github.commit("bump/mogle/prod", {FILE: b"by: hand\n"}, "By hand", parent=github.head("main"))
    outcome = bring(github, work)
    assert outcome.action == "stopped"
    assert "delete the branch" in outcome.why
    assert take_back(github, work).action == "nothing"
    assert github.head("bump/mogle/prod") == mine


@pytest.mark.parametrize("end", ["squash", "merge", "closed"])
def test_a_persons_commit_that_ended_with_its_pull_request_stops_nothing(github: GitHub, work: Path, end: str) -> None:
    """Whoever merges or closes it has decided; the branch stays where nobody deletes it, for years."""
    bring(github, work)
    github.commit("bump/mogle/prod", {FILE: b"by: hand\n"}, "By hand")
    assert bring(github, work).action == "stopped"
    if end == "closed":
        github.pulls[1].state = "closed"
    else:
        github.merge(1, user="student", method=end)
    newer = Proposal(WANTED.branch, "", "Newer", "other", {FILE: b"newer: true\n"})
    assert bring(github, work, newer).number == 2
    check_one(github, "newer: true")


def test_a_persons_commit_after_the_end_is_left_alone(github: GitHub, work: Path) -> None:
    bring(github, work)
    github.merge(1)
    mine = github.commit("bump/mogle/prod", {FILE: b"by: hand\n"}, "By hand")
    newer = Proposal(WANTED.branch, "", "Newer", "other", {FILE: b"newer: true\n"})
    assert bring(github, work, newer).action == "stopped"
    assert github.head("bump/mogle/prod") == mine


FULL = pytest.mark.matrix
TRANSIENT = [
    (500, True),
    ("reset", False),
    *(pytest.param(*case, marks=FULL) for case in [(500, False), ("reset", True), (403, False), ("slow", False)]),
]
STEPS = [
    "GET .*pulls",
    "graphql query Repository",
    "mutation Refs",
    "mutation Commit",
    "POST .*pulls$",
    "POST .*labels",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("kind", "after"), TRANSIENT)
def test_a_fault_at_any_step_is_healed_by_the_next_run(
    github: GitHub, work: Path, step: str, kind: int | str, after: bool
) -> None:
    github.faults = [Fault(".*", step, kind, after=after)]
    with suppress(ExternalError, RaceError):
        bring(github, work)
    assert github.faults[0].times == 0, "the fault was met"
    assert bring(github, work).action in ("opened", "updated", "unchanged")
    check_one(github)
    assert github.pulls[1].labels == ["images"]


@pytest.mark.parametrize("after", [True, pytest.param(False, marks=FULL)])
@pytest.mark.parametrize("number", [*range(7), *(pytest.param(number, marks=FULL) for number in (7, 8, 9))])
def test_a_kill_at_any_request_is_healed_by_the_next_run(github: GitHub, work: Path, number: int, after: bool) -> None:
    code = "from tests.test_pulls import *; import sys; run_once(sys.argv[1], Path(sys.argv[2]))"
    victim: list[subprocess.Popen[bytes]] = []
    github.faults = [Fault(".*", ".*", lambda: victim[0].send_signal(signal.SIGKILL), skip=number, after=after)]
    env = {**os.environ, **github.environment, "PYTHONPATH": str(Path(__file__).parent.parent)}
    victim.append(subprocess.Popen([sys.executable, "-c", code, github.url, str(work)], env=env, cwd=work))
    assert victim[0].wait(timeout=60) == -signal.SIGKILL
    assert bring(github, work).action in ("opened", "updated", "unchanged")
    check_one(github)
    assert github.pulls[1].labels == ["images"]


def run_once(url: str, work: Path) -> None:
    own, history = Hub(RepositorySettings.from_environment(), pause=0), History(work)
    history.fetch(SecretStr(TOKEN))
    propose(own, history, own.open_pulls().get(WANTED.branch), replace(WANTED, base=history.main()))


def test_two_runs_at_once_leave_one_branch_and_one_pull_request(github: GitHub, work: Path, tmp_path: Path) -> None:
    code = "from tests.test_pulls import *; import sys; run_once(sys.argv[1], Path(sys.argv[2]))"
    Repo.clone_from(github.clone_url, tmp_path / "second").close()
    env = {**os.environ, **github.environment, "PYTHONPATH": str(Path(__file__).parent.parent)}
    for _ in range(3):
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", code, github.url, str(folder)], env=env, cwd=folder, stderr=subprocess.PIPE
            )
            for folder in (work, tmp_path / "second")
        ]
        for run in runs:
            _, err = run.communicate(timeout=60)
            assert run.returncode == 0 or b"RaceError" in err or b"ExternalError" in err, err.decode()
    bring(github, work)
    check_one(github)


@pytest.mark.parametrize(("kind", "message"), [(401, "401, the token is not accepted"), (404, "404"), (422, "422")])
def test_what_a_rerun_cannot_heal_is_said(github: GitHub, work: Path, kind: int, message: str) -> None:
    github.faults = [Fault("POST", "pulls$", kind, times=9)]
    with pytest.raises(ExternalError, match=message):
        bring(github, work)

"""What is odd of one application is its own report: the others are looked at, somebody is told, the run is red."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from gitops.clients.github import Hub, RepositorySettings
from gitops.clients.intra42 import Api, RateLimit
from gitops.ground.budget import Budget
from gitops.ground.errors import GitopsError, UnexpectedError
from gitops.manifests.overlay import Overlay
from gitops.oauth import alerts, rotate
from gitops.oauth.login import Credentials, Session
from gitops.oauth.sources import IntraPage
from gitops.repository import reconcile
from tests import leaks
from tests.fakes.github import TOKEN
from tests.fakes.github import Fault as GitHubFault
from tests.fakes.intra42 import LOGIN, PASSWORD, App, Fault, new_secret
from tests.oauth_world import BRANCH, ID, OVERLAY, RotationWorld, next_shows

pytestmark = pytest.mark.bots
PLATFORM = "platform-alerts"
VALID = re.compile(rb'(valid-until|ends): "[^"]+"')


def another(world: RotationWorld, number: int, until: datetime | None = None) -> str:
    """Another service with an application of 42 like mogle's, whose secret ends `until`. Returns its name."""
    name, own = f"svc{number:02}", world.intra.apps[ID]
    application = str(50_000 + number)
    uid = f"u-s4t2ud-{number:064x}"
    files: dict[str, bytes | None] = {}
    for path in [*world.tree("main", OVERLAY), "overlays/mogle/owner.yaml"]:
        content = world.file(path).replace(b"mogle", name.encode()).replace(ID.encode(), application.encode())
        content = content.replace(own.uid.encode(), uid.encode())
        if until:
            content = VALID.sub(rf'\1: "{until.isoformat(timespec="seconds")}"'.encode(), content)
        files[path.replace("mogle", name)] = content
    world.github.commit("main", files, f"Add {name}")
    world.github.deployments.says(Overlay(name, "prod").application, "success", world.github.head("main") or "")
    app = App(application, uid, own.switch, current=new_secret())
    app.accepted[app.current] = (world.intra.now - timedelta(days=9), None)
    world.intra.apps[application] = app
    return name


def both(world: RotationWorld, **env: str) -> tuple[int, str, str]:
    """A run over mogle and the others. Returns its code, what it printed and what the platform was told."""
    told = len(world.slack.told(PLATFORM))
    done = world.run("oauth", "rotate", **env)
    return done.code, done.out + done.err, "\n".join(world.slack.told(PLATFORM)[told:])


def holds(world: RotationWorld, run: tuple[int, str, str], named: str, *words: str) -> None:
    """mogle was rotated, and of the neighbour one the words were told."""
    code, printed, told = run
    assert code != 0
    assert f"{named}/prod" in told
    assert [word for word in words if word not in told or word not in printed] == []
    assert world.github.head(BRANCH), "mogle's own rotation"
    patterns = leaks.patterns({*world.intra.seen, PASSWORD})
    assert leaks.search("told", (printed + told).encode(), patterns) == []


ANNOTATIONS = {
    "a date of the year 1": ("valid-until", '"0001-01-01T00:00:00+14:00"'),
    "no date": ("valid-until", '"soon"'),
    "a date that is a list": ("valid-until", "[2026]"),
    "no number": ("generation", '"two"'),
    "the end of all dates": ("valid-until", '"9999-12-31T23:59:59+00:00"'),
}


@pytest.mark.parametrize("oddity", ANNOTATIONS)
def test_an_annotation_that_makes_no_sense(known: RotationWorld, oddity: str) -> None:
    neighbour = another(known, 1)
    name, value = ANNOTATIONS[oddity]
    path = f"overlays/{neighbour}/prod/sealedsecret-oauth-42-g2.yaml"
    content = re.sub(rf"gitops/{name}: \S+", f"gitops/{name}: {value}", known.file(path).decode())
    known.github.commit("main", {path: content.encode()}, "Edit by hand")
    next_shows(known)
    holds(known, both(known), neighbour)


def test_an_owner_file_that_cannot_be_read(known: RotationWorld) -> None:
    neighbour = another(known, 1)
    known.github.commit("main", {f"overlays/{neighbour}/owner.yaml": b"team: [x\n"}, "Edit by hand")
    next_shows(known)
    holds(known, both(known), neighbour, f"overlays/{neighbour}/owner.yaml")


EDITED = {
    "too deep": '{"rotation": ' + "[" * 90_000 + "]" * 90_000 + "}",
    "a number": '{"rotation": 1e999}',
    "empty": "{}",
    "no JSON": '{"a": NaN, 2}',
    "another word": '{"rotation": "none"}',
}


@pytest.mark.parametrize("marker", EDITED.values(), ids=EDITED)
def test_what_a_person_closed_stays_closed_whatever_its_marker_says(known: RotationWorld, marker: str) -> None:
    next_shows(known)
    known.rotate()
    pull = known.github.pulls[1]
    pull.state, pull.body = "closed", f"x\n<!-- gitops-oauth: {marker} -->"
    row = known.rotate(code=1)
    assert (row["state"], known.open()) == ("BLOCKED", []), "its commit says what it proposed"
    assert "a person declined this secret" in row["next"]
    known.intra.apps[ID].next = None
    known.intra.show_next(ID)
    assert known.rotate()["state"] == "PR_OPEN", "another secret"


def test_of_a_marker_that_was_edited_and_a_commit_that_is_gone_nobody_can_say_what_they_declined(
    known: RotationWorld,
) -> None:
    next_shows(known)
    known.rotate()
    pull = known.github.pulls[1]
    pull.state, pull.body, pull.last_head = "closed", "", "1" * 40
    known.github.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    assert known.rotate()["action"] == "opened"


def test_generate_now_is_pressed_while_another_run_moves_the_branch(known: RotationWorld) -> None:
    next_shows(known)

    def race() -> None:
        known.github.commit(
            BRANCH,
            {f"{OVERLAY}/x": b"y"},
            "Another run\n\nMade-By: gitops",
            committer=("GitHub", "noreply@github.com"),
            parent=known.github.head("main"),
            signed=True,
        )
        app = known.intra.apps[ID]
        app.accepted.pop(app.next or "")
        app.next = None
        known.intra.show_next(ID)

    known.github.faults = [GitHubFault("POST", "mutation Commit", race)]
    known.rotate()
    known.rotate()
    assert known.opened(BRANCH) == known.intra.apps[ID].next


def test_an_exception_that_nobody_expected_is_told_by_its_type_and_place_alone(
    known: RotationWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = another(known, 1)
    next_shows(known)
    real = IntraPage.read

    def read(self: IntraPage, application: Any) -> Any:
        reading = real(self, application)
        if application.overlay.service == neighbour:
            assert reading.current is not None
            raise LookupError(f"no key {reading.current.get_secret_value()}")
        return reading

    monkeypatch.setattr(IntraPage, "read", read)
    run = both(known)
    holds(known, run, neighbour, "unexpected LookupError")
    assert re.search(r"scripts/gitops/oauth/observe\.py:\d+: unexpected LookupError", run[1])


def test_a_run_that_looks_at_nothing_is_told(known: RotationWorld) -> None:
    known.github.faults = [GitHubFault("GET", "/pulls", 500, times=99)]
    done = known.run("oauth", "rotate")
    assert done.code == 4
    [message] = known.slack.told(PLATFORM)
    assert ":rotating_light: no secret of 42 was looked at: GitHub: list pull requests" in message


class Clock:
    """Seconds that pass only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_42_that_answers_503_ends_the_run_in_time_and_the_most_urgent_came_first(known: RotationWorld) -> None:
    today = datetime.now(UTC)
    names = [another(known, number, today + timedelta(days=1 + number % 10, minutes=number)) for number in range(20)]
    known.intra.faults = [Fault("POST /oauth/token", 503, times=9999)]
    clock = Clock()
    budget = Budget(rotate.SECONDS, clock)
    api = Api(known.intra.url, 120, RateLimit(clock=clock, sleep=clock.sleep), clock=clock, sleep=clock.sleep)
    hub = Hub(
        RepositorySettings(known.github.name, SecretStr(TOKEN), known.github.environment["GITHUB_API_URL"]), pause=0
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARGOCD_APP", known.github.environment["ARGOCD_APP"])
        session = Session(Credentials(LOGIN, SecretStr(PASSWORD), None), known.intra.url)
        reports = rotate.run(
            known.checkout,
            hub,
            IntraPage(session),
            cluster="seoul",
            names=names,
            now=today,
            token=SecretStr(TOKEN),
            api=api,
            budget=budget,
        )
    assert clock.now - 1000 < rotate.SECONDS + 4 * 60, "the job has 30 minutes, and begins with its set-up"
    reached = {report.overlay.service for report in reports if report.observation}
    urgent = sorted(names, key=lambda name: (int(name[3:]) % 10, int(name[3:])))
    assert reached == set(urgent[: len(reached)])
    assert 5 < len(reached) < 20
    lines = alerts.message(reports, None)
    assert sum("not reached: the 18 minutes of this run were over" in line for line in lines) == 20 - len(reached)
    assert sum("unreachable" in line for line in lines) == len(reached)
    assert [report.overlay for report in reports] == sorted(report.overlay for report in reports)
    with pytest.raises(GitopsError) as failed:
        reconcile.check(reports, alerts.failure)
    assert failed.value.exit_code == 4


def test_the_place_of_a_fault_is_one_of_ours() -> None:
    try:
        Budget(-1, clock=lambda: 1 / 0)
    except ZeroDivisionError as error:
        told = UnexpectedError.of(error)
    assert re.fullmatch(r"scripts/gitops/ground/budget.py:\d+: unexpected ZeroDivisionError; .*", str(told))

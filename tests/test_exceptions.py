"""Exceptions whose time is over: whose change they fail, and who is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from gitops.exceptions import files
from gitops.ground.checkout import Checkout
from gitops.manifests.findings import Finding
from tests.attacks.gate_world import findings, write
from tests.conftest import commit_all
from tests.fakes.slack import Slack
from tests.world import run_here

pytestmark = pytest.mark.bots

QUOTA = "guard-rails.mogle-prod.ResourceQuota.tenant.yaml"
PROD = "overlays/mogle/prod/kustomization.yaml"
RAISED = """\
patches:
  - target: {kind: ResourceQuota, name: tenant}
    patch: |
      - {op: replace, path: /spec/hard/pods, value: "80"}
"""
TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)


def exception(until: date | str, owner: str = "community") -> str:
    return f"reason: an opening with many visitors\nowner: {owner}\nuntil: {until}\n"


def touch(checkout: Checkout, path: str) -> None:
    file = checkout.root / path
    file.write_text(file.read_text() + "# touched\n")


@pytest.fixture
def raised(scratch: Checkout) -> Checkout:
    """Main with a quota that is raised by an exception which ended yesterday."""
    file = scratch.root / PROD
    file.write_text(file.read_text().replace("patches:\n", RAISED, 1))
    write(scratch, {f"{files.FOLDER}/{QUOTA}": exception(YESTERDAY)})
    commit_all(scratch)
    return scratch


def rules(made: list[Finding]) -> list[str]:
    return [finding.rule for finding in made]


@pytest.mark.parametrize(
    "path",
    [
        "overlays/jobs-bot/prod/oauth-42.yaml",
        "overlays/mogle/staging/kustomization.yaml",
        # Here every overlay is looked at, and none is changed.
        "policies/bindings.yaml",
        ".github/teams.yaml",
    ],
)
def test_an_ended_exception_fails_nobody_elses_change(raised: Checkout, path: str) -> None:
    touch(raised, path)
    assert findings(raised) == []


@pytest.mark.parametrize("path", [PROD, "base/web/kustomization.yaml", f"{files.FOLDER}/{QUOTA}"])
def test_an_ended_exception_fails_a_change_of_what_it_covers(raised: Checkout, path: str) -> None:
    touch(raised, path)
    broken, ended = findings(raised)
    assert (broken.rule, broken.place.file) == ("guard-rails", PROD)
    assert (ended.rule, str(ended.place)) == ("exception", f"{files.FOLDER}/{QUOTA}:3")
    assert ended.problem == f"ended on {YESTERDAY}, and ResourceQuota tenant still breaks guard-rails"
    assert ended.fix.startswith(f"community: put it right ({broken.place})")


def test_an_ended_exception_that_covers_nothing_any_more_fails_nothing(raised: Checkout) -> None:
    file = raised.root / PROD
    file.write_text(file.read_text().replace(RAISED, "patches:\n"))
    assert findings(raised) == []


def test_an_exception_that_became_wrong_fails_what_can_have_made_it_so(scratch: Checkout) -> None:
    write(scratch, {f"{files.FOLDER}/{QUOTA}": exception(TODAY, owner="nobody")})
    commit_all(scratch)
    touch(scratch, "overlays/jobs-bot/prod/oauth-42.yaml")
    assert findings(scratch) == []
    touch(scratch, ".github/teams.yaml")
    assert rules(findings(scratch)) == ["exception"]


def test_an_exception_warns_where_it_will_fail_and_nowhere_else(scratch: Checkout) -> None:
    write(scratch, {f"{files.FOLDER}/{QUOTA}": exception(TODAY + timedelta(days=3))})
    commit_all(scratch)
    touch(scratch, "overlays/jobs-bot/prod/oauth-42.yaml")
    assert findings(scratch) == []
    touch(scratch, PROD)
    assert rules(findings(scratch)) == ["exception-ends"]


def test_slack_is_told_of_what_is_over_or_soon_will_be(raised: Checkout) -> None:
    """The schedule's run: one message, and a red run where one is over."""
    soon, later = TODAY + timedelta(days=5), TODAY + timedelta(days=90)
    folder = files.FOLDER
    ending = f"{folder}/guard-rails.benefit-prod.ResourceQuota.tenant.yaml"
    write(raised, {ending: exception(soon)})
    write(raised, {f"{folder}/guard-rails.umbrella-prod.ResourceQuota.tenant.yaml": exception(later)})
    write(raised, {f"{folder}/mogle.yaml": exception(later)})
    slack = Slack()
    try:
        done = run_here(raised.root, ["exceptions", "--tell"], None, slack.environment)
        assert done.code == 1
        assert f"over or wrong: {folder}/{QUOTA}, {folder}/mogle.yaml" in done.err
        [message] = slack.messages
        assert message.splitlines() == [
            f":warning: {ending} (community): ends soon, until {soon}",
            f":warning: {folder}/{QUOTA} (community): ended, until {YESTERDAY}",
            f":warning: {folder}/mogle.yaml (?): wrong: not named for what it allows, until ?",
            "Runbook: docs/runbooks/gate.md",
        ]
    finally:
        slack.close()


def test_where_all_hold_nobody_is_told(scratch: Checkout) -> None:
    write(scratch, {f"{files.FOLDER}/{QUOTA}": exception(TODAY + timedelta(days=90))})
    slack = Slack()
    try:
        done = run_here(scratch.root, ["exceptions", "--tell", "--output", "json"], None, slack.environment)
        assert (done.code, slack.messages) == (0, []), done.err
        assert '"state": "holds"' in done.out
        unheard = run_here(scratch.root, ["exceptions", "--tell"], None, {})
        assert unheard.code == 2
        assert "not set: SLACK_TOKEN" in unheard.err
    finally:
        slack.close()

"""The layout of 42's page: recorded without a value, compared with a refused one, told in an issue; and the doctor."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from git import Repo

from gitops.oauth import issue, layout, page
from gitops.oauth.blocks import LayoutError
from gitops.oauth.record import PATH
from tests import leaks, oauth_pages
from tests.fakes.github import TOKEN
from tests.fakes.github_access import APP_RIGHTS
from tests.fakes.github_rulesets import BOT_ACTOR
from tests.fakes.intra42 import LOGIN, Fault
from tests.fakes.sealed_secrets import SealedSecrets
from tests.frozen import ROOT
from tests.oauth_world import ID, RotationWorld, certificate_of, hide_values, next_shows, private_key

PRIVATE = (
    "Jane Doe", "jdoe", "jane@example.com", "+33612345678", "My secret project", "https://mine.example/callback",
    "7 rue",
)  # fmt: skip


def test_the_recorded_page_is_read() -> None:
    """What `gitops oauth layout` wrote: 42's own page once somebody recorded it."""
    reading = page.read(layout.RECORDED.read_text(), str(layout.APPLICATION), layout.READ_AT)
    assert reading.current
    assert reading.valid_until
    assert layout.difference(layout.RECORDED.read_text(), str(layout.APPLICATION)) == []


def personal(html: str) -> str:
    """A page with what an owner's has besides."""
    name, login, mail, phone, project, address, home = PRIVATE
    html = html.replace("<h1>", f'<div id="{login}" class="user-{login}" data-user-{login}="{mail}">{name}</div><h1>')
    html = html.replace("Valid until", f"{project} of {name} ({mail}) Valid until")
    html = html.replace('class="copy"', f'class="copy owned-by-{login}" title="{name}, {home}" href="{address}"')
    return html.replace("NEXT SECRET</h4>", f'NEXT SECRET</h4><a href="{address}" data-phone="{phone}">{login}</a>')


def test_every_value_and_name_is_replaced_in_what_is_recorded() -> None:
    for variant in oauth_pages.variants(60):
        html = personal(variant.html)
        text = layout.blank(html, ID, ("jdoe",))
        values = list(variant.app.values.values())
        assert leaks.search("layout", text.encode(), leaks.patterns(values)) == []
        assert [word for word in (*PRIVATE, "Jane", "Doe", "example") if word.lower() in text.lower()] == []
        assert ID not in text


def test_a_recorded_page_is_read_as_the_page_itself() -> None:
    """Whichever of the known readers' layouts 42 has: what is recorded of it is a fixture that means the same."""
    for variant in oauth_pages.variants(80):
        if not variant.readable:
            continue
        real = page.read(variant.html, ID, variant.now)
        text = layout.blank(variant.html, ID)
        recorded = page.read(text, str(layout.APPLICATION), layout.READ_AT)
        assert bool(recorded.next) == bool(real.next), variant.seed
        assert not real.next_from or recorded.next_from, variant.seed
        assert layout.blank(text, str(layout.APPLICATION)) == text, "recorded again it is the same"


def record(world: RotationWorld, number: str = ID) -> tuple[int, str, str]:
    with Repo(world.checkout.root) as repo:
        repo.git.fetch("origin")
        repo.git.reset("--hard", "origin/main")
    done = world.run("oauth", "layout", number)
    return done.code, done.out, done.err


@pytest.mark.bots
def test_the_layout_is_recorded_into_the_working_copy(known: RotationWorld) -> None:
    next_shows(known)
    known.intra.layout = personal
    code, out, err = record(known)
    assert code == 0, err
    text = (known.checkout.root / PATH).read_text()
    assert f"layout {layout.fingerprint(text, str(layout.APPLICATION))}\n" in out
    assert "+div.copy" in out
    app = known.intra.apps[ID]
    assert leaks.search("all of it", (text + out + err).encode(), leaks.patterns([app.current, str(app.next)])) == []
    assert LOGIN not in text
    assert page.read(text, str(layout.APPLICATION), layout.READ_AT).next
    assert known.run("oauth", "layout", ID).code == 2, "a working copy with changes"
    assert "there are: 41002" in record(known, "7")[2]


@pytest.mark.bots
def test_a_page_that_cannot_be_read_is_recorded_all_the_same_and_said(known: RotationWorld) -> None:
    known.intra.layout = lambda html: html.replace("Valid until", "Ends on")
    code, out, err = record(known)
    assert (code, f"wrote {PATH}" in out) == (1, True)
    assert "-div.rotation-actions Valid until DATE" in out
    assert "cannot be read in one way alone" in err
    known.intra.layout = lambda html: html
    known.intra.obstacle = "not an owner"
    code, out, err = record(known)
    assert (code, "must be one of its owners" in err) == (4, True)
    with Repo(known.checkout.root) as repo:
        assert not repo.is_dirty()


@pytest.mark.bots
def test_a_page_that_cannot_be_read_opens_one_issue_that_is_kept_and_closed(rotation: RotationWorld) -> None:
    known = rotation

    def rotate(code: int = 0) -> None:
        """Over all applications, as the workflow does."""
        done = known.run("oauth", "rotate")
        assert done.code == code, done.err

    next_shows(known)
    theirs = known.github.issues.open("Not the bot's", [issue.LABEL], user="student")
    known.intra.layout = hide_values
    assert "-div.copy[uid] (data-clipboard-text); +div.copy[uid] (data-cl" in known.rotate(code=1)["next"]
    assert list(known.github.issues.issues.values()) == [theirs], "not all applications were looked at"
    rotate(code=1)
    rotate(code=1)
    [ours] = [entry for entry in known.github.issues.issues.values() if entry is not theirs]
    assert (ours.title, ours.labels, ours.state) == (issue.TITLE, [issue.LABEL], "open")
    assert "```diff\n-div.copy[uid] (data-clipboard-text)\n+div.copy[uid] (data-clipboard-url)" in ours.body
    assert f"`{ID}`" in ours.body
    app = known.intra.apps[ID]
    assert leaks.search("issue", ours.body.encode(), leaks.patterns([app.current, str(app.next)])) == []
    writes = len(known.github.writes)
    known.intra.layout = lambda html: html.replace("Valid until", "Ends on")
    rotate(code=1)
    assert len(known.github.writes) == writes + 1
    assert "+div.rotation-actions ... DATE" in ours.body
    known.intra.layout = lambda html: html
    rotate()
    assert (ours.state, theirs.state) == ("closed", "open")
    assert len(known.github.issues.issues) == 2


@pytest.mark.bots
def test_without_the_right_the_issue_is_missed_and_slack_told_all_the_same(rotation: RotationWorld) -> None:
    known = rotation
    known.github.tokens[TOKEN] = replace(BOT_ACTOR, rights=APP_RIGHTS - {"issues"})
    known.intra.layout = hide_values
    done = known.run("oauth", "rotate")
    assert (done.code, "give the bot's App the right Issues: write" in done.err) == (4, True)
    assert "(layout)" in known.slack.messages[-1]


# -- the doctor


def doctor(world: RotationWorld, controller: SealedSecrets, **env: str) -> tuple[int, dict[str, dict[str, str]], str]:
    words = ("oauth", "doctor", "mogle", "--output", "json", "--controller", controller.url)
    done = world.run(*words, **env)
    return done.code, {row["name"]: row for row in json.loads(done.out)}, done.err


@pytest.fixture
def controller(known: RotationWorld) -> SealedSecrets:
    return SealedSecrets(known.file("clusters/seoul/sealed-secrets.pem"), [known.key])


PAGE = f"mogle/prod ({ID})"
CHECKS = ("login", f"{PAGE}: ownership", f"{PAGE}: page", f"{PAGE}: token endpoint", "clock", "Slack", "GitHub")


@pytest.mark.bots
def test_the_doctor_says_what_works_what_does_not_and_what_to_do(
    known: RotationWorld, controller: SealedSecrets
) -> None:
    try:
        code, rows, _ = doctor(known, controller)
        assert (code, tuple(rows), {row["verdict"] for row in rows.values()}) == (
            0,
            (*CHECKS, "certificate"),
            {"works"},
        )
        assert known.slack.messages == []
        assert known.github.writes == []

        def fails(name: str, *words: str) -> None:
            code, rows, err = doctor(known, controller)
            assert (code, rows[name]["verdict"]) == (1, "does not work")
            said = f"{rows[name]['says']} {rows[name]['fix']}"
            assert [word for word in words if word not in said] == [], said
            assert name in err

        controller.certificate = certificate_of(private_key(1))
        fails("certificate", "another certificate", "gitops secrets reseal")
        known.intra.skew = timedelta(hours=3)
        fails("clock", "ahead of", "set this machine's clock")
        known.intra.skew = timedelta(0)
        known.slack.error = "invalid_auth"
        fails("Slack", "invalid_auth", "setup.md")
        known.github.tokens[TOKEN] = replace(BOT_ACTOR, rights=APP_RIGHTS - {"issues"})
        fails("GitHub", "GET /issues: 403")
        known.intra.faults = [Fault("POST /oauth/token", 500, times=99)]
        fails(f"{PAGE}: token endpoint", "no answer within", "BLOCKED (unreachable)")
        known.intra.faults = []
        known.intra.layout = hide_values
        fails(f"{PAGE}: page", "in one way alone", "BLOCKED (layout)")
        known.intra.obstacle = "not an owner"
        fails(f"{PAGE}: ownership", "one of its owners", "BLOCKED (owner)")
        known.intra.obstacle = "terms"
        fails("login", "accept its terms", "BLOCKED (terms)")
    finally:
        controller.close()


@pytest.mark.bots
def test_the_doctor_does_not_try_what_has_no_credential(known: RotationWorld, controller: SealedSecrets) -> None:
    nobody = {"INTRA42_LOGIN": "", "INTRA42_PASSWORD": "", "GITHUB_TOKEN": "", "SLACK_TOKEN": ""}
    code, rows, _ = doctor(known, controller, **nobody)
    controller.close()
    assert code == 0
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "login": "not tried",
        "Slack": "not tried",
        "GitHub": "not tried",
        "certificate": "works",
    }
    text = known.run("oauth", "doctor", "mogle", "--controller", "http://127.0.0.1:1", **nobody)
    assert (text.code, "certificate  does not work" in text.out) == (1, True)


@pytest.mark.docs
def test_the_runbook_names_both_commands() -> None:
    text = (ROOT / "docs/runbooks/oauth.md").read_text()
    assert "gitops oauth doctor" in text
    assert "gitops oauth layout " in text


def test_a_refusal_never_stands_in_a_page_as_long_as_json() -> None:
    html = Path(layout.RECORDED).read_text().replace("data-clipboard-text", "data-target")
    with pytest.raises(LayoutError) as error:
        page.read(html, str(layout.APPLICATION), layout.READ_AT)
    assert len(error.value.difference) <= 13

"""What each verb that edits overlays makes of them, and what it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from git import Repo

from gitops.check import draft as gate
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault
from gitops.manifests import kustomize
from gitops.service import secretlike
from tests.conftest import commit_all
from tests.fakes.aws import ecr_server
from tests.service_world import DAY, MOGLE, Given, app, changed, variables
from tests.world import run_here

# -- variables


def test_a_variable_is_set_changed_and_unset_and_every_byte_is_back(here: Checkout, given: Given) -> None:
    for overlay in MOGLE:
        assert variables(here, overlay)["GREETING"] == "hello"
    start = subprocess.check_output(["git", "rev-parse", "HEAD:overlays"], cwd=here.root)
    expected = {"GREETING": "bye", "COUNT": "1", "EMPTY": "", "K": "'\"é\n #"}
    # What kustomize writes without quotes, and some reader takes for more than a text.
    expected |= {"MERGE": "<<", "VALUE": "=", "END": "...", "PATH_OF": "../x", "DAY": "2027-01-31", "HALF": ".5e3"}
    done = given("service", "set", "mogle", *(f"{name}={value}" for name, value in expected.items()))
    assert done.code == 0, done.err
    for overlay in MOGLE:
        assert variables(here, overlay).items() >= expected.items()
    commit_all(here)
    assert "nothing to change" in given("service", "set", "mogle", "COUNT=1").out
    assert given("service", "unset", "mogle", *(name for name in expected if name != "GREETING"), "COUNT").code == 0
    commit_all(here)
    assert given("service", "set", "mogle", "GREETING=hello").code == 0
    commit_all(here)
    assert subprocess.check_output(["git", "rev-parse", "HEAD:overlays"], cwd=here.root) == start


def test_a_patch_that_says_nothing_any_more_goes_as_a_whole(here: Checkout, given: Given) -> None:
    start = subprocess.check_output(["git", "rev-parse", "HEAD:overlays"], cwd=here.root)
    assert given("service", "set", "evaluation-metrics", "GREETING=hello").code == 0
    commit_all(here)
    assert given("service", "unset", "evaluation-metrics", "GREETING").code == 0
    commit_all(here)
    assert subprocess.check_output(["git", "rev-parse", "HEAD:overlays"], cwd=here.root) == start


@pytest.mark.parametrize("service", ["jobs-bot", "oauth-watch", "umbrella"])
def test_every_shape_of_service_has_variables(here: Checkout, given: Given, service: str) -> None:
    done = given("service", "set", service, "GREETING=hello")
    assert done.code == 0, done.err
    assert variables(here, f"overlays/{service}/prod")["GREETING"] == "hello"


SECRETS = {
    "API_TOKEN=abc": "by its name",
    "DB_PASSWORD=12345678": "by its name",
    "STRIPE_SECRET_KEY=x": "by its name",
    "DATABASE=postgres://app:hunter2hunter2@db/app": "a password in an address",
    "DSN=host=db user=app password=hunter2hunter2": "a password among other words",
    'CONFIG={"api_key": "0123-4567"}': "a password among other words",
    "HOOK=https://hooks.slack.com/services/T0/B0/x": "a token of Slack",
    "AUTH=Bearer abcdefghijkl": "the header of a login",
    "X=s-s4t2ud-" + "0a1b2c3d" * 8: "a secret of 42",
    "SEED=q9X2vB7nK4mZ8pL1sT6wR3yA5": "letters and digits without a sense",
}


@pytest.mark.parametrize("word", SECRETS)
def test_what_looks_like_a_secret_is_refused_and_never_shown(here: Checkout, given: Given, word: str) -> None:
    done = given("service", "set", "mogle", word)
    name, _, value = word.partition("=")
    assert (done.code, done.out) == (2, "")
    assert f"{name} looks like a secret (" in done.err
    assert SECRETS[word] in done.err
    assert f"gitops secrets seal mogle {name.lower().replace('_', '-')} --key {name} --as-env" in done.err
    assert len(value) < 4 or value not in done.err
    assert changed(here) == []


@pytest.mark.parametrize(
    "word",
    [
        "TOKEN_URL=https://api.intra.42.fr/oauth/token",
        "MAX_TOKENS=500",
        "REQUIRE_PASSWORD=true",
        "MENU_URL=https://menu.example.com/a/b?page=2&lang=ko",
        "NAME=42 Mogle, the community site of Seoul",
        "IMAGE=sha256:" + "0a1b2c3d" * 8,
        "CLIENT_ID=u-s4t2ud-" + "0a1b2c3d" * 8,
        "PGHOST=seoul-mogle-prod.c0example.ap-northeast-2.rds.amazonaws.com",
        "LOG=debug",
    ],
)
def test_what_is_no_secret_is_taken(word: str) -> None:
    name, _, value = word.partition("=")
    assert secretlike.reason(name, value) == ""


def test_a_false_alarm_has_a_way_through(here: Checkout, given: Given) -> None:
    assert given("service", "set", "mogle", "API_TOKEN=public-by-design", "--public").code == 0
    assert variables(here, MOGLE[0])["API_TOKEN"] == "public-by-design"


REFUSALS = {
    ("set", "mogle", "1A=x"): "a variable; expected NAME=VALUE, NAME of letters, digits and _, found 1A",
    ("set", "mogle", "lost"): "a variable; expected NAME=VALUE, NAME of letters, digits and _, found no `=`",
    ("set", "mogle", "A=1", "A=2"): "A is given twice",
    ("set", "mogle", "PORT=3000"): "base/workload/deployment.yaml:",
    ("set", "mogle", "OAUTH_42_CLIENT_ID=x"): "base/components/oauth-42/deployment.yaml:",
    ("unset", "mogle", "PORT"): "base/workload/deployment.yaml:",
    ("unset", "mogle", "GREETNIG"): "mogle sets no variable GREETNIG; did you mean GREETING?",
    ("domain", "add", "mogle", "benefit.example.org"): "domain 'benefit.example.org': belongs to benefit (prod;",
    ("domain", "add", "mogle", "*.mogle.example.com"): "domain: wildcards are not allowed",
    ("domain", "add", "mogle", "a.b.example.net", "--environment", "prod"): "no certificate covers a.b.example.net",
    ("domain", "add", "jobs-bot", "jobs.example.com"): "overlays/jobs-bot/prod: has no domain: nothing calls it",
    ("domain", "add", "mogle", "10.0.0.1"): "domain: not a host name; expected one such as shop.example.com",
    ("domain", "add", "mogle", ""): "domain: not a host name; expected one such as shop.example.com",
    ("domain", "move", "mogle", "mogle.example.com", "mogle.example.com"): "are the same; expected another host",
    (
        *("domain", "move", "mogle", "mogle.example.com", "www.mogle.example.com"),
    ): "mogle/prod answers for www.mogle.example.com already; gitops service domain remove mogle mogle.example.com",
    ("domain", "remove", "mogle", "mor.mogle.example.com"): "mogle answers for no mor.mogle.example.com; did you mean",
    ("scale", "jobs-bot", "--max", "3"): "jobs-bot/prod has no autoscaler: a bot is one pod",
    ("scale", "umbrella", "--min", "9", "--max", "3"): "umbrella/prod: --min and --max; expected 1 or more",
    ("scale", "umbrella", "--max", "2", "--environment", "prod"): "found 3 and 2; give both, as the other one stays",
    (
        *("scale", "umbrella", "--min", "3", "--from", "0001-01-01T00:00", "--to", "9999-12-31T23:59"),
        *("--time-zone", "Asia/Seoul"),
    ): "--from; expected a local time such as 2027-01-31T09:00",
    ("scale", "umbrella"): "no number of pods; give --min, --max or both",
    ("scale", "umbrella", "--min", "3", "--from", "2099-01-31T09:00"): "--from, --to and --time-zone together",
    ("scale", "umbrella", "--min", "3", *DAY[:4], "--time-zone", "Asia/Soul"): "--time-zone; expected one such as",
    ("scale", "umbrella", "--end"): "umbrella has no opening day to end",
    ("unset", "oauth-watch", "SLACK_TOKEN"): "SLACK_TOKEN is read from a Secret; gitops secrets remove oauth-watch",
    ("set", "oauth-watch", "SLACK_TOKEN=x", "--public"): "SLACK_TOKEN is read from elsewhere (valueFrom)",
}


@pytest.mark.parametrize("words", REFUSALS, ids=" ".join)
def test_what_cannot_be_done_is_one_message(here: Checkout, given: Given, words: tuple[str, ...]) -> None:
    done = given("service", *words)
    assert (done.code, done.out) == (2, "")
    assert REFUSALS[words] in done.err
    assert done.err.count("\n") == 1
    assert changed(here) == []


def test_a_patch_in_braces_is_edited_in_its_own_form(here: Checkout, given: Given) -> None:
    file = here.root / "overlays/umbrella/prod/deployment.yaml"
    head = "".join(file.read_text().splitlines(keepends=True)[:5])
    before = (
        f"{head}spec: # all of it\n  template: {{spec: {{containers: [{{name: app, env: [{{name: MOGLE_URL, "
        "value: 'http://web.mogle-prod.svc.cluster.local'}]}]}} # end\n"
    )
    file.write_text(before)
    commit_all(here)
    done = given("service", "set", "umbrella", "A=1", "--environment", "prod")
    assert done.code == 0, done.err
    assert file.read_text() == before.replace("local'}]", 'local\'}, {name: A, value: "1"}]')
    commit_all(here)
    assert given("service", "unset", "umbrella", "A").code == 0
    assert file.read_text() == before


@pytest.mark.parametrize("shape", ["two objects in a file", "an inline patch"])
def test_a_hand_changed_shape_is_refused_with_file_and_line(here: Checkout, given: Given, shape: str) -> None:
    file = here.root / "overlays/umbrella/prod/deployment.yaml"
    text = file.read_text()
    if shape == "two objects in a file":
        file.write_text(f"{text}---\n{text}")
    else:
        listing = file.with_name("kustomization.yaml")
        inline = (
            "  - target: {kind: Deployment}\n    patch: |\n      - op: add\n        path: /spec/template/spec/"
            "containers/0/env/-\n        value: {name: A, value: old}\n"
        )
        listing.write_text(listing.read_text().replace("patches:\n", f"patches:\n{inline}"))
    commit_all(here)
    done = given("service", "set", "umbrella", "A=1", "--environment", "prod")
    assert (done.code, done.out) == (2, ""), done.err
    assert "overlays/umbrella/prod/" in done.err
    assert done.err.count("\n") == 1
    assert changed(here) == []


# -- scale


def bounds(checkout: Checkout, overlay: str) -> tuple[int, int]:
    items = kustomize.build(checkout, checkout.root / overlay)
    spec = next(item["spec"] for item in items if item["kind"] == "HorizontalPodAutoscaler")
    return spec["minReplicas"], spec["maxReplicas"]


BENEFIT = ("overlays/benefit/prod", "overlays/benefit/staging")


def test_bounds_hold_for_good_or_for_a_day_with_an_end(here: Checkout, given: Given) -> None:
    assert bounds(here, BENEFIT[0]) == (8, 12)
    refused = given("service", "scale", "benefit", "--max", "20")
    assert refused.code == 2
    assert "an opening day is there, which is above all; gitops service scale benefit --end comes first" in refused.err
    assert [row["state"] for row in json.loads(given("exceptions", "--output", "json").out)] == ["holds", "holds"]
    assert given("service", "scale", "benefit", "--end").code == 0
    commit_all(here)
    assert bounds(here, BENEFIT[0]) == (3, 12)
    for words, expected in ((("--max", "20"), (3, 20)), (("--min", "5"), (5, 20)), (("--max", "21"), (5, 21))):
        assert given("service", "scale", "benefit", *words, "--environment", "prod").code == 0
        commit_all(here)
        assert bounds(here, BENEFIT[0]) == expected


def test_a_day_that_is_over_is_told_by_the_exceptions(here: Checkout, given: Given) -> None:
    for overlay in BENEFIT:
        file = here.root / overlay / "opening-day.yaml"
        file.write_text(file.read_text().replace("2099-", "2020-"))
    done = given("exceptions")
    assert done.code == 1
    assert done.out.count("ended") == 2


# -- images

OTHER = f"sha256:{'9' * 64}"


def image(checkout: Checkout, overlay: str) -> str:
    return str(app(checkout, overlay)["image"])


def test_an_image_by_hand_is_its_tag_and_its_digest(here: Checkout, given: Given) -> None:
    done = given("images", "set", "mogle", f"9.9.9@{OTHER}")
    assert done.code == 0, done.err
    assert all(image(here, overlay).endswith(f"/mogle:9.9.9@{OTHER}") for overlay in MOGLE)
    commit_all(here)
    whole = f"ghcr.io/ft-platform/mogle:9.9.9@{OTHER}"
    assert given("images", "set", "mogle", whole, "--environment", "staging").code == 0
    assert image(here, MOGLE[1]) == whole
    assert image(here, MOGLE[0]) != whole


def test_a_digest_is_looked_up_and_where_it_cannot_be_that_is_said(
    here: Checkout, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ecr_server(monkeypatch) as ecr:
        digest = ecr.push("mogle", "1.10")
        assert given("images", "set", "mogle", "1.10").code == 0
        assert image(here, MOGLE[0]).endswith(f"/mogle:1.10@{digest}")
        commit_all(here)
        none = given("images", "set", "mogle", "1.11")
        assert (none.code, none.out) == (4, "")
        assert "has no such tag" in none.err
    away = given("images", "set", "mogle", "1.12")
    assert (away.code, away.out) == (4, "")
    assert "cannot be reached" in away.err
    assert "give its digest too" in away.err
    assert changed(here) == []


@pytest.fixture
def history(here: Checkout, given: Given) -> Checkout:
    """mogle ran another image, and runs 9.9.9 now."""
    assert given("images", "set", "mogle", f"9.9.9@{OTHER}").code == 0
    commit_all(here)
    with Repo(here.root) as repo:
        repo.delete_remote(repo.remotes.origin)
    return here


def test_a_rollback_without_github_is_a_commit_beside_the_working_copy(history: Checkout, given: Given) -> None:
    (history.root / "README.md").write_text("in the middle of something")
    with Repo(history.root) as repo:
        head, before = repo.head.commit.hexsha, image(history, MOGLE[0])
    done = given("images", "rollback", "mogle", "--reason", "logins fail", **NOBODY)
    assert done.code == 0, done.err
    assert "without GitHub, so as a commit here" in done.err
    with Repo(history.root) as repo:
        assert repo.head.commit.hexsha == head
        [branch] = [name for name in repo.heads if name.name.startswith("back-mogle-prod-")]
        assert [parent.hexsha for parent in branch.commit.parents] == [head]
        files = repo.git.diff("--name-only", head, branch.name).splitlines()
        title, _, reason = str(branch.commit.message).partition("\n\n")
        assert (title.startswith("mogle/prod: back to "), reason.strip()) == (True, "logins fail")
        assert files == [f"{MOGLE[0]}/hold.yaml", f"{MOGLE[0]}/kustomization.yaml"]
        assert f"next: git push origin {branch.name}\n" in done.out
        assert branch.name == "back-mogle-prod-2.14.0"
        repo.git.switch("--force", branch.name)
    assert changed(history) == []
    assert image(history, MOGLE[0]) != before


def test_of_a_shallow_clone_a_rollback_says_that_its_history_is_missing(history: Checkout, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    Repo.clone_from(f"file://{history.root}", shallow, depth=1).close()
    (shallow / ".tools").symlink_to(history.tools.resolve())
    done = run_here(shallow, ["images", "rollback", "mogle", "--reason", "x", "--local"], None, NOBODY)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("nothing else; this clone is shallow, so first: git fetch --unshallow\n")


# What no one is signed in with.
NOBODY = {"GITHUB_TOKEN": "", "GITHUB_REPOSITORY": "", "PATH": "/usr/bin:/bin"}


def test_a_rollback_that_the_check_refuses_leaves_no_branch(
    history: Checkout, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "errors", lambda *_: [Fault("a-rule: is broken")])
    assert given("images", "rollback", "mogle", "--reason", "x", "--local").code == 1
    with Repo(history.root) as repo:
        assert [head.name for head in repo.heads] == ["main"]


# -- the check itself


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("service", "scale", "umbrella", "--max", "90"), "needs 91 pods at its largest scale and a surge; the quota"),
        (("service", "set", "mogle", "API=http://web.nowhere-prod.svc.cluster.local"), "which is no Service here"),
        (("service", "set", "mogle", "V=" + "ghp_" + "0aB1cD2e" * 5, "--public"), "looks like a secret: github-pat"),
    ],
    ids=["quota", "address", "gitleaks"],
)
def test_the_real_check_refuses_a_result_and_nothing_is_written(
    here: Checkout, words: tuple[str, ...], message: str
) -> None:
    done = run_here(here.root, words, None, {})
    assert (done.code, done.out) == (1, "")
    # On a busy machine a step that takes long says so before.
    assert "\ngitops: the check refuses the result, so nothing was written\n" in f"\n{done.err}"
    assert message in done.err
    assert changed(here) == []


def test_what_was_wrong_before_stops_nobody(here: Checkout) -> None:
    file = here.root / "overlays/mogle/prod/kustomization.yaml"
    file.write_text(file.read_text().replace("namespace: mogle-prod", "namespace: mogle-production"))
    commit_all(here)
    done = run_here(here.root, ("service", "set", "mogle", "A=1"), None, {})
    assert done.code == 0, done.err

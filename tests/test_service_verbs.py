"""The verbs that edit overlays, each in every situation: the files are as they should be, or as they were."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from git import Repo

from gitops.check import draft as gate
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault
from gitops.manifests import kustomize
from gitops.manifests.objects import Object
from gitops.repository import contents
from gitops.service import secretlike
from tests.conftest import Ran, commit_all
from tests.frozen import clone
from tests.world import run_here

DAY = ("--from", "2099-01-31T09:00", "--to", "2099-01-31T18:00", "--time-zone", "Asia/Seoul")
PREPARED = (
    ("service", "set", "mogle", "GREETING=hello"),
    ("service", "domain", "add", "mogle", "more.mogle.example.com"),
    ("service", "scale", "mogle", "--min", "8", *DAY),
)
MOGLE = ("overlays/mogle/prod", "overlays/mogle/staging")
# A verb by what it is tried with: its words, where `mogle` is the service, and the files that it changes.
VERBS: dict[str, tuple[str, ...]] = {
    "set": ("service", "set", "mogle", "MENU_URL=https://menu.example.com"),
    "unset": ("service", "unset", "mogle", "GREETING"),
    "domain add": ("service", "domain", "add", "mogle", "shop.mogle.example.com"),
    "domain remove": ("service", "domain", "remove", "mogle", "more.mogle.example.com"),
    "domain move": ("service", "domain", "move", "mogle", "more.mogle.example.com", "less.mogle.example.com"),
    "scale": ("service", "scale", "mogle", "--min", "4", "--max", "20"),
    "scale for a day": ("service", "scale", "mogle", "--min", "9", *DAY),
    "scale --end": ("service", "scale", "mogle", "--end"),
}
# What is the engine's alone is tried with these, and with all of them in `make matrix`.
SAMPLE = ("set", "domain move")
ENGINE = [verb if verb in SAMPLE else pytest.param(verb, marks=pytest.mark.matrix) for verb in VERBS]
Given = Callable[..., Ran]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The frozen platform, where mogle has what can be taken away again."""
    checkout = clone(tmp_path_factory.mktemp("verbs") / "prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "errors", lambda *_: [])
        for words in PREPARED:
            done = run_here(checkout.root, words, None, {})
            assert done.code == 0, done.err
            commit_all(checkout)
    return checkout


@pytest.fixture
def scratch(prepared: Checkout, tmp_path: Path) -> Checkout:
    Repo.clone_from(prepared.root, tmp_path / "clone").close()
    (tmp_path / "clone/.tools").symlink_to(prepared.tools)
    return Checkout(tmp_path / "clone")


@pytest.fixture
def given(scratch: Checkout, monkeypatch: pytest.MonkeyPatch) -> Given:
    """The command in a clone of what is prepared; the check says yes (tests below ask the real one)."""
    monkeypatch.setattr(gate, "errors", lambda *_: [])
    return lambda *words, **env: run_here(scratch.root, words, None, env)


def changed(checkout: Checkout) -> list[str]:
    """Each path that is not as it was committed."""
    words = ["git", "status", "--porcelain", "--untracked-files=all", "--no-renames"]
    out = subprocess.check_output(words, cwd=checkout.root, text=True)
    return sorted(line[3:] for line in out.splitlines())


def app(checkout: Checkout, overlay: str) -> Object:
    for item in kustomize.build(checkout, checkout.root / overlay):
        if item["kind"] in ("Deployment", "CronJob"):
            pods = item["spec"].get("jobTemplate", item)["spec"]["template"]["spec"]
            container: Object = next(part for part in pods["containers"] if part["name"] == "app")
            return container
    raise AssertionError(overlay)


def variables(checkout: Checkout, overlay: str) -> dict[str, str | None]:
    return {entry["name"]: entry.get("value") for entry in app(checkout, overlay)["env"]}


# -- every verb


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_changes_both_environments_and_says_what_comes_next(scratch: Checkout, given: Given, verb: str) -> None:
    done = given(*VERBS[verb])
    assert done.code == 0, done.err
    paths = changed(scratch)
    assert {path.rpartition("/")[0] for path in paths if path.startswith("overlays/mogle/")} >= {*MOGLE}
    for path in paths:
        assert path in done.out
    assert "\nnext: git switch -c mogle-" in done.out
    [step] = [line.removeprefix("next: ") for line in done.out.splitlines() if line.startswith("next: ")]
    subprocess.run(["bash", "-ec", step], cwd=scratch.root, check=True, capture_output=True, env=_AUTHOR)
    assert changed(scratch) == []
    again = given("service", "set", "mogle", "OTHER=1")
    assert "next: git add" in again.out, "on a branch of one's own no further one is needed"


_AUTHOR = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com"}
_AUTHOR |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com"}


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_service_is_one_message_with_the_nearest_name(scratch: Checkout, given: Given, verb: str) -> None:
    words = ["mogel" if word == "mogle" else word for word in VERBS[verb]]
    done = given(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err == "gitops: service 'mogel': does not exist; did you mean mogle?\n"
    assert changed(scratch) == []


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_environment_is_one_message(scratch: Checkout, given: Given, verb: str) -> None:
    done = given(*VERBS[verb], "--environment", "stagging")
    assert (done.code, done.out) == (2, "")
    assert done.err == "gitops: environment 'stagging': mogle has none of this name; did you mean staging?\n"
    assert changed(scratch) == []


@pytest.mark.parametrize("verb", VERBS)
def test_one_environment_alone(scratch: Checkout, given: Given, verb: str) -> None:
    assert given(*VERBS[verb], "--environment", "staging").code == 0
    folders = {path.rpartition("/")[0] for path in changed(scratch)}
    assert "overlays/mogle/staging" in folders
    assert "overlays/mogle/prod" not in folders


@pytest.mark.parametrize("verb", VERBS)
def test_a_dirty_tree_is_left_as_it_is(scratch: Checkout, given: Given, verb: str) -> None:
    (scratch.root / "README.md").write_text("mine")
    done = given(*VERBS[verb])
    assert (done.code, done.out) == (2, "")
    assert "the working copy has 1 uncommitted changes (first: README.md); commit or stash" in done.err
    assert changed(scratch) == ["README.md"]


@pytest.mark.parametrize("verb", ENGINE)
def test_a_result_that_the_check_refuses_is_not_written(
    scratch: Checkout, given: Given, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "errors", lambda *_: [Fault("a-rule: is broken", path="overlays/mogle", fix="mend it")])
    done = given(*VERBS[verb])
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "gitops: the check refuses the result, so nothing was written",
        "overlays/mogle: a-rule: is broken; mend it",
    ]
    assert changed(scratch) == []


@pytest.mark.parametrize("verb", ENGINE)
@pytest.mark.parametrize("moment", ["before", "while it writes"])
def test_ctrl_c_leaves_the_files_as_they_were_or_as_they_should_be(
    scratch: Checkout, given: Given, verb: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> list[Fault]:
        os.kill(os.getpid(), signal.SIGINT)
        return []

    whole = contents._replace

    def interrupted_write(file: Path, content: bytes | None) -> None:
        if scratch.root in file.parents:
            os.kill(os.getpid(), signal.SIGINT)
        whole(file, content)

    if moment == "before":
        monkeypatch.setattr(gate, "errors", interrupt)
    else:
        monkeypatch.setattr(contents, "_replace", interrupted_write)
    done = given(*VERBS[verb])
    assert done.code == 130
    assert done.err.endswith("interrupted\n")
    if moment == "before":
        assert changed(scratch) == []
    else:
        paths = changed(scratch)
        subprocess.run(["git", "stash", "--include-untracked", "--quiet"], cwd=scratch.root, check=True, env=_AUTHOR)
        monkeypatch.setattr(contents, "_replace", whole)
        assert given(*VERBS[verb]).code == 0
        assert changed(scratch) == paths, "all of it was written, as it would have been"


@pytest.mark.parametrize("verb", ENGINE)
def test_a_file_that_cannot_be_written_is_said_and_no_other_is(
    scratch: Checkout, given: Given, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = contents._replace, []

    def full(file: Path, content: bytes | None) -> None:
        if scratch.root in file.parents:
            written.append(file)
            if len(written) == 2:
                raise OSError(28, "No space left on device", str(file))
        whole(file, content)

    monkeypatch.setattr(contents, "_replace", full)
    done = given(*VERBS[verb])
    assert (done.code, done.out) == (2, "")
    assert "cannot be written: No space left on device; nothing was" in done.err
    assert changed(scratch) == []


# -- variables


def test_a_variable_is_set_changed_and_unset_and_every_byte_is_back(scratch: Checkout, given: Given) -> None:
    for overlay in MOGLE:
        assert variables(scratch, overlay)["GREETING"] == "hello"
    start = subprocess.check_output(["git", "rev-parse", "HEAD:overlays"], cwd=scratch.root)
    assert given("service", "set", "mogle", "GREETING=bye", "COUNT=1", "EMPTY=", "K='\"é\\n #").code == 0
    expected = {"GREETING": "bye", "COUNT": "1", "EMPTY": "", "K": "'\"é\\n #"}
    for overlay in MOGLE:
        assert variables(scratch, overlay).items() >= expected.items()
    commit_all(scratch)
    assert "nothing to change" in given("service", "set", "mogle", "COUNT=1").out
    assert given("service", "unset", "mogle", "COUNT", "EMPTY", "K").code == 0
    commit_all(scratch)
    assert given("service", "set", "mogle", "GREETING=hello").code == 0
    commit_all(scratch)
    assert subprocess.check_output(["git", "rev-parse", "HEAD:overlays"], cwd=scratch.root) == start
    assert given("service", "unset", "mogle", "GREETING").code == 0
    files = itertools.product(MOGLE, ("deployment.yaml", "kustomization.yaml"))
    assert changed(scratch) == ["/".join(parts) for parts in files]
    assert not any((scratch.root / overlay / "deployment.yaml").exists() for overlay in MOGLE)


@pytest.mark.parametrize("service", ["jobs-bot", "oauth-watch", "umbrella"])
def test_every_shape_of_service_has_variables(scratch: Checkout, given: Given, service: str) -> None:
    done = given("service", "set", service, "GREETING=hello")
    assert done.code == 0, done.err
    assert variables(scratch, f"overlays/{service}/prod")["GREETING"] == "hello"


SECRETS = {
    "API_TOKEN=abc": "by its name",
    "DB_PASSWORD=12345678": "by its name",
    "STRIPE_SECRET_KEY=x": "by its name",
    "DATABASE=postgres://app:hunter2hunter2@db/app": "a password in an address",
    "HOOK=https://hooks.slack.com/services/T0/B0/x": "a token of Slack",
    "AUTH=Bearer abcdefghijkl": "the header of a login",
    "X=s-s4t2ud-" + "0a1b2c3d" * 8: "a secret of 42",
    "SEED=q9X2vB7nK4mZ8pL1sT6wR3yA5": "letters and digits without a sense",
}


@pytest.mark.parametrize("word", SECRETS)
def test_what_looks_like_a_secret_is_refused_and_never_shown(scratch: Checkout, given: Given, word: str) -> None:
    done = given("service", "set", "mogle", word)
    name, _, value = word.partition("=")
    assert (done.code, done.out) == (2, "")
    assert f"{name} looks like a secret (" in done.err
    assert SECRETS[word] in done.err
    assert f"gitops secrets seal mogle {name.lower().replace('_', '-')} --key {name} --as-env" in done.err
    assert len(value) < 4 or value not in done.err
    assert changed(scratch) == []


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


def test_a_false_alarm_has_a_way_through(scratch: Checkout, given: Given) -> None:
    assert given("service", "set", "mogle", "API_TOKEN=public-by-design", "--public").code == 0
    assert variables(scratch, MOGLE[0])["API_TOKEN"] == "public-by-design"


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
    ("domain", "remove", "mogle", "mor.mogle.example.com"): "mogle answers for no mor.mogle.example.com; did you mean",
    ("scale", "jobs-bot", "--max", "3"): "jobs-bot/prod has no autoscaler: a bot is one pod",
    ("scale", "umbrella", "--min", "9", "--max", "3"): "umbrella/prod: --min and --max; expected 1 or more",
    ("scale", "umbrella"): "no number of pods; give --min, --max or both",
    ("scale", "umbrella", "--min", "3", "--from", "2099-01-31T09:00"): "--from, --to and --time-zone together",
    ("scale", "umbrella", "--min", "3", *DAY[:4], "--time-zone", "Asia/Soul"): "--time-zone; expected one such as",
    ("scale", "umbrella", "--end"): "umbrella has no opening day to end",
    ("unset", "oauth-watch", "SLACK_TOKEN"): "SLACK_TOKEN is read from a Secret; gitops secrets remove oauth-watch",
    ("set", "oauth-watch", "SLACK_TOKEN=x", "--public"): "SLACK_TOKEN is read from elsewhere (valueFrom)",
}


@pytest.mark.parametrize("words", REFUSALS, ids=" ".join)
def test_what_cannot_be_done_is_one_message(scratch: Checkout, given: Given, words: tuple[str, ...]) -> None:
    done = given("service", *words)
    assert (done.code, done.out) == (2, "")
    assert REFUSALS[words] in done.err
    assert done.err.count("\n") == 1
    assert changed(scratch) == []


def test_a_patch_in_braces_is_edited_in_its_own_form(scratch: Checkout, given: Given) -> None:
    file = scratch.root / "overlays/umbrella/prod/deployment.yaml"
    head = "".join(file.read_text().splitlines(keepends=True)[:5])
    before = (
        f"{head}spec: # all of it\n  template: {{spec: {{containers: [{{name: app, env: [{{name: MOGLE_URL, "
        "value: 'http://web.mogle-prod.svc.cluster.local'}]}]}} # end\n"
    )
    file.write_text(before)
    commit_all(scratch)
    done = given("service", "set", "umbrella", "A=1", "--environment", "prod")
    assert done.code == 0, done.err
    assert file.read_text() == before.replace("local'}]", 'local\'}, {name: A, value: "1"}]')
    commit_all(scratch)
    assert given("service", "unset", "umbrella", "A").code == 0
    assert file.read_text() == before


@pytest.mark.parametrize("shape", ["two objects in a file", "no list", "an inline patch"])
def test_a_hand_changed_shape_is_refused_with_file_and_line(scratch: Checkout, given: Given, shape: str) -> None:
    file = scratch.root / "overlays/umbrella/prod/deployment.yaml"
    text = file.read_text()
    if shape == "two objects in a file":
        file.write_text(f"{text}---\n{text}")
    elif shape == "no list":
        file.write_text(text[: text.index("          env:")] + "          env: {}\n")
    else:
        listing = file.with_name("kustomization.yaml")
        inline = (
            "  - target: {kind: Deployment}\n    patch: |\n      - op: add\n        path: /spec/template/spec/"
            "containers/0/env/-\n        value: {name: A, value: old}\n"
        )
        listing.write_text(listing.read_text().replace("patches:\n", f"patches:\n{inline}"))
    commit_all(scratch)
    done = given("service", "set", "umbrella", "A=1", "--environment", "prod")
    assert (done.code, done.out) == (2, ""), done.err
    assert "overlays/umbrella/prod/" in done.err
    assert done.err.count("\n") == 1
    assert changed(scratch) == []


# -- domains


def hosts(checkout: Checkout, overlay: str) -> list[str]:
    items = kustomize.build(checkout, checkout.root / overlay)
    [ingress] = [item for item in items if item["kind"] == "Ingress"]
    return [rule["host"] for rule in ingress["spec"]["rules"]]


@pytest.mark.parametrize("form", ["as made", "written out", "in braces"])
def test_a_host_comes_moves_and_goes_and_every_byte_is_back(scratch: Checkout, given: Given, form: str) -> None:
    file = scratch.root / "overlays/mogle/prod/ingress.yaml"
    if form != "as made":
        [document] = yaml.safe_load_all(file.read_text())
        document = json.loads(json.dumps(document))
        flow = form == "in braces"
        text = yaml.safe_dump(document, sort_keys=False, default_flow_style=flow, width=10_000)
        file.write_text(f"# by hand\r\n{text}".replace("\n", "\r\n").replace("\r\r", "\r"))
        commit_all(scratch)
    before = file.read_bytes()
    was = hosts(scratch, MOGLE[0])
    assert given("service", "domain", "add", "mogle", "shop.mogle.example.com").code == 0
    assert hosts(scratch, MOGLE[0]) == [*was, "shop.mogle.example.com"]
    assert "shop.staging.mogle.example.com" in hosts(scratch, MOGLE[1])
    commit_all(scratch)
    assert given("service", "domain", "move", "mogle", "shop.mogle.example.com", "desk.mogle.example.com").code == 0
    assert hosts(scratch, MOGLE[0]) == [*was, "desk.mogle.example.com"]
    commit_all(scratch)
    assert given("service", "domain", "remove", "mogle", "desk.mogle.example.com").code == 0
    assert file.read_bytes() == before


def test_the_first_host_goes_and_what_others_name_by_it_stays(scratch: Checkout, given: Given) -> None:
    was = hosts(scratch, MOGLE[0])
    done = given("service", "domain", "remove", "mogle", "mogle.example.com")
    assert done.code == 0, done.err
    assert hosts(scratch, MOGLE[0]) == was[1:]


def test_a_new_host_says_its_certificate_its_dns_and_42(given: Given) -> None:
    done = given("service", "domain", "add", "mogle", "shop.mogle.example.com", "--environment", "prod")
    assert (
        "note: shop.mogle.example.com: a certificate of seoul covers it. DNS: nothing to do, external-dns" in done.out
    )
    assert "note: 42 sends users back to addresses that it knows: add those of https://shop.mogle" in done.out


# -- scale


def bounds(checkout: Checkout, overlay: str) -> tuple[int, int]:
    items = kustomize.build(checkout, checkout.root / overlay)
    spec = next(item["spec"] for item in items if item["kind"] == "HorizontalPodAutoscaler")
    return spec["minReplicas"], spec["maxReplicas"]


def test_bounds_hold_for_good_or_for_a_day_with_an_end(scratch: Checkout, given: Given) -> None:
    assert bounds(scratch, MOGLE[0]) == (8, 12)
    refused = given("service", "scale", "mogle", "--max", "20")
    assert refused.code == 2
    assert "an opening day is there, which is above all; gitops service scale mogle --end comes first" in refused.err
    assert [row["state"] for row in json.loads(given("exceptions", "--output", "json").out)] == ["holds", "holds"]
    assert given("service", "scale", "mogle", "--end").code == 0
    commit_all(scratch)
    assert bounds(scratch, MOGLE[0]) == (3, 12)
    for words, expected in ((("--max", "20"), (3, 20)), (("--min", "5"), (5, 20)), (("--max", "21"), (5, 21))):
        assert given("service", "scale", "mogle", *words, "--environment", "prod").code == 0
        commit_all(scratch)
        assert bounds(scratch, MOGLE[0]) == expected


def test_a_day_that_is_over_is_told_by_the_exceptions(scratch: Checkout, given: Given) -> None:
    for overlay in MOGLE:
        file = scratch.root / overlay / "opening-day.yaml"
        file.write_text(file.read_text().replace("2099-", "2020-"))
    done = given("exceptions")
    assert done.code == 1
    assert done.out.count("ended") == 2


# -- the check itself


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("service", "scale", "benefit", "--max", "90"), "needs 91 pods at its largest scale and a surge; the quota"),
        (("service", "set", "mogle", "API=http://web.nowhere-prod.svc.cluster.local"), "which is no Service here"),
        (("service", "set", "mogle", "V=" + "ghp_" + "0aB1cD2e" * 5, "--public"), "looks like a secret: github-pat"),
    ],
    ids=["quota", "address", "gitleaks"],
)
def test_the_real_check_refuses_a_result_and_nothing_is_written(
    scratch: Checkout, words: tuple[str, ...], message: str
) -> None:
    done = run_here(scratch.root, words, None, {})
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("gitops: the check refuses the result, so nothing was written\n")
    assert message in done.err
    assert changed(scratch) == []


def test_what_was_wrong_before_stops_nobody(scratch: Checkout) -> None:
    file = scratch.root / "overlays/mogle/prod/kustomization.yaml"
    file.write_text(file.read_text().replace("namespace: mogle-prod", "namespace: mogle-production"))
    commit_all(scratch)
    done = run_here(scratch.root, ("service", "set", "mogle", "A=1"), None, {})
    assert done.code == 0, done.err

"""`gitops` alone and `gitops status`: whose services, what each is at, what needs whom, who could not be asked."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.status import cli
from tests.conftest import GITOPS, Ran, commit_all
from tests.fakes import server as http
from tests.fakes.github import GitHub
from tests.fakes.github_rulesets import MEMBER
from tests.live_cluster import COMMIT, REPOSITORY, kubeconfig
from tests.world import World, run_here

Ask = Callable[..., Ran]
GLANCE = cli.GLANCE
TEAMS = ".github/teams.yaml"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine answers late; how long it waits has a test of its own."""
    monkeypatch.setattr(cli, "GLANCE", 60.0)
    monkeypatch.setattr(cli, "CHECK", 60.0)


@pytest.fixture
def ask(scratch: Checkout, tmp_path: Path) -> Ask:
    """The command where nobody is signed in anywhere and git knows nobody, unless a variable says otherwise."""
    nobody = {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}
    return lambda *words, **env: run_here(scratch.root, words, None, {**nobody, **env})


def git(checkout: Checkout, *words: str) -> None:
    subprocess.run(["git", "-C", str(checkout.root), *words], check=True, capture_output=True)


def shown(done: Ran) -> list[str]:
    """The services of the first table."""
    lines = done.out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("service "))
    rows = lines[start + 1 : lines.index("", start)]
    return sorted({row.split()[0] for row in rows})


def test_alone_it_shows_every_service_where_nobody_knows_whose_they_are(ask: Ask, scratch: Checkout) -> None:
    done = ask()
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "7 services: every team's, as nobody knows yours: git config github.user LOGIN, --team or"
    )
    assert shown(done) == sorted(folder.name for folder in scratch.overlays.iterdir())
    lines = done.out.splitlines()
    unasked = lines[lines.index("not asked:") + 1 :]
    assert unasked[0] == "  GitHub: origin is no repository of GitHub"
    assert unasked[1].startswith("  what runs: no kubeconfig names a cluster")
    assert done.out.endswith("in full: gitops status; every command: gitops --help\n")


def test_help_is_still_reachable(ask: Ask, tmp_path: Path) -> None:
    done = ask("--help")
    assert "Usage: gitops" in done.out
    # Where there is no checkout there is nothing else to show.
    outside = run_here(tmp_path, [], None, {})
    assert (outside.code, outside.out.splitlines()[0]) == (0, done.out.splitlines()[0])


def test_an_unknown_verb_is_still_told(ask: Ask) -> None:
    done = ask("statsu")
    assert done.code == 2
    assert "status" in done.err


@pytest.mark.parametrize(
    ("words", "env", "setting", "how"),
    [
        pytest.param(("status", "--team", "community"), {}, {}, "--team", marks=pytest.mark.bots),
        ((), {"GITOPS_TEAM": "community"}, {}, "GITOPS_TEAM"),
        ((), {}, {"github.user": "Jinsu"}, "git's github.user or user.email"),
        ((), {}, {"user.email": "12345+jinsu@users.noreply.github.com"}, "git's github.user or user.email"),
    ],
    ids=["--team", "GITOPS_TEAM", "github.user", "user.email"],
)
def test_whose_services_are_shown(
    ask: Ask, scratch: Checkout, words: tuple[str, ...], env: dict[str, str], setting: dict[str, str], how: str
) -> None:
    text = (scratch.root / TEAMS).read_text()
    (scratch.root / TEAMS).write_text(text.replace('"@ft-platform/community"', '"@jinsu"'))
    for name, value in setting.items():
        git(scratch, "config", name, value)
    done = ask(*words, **env)
    assert done.out.splitlines()[0] == f"1 service: those of community, by {how}"
    assert shown(done) == ["mogle"]


def test_whose_they_are_by_the_last_commits(ask: Ask, scratch: Checkout) -> None:
    git(scratch, "config", "user.email", "me@example.com")
    assert "nobody knows yours" in ask().out
    (scratch.root / "overlays/umbrella/owner.yaml").open("a").write("# mine\n")
    git(scratch, "-c", "user.name=me", "commit", "--all", "--message", "Mine")
    done = ask()
    assert done.out.splitlines()[0] == "1 service: the services of your last commits"
    assert shown(done) == ["umbrella"]


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        (
            ("status", "--team", "comunity"),
            {},
            "team 'comunity': is none of .github/teams.yaml; did you mean community?",
        ),
        ((), {"GITOPS_TEAM": "comunity"}, "did you mean community?"),
        (("status", "--team", "bots", "--all"), {}, "--all and --team"),
        (("status", "--cluster", "soul"), {}, "soul"),
        (("status", "--output", "yaml"), {}, "yaml"),
    ],
    ids=str,
)
def test_bad_input_is_one_message(ask: Ask, words: tuple[str, ...], env: dict[str, str], said: str) -> None:
    done = ask(*words, **env)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_what_needs_a_person_is_found_without_asking_anybody(ask: Ask, scratch: Checkout) -> None:
    """A broken owner is everybody's, as nobody knows whose; a secret that ended is its team's."""
    (scratch.root / "overlays/benefit/owner.yaml").write_text("team: [\n")
    (scratch.root / "overlays/umbrella/prod/kustomization.yaml").write_text("[\n")
    sealed = next((scratch.root / "overlays/mogle/prod").glob("sealedsecret-*.yaml"))
    text = sealed.read_text()
    sealed.write_text(text.replace("annotations:\n", 'annotations:\n    gitops/ends: "2026-01-31T00:00:00+00:00"\n', 1))
    done = ask(GITOPS_TEAM="community")
    assert done.code == 0
    # Below it stands what the check finds in all that was changed here.
    community, _, _ = done.out.partition("\nhere: ")
    assert "overlays/benefit/owner.yaml:" in community
    assert "umbrella" not in community
    umbrella, _, _ = ask(GITOPS_TEAM="umbrella").out.partition("\nhere: ")
    assert "overlays/umbrella/prod/kustomization.yaml:" in umbrella
    assert "mogle" not in umbrella


def test_what_is_not_committed_or_pushed_is_said_and_no_lock_is_left(ask: Ask, scratch: Checkout) -> None:
    assert "here: " not in ask().out
    (scratch.root / "README.md").write_text("mine")
    told = ask().out
    assert "\nhere: 1 file is not committed; what they do: gitops preview\n" in told
    assert f"{CHECKED}0 folders checked: 0 errors, 0 warnings; with one: gitops check\n" in told
    commit_all(scratch)
    assert "\nhere: 1 commit is not in origin/main; what" in ask().out
    assert not (scratch.root / ".git/index.lock").exists()


# How the closing line of the check begins.
CHECKED = "\nthe check without an API server: "
MISSING = "overlays/mogle/prod/kustomization.yaml"


def break_mogle(checkout: Checkout) -> None:
    """Its kustomization names a file that is not there."""
    file = checkout.root / MISSING
    file.write_text(file.read_text().replace("resources:\n", "resources:\n  - missing.yaml\n", 1))


def test_what_the_check_finds_in_ones_change_is_shown_alone_too(ask: Ask, scratch: Checkout) -> None:
    break_mogle(scratch)
    done = ask(GITOPS_TEAM="umbrella")
    assert done.code == 0
    _, _, told = done.out.partition(f"{CHECKED}1 folder checked: 1 error, 0 warnings; ")
    assert re.match(rf"with one: gitops check\n  {MISSING}:\d+: render: .*missing\.yaml", told)


def test_a_check_that_takes_too_long_is_ended_and_said(
    ask: Ask, scratch: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_mogle(scratch)
    monkeypatch.setattr(cli, "CHECK", 0.05)
    told = ask(GITOPS_TEAM="umbrella").out
    assert "\nhere: 1 file is not committed; what they do: gitops preview, gitops check\n" in told
    assert "the check: takes longer than a second" in told


@pytest.fixture
def platform() -> Iterator[http.Server]:
    """A cluster of ours, as far as an overview asks it: no node, and two Applications."""

    def serve(request: BaseHTTPRequestHandler) -> None:
        items = []
        if request.path.startswith("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"):
            items = [_application("mogle-prod", "Healthy"), _application("mogle-staging", "Degraded")]
        http.answer(request, 200, json.dumps({"items": items}).encode())

    server = http.Server(serve)
    yield server
    server.close()


def _application(name: str, health: str) -> dict[str, object]:
    spec = {"project": "services", "source": {"repoURL": REPOSITORY}, "destination": {"namespace": name}}
    status = {"sync": {"status": "Synced", "revision": COMMIT}, "health": {"status": health}}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


def test_what_runs_is_the_clusters_word(ask: Ask, platform: http.Server, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", platform.url)
    done = ask(GITOPS_TEAM="community", KUBECONFIG=str(file))
    assert "\nwhat runs: context 'work'\n" in done.out
    rows = [line.split() for line in done.out.splitlines() if line.startswith("mogle ")]
    assert [row[3:5] for row in rows] == [["Synced,", "Healthy"], ["Synced,", "Degraded"]]
    assert "\nneeds a person:\n  mogle/staging: Synced, Degraded\n" in done.out


@pytest.mark.bots
def test_in_full_what_is_not_well_is_exit_code_1(ask: Ask, platform: http.Server, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", platform.url)
    full = ask("status", "--team", "community", "--output", "json", KUBECONFIG=str(file))
    assert full.code == 1
    assert "mogle/staging: Synced, Degraded" in full.err
    told = json.loads(full.out)
    assert [own["good"] for own in told["environments"]] == [True, False]
    assert told["services"] == ["mogle"]


@pytest.fixture
def signed_in(github: GitHub, tmp_path: Path) -> World:
    """A clone of GitHub's main, whose user is a student."""
    github.tokens = dict.fromkeys(github.tokens, MEMBER)
    return World(github, tmp_path / "checkout")


def propose(world: World, branch: str, path: str, title: str) -> None:
    github = world.github
    github.commit(branch, {path: world.file(path) + b"# new\n"}, title, parent=github.head("main"))
    github._open({"head": branch, "base": "main", "title": title})


@pytest.mark.bots
def test_what_is_open_and_what_argo_cd_said_is_githubs_word(signed_in: World, tmp_path: Path) -> None:
    world, github = signed_in, signed_in.github
    propose(world, "oauth/mogle/prod", "overlays/mogle/prod/oauth-42.yaml", "Rotate mogle")
    propose(world, "student/fix", "overlays/umbrella/prod/kustomization.yaml", "Fix umbrella")
    propose(world, "student/docs", "README.md", "Docs")
    github.pulls[2].user = github.pulls[1].user = "somebody"
    github.pulls[3].user = MEMBER.login
    head = github.head("main") or ""
    github.deployments.says("mogle-prod", "success", head)
    github.deployments.says("mogle-staging", "failure", head)
    github.deployments.says("umbrella-prod", "success", head, actor=MEMBER)
    home = {"HOME": str(tmp_path), "GITOPS_TEAM": "community"}
    done = world.run(**home)
    assert done.code == 0, done.err
    assert "\nwhat runs: Argo CD, as it told GitHub\n" in done.out
    rows = [line.split() for line in done.out.splitlines() if line.startswith("mogle ")]
    assert rows[0][3:] == ["Healthy", "#1", "waits", "for", "a", "review", "#1"]
    assert rows[1][3] == "Degraded"
    assert "  #1 Rotate mogle: waits for a review   https://github.com/platform/gitops/pull/1\n" in done.out
    assert "  #3 Docs: waits for a review" in done.out, "one's own, whatever it changes"
    assert "Fix umbrella" not in done.out
    umbrella = world.run(**{**home, "GITOPS_TEAM": "umbrella"})
    assert "#2 Fix umbrella" in umbrella.out
    assert " Healthy" not in umbrella.out, "another than Argo CD's App said it"


@pytest.mark.bots
@pytest.mark.parametrize("members", [None, [], ["ft-platform/community", "ft-platform/others"]], ids=str)
def test_whose_they_are_by_the_teams_on_github(signed_in: World, tmp_path: Path, members: list[str] | None) -> None:
    signed_in.github.members = members
    nobody = {"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)}
    first = signed_in.run(**nobody).out.splitlines()[0]
    assert first.startswith("1 service: those of community, by GitHub" if members else "7 services: every team's")


@pytest.fixture
def mute() -> Iterator[http.Server]:
    """What takes a request and never answers."""
    over = threading.Event()

    def wait(request: BaseHTTPRequestHandler) -> None:
        over.wait(60)

    server = http.Server(wait)
    yield server
    over.set()
    server.close()


def alone(checkout: Checkout, **env: str) -> tuple[str, float, float]:
    """What `gitops` printed as a process of its own, the seconds that it took, and those of a processor."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [GITOPS], cwd=checkout.root, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return done.stdout, time.monotonic() - began, used


def test_it_takes_a_second_whoever_does_not_answer(scratch: Checkout, tmp_path: Path, mute: http.Server) -> None:
    """Seconds of a processor, as this machine may be busy. Who is mute is waited for no longer than GLANCE."""
    with Repo(scratch.root) as repo:
        repo.remotes.origin.set_url("git@github.com:ft-platform/gitops.git")
    silent = {"GITHUB_TOKEN": "ghp-none", "GITHUB_API_URL": mute.url, "GITHUB_REPOSITORY": "ft-platform/gitops"}
    silent |= {"KUBECONFIG": str(kubeconfig(tmp_path / "config", mute.url)), "HOME": str(tmp_path)}
    text, _, _ = alone(scratch, **silent)
    assert re.search(r"GitHub: no answer within [\d.]+ s", text)
    assert "what runs: " in text
    assert GLANCE <= 0.6, "an interpreter and the files have the rest of the second"
    used = min(alone(scratch, HOME=str(tmp_path))[2] for _ in range(3))
    print(f"gitops: processor={used:.2f} s")
    assert used < 1.5


@pytest.mark.bots
def test_in_full_every_part_is_told_or_named_as_not_asked(ask: Ask) -> None:
    done = ask("status", "--team", "community", "--output", "json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert {"images", "rotations", "findings", "pull_requests", "environments", "unasked"} <= told.keys()
    assert [own["state"] for own in told["rotations"]] != []
    assert len(shown(ask("status", "--all"))) == 7
    text = ask("status", "--team", "community").out
    assert "42's secret of" not in text, "a table of which nothing is known"
    unasked = text[text.index("\nnot asked:\n") :].splitlines()[2:]
    assert [line for line in unasked if line.startswith("  images: ")] != []
    assert unasked[-1] == "  42's secrets: 42 was not asked"


@pytest.mark.bots
def test_in_full_what_the_check_finds_in_ones_change_is_there(ask: Ask, scratch: Checkout) -> None:
    break_mogle(scratch)
    done = ask("status", "--team", "community")
    assert done.code == 1
    assert f"{MISSING}:" in done.err
    assert "missing.yaml" in done.err
    assert f"{CHECKED}1 folder checked: 1 error, 0 warnings; with one: gitops check" in done.out
    told = json.loads(ask("status", "--team", "community", "--output", "json").out)
    assert [fault["path"] for fault in told["check"]["findings"]] == [MISSING]
    assert told["check"]["sentence"].startswith("1 folder checked: 1 error")

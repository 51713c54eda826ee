"""Secrets wired and taken away, the end of a service, what is no verb, and the examples of the help."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.ground.groups import Command
from gitops.images import cli_here
from gitops.secrets import cli_wire
from gitops.service import cli_edit, cli_end
from tests.conftest import GITOPS, commit_all
from tests.fakes.aws import ecr_server
from tests.service_world import AUTHOR, MOGLE, VALUE, Given, app, changed
from tests.world import run_here

# -- secrets


def test_a_secret_is_sealed_and_read_as_a_variable_and_as_a_file_and_goes_again(here: Checkout, given: Given) -> None:
    start = subprocess.check_output(["git", "rev-parse", "HEAD:overlays"], cwd=here.root)
    sealing = ("secrets", "seal", "mogle", "api", "--key", "API_TOKEN", "--as-env")
    done = given(*sealing)
    assert done.code == 0, done.err
    assert VALUE not in done.out + done.err
    for overlay in MOGLE:
        [entry] = [entry for entry in app(here, overlay)["env"] if entry["name"] == "API_TOKEN"]
        assert entry["valueFrom"] == {"secretKeyRef": {"name": "api", "key": "API_TOKEN"}}
    commit_all(here)
    done = given("secrets", "seal", "mogle", "api", "--key", "key", "--as-file", "/run/secrets/api/key")
    assert done.code == 0, done.err
    mounts = app(here, MOGLE[0])["volumeMounts"]
    assert {"name": "api", "mountPath": "/run/secrets/api", "readOnly": True} in mounts
    commit_all(here)
    assert given("secrets", "remove", "mogle", "api", "--key", "key").code == 0
    assert "api" not in {mount["name"] for mount in app(here, MOGLE[0])["volumeMounts"]}
    commit_all(here)
    assert given("secrets", "remove", "mogle", "api").code == 0
    commit_all(here)
    assert subprocess.check_output(["git", "rev-parse", "HEAD:overlays"], cwd=here.root) == start


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("seal", "mogle", "api", "--key", "A", "--as-file", "/etc/a"), "--as-file; expected a file in a folder that"),
        (("seal", "mogle", "api", "--key", "A", "--as-file", "run/a/b"), "--as-file; expected a file in a folder that"),
        (("seal", "mogle", "api", "--key", "A", "--key", "B", "--as-file", "/run/a/b"), "--as-file is one file"),
        (
            ("seal", "mogle", "api", "--key", "GREETING", "--as-env"),
            "GREETING is set there already; gitops service un",
        ),
        (("seal", "mogle", "api", "--key", "PORT", "--as-env"), "PORT is set there already; give the key another name"),
        (("remove", "mogle", "mial"), "no Secret mial; did you mean mail?"),
        (("remove", "mogle", "mail", "--key", "tokn"), "mail has no key 'tokn'; did you mean token?"),
        (("remove", "mogle", "mogle-oauth-42-g1"), "is a generation of 42's secret, which the bot takes away"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_secret_that_cannot_be_wired_is_one_message(
    here: Checkout, given: Given, words: tuple[str, ...], message: str
) -> None:
    done = given("secrets", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert changed(here) == []


# -- the end


def test_the_end_of_a_service_is_one_pull_request_and_its_follow_up(here: Checkout) -> None:
    done = run_here(here.root, ("service", "remove", "umbrella"), None, {})
    assert done.code == 0, done.err
    assert not (here.overlays / "umbrella").exists()
    assert "umbrella" not in here.codeowners_file.read_text()
    assert "kubectl delete namespace umbrella-prod umbrella-staging" in done.out
    assert "Argo CD deploys" not in done.out
    names = [path for path in changed(here) if path.startswith("policies/exceptions/removed-folder.umbrella-")]
    assert len(names) == 2
    commit_all(here)
    early = run_here(here.root, ("service", "remove", "umbrella", "--finish"), None, {})
    assert (early.code, early.out) == (2, "")
    assert "overlays/umbrella/prod: is still on main; once its removal is merged and its namespaces are" in early.err
    assert changed(here) == []
    merged(here)
    finished = run_here(here.root, ("service", "remove", "umbrella", "--finish"), None, {})
    assert finished.code == 0, finished.err
    assert changed(here) == names


def test_a_reason_that_is_none_is_said_once(here: Checkout) -> None:
    done = run_here(here.root, ["service", "remove", "mogle", "--reason", "x y"], None, {})
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "gitops: --reason; expected at least 10 characters, as it stands in the exception, found 'x y'\n"
    )
    assert changed(here) == []


def merged(checkout: Checkout) -> None:
    """Have what is checked out be main at the origin, as this clone knows it after a fetch."""
    subprocess.run(["git", "update-ref", "refs/remotes/origin/main", "HEAD"], cwd=checkout.root, check=True)


@pytest.mark.parametrize(
    "words", [("remove", "umbrella"), ("rename", "umbrella", "parasol"), ("copy", "umbrella", "p")]
)
def test_a_service_of_no_team_is_given_to_one_first(here: Checkout, given: Given, words: tuple[str, ...]) -> None:
    file = here.overlays / "umbrella/owner.yaml"
    file.write_text(file.read_text().replace("team: umbrella", "team: nobody"))
    commit_all(here)
    done = given("service", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "gitops: overlays/umbrella/owner.yaml: nobody is no team; "
        "gitops service handover umbrella --to TEAM comes first\n"
    )
    assert changed(here) == []
    assert given("service", "handover", "umbrella", "--to", "benefit").code == 0


def test_a_service_that_others_call_is_not_ended(here: Checkout) -> None:
    done = run_here(here.root, ("service", "remove", "mogle"), None, {})
    assert (done.code, done.out) == (1, "")
    assert "overlays/jobs-bot/prod/deployment.yaml:" in done.err
    assert "calls web.mogle-prod, which is no Service here" in done.err
    assert "of a service that ends take the address out first: gitops service unset" in done.err
    assert changed(here) == []


def test_one_environment_ends_alone_unless_another_takes_its_images(here: Checkout, given: Given) -> None:
    staging = given("service", "remove", "umbrella", "--environment", "staging")
    assert (staging.code, staging.out) == (2, "")
    assert "overlays/umbrella/images.yaml:9: prod takes what staging ran; say first where prod gets" in staging.err
    assert given("service", "remove", "umbrella", "--environment", "prod").code == 0
    assert set(yaml.safe_load((here.overlays / "umbrella/images.yaml").read_text())) == {"staging"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rename", "umbrella", "parasol"), "gitops service new parasol --image 111122223333.dkr.ecr."),
        (
            ("copy", "jobs-bot", "news-bot"),
            "--owner bots --shape bot --component arm64 --component internal-client\n    git add .github/CODEOWNERS",
        ),
        (("copy", "umbrella", "parasol"), " --domain parasol.example.com\n"),
        (
            ("copy", "umbrella", "parasol"),
            "# by hand, in overlays/parasol, what is its own: base/components/oauth-42 (docs/runbooks/secrets.md)\n",
        ),
        (("copy", "benefit", "gain"), " --domain gain.benefit.example.org\n"),
        (("copy", "oauth-watch", "watch"), "oauth-watch is a CronJob, which no verb begins; write overlays/watch by"),
        (("copy", "umbrella", "mogle"), "service name 'mogle': exists already"),
        (("rename", "umbrella", "para sol"), "service name 'para sol': not a DNS label"),
        (("add-environment", "umbrella", "canary"), "docs/runbooks/services.md has the steps"),
        (("add-environment", "umbrella", "test"), "environment 'test': does not exist; expected one of staging"),
        (("remove", "parasol", "--finish"), "no removal of parasol is to be finished"),
        (("rename", "umbrela", "parasol"), "service 'umbrela': does not exist; did you mean umbrella?"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_is_no_verb_says_why_and_what_to_type(
    here: Checkout, given: Given, words: tuple[str, ...], message: str
) -> None:
    done = given("service", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert changed(here) == []


@pytest.mark.parametrize("words", [("rename", "umbrella", "parasol"), ("copy", "umbrella", "parasol")])
def test_what_is_no_verb_leaves_a_dirty_tree_as_it_is(here: Checkout, given: Given, words: tuple[str, ...]) -> None:
    (here.root / "README.md").write_text("mine")
    done = given("service", *words)
    assert (done.code, done.out) == (2, "")
    assert "the working copy has 1 uncommitted change (first: README.md); commit or stash" in done.err
    assert done.err.count("\n") == 1
    added = given("service", "add-environment", "umbrella", "canary")
    assert (added.code, "docs/runbooks/services.md has the steps" in added.err) == (2, True)
    assert changed(here) == ["README.md"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("rename", "umbrella", "parasol"), marks=pytest.mark.matrix),
        # Others call it, staging has hosts of its own, and a secret is read as a file.
        pytest.param(("rename", "mogle", "lounge"), marks=pytest.mark.bots),
        pytest.param(("rename", "benefit", "gain"), marks=pytest.mark.matrix),
        pytest.param(("copy", "mogle", "lounge"), marks=pytest.mark.matrix),
        ("copy", "jobs-bot", "news-bot"),
    ],
    ids=lambda value: " ".join(value[:2]),
)
def test_what_is_typed_in_place_of_a_verb_is_typed_as_it_stands(
    here: Checkout, given: Given, words: tuple[str, ...], tmp_path: Path
) -> None:
    if "mogle" in words:
        for more in (("secrets", "seal", "mogle", "key", "--key", "k", "--as-file", "/run/key/k"), SCALED):
            assert given(*more).code == 0
            commit_all(here)
    origin = tmp_path / "origin"
    subprocess.run(["git", "clone", "--quiet", "--bare", here.root, origin], check=True)
    subprocess.run(["git", "remote", "set-url", "origin", origin], cwd=here.root, check=True)
    subprocess.run(["git", "fetch", "--quiet"], cwd=here.root, check=True)
    done = run_here(here.root, ("service", *words), None, {})
    said, *lines = [line for line in done.err.splitlines() if "rendered and checked: " not in line]
    assert (done.code, said.rpartition("; ")[2]) in [(2, line) for line in IN_PLACE]
    env = {**AUTHOR, "PATH": f"{GITOPS.parent}:{AUTHOR['PATH']}"}
    for line in [*lines, "gitops check --offline"]:
        typed = subprocess.run(
            ["bash", "-ec", line], cwd=here.root, input=VALUE, capture_output=True, text=True, env=env, timeout=120
        )
        assert typed.returncode == 0, (line, typed.stdout, typed.stderr)
    assert changed(here) == []
    with Repo(origin) as repo:
        [branch] = [head.name for head in repo.heads if head.name != "main"]
        assert len(list(repo.iter_commits(f"main..{branch}"))) == str(lines).count("git commit")
    if "mogle" in words:
        old, new = (reads(here, f"overlays/{name}/prod") for name in (words[1], words[2]))
        assert new == old - {"OAUTH_42_CLIENT_ID", "OAUTH_42_CLIENT_SECRET"}


SCALED = ("service", "scale", "mogle", "--min", "4", "--max", "20")


def reads(checkout: Checkout, overlay: str) -> set[str]:
    """The variables and the mounts of a program, by their names; of what is committed at main where it is gone."""
    if not (checkout.root / overlay).is_dir():
        subprocess.run(["git", "checkout", "--quiet", "main", "--", overlay], cwd=checkout.root, check=True)
    program = app(checkout, overlay)
    paths = {mount["mountPath"] for mount in program["volumeMounts"]}
    return {entry["name"] for entry in program["env"]} | paths


IN_PLACE = (
    "end it and begin it anew, in one pull request:",
    "make a new one of the same image, in one pull request:",
)


# -- the help

COMMANDS = (*cli_edit.COMMANDS, *cli_end.COMMANDS, *cli_here.COMMANDS, cli_wire.seal, cli_wire.remove)


def commands(verbs: tuple[click.Command, ...]) -> list[click.Command]:
    """Each command, those of groups among them."""
    known: list[click.Command] = []
    for verb in verbs:
        known += commands(tuple(verb.commands.values())) if isinstance(verb, click.Group) else [verb]
    return known


@pytest.mark.parametrize("command", commands(COMMANDS), ids=lambda command: command.callback.__name__)
def test_the_example_of_a_help_works(
    here: Checkout, given: Given, command: click.Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(command, Command)
    text, [example] = command.help or "", command.examples
    words = shlex.split(example.rpartition("| ")[2])
    assert words[0] == "gitops"
    if "rollback" in words:
        assert given("images", "set", "mogle", f"2.15.0@sha256:{'9' * 64}").code == 0
        commit_all(here)
        with Repo(here.root) as repo:
            repo.delete_remote(repo.remotes.origin)
        done = given(*words[1:], "--local")
    else:
        with ecr_server(monkeypatch) as ecr:
            ecr.push("mogle", "2.15.0")
            done = given(*words[1:])
    refused = "Exit code 2:" in text
    assert done.code == (2 if refused else 0), done.err
    assert bool(changed(here)) != (refused or "rollback" in words)

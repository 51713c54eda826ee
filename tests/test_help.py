"""The command line's own words: whole sentences, at once, and no name that is silently nobody's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from gitops.cli import cli
from gitops.ground.checkout import Checkout
from gitops.ground.groups import Group, first_sentence
from gitops.ground.suggest import did_you_mean
from gitops.lab.layout import Lab
from tests.conftest import GITOPS, gitops
from tests.frozen import ROOT, platform
from tests.world import run_here

# What takes a tenth of a second and more to import.
HEAVY = (
    "boto3",
    "botocore",
    "kubernetes",
    "github",
    "git",
    "yaml",
    "requests",
    "cryptography",
    "moto",
    "pydantic",
    "rich",
)


@pytest.fixture
def shared() -> Checkout:
    """The frozen platform, to be read alone."""
    return platform()


def groups() -> list[tuple[str, Group]]:
    """Every group of the command line, with the words that lead to it."""
    context = click.Context(cli)
    verbs = [(name, cli.get_command(context, name)) for name in cli.list_commands(context)]
    return [("", cli), *((name, verb) for name, verb in verbs if isinstance(verb, Group))]


@pytest.mark.parametrize(("name", "group"), groups(), ids=[name or "gitops" for name, _ in groups()])
def test_help_says_the_whole_first_sentence_of_every_command(name: str, group: Group) -> None:
    text = CliRunner().invoke(group, ["--help"], terminal_width=80).output
    words = " ".join(text.split())
    context = click.Context(group)
    for command in group.list_commands(context):
        verb = group.get_command(context, command)
        assert verb is not None
        assert f"{command} {first_sentence(verb.help or '')}" in words
    assert "..." not in words.replace("[ARGS]...", "").replace("[SERVICES]...", "")
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("verb", ["", *cli.verbs])
def test_help_loads_nothing_that_is_slow(verb: str) -> None:
    code = f"import sys, gitops.cli as c\ntry: c.main()\nfinally: print([m for m in {HEAVY} if m in sys.modules])"
    words = ["gitops", *([verb] if verb else []), "--help"]
    argv = [sys.executable, "-c", f"import sys; sys.argv = {words}\n{code}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=GITOPS.parent)
    assert "Usage: gitops" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["tools", "kustomise"], "kustomise"),
        (["tools", "--prune", "kustomize"], "--prune"),
        (["lb", "show", "--cluster", "soul"], "soul"),
        (["lb", "route", "--cluster", "../overlays", "mogle.example.com"], "../overlays"),
        # Before a value is asked for, or a server.
        (["secrets", "seal", "mogle", "mail", "--key", "token", "--cluster", "soul"], "soul"),
        (["secrets", "reseal", "--cluster", "soul"], "soul"),
        (["secrets", "recover", "--backup", "/dev/null", "--cluster", ""], "cluster ''"),
        (["oauth", "rotate", "--cluster", "soul"], "soul"),
        (["oauth", "provide", "mogle", "--cluster", "soul"], "soul"),
        (["oauth", "provide", "mogle", "--environment", "production"], "production"),
        (["secrets", "seal", "mogle", "mail", "--key", "token", "--environment", "production"], "production"),
        (["images", "bump", "--dry-run", "mogel"], "mogel"),
        (["oauth", "status", "mogel"], "mogel"),
        (["service", "handover", "mogel", "--to", "benefit"], "mogel"),
        (["service", "handover", "mogle", "--to", "benefits"], "benefits"),
        (["lab", "down", "--name", "nolab"], "nolab"),
        (["lab", "reset", "--name", "nolab"], "nolab"),
        (["lab", "status", "--name", "nolab"], "nolab"),
        (["lab", "logs", "--name", "nolab"], "nolab"),
        (["lab", "push", "--name", "nolab"], "nolab"),
        (["check", "--lab", "no lab"], "no lab"),
        (["check", "--lab", ""], "''"),
        (["check", "--base", ""], "--base"),
        (["preview", "--head", ""], "--head"),
        # A variable of a script that was not set: not everywhere, and not as if it were not there.
        (["secrets", "seal", "mogle", "api", "--key", "token", "--environment", ""], "--environment"),
        (["secrets", "seal", "mogle", "api", "--key", "token", "--as-file", ""], "--as-file"),
        (["service", "scale", "mogle", "--min", "2", "--from", ""], "--from"),
        (["service", "new", "lunch", "--image", "x", "--domain", ""], "--domain"),
        (["status", "--team", ""], "--team"),
        (["images", "hold", "mogle", "--reason", "", "--for", "3d"], "--reason"),
        (["images", "rollback", "mogle", "--local", "--reason", " ", "--for", "3d"], "--reason"),
        (["chek"], "chek"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_unknown_name_is_refused(words: list[str], name: str, scratch: Checkout) -> None:
    done = gitops(scratch, *words, GITHUB_REPOSITORY="platform/gitops")
    assert done.code == 2, (done.out, done.err)
    assert name in done.err


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["servise", "list"], "Did you mean 'service'?"),
        (["images", "rolback", "mogle"], "Did you mean 'rollback'?"),
        (["service", "domain", "ad", "mogle", "x.example.com"], "Did you mean 'add'?"),
        (["check", "--ofline"], "Did you mean '--offline'?"),
        (["service", "set", "mogle", "A=1", "--enviroment", "prod"], "Did you mean '--environment'?"),
        (["lab", "logs", "argocd-srver"], "part 'argocd-srver': does not exist; did you mean argocd-server?"),
        (["tools", "kustomise"], "tool 'kustomise': does not exist; did you mean kustomize?"),
        (["lab", "logs", "ETCD"], "part 'ETCD': does not exist; did you mean etcd?"),
        (["secrets", "status", "mogel"], "service 'mogel': does not exist; did you mean mogle?"),
        (["images", "adopt", "benfit"], "service 'benfit': does not exist; did you mean benefit?"),
        (["service", "set", "mogle", "A=1", "--environment", "stagin"], "did you mean staging?"),
        (["lb", "show", "--cluster", "seol"], "cluster 'seol': does not exist; did you mean seoul?"),
        (
            ["service", "handover", "mogle", "--to", "benefits"],
            "team 'benefits': does not exist; did you mean be",
        ),
        (["secrets", "leaked", "mogle", "mogle-oauth-42"], "did you mean mogle-oauth-42-g1?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_of_a_mistyped_name_the_nearest_is_said(words: list[str], nearest: str, shared: Checkout) -> None:
    done = run_here(shared.root, words, None, {})
    assert (done.code, done.out) == (2, "")
    assert nearest in done.err


def test_of_a_mistyped_lab_the_nearest_is_said(scratch: Checkout) -> None:
    Lab(scratch, "mine").create(0)
    for verb in ("status", "logs", "push"):
        done = run_here(scratch.root, ["lab", verb, "--name", "mien"], None, {})
        assert (done.code, done.out) == (2, "")
        assert done.err == "gitops: lab 'mien': never started; did you mean mine?; run: gitops lab up --name mien\n"


def test_of_many_names_some_are_listed() -> None:
    assert did_you_mean("x", [f"service-{number}" for number in range(30)]).endswith(", and 18 more")
    assert did_you_mean("x", []) == "there is none"


def test_the_version_is_said(shared: Checkout) -> None:
    done = gitops(shared, "--version")
    assert (done.code, done.out) == (0, f"gitops {version('gitops')}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["lab", "up", "--nodes", "0"],
        ["lab", "up", "--nodes", "-1"],
        ["lab", "up", "--nodes", "9" * 9],
        ["lab", "up", "--api-port", "80"],
        ["lab", "logs", "--lines", "0"],
        ["secrets", "verify", "--controller", ""],
        ["secrets", "reseal", "--controller", "127.0.0.1:8080"],
        ["images", "rollback", "mogle", "--reason", "x", "--for", "99999999999999d"],
        ["images", "rollback", "mogle", "--reason", "x", "--for", "100000d"],
        ["check", "--offline", "--lab", "default"],
    ],
    ids=" ".join,
)
def test_a_bad_value_is_refused_before_anything_is_done(words: list[str], scratch: Checkout) -> None:
    done = gitops(scratch, *words, GITHUB_REPOSITORY="platform/gitops")
    assert (done.code, done.out) == (2, "")
    assert not scratch.labs.exists()


def shown() -> list[str]:
    """Every command of ours that the documentation shows, in a block or in a sentence."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github/workflows").glob("*.yaml")]
    text = "\n".join(file.read_text() for file in sorted(files))
    # What a command showed names others in sentences.
    text = re.sub(r"^```text\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    commands = re.findall(r"(?:^|`|\| |bin/)gitops ([a-z][^`\n|]*)", text, re.MULTILINE)
    return sorted({command.strip() for command in commands})


def unknown(command: str) -> list[str]:
    """What of a command there is not: a verb, or an option."""
    verb: click.Command | None = cli
    context = click.Context(cli)
    words = shlex.split(command)
    while isinstance(verb, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        verb = verb.get_command(context, name)
        if verb is None:
            return [name]
    options = set().union(*(parameter.opts for parameter in verb.params)) if verb else set()
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]


@pytest.mark.docs
def test_every_command_that_is_shown_is_there() -> None:
    """Those of blocks of shell are run, too: tests/lab/test_docs.py."""
    commands = shown()
    assert "github verify" in commands
    assert {command: missing for command in commands if (missing := unknown(command))} == {}


@pytest.mark.parametrize(("command", "missing"), [("githup verify", ["githup"]), ("check --al", ["--al"])])
def test_a_command_that_is_not_there_is_noticed(command: str, missing: list[str]) -> None:
    assert unknown(command) == missing

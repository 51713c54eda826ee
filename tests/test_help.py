"""The command line's own words: whole sentences, at once, and no name that is silently nobody's."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from gitops.cli import cli
from gitops.ground.checkout import Checkout
from gitops.ground.groups import Group, first_sentence
from tests.conftest import GITOPS, gitops

# What takes a tenth of a second and more to import.
HEAVY = ("boto3", "botocore", "kubernetes", "github", "git", "yaml", "requests", "cryptography", "moto")


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
        (["lb", "show", "--cluster", "soul"], "soul"),
        (["images", "bump", "--dry-run", "mogel"], "mogel"),
        (["oauth", "status", "mogel"], "mogel"),
        (["service", "handover", "mogel", "--to", "benefit"], "mogel"),
        (["service", "handover", "mogle", "--to", "benefits"], "benefits"),
        (["lab", "down", "--name", "nolab"], "nolab"),
        (["chek"], "chek"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_unknown_name_is_refused(words: list[str], name: str, scratch: Checkout) -> None:
    done = gitops(scratch, *words, GITHUB_REPOSITORY="platform/gitops")
    assert done.code == 2, (done.out, done.err)
    assert name in done.err

"""docs/runbooks/loss.md: each command of ours is one, with options that it has, and each drill that it names is there.

What the commands do is drilled in tests/lab/test_loss.py and tests/test_key_backup.py.
"""

from __future__ import annotations

import re
import shlex

import click
import pytest

from gitops import cli
from tests.frozen import ROOT
from tests.lab import test_loss

pytestmark = pytest.mark.docs

TEXT = (ROOT / "docs/runbooks/loss.md").read_text()
FENCED = "".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)).splitlines()
COMMANDS = [*FENCED, *re.findall(r"`(gitops [^`]+)`", TEXT)]


def parsed(words: list[str]) -> str:
    """The name of the command that the words give, each option and argument of it known."""
    command: click.Command = cli.cli
    context = click.Context(command, info_name="gitops")
    while isinstance(command, click.Group):
        step = command.get_command(context, words[0])
        assert step is not None, words
        command, words = step, words[1:]
    parser = command.make_parser(context)
    values, rest, _ = parser.parse_args(list(words))
    needed = [param for param in command.params if param.required]
    assert rest == []
    missing = (None, getattr(click.core, "UNSET", None))
    assert not [param.name for param in needed if values.get(str(param.name)) in missing]
    return str(command.name)


def test_each_command_of_ours_is_one() -> None:
    ours = [
        shlex.split(line.replace("<name>", "busan").partition(" > ")[0])[1:]
        for line in COMMANDS
        if line.startswith("gitops ")
    ]
    assert {parsed(words) for words in ours} == {
        "adopt",
        "backups",
        "check",
        "kubeconfig",
        "pin",
        "restore",
        "status",
        "up",
        "verify",
    }


def test_a_command_that_is_none_is_noticed() -> None:
    for words in (["secrets", "restor"], ["secrets", "restore"], ["secrets", "restore", "--kubconfig", "x"]):
        with pytest.raises((AssertionError, click.UsageError)):
            parsed(words)


def test_each_time_that_is_measured_is_held_by_the_test_that_is_named() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and "measured" in line]
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", "\n".join(rows)))
    assert files
    assert all((ROOT / file).exists() for file in files)
    [keys] = [row for row in rows if "sealing keys" in row]
    assert f"| {test_loss.SECONDS} s |" in keys


def test_everything_else_says_that_it_is_estimated() -> None:
    rows = [line.split("|") for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| lost")]
    assert len(rows) == 5
    assert all("measured" in row[-2] or "estimated" in row[-2] for row in rows)

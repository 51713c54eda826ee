"""The example of every help is typed as it stands: it does what it says, or says whom it could not ask."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from gitops.cli import cli
from gitops.ground.checkout import Checkout
from gitops.ground.groups import Command, Group
from tests.frozen import ROOT, clone
from tests.test_service_ends import COMMANDS, commands
from tests.world import run_here

# Whom an example asks that is not there in this test, and what it says then.
NO_AWS = r"AWS: no (credentials|region)|has no bucket of backups|a range of documentation"
NO_GITHUB = r"not set: (GITHUB_REPOSITORY|BOT_APP_ID)|origin is no repository of GitHub|another image never ran here"
NO_CONTROLLER = "the sealed-secrets controller at .* cannot be reached"
NO_CLUSTER = "no kubeconfig names a cluster"
# Where podman or docker is, the image of the example is nowhere.
NO_IMAGE = "neither podman nor docker is here|does not answer|cannot be brought"
NO_LAB = "lab 'default': (never started|does not exist)"
OUTSIDE = {
    "cluster down": "another name was given",
    "cluster": NO_AWS, "data": NO_AWS, "secrets backups": NO_AWS, "secrets renew": NO_AWS, "secrets restore": NO_AWS,
    "images status": NO_AWS, "images bump": NO_AWS, "images set": NO_AWS, "images": NO_AWS,
    "github": f"{NO_GITHUB}|not set: SLACK_TOKEN",
    "images freeze": NO_GITHUB, "images hold": NO_GITHUB, "images unhold": NO_GITHUB, "images undecline": NO_GITHUB,
    "images promote": NO_GITHUB, "images rollback": NO_GITHUB,
    "secrets pin": NO_CONTROLLER, "secrets reseal": NO_CONTROLLER, "secrets verify": NO_CONTROLLER,
    "secrets recover": "keys.pem: ", "secrets remove": "no Secret mail; there are: ",
    "lab": NO_LAB,
    "oauth deliver": "not set: SLACK_TOKEN", "oauth rotate": "not set: INTRA42_LOGIN",
    "oauth layout": "not set: INTRA42_LOGIN", "oauth provide": "not a secret of 42", "oauth doctor": "controller",
    "preview comment": "GITHUB_EVENT_PATH",
    "service new": "ghcr.io cannot be reached", "service rename": "keeps its name", "service copy": "is not copied",
    "service add-environment": "is made by hand",
    "service status": NO_CLUSTER, "service events": NO_CLUSTER, "service logs": NO_CLUSTER, "service try": NO_IMAGE,
}  # fmt: skip
HERE = {"cluster cost", "images adopt"}
# These begin a lab: tests/lab types them, by the documents that show them.
LABS = {"lab", "lab up", "lab demo"}
# In a test of their own, with what they edit (tests/test_service_ends.py).
EDITS = {id(command) for command in commands(COMMANDS)}


def walk(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that lead to it."""
    yield name, command
    context = click.Context(command)
    for own in command.list_commands(context) if isinstance(command, click.Group) else ():
        below = command.get_command(context, own)  # type: ignore[attr-defined]
        assert below is not None
        yield from walk(below, f"{name} {own}".strip())


EVERY = dict(walk(cli))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return clone(tmp_path_factory.mktemp("examples") / "clone")


def nearest(name: str) -> str | None:
    """What is said where an example cannot be answered here; None where it can."""
    if name in HERE:
        return None
    return OUTSIDE.get(name) or OUTSIDE.get(name.partition(" ")[0])


@pytest.mark.parametrize("name", EVERY, ids=lambda name: name or "gitops")
def test_every_help_has_an_example_that_fits_and_is_of_this_command(name: str) -> None:
    command = EVERY[name]
    assert isinstance(command, Command | Group)
    assert command.examples
    for example in command.examples:
        assert re.search(rf"(^|\| )gitops {name}".rstrip(), example)
    for width in (50, 60, 80, 120):
        text = CliRunner().invoke(cli, [*name.split(), "--help"], terminal_width=width).output
        shown = re.sub(r" \\\n +", " ", text.partition("\nExample")[2])
        for example in command.examples:
            assert f"  {example}\n" in shown, "a shell puts its lines together again"
        words = max(map(len, " ".join(command.examples).split()))
        assert max(map(len, text.splitlines())) <= max(width, words + 6)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in LABS and id(EVERY[name]) not in EDITS])
def test_the_example_of_a_help_is_understood_and_answered(here: Checkout, name: str) -> None:
    command = EVERY[name]
    assert isinstance(command, Command | Group)
    (here.root / "seoul.kubeconfig").touch()
    for example in command.examples:
        words = shlex.split(example.partition(" > ")[0].rpartition("| ")[2])
        done = run_here(here.root, words[1:], "nothing of 42", {})
        subprocess.run(["git", "reset", "--quiet", "--hard"], cwd=here.root, check=True)
        subprocess.run(["git", "clean", "-fdq", "-e", ".tools"], cwd=here.root, check=True)
        assert "Usage: " not in done.err, done.err
        if expected := nearest(name):
            assert done.code in (1, 2, 3, 4)
            assert re.search(expected, f"{done.out}\n{done.err}"), (done.out, done.err)
        else:
            assert done.code == 0, done.err


@pytest.mark.docs
@pytest.mark.parametrize("name", sorted(LABS))
def test_what_begins_a_lab_is_typed_by_the_labs_own_tests(name: str) -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "Makefile").read_text().replace("$(GITOPS)", "gitops")
    command = EVERY[name]
    assert isinstance(command, Command | Group)
    for example in command.examples:
        assert example in text

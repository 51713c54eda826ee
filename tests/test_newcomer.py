"""The pages of a newcomer: what they ask of a person, and that all was typed (tests/lab/test_newcomer.py)."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import click
import pytest

from gitops.cli import cli
from gitops.manifests import kustomize
from tests import newcomer
from tests.fakes.aws import Ecr
from tests.fakes.github import GitHub
from tests.frozen import ROOT, platform
from tests.terminal import seen, terminal

pytestmark = pytest.mark.docs

TEXTS = {page: (ROOT / page).read_text() for page in newcomer.PAGES}
STEPS = {page: newcomer.steps(text) for page, text in TEXTS.items()}
COMMANDS = newcomer.commands()
BOLD = "**The lab runs no containers, and its secrets are values of its own.**"
# Each is a row of what a student wishes for.
WISHES = (
    "service new", "service set", "service unset", "secrets seal", "secrets remove", "service domain add",
    "service domain move", "service domain remove", "service scale", "images set", "images rollback", "service status",
    "service events", "service logs", "exceptions", "service handover", "service rename", "service copy",
    "service add-environment", "service remove", "service try", "lab up", "lab push", "check",
    "lb route",
)  # fmt: skip
PROGRAMS = {"gitops", "git", "head"}
# What sends a person into a file.
BY_HAND = re.compile(
    r"\b(edit|open|change|patch|add to|append)\b[^.|\n]*\.ya?ml|\$EDITOR|\bvim?\b|\bnano\b", re.IGNORECASE
)


@pytest.mark.parametrize("page", newcomer.PAGES)
def test_every_command_stands_alone_above_what_it_showed(page: str) -> None:
    text = TEXTS[page]
    assert text.count("```sh\n") == len(STEPS[page]), "one command in each block of sh"
    assert text.count("```text\n") == len(STEPS[page]), "run: .venv/bin/python -m tests.newcomer"
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text), "no colours, and nothing that moves a cursor"
    assert "Traceback" not in text
    assert "/dev/shm" not in text


@pytest.mark.parametrize("page", newcomer.PAGES)
def test_nobody_is_sent_into_yaml(page: str) -> None:
    prose = re.sub(r"```.*?```", "", TEXTS[page], flags=re.DOTALL)
    assert [match[0] for match in BY_HAND.finditer(prose)] == []
    assert "```yaml" not in TEXTS[page]
    assert {re.split(r" ?(?:\||&&) ?", step.command)[0].split()[0] for step in STEPS[page]} <= PROGRAMS
    assert not any(re.search(r">|\bsed\b|\btee\b|<<", step.command) for step in STEPS[page])


@pytest.mark.parametrize("text", ["Edit overlays/a/prod/ingress.yaml.", "add to `images.yaml`", "vi it"])
def test_a_page_that_sends_into_a_file_is_noticed(text: str) -> None:
    assert BY_HAND.search(text)


@pytest.mark.parametrize("page", newcomer.PAGES)
def test_nobody_can_miss_what_a_lab_is(page: str) -> None:
    assert " ".join(TEXTS[page].partition("```sh")[0].split()).count(BOLD) == 1


@pytest.mark.parametrize("wish", WISHES)
def test_every_wish_is_typed(wish: str) -> None:
    assert any(f"gitops {wish}" in command for command in COMMANDS)
    assert "gitops" in COMMANDS


def test_what_is_typed_next_is_what_was_said() -> None:
    wrong = []
    for steps in STEPS.values():
        for step, following in itertools.pairwise(steps):
            said = re.search(r"^next: (git .*)$", step.shown or "", re.MULTILINE)
            if said and "git add" in said[1] and following.command != said[1]:
                wrong.append((step.command, said[1]))
    assert wrong == []


@pytest.mark.matrix
@pytest.mark.timeout(1200)
def test_every_command_that_needs_no_lab_works(tmp_path: Path, github: GitHub, ecr: Ecr) -> None:
    checkout, engine = newcomer.clone(tmp_path / "clone", github, ecr), newcomer.engine(tmp_path)
    with terminal(checkout.root, newcomer.environment(github, ecr, engine)) as shell:
        for command in COMMANDS:
            if not newcomer.needs_lab(command) and (engine or not newcomer.needs_engine(command)):
                typed = shell.type(command, seconds=300)
                assert typed.code == newcomer.code_of(command), f"{command}\n{typed.shown}"
                newcomer.merge(command, checkout, github)


def test_every_verb_of_service_is_on_a_page() -> None:
    service = cli.get_command(click.Context(cli), "service")
    assert isinstance(service, click.Group)
    # What a person asks of all of them stands in README.
    verbs = set(service.commands) - {"list", "codeowners"}
    text = "\n".join(TEXTS.values())
    assert [verb for verb in sorted(verbs) if f"gitops service {verb}" not in text] == []


def test_the_contract_is_the_one_of_the_base() -> None:
    """Each number of the table is what base/web renders."""
    table = TEXTS["docs/newcomer.md"].partition("## What your program must do")[2].partition("\n## ")[0]
    rendered = kustomize.build(platform(), platform().root / "base/web")
    workload = next(item for item in rendered if item["kind"] == "Deployment")
    pod = workload["spec"]["template"]["spec"]
    [container] = pod["containers"]
    numbers = [
        f"`$PORT` ({container['env'][0]['value']})",
        f"GET {container['livenessProbe']['httpGet']['path']}",
        f"GET {container['readinessProbe']['httpGet']['path']}",
        f"{pod['terminationGracePeriodSeconds']} seconds",
        f"takes {container['lifecycle']['preStop']['sleep']['seconds']} to stop",
        f"{pod['securityContext']['runAsUser']}, never root",
        f"`{container['volumeMounts'][0]['mountPath']}` is {pod['volumes'][0]['emptyDir']['sizeLimit']}",
        f"{container['resources']['limits']['memory']} of memory",
    ]
    assert [number for number in numbers if number not in table] == []
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert re.findall(r"\d+", re.sub("|".join(map(re.escape, numbers)), "", table.partition("```")[0])) == [
        "200",
        "200",
    ]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\r\nb\r\n", "a\nb"),
        ("1 %\r100 %\r\n", "100 %"),
        ("works \x1b[2K\rdone\r\n", "done"),
        # A live line as rich draws it: hidden cursor, colour, up one line and erased.
        (
            "\x1b[?25l\x1b[32m-\x1b[0m 1 s\r\x1b[2K\x1b[32m/\x1b[0m 2 s\r\n\x1b[?25h\r\x1b[1A\x1b[2Kend: 2 s\r\n",
            "end: 2 s",
        ),
        ("\x1b]0;title\x07a", "a"),
    ],
)
def test_of_a_line_that_is_drawn_again_the_last_is_seen(raw: str, shown: str) -> None:
    assert seen(raw) == shown


def test_a_terminal_is_one(tmp_path: Path) -> None:
    with terminal(tmp_path, os.environ) as shell:
        assert shell.type("stty size; test -t 0 -a -t 1 -a -t 2; echo $?", seconds=20).shown == "30 100\n0"
        assert shell.type("false", seconds=20).code == 1
        assert shell.type("pwd", seconds=20).shown == str(tmp_path)


def test_what_differs_each_time_is_masked_and_nothing_else() -> None:
    one = "built: 1.5 s\n[lunch 83baa94] Add lunch\nTo http://127.0.0.1:361/a.git\nlunch  1.0.0\n"
    two = "built: 22 s\n[lunch 0123abc] Add lunch\nTo http://127.0.0.1:4/a.git\nlunch     1.0.0\n"
    assert newcomer.masked(one) == newcomer.masked(two)
    assert newcomer.masked(one) != newcomer.masked(two.replace("1.0.0", "1.1.0"))
    pods = "prod  web-6c7f9d4b8-x2x4z  1/1  0  2026-11-26T22:31:07Z  lunch:1.0.0\n"
    more = "prod  web-7d5c4-a2b4c  1/1  0  2026-11-27T00:00:00Z  lunch:1.0.0\n"
    assert newcomer.masked(pods) == newcomer.masked(pods + more)
    assert newcomer.masked(pods) != newcomer.masked(pods + more.replace("1/1", "0/1"))

"""The newcomer: whoever types docs/newcomer.md and docs/daily.md from beginning to end, and what that shows.

Each command of the two pages stands in a block of its own, and what it showed stands below it. `python -m
tests.newcomer` types all of them into a terminal against a lab and writes what is seen; a test types them again and
holds the pages to it (tests/lab/test_newcomer.py, `make matrix`).
"""

from __future__ import annotations

import base64
import itertools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from tests import containers
from tests.conftest import GITOPS
from tests.fakes.aws import Ecr
from tests.fakes.github import TOKEN, GitHub
from tests.frozen import ROOT
from tests.terminal import Typed

# In the order in which they are read.
PAGES = ("docs/newcomer.md", "docs/daily.md")
# What is no verb says so, and a lab's pods print nothing: the exit code of each that a page shows to be refused.
REFUSED = {
    "gitops service logs": 1,
    "gitops service rename": 2,
    "gitops service copy": 2,
    "gitops service add-environment": 2,
}
_BLOCK = re.compile(r"```sh\n(?P<command>[^\n]*)\n```\n(?:\n```text\n(?P<shown>.*?)```\n)?", re.DOTALL)
# Versions of the image of the pages, the oldest first.
_VERSIONS = ("1.0.0", "1.1.0")
# What is another one at each time that it is typed, and what stands for it when two are compared.
_MASKS = (
    (r"\bweb-[0-9a-z]{5,10}(-[0-9a-z]{5})?\b", "POD"),
    (r"\d+(\.\d+)? s\b", "N s"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b[0-9a-f]{7,40}\b", "COMMIT"),
    (r"\b\d+\.\d+\.\d+\.\d+(:\d+)?", "ADDRESS"),
    (r"\b(localhost|lab-[\w-]+):\d+", "ADDRESS"),
    (r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?", "DATE"),
    (r"\b\d+(\.\d+)? (MiB|GiB|GB)\b", "N MiB"),
    # Of git's own words on how it sends: they have the machine's cores and speed.
    (r"(?m)^(remote: )?(Enumerating|Counting|Delta|Compressing|Writing|Total|Unpacking|From|Receiving).*\n?", ""),
    (r"[ ]{2,}", "  "),
    # An event of a namespace: which there are, is the minute's affair.
    (r"(?m)^(staging|prod)  DATE.*", "EVENT"),
    (r"(?m)[ ]+$", ""),
)


@dataclass(frozen=True)
class Step:
    """A command of a page, and what stands below it there; None where nothing does."""

    command: str
    shown: str | None


def steps(text: str) -> list[Step]:
    """Every command of a page, in its order."""
    return [Step(block["command"], block["shown"]) for block in _BLOCK.finditer(text)]


def commands() -> list[str]:
    """All that the newcomer types."""
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    return [step.command for step in steps(text)]


def needs_lab(command: str) -> bool:
    """Whether a command is answered by a lab alone."""
    return "gitops lab " in command or "--lab" in command


def needs_engine(command: str) -> bool:
    """Whether a command starts a container."""
    return "gitops service try " in command


def code_of(command: str) -> int:
    """How a command has to end."""
    return next((code for words, code in REFUSED.items() if command.startswith(words)), 0)


def recording(typed: Typed, checkout: Checkout) -> str:
    """What a page shows of a command: the folder of the test under a name that a person might give it."""
    shown = typed.shown.replace(str(checkout.root), "~/gitops")
    lines = [*shown.splitlines(), *([f"(exit code {typed.code})"] if typed.code else [])]
    return "".join(f"{line}\n" for line in lines or ["(nothing)"])


def written(text: str, recordings: Sequence[str]) -> str:
    """A page with what was recorded below its commands, one for each, in their order."""
    waiting = iter(recordings)
    return _BLOCK.sub(lambda block: f"```sh\n{block['command']}\n```\n\n```text\n{next(waiting)}```\n", text)


def masked(text: str) -> str:
    """A recording as two of them are compared: without what is another one each time, and how many pods there are."""
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text)
    return "".join(line for line, _ in itertools.groupby(text.splitlines(keepends=True)))


def environment(github: GitHub, ecr: Ecr, engine: Mapping[str, str]) -> dict[str, str]:
    """What the newcomer's shell knows: where GitHub, AWS and podman's images are."""
    known = {name: value for name, value in github.environment.items() if name.startswith("GITHUB_")}
    return {**os.environ, **known, **ecr.environment, **engine, "PATH": f"{GITOPS.parent}:{os.environ['PATH']}"}


def engine(folder: Path) -> Mapping[str, str]:
    """Where podman has the newcomer's image; empty where it starts no container here."""
    try:
        podman = containers.make(folder)
    except pytest.skip.Exception:
        return {}
    podman.run("tag", containers.IMAGE, f"lunch:{_VERSIONS[0]}")
    return podman.environment


def clone(folder: Path, github: GitHub, ecr: Ecr) -> Checkout:
    """The newcomer's clone of GitHub's main, beside a registry that has their image."""
    for version in _VERSIONS:
        ecr.push("lunch", version)
    with Repo.clone_from(github.clone_url, folder) as repo, repo.config_writer() as writer:
        writer.set_value("user", "name", "Newcomer")
        writer.set_value("user", "email", "newcomer@example.com")
        word = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
        writer.set_value("http", "extraHeader", f"Authorization: Basic {word}")
    (folder / ".tools").symlink_to(ROOT / ".tools")
    return Checkout(folder)


def merge(command: str, checkout: Checkout, github: GitHub) -> None:
    """What others do about a push before the newcomer pulls: they approve, and GitHub merges."""
    if command.startswith("git push origin "):
        branch = command.split()[-1]
        with Repo(checkout.root) as repo, Repo(github.git_dir) as origin:
            origin.git.update_ref("refs/heads/main", repo.heads[branch].commit.hexsha)


def main() -> None:
    sys.exit(pytest.main(["-q", "--update-golden", "-m", "lab and matrix", "tests/lab/test_newcomer.py"]))


if __name__ == "__main__":
    main()

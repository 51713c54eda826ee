"""docs/first-day.md is followed by someone who knows nothing else: every command of it, in its order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from gitops.manifests import yamlfile
from tests.cluster_world import AwsWorld, aws_world
from tests.conftest import GITOPS
from tests.frozen import ROOT

pytestmark = [pytest.mark.bots, pytest.mark.docs]

PAGE = ROOT / "docs/first-day.md"
# A fenced block of commands, or of values.
BLOCK = re.compile(r"^```(console|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXPECTED = re.compile(r"^(?P<command>.*?)(?: # exit code (?P<code>\d): (?P<words>.*))?$")
COMMANDS = {"git", "gitops"}


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(PAGE.read_text())


def commands(text: str) -> list[tuple[str, int]]:
    """Each command of a block, and the exit code that the page says."""
    matches = [match for line in text.splitlines() if (match := EXPECTED.match(line))]
    return [(match["command"], int(match["code"] or 0)) for match in matches]


def run(aws: AwsWorld, command: str) -> subprocess.CompletedProcess[str]:
    names = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com"}
    names |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in names.items()}
    environment = {**os.environ, **aws.environment(), **names, "PATH": f"{GITOPS.parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=aws.checkout.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


def write(aws: AwsWorld, values: dict[str, str]) -> None:
    """What the page has written into cluster.yaml; only keys that are there."""
    file = aws.checkout.root / "clusters/seoul/cluster.yaml"
    document = yamlfile.read(aws.checkout, file)
    assert set(values) <= set(document["data"])
    document["data"] |= values
    file.write_text(yaml.safe_dump(document))


def test_from_an_empty_account_to_a_cluster_and_back(tmp_path: Path) -> None:
    with aws_world(tmp_path / "clone", written=False) as aws:
        for kind, text in blocks():
            if kind == "yaml":
                write(aws, yaml.safe_load(text))
                continue
            for command, code in commands(text):
                ran = run(aws, command)
                assert ran.returncode == code, f"{command}: {ran.stdout}{ran.stderr}"
                if code == 2:  # the page: enter the name servers where each domain is registered
                    aws.resolver.delegate(aws.account)
            if "status seoul" in text:
                assert aws.account.stacks.of("seoul-cluster")
        assert not aws.account.stacks.of("seoul-cluster")
        assert aws.account.stacks.of("seoul-foundation")


def test_the_page_has_all_commands_and_no_other_programs() -> None:
    texts = [text for kind, text in blocks() if kind == "console"]
    shown = [command for command, _ in commands("".join(texts))]
    verbs = {command.split()[2] for command in shown if command.startswith("gitops cluster")}
    assert verbs == {"adopt", "cost", "doctor", "plan", "up", "status", "down"}
    assert {command.split()[0] for command in shown} == COMMANDS

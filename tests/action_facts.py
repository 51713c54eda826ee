"""What the actions of others say of themselves: `python -m tests.action_facts` reads it from the commits that we pin.

It renews tests/fakes/actions/facts.yaml: version, runtime, inputs and outputs from the `action.yml` of the very commit,
and that the version's tag is that commit. `needs` (the rights of the job's token) is written by hand and kept.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.frozen import ROOT

FACTS = ROOT / "tests/fakes/actions/facts.yaml"
_USE = re.compile(r"uses: ([\w.-]+(?:/[\w.-]+)+)@([0-9a-f]{40})(?: # (v[\d.]+))?")
_HEAD = """\
# What the pinned actions say of themselves; tests/test_actions.py holds the workflows and the stand-ins to it.
# Renewed by `.venv/bin/python -m tests.action_facts`; `needs` and `runtimes` are written by hand.
# inputs: `required`, the default, or null where there is none.
"""
Facts: TypeAlias = dict[str, Any]


@dataclass(frozen=True, order=True)
class Pin:
    """An action of others at a commit. `version`: what the comment beside it says."""

    action: str
    commit: str
    version: str

    @property
    def repository(self) -> str:
        return "/".join(self.action.split("/")[:2])

    @property
    def folder(self) -> str:
        """Where the action stands in its repository, with a slash at its end unless that is the root."""
        parts = self.action.split("/")[2:]
        return "".join(f"{part}/" for part in parts)


def pins(root: Path = ROOT) -> set[Pin]:
    """Every action of others that a workflow or an action of ours uses."""
    files = [*root.glob(".github/workflows/*.yaml"), *root.glob(".github/actions/*/action.yml")]
    uses = itertools.chain.from_iterable(_USE.findall(file.read_text()) for file in files)
    return {Pin(*use) for use in uses}


def read() -> dict[str, Any]:
    """The recorded facts: `runtimes` and `actions`."""
    facts: dict[str, Any] = yaml.safe_load(FACTS.read_text())
    return facts


def observe(pin: Pin, remote: str) -> Facts:
    """The facts of one pin, by git from the URL `remote`. Raises AssertionError where its tag is elsewhere."""
    with tempfile.TemporaryDirectory(prefix="action-") as folder:
        names = [f"refs/tags/{pin.version}", f"refs/tags/{pin.version}^{{}}"]
        tags = _git(folder, "ls-remote", remote, *names).splitlines()
        # The last line of an annotated tag is the commit that it stands for.
        assert tags, f"{pin.action}: {remote} has no tag {pin.version}"
        assert tags[-1].split()[0] == pin.commit, f"{pin.action}: {pin.version} is not {pin.commit} but {tags[-1]}"
        # No file but the one: some keep programs of megabytes beside it.
        options = ["--quiet", "--bare", "--depth=1", "--filter=blob:none", "--branch", pin.version]
        _git(folder, "clone", *options, remote, ".")
        text = _git(folder, "show", f"{pin.commit}:{pin.folder}action.yml")
    return {"commit": pin.commit, "version": pin.version, **describe(yaml.safe_load(text))}


def describe(action: dict[str, Any]) -> Facts:
    """What an action.yml says: its runtime, whether it runs once more after the job, its inputs and outputs."""
    inputs = action.get("inputs") or {}
    return {
        "runtime": action["runs"]["using"],
        "post": "post" in action["runs"],
        "inputs": {name: _input(described or {}) for name, described in inputs.items()},
        "outputs": list(action.get("outputs") or {}),
    }


def _input(described: dict[str, Any]) -> str | None:
    if (default := described.get("default")) is not None:
        return str(default).lower() if isinstance(default, bool) else str(default)
    return "required" if described.get("required") in (True, "true") else None


def _git(folder: str, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write the facts of all pins."""
    parser = argparse.ArgumentParser(prog="python -m tests.action_facts", description=__doc__)
    parser.add_argument(
        "--remote", default="https://github.com/{owner}/{name}", help="where a repository is cloned from"
    )
    remote = parser.parse_args().remote
    facts = read()
    observed = {}
    for pin in sorted(pins()):
        owner, name = pin.repository.split("/")
        needs = facts["actions"].get(pin.action, {}).get("needs", {})
        observed[pin.action] = {**observe(pin, remote.format(owner=owner, name=name)), "needs": needs}
    text = yaml.safe_dump({"runtimes": facts["runtimes"], "actions": observed}, sort_keys=False, width=120)
    FACTS.write_text(_HEAD + text)


if __name__ == "__main__":
    main()

"""GitHub Actions on this machine: the workflow files themselves, run by act without containers, with stand-ins for the
third-party actions that they name (tests/fakes/actions).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from gitops.ground.checkout import Checkout
from tests.fakes.aws import Ecr
from tests.fakes.github import TOKEN, GitHub
from tests.fakes.github_deployments import ARGOCD_NAME

ROOT = Path(__file__).parents[2]
ACTIONS = Path(__file__).parent / "actions"
# Programs of a hosted runner that must do nothing here.
PROGRAMS = Path(__file__).parent / "bin"
MAIN = "refs/heads/main"
# The environments as they are declared, by name. What is declared is what `gitops github verify` holds GitHub to.
DECLARED = {file.stem: json.loads(file.read_text()) for file in (ROOT / ".github/environments").glob("*.json")}


@dataclass(frozen=True)
class Done:
    """How a workflow ended and what it printed."""

    code: int
    text: str

    @property
    def jobs(self) -> dict[str, str]:
        """How each job ended, `succeeded` or `failed`, by act's own word.

        Of a step that fails act may lose the last lines: it closes the terminal without reading it to its end (0.2.89).
        """
        return dict(re.findall(r"^\[[^/\]]+/([\w-]+) *\] +\S+ +Job (\w+)$", self.text, re.MULTILINE))


def third_party_actions(*files: Path) -> set[str]:
    """What workflow and action files use of others, as `owner/name/path@commit`."""
    text = "\n".join(file.read_text() for file in files)
    return set(re.findall(r"uses: ([\w.-]+(?:/[\w.-]+)+@[0-9a-f]{40})", text))


def admits(environment: dict[str, Any], ref: str) -> bool:
    """Whether GitHub gives a job of `ref` this environment, with its secrets and its name in the OIDC token."""
    if environment["deployment_branch_policy"] is None:
        return True
    policies = environment["deployment_branch_policies"]
    return any(
        fnmatchcase(ref, f"refs/{'tags' if policy['type'] == 'tag' else 'heads'}/{policy['name']}")
        for policy in policies
    )


def environment_of(file: Path, job: str) -> str | None:
    """The environment that a workflow's job names."""
    named = yaml.safe_load(file.read_text())["jobs"][job].get("environment")
    name: str | None = named["name"] if isinstance(named, dict) else named
    return name


def run(
    folder: Path,
    workflow: str,
    event: str,
    *,
    job: str,
    github: GitHub,
    ecr: Ecr | None = None,
    secrets: dict[str, str] | None = None,
    environments: dict[str, Any] | None = None,
    ref: str = MAIN,
    payload: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    origin: str | None = None,
    timeout: float = 300,
) -> Done:
    """Run one job of a workflow of `folder` (a clone) as GitHub would for `event`.

    `secrets` are those of the environment that the job names, beside the App's key; GITHUB_TOKEN is every job's.
    `environments`: as they are set up, DECLARED otherwise; one that does not admit `ref` is refused, and a job without
    one has no secret. `environment` is what the runner has besides;
    `origin`: what is checked out, the fake GitHub's repository otherwise; `timeout`: in seconds.
    """
    file = folder / ".github/workflows" / workflow
    named = environment_of(file, job)
    # One that nobody declared is made by GitHub when a job names it: it has no secret.
    environment_policy = (DECLARED if environments is None else environments).get(named or "")
    if environment_policy and not admits(environment_policy, ref):
        branch = ref.removeprefix("refs/heads/")
        return Done(1, f"Branch {branch!r} is not allowed to deploy to {named} due to environment protection rules.")
    event_file = folder.parent / f"{folder.name}-event.json"
    event_file.write_text(json.dumps(payload or {}))
    secret_values = {"BOT_PRIVATE_KEY": "key", **(secrets or {})}
    if not environment_policy:
        secret_values = {name: value for name, value in secret_values.items() if name == "GITHUB_TOKEN"}
    words = _command(folder, file, event, job, event_file)
    for name in secret_values:
        words += ["--secret", name]
    for name, value in _variables(github, ecr, origin, environment or {}).items():
        words += ["--env", f"{name}={value}"]
    home = folder.parent / f"{folder.name}-home"
    home.mkdir(exist_ok=True)
    # Not of the tests that run this: a workflow may run tests.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env = {**inherited, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), **secret_values}
    env["PATH"] = f"{PROGRAMS}:{env['PATH']}"
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=timeout)
    return Done(done.returncode, done.stdout + done.stderr)


def _variables(github: GitHub, ecr: Ecr | None, origin: str | None, environment: dict[str, str]) -> dict[str, str]:
    """What the runner has in its environment."""
    return {
        "GITHUB_API_URL": github.environment["GITHUB_API_URL"],
        "GITHUB_REPOSITORY": github.name,
        "GITOPS_GITHUB_PAUSE": "0",
        "GITOPS_GITHUB_WAIT": "0.1",
        "STANDIN_ORIGIN": origin or github.clone_url,
        "STANDIN_VENV": str(ROOT / ".venv"),
        "STANDIN_TOOLS": str(Checkout(ROOT).tool_cache.resolve()),
        "STANDIN_AWS": ecr.url if ecr else "",
        "STANDIN_TOKEN": TOKEN,
        **environment,
    }


def _command(folder: Path, file: Path, event: str, job: str, event_file: Path) -> list[str]:
    """How act runs the job: with the repository's variables and each action of others as a folder of this machine."""
    settings = {
        "ARGOCD_APP": ARGOCD_NAME,
        "AWS_APPLY_ROLE": "role",
        "AWS_IMAGES_ROLE": "role",
        "AWS_PLAN_ROLE": "role",
        "AWS_PUSH_ROLE": "role",
        "AWS_SEALS_ROLE": "role",
        "BOT_APP_ID": "1",
        "AWS_REGION": "ap-northeast-2",
        "BOT_CLIENT_ID": "1",
    }
    words = [str(ROOT / ".tools/bin/act"), event, "--workflows", str(_readable(file)), "--job", job]
    words += ["--platform", "ubuntu-24.04=-self-hosted", "--eventpath", str(event_file), "--no-cache-server"]
    words += ["--action-offline-mode", "--rm"]
    for name, value in settings.items():
        words += ["--var", f"{name}={value}"]
    for action in sorted(third_party_actions(file, *folder.glob(".github/actions/*/action.yml"))):
        # By repository: an action below its root (actions/cache/restore) is a folder of the same one.
        path, _, commit = action.partition("@")
        owner, name = path.split("/")[:2]
        words += ["--local-repository", f"{owner}/{name}@{commit}={ACTIONS / name}"]
    return words


def _readable(file: Path) -> Path:
    """A copy without `deployment: false`, which act 0.2.89 does not know: no deployment is recorded for the job."""
    copy = file.parents[2].with_name(f"{file.parents[2].name}-workflows") / file.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(re.sub(r"^ +deployment: false\n", "", file.read_text(), flags=re.MULTILINE))
    return copy

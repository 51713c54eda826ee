"""A member's branch, and a compromised action or package, against the workflows and what they may ask for."""

from __future__ import annotations

import json
import operator
import shutil
import subprocess
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Repo

from gitops.cluster import definition, stacks
from tests import action_facts
from tests.attacks import Door, Guard, attack
from tests.fakes import act
from tests.fakes import cloudformation_template as templates
from tests.fakes.github import GitHub
from tests.frozen import ROOT, platform
from tests.test_actions import refused

OPEN: dict[str, Any] = {"deployment_branch_policy": None, "deployment_branch_policies": []}
# What a member pushes: it tells what it was given, in a form that the log does not mask.
EVIL = """\
on: {push: {branches: [evil]}}
permissions: {}
jobs:
  steal:
    runs-on: ubuntu-24.04%s
    steps:
      - run: echo "stolen $KEY" | tr a-z b-za
        env:
          KEY: ${{ secrets.%s }}
"""
STOLEN = "tupmfo tffe"  # "stolen seed", each letter the next one


def steal(github: GitHub, folder: Path, environment: str | None, secret: str, setup: dict[str, Any]) -> act.Done:
    """Push a branch with a workflow that wants a secret; GitHub runs it."""
    clone = folder / "evil"
    Repo.clone_from(github.clone_url, clone).close()
    named = f"\n    environment: {environment}" if environment else ""
    (clone / ".github/workflows/evil.yaml").write_text(EVIL % (named, secret))
    return act.run(
        clone,
        "evil.yaml",
        "push",
        job="steal",
        github=github,
        secrets={secret: "seed"},
        environments=setup,
        ref="refs/heads/evil",
    )


@pytest.mark.bots
@attack(Door.MEMBER, "a pushed branch reads {secret} of the environment {environment}", Guard.GITHUB)
@pytest.mark.parametrize(
    ("environment", "secret"),
    [("images", "BOT_PRIVATE_KEY"), ("oauth", "INTRA42_TOTP_SEED"), ("oauth", "INTRA42_PASSWORD")],
)
def test_secret_of_an_environment(
    github: GitHub, tmp_path: Path, environment: str, secret: str, guard: Guard | None
) -> str | None:
    setup = act.DECLARED if guard else {environment: OPEN}
    done = steal(github, tmp_path, environment, secret, setup)
    return None if STOLEN in done.text else done.text.strip()


@pytest.mark.bots
@attack(Door.MEMBER, "a pushed branch reads {secret} of the repository", Guard.GITHUB)
@pytest.mark.parametrize("secret", ["INTRA42_PASSWORD"])
def test_secret_of_the_repository(github: GitHub, tmp_path: Path, secret: str, guard: Guard | None) -> str | None:
    assert any(secret in environment["secrets"] for environment in act.DECLARED.values())
    # "": what every job has, as repository secrets are.
    done = steal(github, tmp_path, None, secret, act.DECLARED if guard else {"": OPEN})
    assert done.code == 0, done.text
    return None if STOLEN in done.text else "the repository has no secret"


# -- AWS by OIDC


def subject(repository: str, ref: str, environment: str | None) -> str:
    """The `sub` of a job's token, as GitHub documents it."""
    if environment:
        return f"repo:{repository}:environment:{environment}"
    if ref.startswith("refs/pull/"):
        return f"repo:{repository}:pull_request"
    return f"repo:{repository}:ref:{ref}"


# Each role by its place among a cluster's stacks.
ROLES = {
    "images": ("foundation", "ImagesRole"),
    "seals": ("foundation", "SealsRole"),
    "plan": ("foundation", "PlanRole"),
    "apply": ("foundation", "ApplyRole"),
    "push": ("services", "MoglePushRole"),
}


@cache
def roles() -> dict[str, dict[str, Any]]:
    """What each role is made of, its template's functions answered."""
    checkout = platform()
    cluster = definition.read(checkout, "seoul")
    parts = {stack.part: stack.template for stack in stacks.read(checkout, cluster)}
    given = {"GitHubProvider": "the provider", "PushBoundary": "the boundary", **stacks.given(cluster)}
    return {name: templates.resolved(parts[part], given)[key]["Properties"] for name, (part, key) in ROLES.items()}


def trust(role: str) -> dict[str, Any]:
    policy: dict[str, Any] = roles()[role]["AssumeRolePolicyDocument"]
    return policy


def trusts(policy: dict[str, Any], claims: dict[str, str]) -> bool:
    """Whether an AWS role's trust policy lets a token in: every condition of one statement holds."""
    return any(_holds(statement["Condition"], claims) for statement in policy["Statement"])


def _holds(conditions: dict[str, Any], claims: dict[str, str]) -> bool:
    for kind, keys in conditions.items():
        fits: Callable[[str, str], bool] = {"StringEquals": operator.eq, "StringLike": fnmatchcase}[kind]
        for key, expected in keys.items():
            values = expected if isinstance(expected, list) else [expected]
            if not any(fits(claims[key.rpartition(":")[2]], value) for value in values):
                return False
    return True


def test_no_role_of_githubs_is_left_out_here() -> None:
    """Each role that a job may take is attacked: those of the services are alike."""
    checkout = platform()
    parts = {stack.part: stack.resources for stack in stacks.read(checkout, definition.read(checkout, "seoul"))}
    for part, resources in parts.items():
        for key, item in resources.items():
            text = json.dumps(item.get("Properties", {}).get("AssumeRolePolicyDocument", {}))
            known = (part, key) in ROLES.values() or (part == "services" and key.endswith("PushRole"))
            assert known or "AssumeRoleWithWebIdentity" not in text, f"{part} {key}"


def loosened(policy: dict[str, Any], pattern: str) -> dict[str, Any]:
    """The same for a pattern of subjects."""
    [statement] = policy["Statement"]
    key = "token.actions.githubusercontent.com"
    condition = {"StringEquals": {f"{key}:aud": "sts.amazonaws.com"}, "StringLike": {f"{key}:sub": pattern}}
    return {**policy, "Statement": [{**statement, "Condition": condition}]}


JOBS = {
    "a branch's job": ("ft-platform/gitops", "refs/heads/evil", None),
    "main's job without the environment": ("ft-platform/gitops", "refs/heads/main", None),
    "a pull request's job": ("ft-platform/gitops", "refs/pull/1/merge", None),
    "another environment's job": ("ft-platform/gitops", "refs/heads/main", "oauth"),
    "a service repository's job": ("ft-platform/mogle", "refs/heads/main", "images"),
    "a repository's job whose name begins alike": ("ft-platform/gitops-evil", "refs/heads/main", "images"),
}


@attack(Door.MEMBER, "{job} takes the role {role}", Guard.AWS)
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("role", ROLES)
def test_role(job: str, role: str, guard: Guard | None) -> str | None:
    policy = trust(role)
    if not guard:
        policy = loosened(policy, "repo:ft-platform/*")
    claims = {"aud": "sts.amazonaws.com", "sub": subject(*JOBS[job])}
    return None if trusts(policy, claims) else f"the role is not for {claims['sub']}"


@attack(Door.MEMBER, "a branch's job names the environment {environment} and takes its role", Guard.GITHUB)
@pytest.mark.parametrize(("role", "environment"), [("images", "images"), ("plan", "plan"), ("apply", "cluster")])
def test_role_by_the_environment(role: str, environment: str, guard: Guard | None) -> str | None:
    policy = trust(role)
    declared = act.DECLARED[environment] if guard else OPEN
    claims = {"aud": "sts.amazonaws.com", "sub": subject("ft-platform/gitops", "refs/heads/evil", environment)}
    return None if act.admits(declared, "refs/heads/evil") and trusts(policy, claims) else "the environment is main's"


def test_the_jobs_of_main_take_their_roles() -> None:
    for role, repository, workflow, job in (
        ("images", "ft-platform/gitops", "images.yaml", "bump"),
        ("plan", "ft-platform/gitops", "cluster.yaml", "plan"),
        ("apply", "ft-platform/gitops", "cluster.yaml", "apply"),
        ("push", "ft-platform/mogle", "build.yaml", "image"),
    ):
        environment = act.environment_of(ROOT / ".github/workflows" / workflow, job)
        claims = {"aud": "sts.amazonaws.com", "sub": subject(repository, "refs/heads/main", environment)}
        assert trusts(trust(role), claims)


def test_every_secret_is_one_of_the_environment_that_its_job_names() -> None:
    for file in (ROOT / ".github/workflows").glob("*.yaml"):
        for name, job in yaml.safe_load(file.read_text())["jobs"].items():
            words = set(yaml.safe_dump(job).replace("}", " ").split())
            secrets = {word.removeprefix("secrets.") for word in words if word.startswith("secrets.")}
            environment = act.environment_of(file, name)
            assert secrets == set(act.DECLARED.get(environment or "", {"secrets": []})["secrets"]) or not secrets
            assert not secrets or environment in act.DECLARED, file


def test_security_md_tells_of_every_token() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    rows = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("|")}
    setup = (ROOT / "docs/runbooks/setup.md").read_text()
    for name, environment in act.DECLARED.items():
        [told] = [line for line in setup.splitlines() if line.startswith(f"| `{name}` |")]
        for secret in environment["secrets"]:
            [row] = [row for names, row in rows.items() if f"`{secret}`" in names]
            assert f"`{name}`" in row, f"{secret} of {name}"
            assert f"`{secret}`" in told, f"{secret} of {name}"
    assert [name for name in ROLES if f"`AWS_{name.upper()}_ROLE`" not in text] == []
    for file in (ROOT / ".github/workflows").glob("*.yaml"):
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            rights = {f"{name}: {right}" for name, right in job["permissions"].items()}
            written = {right for right in rights if right.endswith(": write")} - {"id-token: write"}
            assert not written or all(right in rows[f"`GITHUB_TOKEN` of `{file.name}`"] for right in written), file


# -- a workflow that is changed, and the linters of `make lint`

STEP = "    steps:\n      - uses: actions/checkout"


def _replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, 1)

    return change


CHANGES: dict[str, tuple[str, Callable[[str], str]]] = {
    "an action at a tag that can move": (
        "check.yaml",
        lambda text: text.replace("actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1", "actions/checkout@v7"),
    ),
    "an action at a branch of a stranger's": (
        "images.yaml",
        _replaced(STEP, "    steps:\n      - uses: stranger/checkout@main\n      - uses: actions/checkout"),
    ),
    "a pull request's code with this repository's rights": (
        "check.yaml",
        _replaced("  pull_request:\n", "  pull_request_target:\n"),
    ),
    "a pull request's title in the shell": (
        "comment.yaml",
        _replaced(STEP, "    steps:\n      - run: echo ${{ github.event.workflow_run.display_title }}\n" + STEP[11:]),
    ),
    "every right for the job's token": ("images.yaml", _replaced("permissions: {}\n", "permissions: write-all\n")),
    "a secret outside of an environment": (
        "oauth.yaml",
        _replaced("    environment:\n      name: oauth\n      deployment: false\n", ""),
    ),
    "the token left in the checkout": (
        "images.yaml",
        lambda text: text.replace("          persist-credentials: false\n", ""),
    ),
    "every secret handed to another workflow": (
        "images.yaml",
        _replaced(
            "jobs:\n",
            "jobs:\n  more:\n    name: more\n    uses: ./.github/workflows/build.yaml\n    secrets: inherit\n",
        ),
    ),
    "all rights of the App for its token": (
        "images.yaml",
        _replaced(
            "        uses: ./.github/actions/bot-token\n",
            "        uses: actions/create-github-app-token@1b10c78c7865c340bc4f6099eb2f838309f1e8c3 # v3.1.1\n",
        ),
    ),
}


def copy_workflows(folder: Path) -> None:
    for name in ("workflows", "actions"):
        shutil.copytree(ROOT / ".github" / name, folder / ".github" / name)
    shutil.copy(ROOT / ".github/zizmor.yml", folder / ".github")


def zizmor(folder: Path) -> list[str]:
    """What `make lint` asks of the workflows, by its own words."""
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if "bin/zizmor" in line]
    words = line.strip().lstrip("@").replace("$(VENV)/bin", str(ROOT / ".venv/bin")).split()
    done = subprocess.run([*words, "--format", "json-v1"], cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 11, 12, 13, 14), done.stderr
    return sorted({finding["ident"] for finding in json.loads(done.stdout)})


def is_workflow(file: Path) -> bool:
    """Whether GitHub would run it: actionlint finds no fault in its form."""
    ignored = "untrusted|permissions|is unknown|required|not defined"
    words = [str(ROOT / ".tools/bin/actionlint"), "-ignore", ignored, str(file)]
    return subprocess.run(words, cwd=file.parents[2], capture_output=True).returncode == 0


@attack(Door.PACKAGE, "a merged workflow has {change}", Guard.GATE)
@pytest.mark.parametrize("change", CHANGES)
def test_changed_workflow(tmp_path: Path, change: str, guard: Guard | None) -> str | None:
    name, edit = CHANGES[change]
    copy_workflows(tmp_path)
    file = tmp_path / ".github/workflows" / name
    assert zizmor(tmp_path) == []
    file.write_text(edit(file.read_text()))
    if guard:
        return ", ".join(zizmor(tmp_path)) or None
    return None if is_workflow(file) else "no workflow"


@attack(Door.PACKAGE, "an action moves to the runtime {runtime}, which gets no more fixes", Guard.GATE)
@pytest.mark.parametrize("runtime", ["node20", "node16", "a runtime of tomorrow"])
def test_action_of_an_ended_runtime(tmp_path: Path, runtime: str, guard: Guard | None) -> str | None:
    if not guard:
        copy_workflows(tmp_path)
        return ", ".join(zizmor(tmp_path)) or None
    facts = action_facts.read()
    facts["actions"]["actions/checkout"]["runtime"] = runtime
    return ", ".join(refused(facts)) or None


@attack(Door.PACKAGE, "a commit of the attacker's stands beside the version of the real one", Guard.GATE)
def test_commit_that_the_tag_is_not(tmp_path: Path, guard: Guard | None) -> str | None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    (tmp_path / "action.yml").write_text("runs: {using: node24, main: a.js}\n")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"], ["tag", "v1.0.0"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "evil"], check=True)
    evil = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    if not guard:
        shown = subprocess.run([*git, "show", f"{evil}:action.yml"], check=True, capture_output=True, text=True)
        return None if "node24" in shown.stdout else "no action"
    with pytest.raises(AssertionError) as caught:
        action_facts.observe(action_facts.Pin("some/action", evil, "v1.0.0"), f"file://{tmp_path}")
    return str(caught.value).split(" but ")[0]


@attack(Door.TOKEN, "a service repository's build reads the key of the platform's App", Guard.WORKFLOW)
def test_key_of_the_platform_in_a_service(guard: Guard | None) -> str | None:
    text = (ROOT / ".github/workflows/build.yaml").read_text()
    if not guard:
        text = text.replace(
            "  workflow_call:\n", "  workflow_call:\n    secrets:\n      BOT_PRIVATE_KEY: {required: false}\n"
        )
    called = yaml.safe_load(text)[True]["workflow_call"]
    return None if "secrets" in called else "it asks its caller for no secret"

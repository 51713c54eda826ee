"""What stands behind the Tab key: each argument and option that names what is there completes it, as bash asks."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
import pytest
from click.shell_completion import BashComplete

from gitops.cli import cli
from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.lab import cli as lab_cli
from gitops.service import cli_end
from tests.conftest import GITOPS, Ran, gitops
from tests.frozen import clone
from tests.test_examples import walk

SERVICE = "umbrella"
# What each completion offers there, and what is typed for an argument that it completes.
OFFERED: dict[Callable[..., Any], str] = {
    complete.services: SERVICE,
    complete.environments: "staging",
    complete.secrets: f"{SERVICE}-oauth-42-g1",
    complete.keys: "client-secret",
    complete.variables: "MOGLE_URL",
    complete.domains: f"api.{SERVICE}.example.com",
    complete.entries: "app",
    complete.images: f"111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/{SERVICE}:0.4.0",
    complete.tags: "0.4.0",
    complete.revisions: "origin/main",
    complete.applications: "41008",
    complete.teams: "benefit",
    complete.clusters: "seoul",
    complete.labs: "mine",
    complete.tools: "kustomize",
    complete.contexts: "work",
    complete.zones: "Asia/Seoul",
    complete.files: "",
    lab_cli._parts: "argocd-server",
    cli_end._missing: "canary",
}
# What a person makes up or types once more to be sure, or what nobody here knows.
FREE = {
    "--reason", "--for", "--until", "--valid-until", "--issuer", "--health", "--controller", "--contact", "--port",
    "--domain", "--env", "--as-file", "--database", "--namespace", "--region", "--role",
    "service scale --from", "service scale --to", "service new name", "service rename new", "service copy new",
    "service set variables", "service domain add host", "service domain move new", "lb route path",
    "github gate result", "cluster down --yes", "data dump place", "data list place", "data check url", "data load url",
}  # fmt: skip
KUBECONFIG = """apiVersion: v1
clusters:
- cluster: {server: https://127.0.0.1:1}
  name: not-a-context
contexts:
- context:
    cluster: not-a-context
    user: nobody
  name: work
current-context: work
users:
- name: nobody
"""


def completion(parameter: click.Parameter) -> Callable[..., Any] | None:
    own: Callable[..., Any] | None = parameter._custom_shell_complete
    return own


def takes_text(parameter: click.Parameter) -> bool:
    """Whether a value is typed for it of which its type knows nothing."""
    flag = isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count)
    return not flag and not isinstance(parameter.type, click.Choice | click.Path | click.IntRange)


def parameters() -> Iterator[tuple[str, tuple[str, click.Command, click.Parameter]]]:
    """Each that takes text, by its command and its name."""
    for name, command in walk(cli):
        for parameter in filter(takes_text, command.params):
            yield f"{name} {parameter.opts[0]}", (name, command, parameter)


PARAMETERS = dict(parameters())
NAMING = {label: entry for label, entry in PARAMETERS.items() if completion(entry[2])}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The frozen platform, a lab of which something is left, and a kubeconfig."""
    checkout = clone(tmp_path_factory.mktemp("completion") / "clone")
    (checkout.labs / "mine").mkdir(parents=True)
    (checkout.labs / "mine/lab.json").touch()
    (checkout.labs / "mine/kubeconfig").write_text(KUBECONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout.root)
        yield checkout


def offered(*words: str) -> list[tuple[str, str]]:
    """What bash gets for the last word of a line, each with its kind: in this process, as hundreds are asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMP_WORDS", " ".join(map(shlex.quote, ("gitops", *words))))
        patch.setenv("COMP_CWORD", str(len(words)))
        patch.setenv("KUBECONFIG", ".lab/mine/kubeconfig")
        lines = BashComplete(cli, {}, "gitops", "_GITOPS_COMPLETE").complete().splitlines()
    parts = [line.partition(",") for line in lines if line]
    return [(kind, value) for kind, _, value in parts]


def typed_before(command: click.Command, parameter: click.Parameter) -> list[str]:
    """The arguments that stand before a parameter, as somebody types them."""
    arguments = [own for own in command.params if isinstance(own, click.Argument)]
    if isinstance(parameter, click.Argument):
        return [_typed(own) for own in arguments[: arguments.index(parameter)]]
    return [*map(_typed, arguments), parameter.opts[0]]


def _typed(argument: click.Parameter) -> str:
    own = completion(argument)
    return OFFERED[own] if own else "word"


@pytest.mark.parametrize("label", PARAMETERS)
def test_what_names_something_completes_it(label: str) -> None:
    _, _, parameter = PARAMETERS[label]
    is_free = label in FREE or parameter.opts[0] in FREE
    assert is_free != (completion(parameter) is not None), "give it a shell_complete, or say here that it is free"


def test_what_is_free_is_there() -> None:
    names = {parameter.opts[0] for _, _, parameter in PARAMETERS.values()}
    assert {entry for entry in FREE if entry not in PARAMETERS and entry not in names} == set()


@pytest.mark.parametrize("label", NAMING)
def test_it_offers_what_is_there(here: Checkout, label: str) -> None:
    name, command, parameter = NAMING[label]
    own = completion(parameter)
    assert own is not None
    line, expected = [*name.split(), *typed_before(command, parameter)], OFFERED[own]
    if own is complete.files:
        assert offered(*line, "key=a/b") == [("file", "key=a/b")]
        return
    assert ("plain", expected) in offered(*line, "")
    begun = offered(*line, expected[:2])
    assert ("plain", expected) in begun
    assert [value for _, value in begun if not value.startswith(expected[:2])] == []
    assert offered(*line, "nothing-begins-so") == []


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("service unset mogle ", []),
        ("service unset jobs-bot ", ["MOGLE_URL"]),
        ("service set notice-bot A=1 --environment ", ["prod"]),
        ("service set mogle A=1 --environment s", ["staging"]),
        ("service add-environment notice-bot ", ["canary", "staging"]),
        ("service domain remove benefit staging.", ["staging.benefit.example.org"]),
        ("secrets remove mogle mogle-", ["mogle-oauth-42-g1"]),
        ("secrets remove mogle mogle-oauth-42-g1 --key ", ["client-secret"]),
        ("images set benefit ", ["3.2.1"]),
        ("oauth layout 4101", ["41010"]),
        ("images rollb", ["rollback"]),
        ("check --off", ["--offline"]),
        ("lb show --output ", ["text", "json"]),
        ("service new x --shape b", ["bot"]),
    ],
)
def test_it_offers_no_more_than_fits(here: Checkout, line: str, values: Sequence[str]) -> None:
    assert [value for _, value in offered(*line.split(" "))] == values


@pytest.mark.parametrize("label", ["secrets seal --from-env-file", "secrets recover --backup", "check --sarif"])
def test_a_file_is_left_to_the_shell(here: Checkout, label: str) -> None:
    assert offered(*label.split(), "x") == [("file", "x")]


# bash itself, with what a person puts into .bashrc.
_BASH = """eval "$(_GITOPS_COMPLETE=bash_source gitops)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_gitops_completion gitops
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["service", "unset", "umbrella", "MO"], ["MOGLE_URL"]),
        (["images", "rollback", "umbrella", "--to", ""], ["0.4.0"]),
        (["secrets", "remove", "umbrella", "umbrella-oauth-42-g1", "--key", "c"], ["client-secret"]),
    ],
    ids=lambda value: value[1] if len(value) > 1 else None,
)
def test_bash_completes_by_it(here: Checkout, words: list[str], values: list[str]) -> None:
    path = f"{GITOPS.parent}{os.pathsep}{os.environ['PATH']}"
    argv = ["bash", "--norc", "-c", _BASH, "bash", "gitops", *words]
    done = subprocess.run(
        argv, cwd=here.root, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == values, done.stderr


def test_outside_of_a_checkout_a_shell_completes_commands_alone(tmp_path: Any) -> None:
    done = gitops(
        Checkout(tmp_path), _GITOPS_COMPLETE="bash_complete", COMP_CWORD="3", COMP_WORDS="gitops service set m"
    )
    assert done == Ran(0, "\n", "")

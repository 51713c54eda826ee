"""The environment is read in one place, when a value is used; a bad value is one line and exit code 2."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.credentials import CREDENTIALS
from gitops.ground.errors import InputError
from gitops.ground.settings import Settings
from tests.conftest import gitops
from tests.frozen import ROOT

PACKAGE = ROOT / "scripts/gitops"
DOCUMENT = ROOT / "docs/settings.md"
# Who else touches the environment, and why.
OTHERS = {
    "ground/credentials.py": "takes credentials out of it before anything is started",
    "ground/command.py": "passes it on to what it starts",
    "ground/worker.py": "passes it on to what it starts",
    "lab/process.py": "passes it on to the lab's parts",
    "lab/externals.py": "gives git's CGI program a PATH and nothing else",
    "repository/history.py": "passes it on to git",
}


def test_no_other_module_reads_the_environment() -> None:
    readers = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            read = isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "expandvars")
            named = isinstance(node, ast.keyword) and node.arg in ("envvar", "auto_envvar_prefix")
            if read or named:
                readers.add(str(file.relative_to(PACKAGE)))
    assert readers - {"ground/settings.py"} <= set(OTHERS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITOPS_RENDER_TIMEOUT", "1m"),
        ("GITOPS_RENDER_TIMEOUT", "0"),
        ("GITOPS_RENDER_TIMEOUT", "-1"),
        ("GITOPS_RENDER_TIMEOUT", "inf"),
        ("GITOPS_RENDER_TIMEOUT", "nan"),
        ("GITOPS_RENDER_TIMEOUT", "9" * 26),  # more than a clock can count
        ("GITOPS_GITHUB_PAUSE", "86401"),
        ("GITOPS_GITHUB_PAUSE", "-0.1"),
        ("GITOPS_GITHUB_WAIT", "soon"),
        ("GITOPS_42_DEADLINE", "0"),
        ("GITOPS_42_API_URL", "api.intra.42.fr"),
        ("GITOPS_SEALED_SECRETS_URL", "127.0.0.1:8080"),
        ("GITHUB_REPOSITORY", "gitops"),
        ("GITHUB_API_URL", "github"),
        ("ARGOCD_APP", "argocd[bot]"),
        ("GITHUB_API_URL", "https://"),
        ("GITHUB_API_URL", "http://["),
        ("GITHUB_API_URL", "http://127.0.0.1:65536"),
        ("GITOPS_42_PROFILE_URL", "https://a b"),
        ("GITOPS_42_PROFILE_URL", f"https://{'a' * 64}.example.com"),
        ("SLACK_API_URL", "ftp://slack.com/api/"),
        ("BOT_APP_ID", "-1"),
        ("BOT_APP_ID", "the bot"),
    ],
)
def test_a_bad_value_is_one_fault_that_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        settings.read()
    assert len(caught.value.faults) == 1
    assert str(caught.value).startswith(f"{name}={value!r}: ")


def test_all_bad_values_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITOPS_RENDER_TIMEOUT", "1m")
    monkeypatch.setenv("GITOPS_42_DEADLINE", "1m")
    with pytest.raises(InputError) as caught:
        settings.read()
    assert len(str(caught.value).splitlines()) == 2


def test_a_secret_is_hidden_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "do-not-show")
    read = settings.read()
    assert isinstance(read.github_token, SecretStr)
    assert "do-not-show" not in f"{read} {read!r} {read.model_dump()} {read.model_dump_json()}"
    monkeypatch.setenv("GITHUB_REPOSITORY", "x")
    with pytest.raises(InputError) as caught:
        settings.read()
    assert "do-not-show" not in str(caught.value)


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.setenv(str(field.alias), "")
    assert settings.read() == Settings.model_validate({})


def test_a_value_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITOPS_TOOL_CACHE", "/one")
    assert Checkout(ROOT).tool_cache == Path("/one")
    monkeypatch.setenv("GITOPS_TOOL_CACHE", "/two")
    assert Checkout(ROOT).tool_cache == Path("/two")


@pytest.mark.parametrize("words", [["lb", "show"], ["preview"], ["check", "--offline"], ["lab", "status"]])
def test_a_bad_value_is_refused_by_the_command(scratch: Checkout, words: list[str]) -> None:
    ran = gitops(scratch, *words, GITOPS_RENDER_TIMEOUT="1m")
    assert ran.code == 2
    last = ran.err.splitlines()[-1]
    assert last.startswith("gitops: GITOPS_RENDER_TIMEOUT='1m': ")


def test_the_cluster_of_the_environment_is_what_is_shown(scratch: Checkout) -> None:
    default, lab = gitops(scratch, "lb", "show"), gitops(scratch, "lb", "show", GITOPS_CLUSTER="lab")
    assert (lab.code, lab.out) == (0, gitops(scratch, "lb", "show", "--cluster", "lab").out)
    assert lab.out != default.out
    ran = gitops(scratch, "lb", "show", GITOPS_CLUSTER="nowhere")
    assert (ran.code, "'nowhere'" in ran.err) == (2, True)
    assert gitops(scratch, "lb", "show", "--cluster", "nowhere", GITOPS_CLUSTER="lab").code == 2


def test_every_variable_stands_in_the_document(request: pytest.FixtureRequest) -> None:
    text = _document()
    if request.config.getoption("--update-golden"):
        DOCUMENT.write_text(text)
    assert DOCUMENT.read_text() == text


def _document() -> str:
    fields = Settings.model_fields.values()
    rows = [f"| `{field.alias}` | {_default(field)} | {field.description} |" for field in fields]
    secrets = [f"| `{name}` | {what} |" for name, what in CREDENTIALS.items()]
    return "\n".join(
        [
            "# Settings",
            "",
            "Every variable of the environment that `gitops` reads. They are read when they are used; a bad value is",
            "refused in one line, with exit code 2. A variable that is set to nothing counts as not set. Options win.",
            "Seconds are numbers up to 86400, a day; an address is http:// or https:// and a host. `NO_COLOR` takes",
            "the colours away, as in other programs; what is no terminal gets none.",
            "",
            "| variable | default | what it is |",
            "|---|---|---|",
            *rows,
            "",
            "Credentials. `gitops` takes them out of its environment first of all, so nothing that it starts inherits",
            "one. `GITHUB_TOKEN` above is a secret too.",
            "",
            "| variable | what it is |",
            "|---|---|",
            *secrets,
            "",
            "boto3 reads what AWS sets (`AWS_*`), requests what proxies and certificates need (`HTTPS_PROXY`,",
            "`REQUESTS_CA_BUNDLE`), git its own (`GIT_*`). The lab marks its processes with `GITOPS_LAB` and",
            "`GITOPS_LAB_PART`; nobody sets these.",
            "",
        ]
    )


def _default(field: Any) -> str:
    return "" if field.default is None or field.default is False else f"`{field.default}`"

"""The dead man's check, run as its CronJob runs it, against a list of runs and a Slack.

Its script is code that stands in a live overlay, so these tests are `live`: a copy would hide a change of it. What the
overlay is set to is its own affair, and so is whether there is one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gitops.github import run
from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile
from gitops.oauth.run import WORKFLOW
from tests import leaks
from tests.conftest import Ran
from tests.fakes.server import Server, answer
from tests.fakes.slack import Slack
from tests.frozen import ROOT

FOLDER = ROOT / "overlays/oauth-watch/prod"
SCRIPT = FOLDER / "watch.py"
pytestmark = [pytest.mark.live, pytest.mark.skipif(not SCRIPT.exists(), reason="there is no such overlay any more")]


class Actions:
    """GitHub's list of a workflow's runs, alone: the whole fake of GitHub needs what these tests must do without."""

    name, token = "ft-platform/gitops", "the-token"

    def __init__(self) -> None:
        self.workflow = "oauth.yaml"
        # When each began, and how it ended; the newest last.
        self.runs: list[tuple[str, str]] = []
        # A branch's, which has the workflow as it likes.
        self.others: list[tuple[str, str]] = []
        self._server = Server(self._serve)
        self.url = self._server.url

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return answer(request, 401, b"{}")
        if url.path != f"/repos/{self.name}/actions/workflows/{self.workflow}/runs":
            return answer(request, 404, b"{}")
        [status] = query["status"]
        runs = self.runs if query.get("event") == ["schedule"] else [*self.runs, *self.others]
        listed = [{"run_started_at": began, "conclusion": ended} for began, ended in runs if ended == status]
        page = listed[::-1][: int(query["per_page"][0])]
        return answer(request, 200, json.dumps({"total_count": len(listed), "workflow_runs": page}).encode())

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def github() -> Iterator[Actions]:
    fake = Actions()
    yield fake
    fake.close()


@pytest.fixture
def slack() -> Iterator[Slack]:
    fake = Slack()
    yield fake
    fake.close()


def container() -> dict[str, Any]:
    """The CronJob's own."""
    job = yamlfile.read(Checkout(ROOT), FOLDER / "cronjob.yaml")
    [only] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def watch(github: Actions, slack: Slack, **env: str) -> Ran:
    """With nothing but the variables that the CronJob sets, and the addresses of the fakes."""
    values = {
        "GITHUB_REPOSITORY": github.name,
        "GITHUB_TOKEN": github.token,
        "GITHUB_API_URL": github.url,
        "WORKFLOW": "oauth.yaml",
        "MAX_AGE_HOURS": "24",
        "SLACK_CHANNEL": "platform-alerts",
        **slack.environment,
    }
    given = {variable["name"] for variable in container()["env"]}
    assert values.keys() - slack.environment.keys() - {"GITHUB_API_URL"} <= given
    argv = [sys.executable, *container()["command"][1:-1], str(SCRIPT)]
    process = subprocess.run(
        argv, env={**values, "PATH": os.environ["PATH"], **env}, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in process.stderr
    return Ran(process.returncode, process.stdout, process.stderr)


def ran(github: Actions, *runs: tuple[float, str]) -> None:
    """Runs of the workflow: hours ago, and how each ended."""
    now = datetime.now(UTC)
    github.runs = [(f"{now - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}", how) for hours, how in runs]


def test_a_schedule_that_runs_is_fine(github: Actions, slack: Slack) -> None:
    ran(github, (40, "success"), (5, "success"), (1, "failure"))
    done = watch(github, slack)
    assert (done.code, done.out) == (0, "oauth.yaml last succeeded 5 h ago: fine\n")
    assert slack.messages == []


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([(26, "success")], "last succeeded 26 h ago; at most 24 h is expected"),
        ([(26, "success"), (1, "failure")], "last succeeded 26 h ago"),
        ([(1, "failure")], "never succeeded"),
        ([], "never succeeded"),
    ],
)
def test_a_schedule_that_stopped_is_told(
    github: Actions, slack: Slack, runs: list[tuple[float, str]], message: str
) -> None:
    ran(github, *runs)
    github.others = [(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "success")]
    assert watch(github, slack).code == 0
    assert f":rotating_light: the workflow oauth.yaml {message}" in slack.messages[0]
    assert "docs/runbooks/oauth.md, 'The schedule has stopped'" in slack.messages[0]


def test_what_cannot_be_looked_at_is_told_too(github: Actions, slack: Slack) -> None:
    assert watch(github, slack, GITHUB_TOKEN="wrong").code == 1
    assert "cannot be looked at (HTTP 401)" in slack.messages[0]
    assert watch(github, slack, GITHUB_API_URL="http://127.0.0.1:1").code == 1
    assert "cannot be looked at (ConnectionRefusedError)" in slack.messages[1]


def test_a_slack_that_does_not_take_it_fails_the_job(github: Actions, slack: Slack) -> None:
    slack.error = "invalid_auth"
    done = watch(github, slack)
    assert (done.code, done.err) == (1, "Slack was not told: Slack says invalid_auth\n")


def test_each_workflow_that_is_named_is_looked_at(github: Actions, slack: Slack) -> None:
    ran(github, (26, "success"))
    github.workflow = "settings.yaml"
    assert watch(github, slack, WORKFLOW="oauth.yaml settings.yaml").code == 1
    assert "the workflow oauth.yaml cannot be looked at (HTTP 404)" in slack.messages[0]
    assert "the workflow settings.yaml last succeeded 26 h ago" in slack.messages[1]


@pytest.mark.parametrize(
    "line", [b"HTTP/1.0 500 <!channel> <https://evil.example|look>", b"the-token <!channel>", b"HTTP/1.0 200 OK"]
)
def test_nothing_of_what_a_server_says_is_told(github: Actions, slack: Slack, line: bytes) -> None:
    def refuse(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(line + b'\r\n\r\n["the-token <!channel>"]')

    server = Server(refuse)
    try:
        done = watch(github, slack, GITHUB_API_URL=server.url)
    finally:
        server.close()
    assert done.code == 1
    [message] = slack.messages
    assert "cannot be looked at (" in message
    assert not any(word in message + done.out + done.err for word in ("channel", "evil", "the-token", "\n\n"))
    assert "\n" not in message
    assert {"parse": "none", "link_names": "false", "unfurl_links": "false"}.items() <= slack.forms[0].items()


CANARY = "github_pat_c4n4ry-0123456789abcdef"
# What a pipe, a paste from a page, or a mistake leaves in a token.
UNSENDABLE = ["{0}\r\nX-Other: 1", "{0}\u2028{0}", "\u201c{0}\u201d", "{0} {0}", "\x1b{0}", "{0}é"]


@pytest.mark.parametrize("form", UNSENDABLE)
@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "SLACK_TOKEN"])
def test_a_token_that_no_header_takes_is_named_and_never_told(
    github: Actions, slack: Slack, name: str, form: str
) -> None:
    """Python's own error would be `Invalid header value b'Bearer github_pat_...'`."""
    done = watch(github, slack, **{name: form.format(CANARY)})
    text = "".join([done.out, done.err, *slack.messages])
    assert (done.code, f"{name} has a character that no token has; seal it anew" in text) == (1, True)
    assert leaks.search("all", text.encode(), leaks.patterns([CANARY])) == []


def test_the_newline_that_a_pipe_sealed_does_no_harm(github: Actions, slack: Slack) -> None:
    ran(github, (26, "success"))
    tokens = {"GITHUB_TOKEN": f"{github.token}\n", "SLACK_TOKEN": f"{slack.environment['SLACK_TOKEN']}\n"}
    assert watch(github, slack, **tokens).code == 0
    assert "last succeeded 26 h ago" in slack.messages[0]


@pytest.mark.docs
def test_the_runbook_has_the_section_that_it_names() -> None:
    assert "\n## The schedule has stopped\n" in (ROOT / "docs/runbooks/oauth.md").read_text()


def test_it_watches_a_repository_that_a_cluster_reads_and_the_workflow_that_rotates() -> None:
    values = {variable["name"]: variable.get("value", "") for variable in container()["env"]}
    clusters = [yamlfile.read(Checkout(ROOT), file) for file in (ROOT / "clusters").glob("*/cluster.yaml")]
    assert f"https://github.com/{values['GITHUB_REPOSITORY']}.git" in {data["data"]["repoURL"] for data in clusters}
    # Of two that tell of others, each may be the one that was switched off.
    assert values["WORKFLOW"].split() == [WORKFLOW, "deliver.yaml", "images.yaml", run.WORKFLOW]
    assert all((ROOT / ".github/workflows" / workflow).exists() for workflow in values["WORKFLOW"].split())

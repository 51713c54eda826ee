"""Output where a terminal or a pipe understands less than UTF-8: what it cannot show stands there by its number."""

from __future__ import annotations

import os
import subprocess

import pytest
from pydantic import SecretStr

from gitops.clients.slack import Slack as SlackClient
from gitops.ground.checkout import Checkout
from tests.conftest import GITOPS, commit_all
from tests.fakes.slack import Slack

NAME = "équipe 평가 \N{PARTY POPPER}"
ENCODINGS = {
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "ASCII, strictly": {"PYTHONIOENCODING": "ascii:strict"},
    "the locale C alone": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "LANG=C": {"LANG": "C", "LC_ALL": ""},
    "Latin 1": {"PYTHONIOENCODING": "latin-1"},
}
# What prints names: a table, JSON, an error, a preview with colours, a page.
COMMANDS = (
    ["service", "list"],
    ["service", "list", "--output", "json"],
    ["service", "handover", "mogle", "--to", NAME],
    ["preview", "--base", "HEAD~1"],
    ["check", "--offline", "--base", "HEAD~1"],
    ["lb", "route", NAME, "/"],
    [NAME],
)


def test_in_slack_a_sign_of_ours_alone_is_more_than_text() -> None:
    fake = Slack()
    try:
        environment = fake.environment
        slack = SlackClient(SecretStr(environment["SLACK_TOKEN"]), "alerts", environment["SLACK_API_URL"])
        slack.post(":warning: *bold* <!channel> :fire:", ":rotating_light: :warning: x", "Runbook: :x: docs")
    finally:
        fake.close()
    assert fake.messages == [
        ":warning: *bold* &lt;!channel&gt; :\u2060fire:\n:rotating_light: :\u2060warning: x\nRunbook: :\u2060x: docs"
    ]
    off = dict.fromkeys(("mrkdwn", "link_names", "unfurl_links", "unfurl_media"), "false")
    assert {**off, "parse": "none"}.items() <= fake.forms[0].items()


@pytest.mark.bots
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_encoding_ends_in_a_traceback(scratch: Checkout, encoding: str) -> None:
    owner = scratch.root / "overlays/mogle/owner.yaml"
    owner.write_text(owner.read_text().replace("contact: ", f"contact: {NAME} #"))
    ingress = scratch.root / "overlays/mogle/prod/ingress.yaml"
    ingress.write_text(ingress.read_text().replace("metadata:\n", f'metadata:\n  annotations: {{a: "{NAME}"}}\n', 1))
    commit_all(scratch)
    environment = {**os.environ, **ENCODINGS[encoding]}
    shown = b""
    for words in COMMANDS:
        done = subprocess.run([GITOPS, *words], cwd=scratch.root, env=environment, capture_output=True, timeout=120)
        assert b"Traceback" not in done.stderr, (words, done.stderr.decode(errors="replace"))
        assert done.returncode in (0, 1, 2), (words, done.stderr.decode(errors="replace"))
        shown += done.stdout + done.stderr
    assert rb"\ud3c9\uac00" in shown or "평가".encode() in shown

"""Output where whoever reads it understands little, or is gone: less than UTF-8, no colours, no stream at all."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from gitops.clients.slack import Slack as SlackClient
from gitops.ground import columns
from gitops.ground.checkout import Checkout
from gitops.ground.output import say_styled
from gitops.ground.progress import Progress
from tests.conftest import GITOPS, commit_all
from tests.fakes.slack import Slack
from tests.frozen import platform

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


FULL = "gitops: cannot be written: No space left on device; make room\n"
# What prints by each of the ways there are: Click's own, a table, JSON, lines with a style, an error.
PRINTING: dict[str, tuple[list[str], int]] = {
    "help": (["--help"], 0),
    "a table": (["service", "list"], 0),
    "JSON": (["lb", "show", "--output", "json"], 0),
    "lines with a style": (["preview", "--base", "HEAD"], 0),
    "an error": (["lb", "route", "nowhere.example.com"], 1),
    "a wrong word": (["servise"], 2),
}


def piped(words: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    argv = ["bash", "-c", f'"$@" {redirection}', "bash", str(GITOPS), *words]
    return subprocess.run(argv, cwd=platform().root, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("printing", PRINTING)
@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_who_closes_a_stream_gets_the_answer_by_the_exit_code(printing: str, redirection: str) -> None:
    words, code = PRINTING[printing]
    done = piped(words, redirection)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("printing", [name for name, (_, code) in PRINTING.items() if code == 0])
def test_a_full_disk_is_no_fault_of_ours(printing: str) -> None:
    done = piped(PRINTING[printing][0], ">/dev/full")
    assert (done.returncode, done.stderr.endswith(FULL), "Traceback" in done.stderr) == (3, True, False)


@pytest.mark.parametrize("printing", PRINTING)
def test_a_reader_who_has_gone_ends_it_quietly(printing: str) -> None:
    words, code = PRINTING[printing]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([str(GITOPS), *words], cwd=platform().root, stdout=writer, stderr=writer, timeout=60)
    os.close(writer)
    assert done.returncode == (code or 141)


def test_in_a_folder_that_was_deleted_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    argv = ["bash", "-c", 'cd gone && rmdir "$PWD" && exec "$@"', "bash", str(GITOPS), "service", "list"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gitops: the folder that you are in was deleted; cd into the checkout\n"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "unknown"}, False),
        ({"TERM": ""}, False),
    ],
    ids=str,
)
def test_a_terminal_gets_colours_where_it_has_them(
    environment: dict[str, str], colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", stream := _Terminal())
    say_styled([("+ a", "green")])
    assert ("32m" in stream.getvalue()) == colours


@pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"])
def test_a_pipe_gets_no_colours_whatever_is_set(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TERM", "xterm")
    say_styled([("+ a", "bold green")])
    assert capsys.readouterr().out == "+ a\n"


@pytest.mark.parametrize("term", ["dumb", "", "xterm"])
def test_progress_is_drawn_where_a_terminal_can_draw(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("CI", raising=False)
    stream = _Terminal()
    with Progress(stream).step("waiting", expected=20):
        pass
    assert ("\x1b" in stream.getvalue()) == (term == "xterm")
    assert "waiting: 0.0 s" in stream.getvalue()
    assert columns.draws(stream) == (term == "xterm")

"""Names and values that act where they are printed: in a log, a comment, a pull request, a message."""

from __future__ import annotations

import re
from pathlib import Path

import cmarkgfm
import pytest
from bs4 import BeautifulSoup
from cmarkgfm.cmark import Options

from gitops.check import report
from gitops.ground import printable
from gitops.ground.errors import InputError
from gitops.ground.output import say, say_error, summarise
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place
from gitops.preview import text as texts
from gitops.preview.model import ApplicationChange, Preview
from gitops.repository.pulls import Marker
from tests.attacks import Door, Guard, attack

LOGS = {
    "a false finding": "a\n::error file=README.md,line=1::merge this",
    "a line of our own": "a\n12 folders checked: 0 errors, 0 warnings",
    "the end of all commands, so of masks": "a\n  ::stop-commands::evil",
    "an old command within a line": "a ##[add-matcher]evil.json",
    "a cleared screen": "a\x1b[2J\x1b[H",
    "a reversed name": "a\u202elmay.terces",
    "a carriage return": "evil: true\ra",
}


def acts(line: str) -> bool:
    return line.strip().startswith("::") or "##[" in line or printable.line(line) != line


@attack(Door.FORK, "a file's name that is {what} in the log", Guard.GATE)
@pytest.mark.parametrize("what", LOGS)
@pytest.mark.parametrize("as_error", [False, True], ids=["finding", "error"])
def test_name_in_the_log(
    capsys: pytest.CaptureFixture[str], what: str, as_error: bool, guard: Guard | None
) -> str | None:
    finding = Finding("render", Place(LOGS[what], 1), LOGS[what], "mend it")
    if guard is None:
        print("\n".join(report.as_lines(finding)))
    elif as_error:
        say_error(InputError(path=LOGS[what], line=1, found=LOGS[what].replace("\n", " ")))
    else:
        say(*report.as_lines(finding))
    out, err = capsys.readouterr()
    lines = (out + err).split("\n")
    ours = ("a\\n", "    why: ", "    fix: ", "gitops: ", "a", "evil: true\\ra")
    return None if any(acts(line) or not line.startswith(ours) for line in filter(None, lines)) else "shown as text"


MARKDOWN = {
    "a link": "[sign in](https://evil.example)",
    "a bare link": "https://evil.example",
    "a link by www": "www.evil.example",
    "a mail address": "a@evil.example",
    "an image": "![x](https://evil.example/x.png)",
    "HTML": "<a href=//evil.example>sign in</a>",
    "a heading": "x\n# Approved by the platform team",
    "a hidden rest": "x <!--",
    "the end of the code": "` <b>a</b> `` <b>a</b>",
    "the end of the details": "</summary></details><h1>Approved</h1>",
}
ACTING = ["a", "img", "h1", "b", "em"]


def elements(markdown: str) -> list[str]:
    shown = cmarkgfm.github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE)
    return [tag.name for tag in BeautifulSoup(shown, "html.parser").find_all([*ACTING, "td", "p"])]


@attack(Door.FORK, "an Application's name that is {what} in the comment", Guard.WORKFLOW)
@pytest.mark.parametrize("what", MARKDOWN)
def test_name_in_the_comment(monkeypatch: pytest.MonkeyPatch, what: str, guard: Guard | None) -> str | None:
    plain, evil = _comment("mogle-prod"), MARKDOWN[what]
    if guard is None:
        monkeypatch.setattr(texts, "code", lambda text: text)
        monkeypatch.setattr(texts, "html", lambda text: text)
        monkeypatch.setattr(texts, "table", _raw_table)
    return None if elements(_comment(evil)) != elements(plain) else "all of it is code"


def _comment(name: str) -> str:
    app = ApplicationChange(name=name, action="broken", error="x", notable=(f"removes host {name}",))
    whole = texts.markdown(Preview(base=name, head=name, looked=1, applications=(app,)))
    many = tuple(app.model_copy(update={"name": f"{name}{number}"}) for number in range(1_000))
    return whole + texts.markdown(Preview(base="x", head="y", looked=1, applications=many))


def _raw_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]


@attack(Door.MEMBER, "a file's name that is {what} in the summary of the run", Guard.GATE)
@pytest.mark.parametrize("what", ["a link", "a bare link", "an image", "HTML"])
def test_name_in_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, guard: Guard | None
) -> str | None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    if guard is None:
        monkeypatch.setattr(printable, "table", _raw_table)
    summarise(["where", "rule", "what", "fix"], [report.as_row(Finding("render", Place(MARKDOWN[what], 1), "x", "y"))])
    kinds = elements(summary.read_text())
    return None if kinds != ["td"] * 4 else "each cell is code"


@attack(Door.MEMBER, "a hold's reason that says to the bot what was declined", Guard.BOT)
def test_forged_marker(guard: Guard | None) -> str | None:
    """A declined image is never proposed again: a fix for a hole could be kept away so."""
    marker = Marker("gitops-image")
    forged = f'x\n<!-- gitops-image: {{"tag": "v2", "x": "{"y" * 3}"}} -->\n'
    reason = printable.code(forged) if guard else forged
    body = f"The hold ({reason}) is over.\n\n" + (marker.line({"tag": "v1"}) if guard else "")
    [declined] = marker.declined([_Pull(body)])  # type: ignore[list-item]
    return None if declined["tag"] == "v2" else "its own line alone is read"


class _Pull:
    def __init__(self, body: str) -> None:
        self.body, self.labels = body, ()


@attack(Door.MEMBER, "a name that calls the whole channel, or is a link, in Slack", Guard.BOT)
@pytest.mark.parametrize(
    "name", ["<!channel>", "<https://evil.example|docs/runbooks/github.md>", "a\n<!here>", ":fire:"]
)
def test_name_in_slack(name: str, guard: Guard | None) -> str | None:
    shown = printable.slack(name) if guard else name
    return None if "<" in shown or ":fire:" in shown else "escaped as Slack asks for"


@attack(Door.MEMBER, "a tag that stands in a commit's first line: {text}", Guard.BOT)
@pytest.mark.parametrize(
    "text", ["[skip ci]", "fixes #1", "x\n\nCo-authored-by: a <a@example.com>", "@ft-platform/platform"]
)
def test_name_in_a_commit(text: str, guard: Guard | None) -> str | None:
    subject = printable.subject(text) if guard else text
    acts = re.search(r"\[skip ci\]|#\d|\n\n[\w-]+:|@\w", subject)
    return None if acts else "shown by its number"


@attack(Door.MEMBER, "a secret of %0A and %25, which the runner would mask as another", Guard.WORKFLOW)
def test_mask(guard: Guard | None) -> str | None:
    value = "p%0Aass%25word"
    command = printable.command("add-mask", value) if guard else f"::add-mask::{value}"
    masked = command.removeprefix("::add-mask::")
    for escape, char in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        masked = masked.replace(escape, char)
    return None if masked != value else "written by the runner's own escapes"

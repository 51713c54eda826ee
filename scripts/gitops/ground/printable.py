"""Text from outside, made printable: one function for each medium, in which it is text and does nothing.

Whoever writes a file of a pull request, an image's label or a commit chooses names and values that we print. `line`
shows what no eye would see, and hides what this process must not tell (`hidden`); the others build on it. `output`
prints by them, and nothing else prints.

counted   a number of things: 1 error, 2 errors
elided    one line that is not longer than one reads
line      one line, without a character that acts or hides
log       the same for a terminal and a workflow's log, whose runner takes commands from what is printed
command   a command to that runner, with what it is told
code      Markdown: a code span, in which GitHub sees no mention, link, reference, emoji or formula
fence     Markdown: a block of code
table     Markdown: a table
html      HTML
slack     Slack
subject   the first line of a commit, and a pull request's title
message   a message of SARIF
uri       a file's name as a URI reference
json_text JSON
marker    a comment of Markdown with JSON, which a bot reads back
"""

from __future__ import annotations

import html as markup
import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from gitops.ground import hidden

# Letters and marks that are drawn as nothing (Unicode's Default_Ignorable_Code_Point), and the blank of Braille.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# A runner looks for `::command::` behind a line's blanks, and for `##[command]` anywhere in it.
_COMMAND = re.compile(r"^(?P<blanks> *):(?=:)|(?P<hashes>##)\[")
_BACKTICKS = re.compile("`+")
_HALF = re.compile("[\ud800-\udfff]")
# The name of an emoji. Behind its first colon stands then what Slack shows as nothing, and finds in no name.
_EMOJI = re.compile(r":(?=[\w+'-]+:)")
_NO_BREAK = "\u2060"
# What GitHub acts on in a commit or a title ([skip ci], @name, #1, GH-1, an address): the letter that makes it so.
_ACTS = re.compile(r"\[|@(?=\w)|#(?=\d)|(?<=\bGH)-(?=\d)|(?<=:)/(?=/)", re.IGNORECASE)
# GitHub takes 256 characters for a title; a longer first line of a commit it cuts itself.
_LONGEST_SUBJECT = 200
_FOREIGN = re.compile(r"[^\x20-\x7e\n]+")


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun. `many`: where it is not the noun with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def elided(text: str, longest: int = 300) -> str:
    """On one line of about `longest` characters: what is left out is the middle, as programs say last what is wrong."""
    text = " ".join(text.split())
    head = longest // 3
    return text if len(text) <= longest else f"{text[:head]} ... {text[head - longest :]}"


def line(text: str) -> str:
    """On one line; what acts (control, bidirectional) or hides (no width, no meaning) stands there by its number."""
    text = hidden.hide(text)
    if text.isprintable() and not _BLANK.search(text):
        return text
    return "".join(_visible(char) for char in text)


def _visible(char: str) -> str:
    if char.isprintable() and not _BLANK.match(char):
        return char
    return char.encode("unicode_escape", "surrogatepass").decode()


def log(text: str) -> str:
    """A whole line of a terminal or of a workflow's log."""
    return _COMMAND.sub(_defused, line(text))


def _defused(match: re.Match[str]) -> str:
    return r"##\x5b" if match["hashes"] else rf"{match['blanks']}\x3a"


def command(name: str, value: str) -> str:
    """A command for the runner of a workflow, such as add-mask, by its own escapes."""
    for char in "%\r\n":
        value = value.replace(char, f"%{ord(char):02X}")
    return f"::{name}::{value}"


def code(text: str) -> str:
    """A code span for one line of Markdown that is no row of a table. Nothing for an empty text."""
    shown = line(text)
    if not shown:
        return ""
    ticks = "`" * (_longest(shown) + 1)
    # One blank at both ends is no part of a span, unless all of it is blank.
    blank = " " if shown.strip() and (shown[0] in "` " or shown[-1] in "` ") else ""
    return f"{ticks}{blank}{shown}{blank}{ticks}"


def fence(lines: Sequence[str], language: str = "") -> list[str]:
    """The lines of a block of code that none of `lines` ends."""
    shown = [line(text) for text in lines]
    ticks = "`" * max(3, 1 + max(map(_longest, shown), default=0))
    return [f"{ticks}{language}", *shown, ticks]


def _longest(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table. `head` is ours, the rows are from outside."""
    cells = [list(map(_cell, row)) for row in rows]
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *cells]]


def _cell(text: str) -> str:
    # In a row even a span's `|` ends a cell.
    return code(text).replace("|", r"\|")


def html(text: str) -> str:
    """Text or an attribute's value."""
    return markup.escape(line(text), quote=True)


def slack(text: str) -> str:
    """One line of a message: no mention, no link and no emoji.

    `*bold*`, `_`, `~`, `>` and backticks are text in a message of `mrkdwn: false`, as ours are (clients/slack.py).
    """
    return _EMOJI.sub(f":{_NO_BREAK}", markup.escape(line(text), quote=False))


def subject(text: str) -> str:
    """One line that GitHub shows as a title or commits: it mentions and closes nothing, and skips no workflow.

    A trailer (`Co-authored-by:`) is one in a paragraph of its own alone, and this is one line.
    """
    shown = _ACTS.sub(lambda match: rf"\x{ord(match[0]):02x}", line(text))
    return shown if len(shown) <= _LONGEST_SUBJECT else f"{shown[: _LONGEST_SUBJECT - 3]}..."


def message(text: str) -> str:
    """One line of a SARIF message, in which `[text](target)` would be a link."""
    return line(text).replace("](", "] (")


def uri(path: str) -> str:
    """A file of the repository, for where a URI is asked for."""
    return quote(path, errors="surrogatepass")


def json_text(document: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - whatever JSON has
    """JSON of ASCII alone: no half of a character, which other readers refuse, and no command for a runner."""
    written = json.dumps(hidden.hide_all(document), indent=indent, ensure_ascii=False)
    text = _HALF.sub("\N{REPLACEMENT CHARACTER}", written)
    text = _FOREIGN.sub(lambda match: json.dumps(match[0])[1:-1], text)
    return text.replace("\x7f", r"\u007f").replace("##[", r"##\u005b")


def marker(name: str, document: Any) -> str:  # noqa: ANN401
    """A comment of Markdown and HTML with JSON that cannot end it."""
    text = json_text(document).replace("<", r"\u003c").replace(">", r"\u003e").replace("--", r"-\u002d")
    return f"<!-- {name}: {text} -->"

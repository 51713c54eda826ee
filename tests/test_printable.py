"""Text from outside stays text in every medium. Markdown is read by GitHub's own parser (cmark-gfm)."""

from __future__ import annotations

import ast
import html
import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import cmarkgfm
import pytest
from bs4 import BeautifulSoup
from cmarkgfm.cmark import Options
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitops.ground import printable
from gitops.ground.errors import InputError
from gitops.ground.output import hand_on, say, say_error, say_json, summarise
from gitops.repository.pulls import Marker
from tests.frozen import ROOT

# What Markdown, GitHub, a terminal, a runner, HTML or Slack would act on.
ACTS = [
    "@ft-platform/platform",
    "#123 GH-123 a/b#1 1c1bc2f0a5b7f0d1",
    "www.evil.example http://evil.example user@evil.example",
    "[sign in](https://evil.example) ![x](https://evil.example/x.png)",
    "<https://evil.example> <img src=x onerror=alert(1)> <!-- x --> </code></pre></details>",
    "| a | b |\\",
    "\\|",
    "`",
    "``` ~~~",
    " `a` ",
    "a\\",
    "$x$ $$x$$ \\(x\\)",
    ":x: [^1] > [!NOTE]",
    "# a",
    "- [x] a",
    "*a* _a_ ~a~ **a**",
    "&#64;a &lt; &&#35;42;",
    "\n::error file=README.md::evil",
    "::add-mask::a",
    "  ::stop-commands::a",
    "##[error]evil",
    "\r\x0b\x0c\x1c\x85\u2028\u2029",
    "\x1b]8;;https://evil.example\x07\x9b2J\x00\x7f",
    "\u202egnp.exe\u2066",
    "a\u200bb\u00ad\u2060\ufeff\u3164\u2800\U000e0061",
    "\ud800 \udcff",
    "<!channel> <@U1> <https://evil.example|ours>",
    "[red]a[/red]",
    "   ",
]
ANY = st.text(st.characters()) | st.sampled_from(ACTS) | st.lists(st.sampled_from(ACTS)).map("".join)


def rendered(markdown: str) -> BeautifulSoup:
    """As GitHub reads it, with all that its parser can."""
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES
    text = cmarkgfm.github_flavored_markdown_to_html(markdown, options)
    return BeautifulSoup(text, "html.parser", preserve_whitespace_tags={"code", "pre", "p", "td"})


def tags(page: BeautifulSoup) -> list[str]:
    return [tag.name for tag in page.find_all()]


@given(ANY)
def test_a_line_is_one_and_shows_all_of_itself(text: str) -> None:
    line = printable.line(text)
    assert len(line.splitlines()) <= 1
    line.encode()
    assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert printable.line(line) == line
    if text.isascii() and text.isprintable():
        assert line == text


@given(ANY)
def test_no_line_of_a_log_is_a_command(text: str) -> None:
    line = printable.log(text)
    assert not line.strip().startswith("::")
    assert "##[" not in line
    assert printable.log(line) == line


@given(ANY)
def test_a_command_tells_the_runner_the_very_value(text: str) -> None:
    command = printable.command("add-mask", text)
    assert "\n" not in command
    assert "\r" not in command
    value = command.removeprefix("::add-mask::")
    assert value.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%") == text


PLACES = ["{}", "- {}", "- :warning: **{}**: {}", "### {}", "{} -> {} ({})", "> {}", "<sub>{}..{}; hidden</sub>"]


@settings(max_examples=300)
@given(ANY, st.sampled_from(PLACES))
@example("``a", "{}")
def test_markdown_shows_exactly_the_text(text: str, place: str) -> None:
    shown = printable.code(text)
    page = rendered(place.replace("{}", shown))
    spans = page.find_all("code")
    line = printable.line(text)
    assert [span.get_text() for span in spans] == [line] * (place.count("{}") if line else 0)
    # Within a span GitHub looks for nothing; around it stands what we wrote.
    assert tags(page) == tags(rendered(place.replace("{}", "`x`" if line else "")))
    around = rendered(place.replace("{}", "`x`" if line else "")).get_text()
    assert page.get_text() == (around.replace("x", line) if line else around)


@given(st.lists(st.lists(ANY, min_size=2, max_size=2), min_size=1, max_size=3))
def test_a_table_keeps_every_cell(rows: list[list[str]]) -> None:
    page = rendered("\n".join(printable.table(["a", "b"], rows)))
    cells = [cell.get_text() for cell in page.find_all("td")]
    assert cells == list(map(printable.line, itertools.chain.from_iterable(rows)))
    assert set(tags(page)) <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    assert all(cell.find("code") for cell in page.find_all("td") if cell.get_text())


@given(st.lists(ANY, max_size=4))
def test_nothing_ends_a_block_of_code(lines: list[str]) -> None:
    page = rendered("\n".join(["<details>", "", *printable.fence(lines, "diff"), "</details>", "", "*after*"]))
    [block] = page.find_all("code")
    assert block.get_text().removesuffix("\n").split("\n") == [printable.line(line) for line in lines or [""]]
    assert tags(page) == ["details", "pre", "code", "p", "em"]


@given(ANY)
def test_html_shows_exactly_the_text(text: str) -> None:
    shown = printable.html(text)
    page = BeautifulSoup(f'<p title="{shown}">{shown}</p>', "html.parser", preserve_whitespace_tags={"p"})
    assert tags(page) == ["p"]
    assert page.p
    assert page.get_text() == page.p["title"] == printable.line(text)


@given(ANY)
def test_slack_sees_no_mention_and_no_link(text: str) -> None:
    shown = printable.slack(text)
    assert not re.search("[<>\n]", shown)
    assert not re.search(r":[\w+'-]+:", shown)
    assert html.unescape(shown).replace("\u2060", "") == printable.line(text)


@pytest.mark.parametrize("text", ["a:b:c:d", ":x:", "::x::", ":a:b:", "see :+1: and :flag-kr:", "10:30:00"])
def test_slack_sees_no_emoji(text: str) -> None:
    shown = printable.slack(text)
    assert not re.search(r":[\w+'-]+:", shown)
    assert shown.replace("\u2060", "") == text


@given(ANY)
def test_a_subject_is_one_short_line_that_does_nothing(text: str) -> None:
    shown = printable.subject(text)
    assert len(shown) <= 200
    assert shown == printable.line(shown)
    assert not re.search(r"\[|@\w|#\d|\bgh-\d|://", shown, re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mogle/prod: 2.14.0", "mogle/prod: 2.14.0"),
        ("mogle/prod: v1.2.3-rc.1_x at 0a1b2c3d4e5f", "mogle/prod: v1.2.3-rc.1_x at 0a1b2c3d4e5f"),
        ("x\n\nCo-authored-by: evil <e@example.com>", r"x\n\nCo-authored-by: evil <e\x40example.com>"),
        ("[skip ci] x [ci skip] [No CI] [skip actions]", r"\x5bskip ci] x \x5bci skip] \x5bNo CI] \x5bskip actions]"),
        ("fixes #1, closes a/b#2, resolves GH-3", r"fixes \x231, closes a/b\x232, resolves GH\x2d3"),
        ("closes https://github.com/a/b/issues/1", r"closes https:\x2f/github.com/a/b/issues/1"),
        ("for @ft-platform/platform", r"for \x40ft-platform/platform"),
    ],
)
def test_what_github_acts_on_in_a_subject(text: str, shown: str) -> None:
    assert printable.subject(text) == shown


@given(ANY)
def test_sarif_sees_no_link(text: str) -> None:
    assert "](" not in printable.message(text)
    assert re.fullmatch(r"[\w.~/%-]*", printable.uri(text), re.ASCII)


DOCUMENTS = st.recursive(ANY | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(ANY, inner))


@given(DOCUMENTS)
def test_json_says_the_same_to_every_reader(document: object) -> None:
    text = printable.json_text(document, indent=1)
    assert re.fullmatch(r"[\x20-\x7e\n]*", text)
    assert "##[" not in text
    json.loads(text).__repr__().encode()
    halves = re.compile("[\ud800-\udfff]")
    if not halves.search(json.dumps(document, ensure_ascii=False)):
        assert json.loads(text) == document


@given(ANY, ANY)
def test_a_marker_is_read_back_whatever_stands_in_it_or_above(value: str, above: str) -> None:
    marker = Marker("gitops-image")
    value = re.sub("[\ud800-\udfff]", "", value)
    body = f"{printable.code(above)}\n\n{marker.line({'tag': value})}"
    assert marker.line({"tag": value}).count("-->") == 1
    assert marker.declined([_Pull(body)]) == [{"tag": value}]  # type: ignore[list-item]


class _Pull:
    def __init__(self, body: str) -> None:
        self.body, self.labels = body, ()


def test_a_text_that_looks_like_a_marker_is_none() -> None:
    marker = Marker("gitops-image")
    forged, real = marker.line({"tag": "v1"}), marker.line({"tag": "v2"})
    assert marker.declined([_Pull(f"{forged}\n\n{real}\n")]) == [{"tag": "v2"}]  # type: ignore[list-item]
    assert marker.declined([_Pull(f"{real}\n\na hold on `{forged}`")]) == [{"tag": "v2"}]  # type: ignore[list-item]


def test_all_that_is_printed_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ACTS:
        say(text)
        say(text, err=True)
        say_json([text])
        say_error(InputError(text, path=text, line=3, found=text))
    out, err = capsys.readouterr()
    for line in [*out.splitlines(), *err.splitlines()]:
        assert printable.log(line) == line


def test_what_continues_an_error_is_set_in(capsys: pytest.CaptureFixture[str]) -> None:
    say_error(InputError("git said:\ngitops: 0 errors\n::error::x", path="a\nb.yaml"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [r"gitops: a\nb.yaml: git said:", "    gitops: 0 errors", r"    \x3a:error::x"]


def test_what_a_run_hands_on_stays_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary, output = tmp_path / "summary", tmp_path / "output"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    summarise(["what"], [[text] for text in ACTS])
    hand_on("number", "1\nsarif=/etc/passwd")
    cells = [cell.get_text() for cell in rendered(summary.read_text()).find_all("td")]
    assert cells == [printable.line(text) for text in ACTS]
    assert output.read_text() == "number=1\\nsarif=/etc/passwd\n"


# Who may print: `output` for all; a live line; the words to the runner, and a prompt.
MAY_PRINT = {"ground/output.py", "ground/progress.py", "ground/runner.py"}
PRINTS = {"print", "echo", "secho", "echo_via_pager", "Console", "pprint"}
STREAMS = {"stdout", "stderr"}


def printing(text: str) -> Iterator[tuple[int, str]]:
    """Where a module prints by itself, or escapes by its own means: (line, how)."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            stream = getattr(getattr(node.func, "value", None), "attr", "")
            if name in PRINTS or (name == "write" and stream in STREAMS):
                yield node.lineno, name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            for name in imported:
                if name.partition(".")[0] in {"rich", "html"}:
                    yield node.lineno, name


MODULES = sorted((ROOT / "scripts/gitops").rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT / "scripts/gitops")))
def test_nothing_else_prints(module: Path) -> None:
    name = str(module.relative_to(ROOT / "scripts/gitops"))
    if name not in {*MAY_PRINT, "ground/printable.py"}:
        assert list(printing(module.read_text())) == [], "gitops.ground.output prints, gitops.ground.printable escapes"


@pytest.mark.parametrize(
    "text", ["print('a')", "click.echo(a)", "sys.stderr.write(a)", "from rich.markup import escape", "import html"]
)
def test_what_prints_is_found(text: str) -> None:
    assert list(printing(text))


def _words(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


@pytest.mark.parametrize("pattern", ["`{}`", "| {} |", "{} -->"])
def test_markdown_is_made_in_one_place(pattern: str) -> None:
    """A value between backticks or bars of our own is one that could end them."""
    places = {module.name for module in MODULES if pattern in "\n".join(_words(module))}
    assert places <= {"printable.py"}


@given(ANY, st.integers(min_value=20, max_value=400))
def test_of_a_long_text_both_ends_are_kept(text: str, longest: int) -> None:
    short, whole = printable.elided(text, longest), " ".join(text.split())
    assert len(short) <= longest + len(" ... ")
    assert short.startswith(whole[: longest // 3])
    assert short.endswith(whole[-(longest // 3) :])
    assert (short == whole) or " ... " in short


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 errors"), (1, "1 error"), (2, "2 errors")], ids=["none", "one", "some"]
)
def test_a_number_has_the_noun_that_goes_with_it(number: int, said: str) -> None:
    assert printable.counted(number, "error") == said
    assert printable.counted(number, "entry", "entries").startswith(f"{number} entr{'y' if number == 1 else 'ies'}")


def test_every_medium_is_tested() -> None:
    """A new function of the module gets its property here."""
    functions = {name for name, value in vars(printable).items() if isinstance(value, Callable) and name[0] != "_"}  # type: ignore[arg-type]
    own = {name for name in functions if getattr(vars(printable)[name], "__module__", "") == printable.__name__}
    text = Path(__file__).read_text()
    assert own == {name for name in own if f"printable.{name}(" in text} | {"marker"}

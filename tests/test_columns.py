"""Tables and errors as wide as what shows them: nothing longer, and nothing left out."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.ground import columns
from gitops.ground.output import print_table
from tests.conftest import GITOPS
from tests.frozen import platform

HEAD = ["service", "environment", "why"]
ROWS = [["mogle", "prod", "waits for the secret mogle-oauth-42-g7 that is not there"], ["동네 우산", "staging", "-"]]
TEXT = st.text("ab 우é", max_size=30)


def test_what_fits_is_one_line_each() -> None:
    assert columns.table([["a", "b"], ["cc", "d"]], 80) == ["a   b", "cc  d"]
    assert columns.table([HEAD, *ROWS], 0)[1].endswith(ROWS[0][2])


def test_cells_wrap_between_words_and_the_others_keep_their_columns() -> None:
    assert columns.table([HEAD, *ROWS], 50) == [
        "service    environment  why",
        "mogle      prod         waits for the secret",
        "                        mogle-oauth-42-g7 that is",
        "                        not there",
        "동네 우산  staging      -",
    ]


def test_where_no_columns_have_room_rows_are_blocks() -> None:
    assert columns.table([HEAD, *ROWS], 30) == [
        "mogle",
        "  environment: prod",
        "  why: waits for the secret",
        "    mogle-oauth-42-g7 that is",
        "    not there",
        "동네 우산",
        "  environment: staging",
        "  why: -",
    ]


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=4), st.integers(20, 90))
def test_no_line_is_longer_and_no_sign_is_lost(rows: list[tuple[str, str, str]], limit: int) -> None:
    lines = columns.table([("x", "y", "z"), *rows], limit)
    assert max(map(columns.cells, lines)) <= limit
    shown = "".join(lines).replace(" ", "")
    cells = "".join(map("".join, rows))
    for sign in "ab우é":
        assert shown.count(sign) == cells.count(sign)


@given(TEXT, st.integers(8, 40))
def test_a_wrapped_line_has_the_same_words(text: str, limit: int) -> None:
    lines = columns.wrapped(text, limit, "  ")
    assert max(map(columns.cells, lines)) <= limit
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def in_a_terminal(width: int, *words: str) -> list[str]:
    """The lines of a command in a terminal of so many columns."""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", str(width)], stdin=follower, check=True)
    # As readline leaves it to a child, of another terminal.
    environment = {**os.environ, "COLUMNS": "200"}
    process = subprocess.Popen(
        [GITOPS, *words], cwd=platform().root, stdout=follower, stderr=follower, stdin=follower, env=environment
    )
    os.close(follower)
    text = b""
    try:
        while piece := os.read(leader, 4096):
            text += piece
    except OSError:  # the terminal is gone with the last who had it
        pass
    process.wait(timeout=60)
    os.close(leader)
    return text.decode().splitlines()


@pytest.mark.parametrize(
    "words", [("service", "list"), ("secrets", "list"), ("service", "handover", "mogle", "--to", "x" * 80)]
)
def test_a_terminal_of_60_columns_is_enough(words: tuple[str, ...]) -> None:
    lines = in_a_terminal(60, *words)
    assert lines
    assert max(map(columns.cells, lines)) <= 60


def test_a_pipe_gets_each_row_as_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_table(HEAD, [["a" * 100, "b" * 100, "c d"]])
    assert len(capsys.readouterr().out.splitlines()) == 2
    print_table(HEAD, [["a", "b", "c d " * 100]], widest=160)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 160

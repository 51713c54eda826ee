"""Each runbook begins with what a person sees, word for word, and ends with how to see that it is over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import runbooks

pytestmark = pytest.mark.docs


@pytest.mark.parametrize("file", runbooks.FILES, ids=lambda file: file.stem)
def test_a_runbook_begins_with_what_a_person_sees(file: Path) -> None:
    quoted = runbooks.seen(file)
    assert quoted, "it begins with no message: You see ..."
    for message in quoted:
        if message not in runbooks.FOREIGN and not message.startswith(runbooks.RENDERED):
            assert len("".join(runbooks.pieces(message))) > 8, f"{message}: says too little to be searched for"
            assert runbooks.is_made(message), f"{message}: nothing prints it"


@pytest.mark.parametrize("file", runbooks.FILES, ids=lambda file: file.stem)
def test_a_runbook_ends_with_how_to_see_that_it_is_over(file: Path) -> None:
    *_, heading = re.findall(r"^## (.*)$", file.read_text(), re.MULTILINE)
    assert heading == runbooks.OVER
    assert file.read_text().partition(f"## {runbooks.OVER}")[2].strip()


def test_what_nothing_prints_is_told() -> None:
    assert runbooks.is_made("lab NAME: PART is dead; its log ends:")
    assert not runbooks.is_made("lab NAME: PART is asleep; its log ends:")
    assert not runbooks.is_made("is dead: NAME lab")


@pytest.mark.parametrize("file", ["application-not-healthy.md", "refused.md", "degraded.md"])
def test_a_revert_stands_first(file: str) -> None:
    paragraph = (runbooks.FOLDER / file).read_text().split("\n\n")[1]
    assert paragraph.startswith("**`git revert` of the last commit on the overlay is always right")


@pytest.mark.parametrize("file", runbooks.FILES, ids=lambda file: file.stem)
def test_what_a_runbook_leads_to_is_there(file: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(((?:\w|-)+\.md)(#((?:\w|-)+))?\)", file.read_text()):
        there = (runbooks.FOLDER / target).read_text()
        headings = re.findall(r"^#+ (.*)$", there, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{target}#{anchor}"

"""README.ko.md is README.md in Korean: the same headings, blocks, links, tables, names and figures."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

import cmarkgfm
import pytest
from bs4 import BeautifulSoup, Tag
from cmarkgfm.cmark import Options

from tests.frozen import ROOT

pytestmark = pytest.mark.docs

ENGLISH, KOREAN = (ROOT / name for name in ("README.md", "README.ko.md"))
# The link of each to the other one.
ACROSS = {"README.md", "README.ko.md"}
# What stands in a shape, or on an arrow.
_WORDS_OF_A_PICTURE = re.compile(r"\[[^\]]*\]|\{\{.*?\}\}|(?<=--) .*? (?=-->)")
# Words of English in a row are a sentence that nobody translated; names have large letters or stand alone.
_ENGLISH = re.compile(r"[A-Za-z]+(?: [a-z]+){2,}")


@dataclass
class Section:
    """What is the same in every language between two headings."""

    level: str
    blocks: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    tables: list[list[int]] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)


def sections(text: str) -> list[Section]:
    """A document, heading by heading, as GitHub reads it."""
    html = cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE)
    blocks = [block for block in BeautifulSoup(html, "html.parser").children if isinstance(block, Tag)]
    anchors = {_anchor(block.text): str(number) for number, block in enumerate(filter(_is_heading, blocks))}
    read: list[Section] = []
    for block in blocks:
        if _is_heading(block):
            read.append(Section(block.name))
        _read(block, read[-1], anchors)
    return read


def _is_heading(block: Tag) -> bool:
    return re.fullmatch(r"h[1-6]", block.name) is not None


def _anchor(heading: str) -> str:
    """A heading as GitHub has it in an address."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _read(block: Tag, section: Section, anchors: dict[str, str]) -> None:
    section.blocks.append(block.name)
    if block.name == "pre":
        section.code.append(_skeleton(block.text) if block.get("lang") == "mermaid" else str(block))
        return
    if block.name == "table":
        section.tables.append([len(row.find_all(["td", "th"])) for row in block.find_all("tr")])
    section.names.update(code.text for code in block.find_all("code"))
    targets = [unquote(str(link["href"])) for link in block.find_all("a")]
    # A heading is another word in another language, and stands in the same place.
    section.links.update(anchors.get(target.removeprefix("#"), target) for target in targets if target not in ACROSS)
    for code in block.find_all("code"):
        code.decompose()
    section.figures.update(re.findall(r"\d[\d.,]*\d|\d", block.text))


def _skeleton(picture: str) -> str:
    """A picture without what it says: what leads to what."""
    return _WORDS_OF_A_PICTURE.sub(" ", picture)


def differences(english: str, korean: str) -> Iterator[str]:
    """Where two READMEs are not equal, in words."""
    for number, (one, two) in enumerate(itertools.zip_longest(sections(english), sections(korean))):
        if one is None or two is None:
            yield f"section {number}: in one alone"
            continue
        for name in ("level", "blocks", "code", "tables", "names", "links"):
            if getattr(one, name) != getattr(two, name):
                yield f"section {number}: {name}: {getattr(one, name)} and {getattr(two, name)}"
        # What English says in a word, Korean may say in a digit.
        if missing := one.figures - two.figures:
            yield f"section {number}: figures: {sorted(missing)}"


def test_the_korean_readme_is_the_english_one() -> None:
    assert list(differences(ENGLISH.read_text(), KOREAN.read_text())) == []


def test_it_is_korean() -> None:
    for paragraph in re.sub(r"```.*?```", "", KOREAN.read_text(), flags=re.DOTALL).split("\n\n"):
        words = re.sub(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->", "", paragraph)
        assert not re.search(r"[A-Za-z]", words) or re.search(r"[가-힣]", words), paragraph
        assert _ENGLISH.findall(words) == []
    [picture] = re.findall(r"```mermaid\n(.*?)```", KOREAN.read_text(), re.DOTALL)
    assert re.findall(r"\b(?:an?|the|in|of|for|request)\b", picture) == []


def test_each_leads_to_the_other() -> None:
    assert "](README.ko.md)" in ENGLISH.read_text()
    assert "](README.md)" in KOREAN.read_text()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("make demo\n", "make demonstration\n", "code"),
        ("`gitops secrets remove`", "`gitops secrets seal`", "names"),
        ("](docs/adr)", "](docs)", "links"),
        ("](#", "](#x", "links"),
        ("\n## ", "\n### ", "level"),
        ("\n| `apps/` |", "\n| more |\n| `apps/` |", "tables"),
        ("\n| `apps/` |", "\n\n| `apps/` |", "blocks"),
        ("2 GB", "3 GB", "figures"),
        ("  ns --> lb", "  lb --> ns", "code"),
    ],
)
def test_a_difference_is_noticed(old: str, new: str, what: str) -> None:
    text = ENGLISH.read_text()
    assert old in text
    assert any(f": {what}: " in line for line in differences(text, text.replace(old, new, 1)))

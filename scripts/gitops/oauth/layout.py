"""The layout of 42's page: what is left of it without any value, name or word that is not 42's own.

`layout.html` beside this module is the one that is known, as `gitops oauth layout` recorded it: read by a test, and
compared with a page that was refused. What could be somebody's goes: only what is listed here stays.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from bs4.dammit import EntitySubstitution
from bs4.element import NavigableString

from gitops.oauth.blocks import COPY, NONE, SECRET, UID, VALUE, mark_of, text_of
from gitops.oauth.dates import BLOCK

RECORDED = Path(__file__).with_name("layout.html")
# What stands in a recorded page for the application, for the first of its dates, and for the moment of reading.
APPLICATION, FIRST_DAY, READ_AT = 10000, date(2030, 1, 20), datetime(2030, 1, 12, tzinfo=UTC)
_MOST_LINES, _LONGEST_LINE = 12, 120

_COMPLETE = re.compile(r"\b[us]-s4t2(?:ud|af)-[0-9a-f]{64}\b")
_DATE = re.compile(r"\b(?:\d{1,2}/\d{1,2}/\d{4}|\d{4}-\d{2}-\d{2})\b")
_WORDS = re.compile(
    rf"{_COMPLETE.pattern}|{_DATE.pattern}|\b(?:(?:not )?valid (?:from|until)|until|changed to|generate now|"
    r"replace now|next secret|secret|uid)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"[a-z][a-z-]{0,30}")
_OTHER = "..."


def blank(html: str, application: str, private: Sequence[str] = ()) -> str:
    """A page with all replaced that is not of its layout. `private`: words that are somebody's, such as a login."""
    return _Blank(html, application, [word.casefold() for word in private if word]).page()


def fingerprint(html: str, application: str) -> str:
    """A short name for the layout of a page."""
    return hashlib.sha256("\n".join(_lines(html, application)).encode()).hexdigest()[:12]


def difference(html: str, application: str) -> list[str]:
    """What a page has otherwise than the known layout: `-` and `+` before what is gone and what is new."""
    known = _lines(RECORDED.read_text(encoding="utf-8"), str(APPLICATION))
    changes = difflib.unified_diff(known, _lines(html, application), lineterm="", n=0)
    lines = [line for line in changes if not line.startswith(("---", "+++", "@@"))]
    more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return [line[:_LONGEST_LINE] for line in lines[:_MOST_LINES]] + more


def _lines(html: str, application: str) -> list[str]:
    """Each element of the part that is read: its name, its classes, what it says that it shows, and its own text."""
    soup = BeautifulSoup(blank(html, application), "html.parser")
    return [_line(element) for element in _area(soup).find_all(True)]


def _line(element: Tag) -> str:
    classes = "".join(f".{name}" for name in element.get("class") or [])
    mark = mark_of(element)
    shows = f"[{mark[0]}]" if mark else ""
    names = [f"{name}=?" if (name, value) == (VALUE, "") else name for name, value in element.attrs.items()]
    names = [name for name in names if name not in ("class", COPY)]
    attributes = f" ({' '.join(sorted(names))})" if names else ""
    text = " ".join(str(node) for node in element.children if type(node) is NavigableString)
    text = _DATE.sub("DATE", _COMPLETE.sub("VALUE", " ".join(text.split())))
    text = "VALUE" if text == NONE else text
    return f"{element.name}{classes}{shows}{attributes} {text}".strip()


def _area(soup: BeautifulSoup) -> Tag:
    """The innermost element that has all that is read."""
    parts = [element for element in soup.find_all(True) if _is_read(element)]
    if not parts:
        return soup
    chains = [[part, *part.parents][::-1] for part in parts]
    area: Tag = soup
    for level in zip(*chains, strict=False):
        if any(element is not level[0] for element in level):
            break
        area = level[0]
    return area.parent if area.parent and any(area is part for part in parts) else area


def _is_read(element: Tag) -> bool:
    own = "".join(str(node) for node in element.children if type(node) is NavigableString).strip()
    value = _COMPLETE.search(own) or _COMPLETE.search(str(element.get(VALUE, "")))
    return bool(mark_of(element) or value or BLOCK in (element.get("class") or []))


class _Blank:
    def __init__(self, html: str, application: str, private: Sequence[str]) -> None:
        self._soup = BeautifulSoup(html, "html.parser")
        for element in self._soup(["head", "script", "style", "template", "noscript"]):
            element.decompose()
        self._private = private
        self._application = application
        self._applications: dict[str, int] = {application: APPLICATION}
        self._values: dict[str, str] = {}
        text = text_of(_area(self._soup))
        days = sorted({day for written in _DATE.findall(text) if (day := _day(written))})
        self._days = {day: FIRST_DAY + timedelta(days=number) for number, day in enumerate(days)}

    def page(self) -> str:
        """The part that is read, and the elements around it by their names alone."""
        area = _area(self._soup)
        around = [parent.name for parent in area.parents if parent.name in ("html", "body", "main", "div", "section")]
        around = [name for name in around if name not in ("html", "body")][::-1]
        lines = ["<!DOCTYPE html>", "<html>", "<body>", *(f"<{name}>" for name in around)]
        if area.name in ("[document]", "html", "body"):
            for child in area.find_all(True, recursive=False):
                lines += self._element(child, 0)
        else:
            lines += self._element(area, 0)
        return "\n".join([*lines, *(f"</{name}>" for name in around[::-1]), "</body>", "</html>", ""])

    def _element(self, element: Tag, depth: int) -> Iterator[str]:
        indent = "  " * depth
        name = element.name if self._is_public(element.name.rstrip("123456")) else "div"
        yield f"{indent}<{name}{''.join(self._attributes(element))}>"
        for child in element.children:
            if isinstance(child, Tag):
                yield from self._element(child, depth + 1)
            elif type(child) is NavigableString and child.strip():
                yield f"{indent}  {EntitySubstitution.substitute_xml(self._text(str(child)))}"
        if not element.is_empty_element:
            yield f"{indent}</{name}>"

    def _attributes(self, element: Tag) -> Iterator[str]:
        for name, value in element.attrs.items():
            if not self._is_public(name):
                continue
            text = ""
            if name == "class":
                text = " ".join(token for token in element.get("class") or [] if self._is_public(token))
            elif name == COPY and (mark := mark_of(element)):
                text = f"[data-app-{mark[0]}-{self._number(mark[1])}]"
            elif name == VALUE:
                text = self._value(str(value).strip())
            yield f" {name}={EntitySubstitution.quoted_attribute_value(EntitySubstitution.substitute_xml(text))}"

    def _is_public(self, name: str) -> bool:
        return _NAME.fullmatch(name) is not None and not any(word in name.casefold() for word in self._private)

    def _text(self, text: str) -> str:
        """Its words that are 42's own; all else is three dots."""
        text = " ".join(text.split())
        if text == NONE:
            return NONE
        words, end = [], 0
        for match in _WORDS.finditer(text):
            words += [_OTHER] if text[end : match.start()].strip() else []
            words.append(self._word(match[0]))
            end = match.end()
        words += [_OTHER] if text[end:].strip() else []
        return " ".join(words)

    def _word(self, word: str) -> str:
        if _COMPLETE.fullmatch(word):
            return self._value(word)
        if _DATE.fullmatch(word):
            day = _day(word)
            stands = self._days[day] if day else None
            return _OTHER if stands is None else stands.isoformat() if "-" in word else f"{stands:%d/%m/%Y}"
        return word if word[0].isalpha() and word.replace(" ", "").isalpha() else _OTHER

    def _value(self, value: str) -> str:
        if value == NONE:
            return NONE
        form = "u" if UID.fullmatch(value) else "s" if SECRET.fullmatch(value) else ""
        if not form:
            return ""
        return self._values.setdefault(value, f"{form}-s4t2ud-{len(self._values):064x}")

    def _number(self, application: str) -> int:
        return self._applications.setdefault(application, APPLICATION + len(self._applications))


def _day(text: str) -> date | None:
    try:
        if "-" in text:
            return date.fromisoformat(text)
        day, month, year = map(int, text.split("/"))
        return date(year, month, day)
    except ValueError:
        return None

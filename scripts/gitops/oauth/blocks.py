"""42's application page, taken apart: each credential with its value, whichever element shows it.

A credential is known by `data-copy="[data-app-<field>-<id>]"`, which names its application, or else by the label before
it ("UID", "SECRET", "NEXT SECRET"). Names of classes and tags decide nothing: they differ between what is known of 42's
pages.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PageElement

from gitops.ground.errors import ExternalError
from gitops.ground.printable import counted

NONE = "-"
COPY, VALUE = "data-copy", "data-clipboard-text"
LABELS = {"uid": "uid", "secret": "secret", "next secret": "next-secret"}
UID = re.compile(r"u-s4t2(ud|af)-[0-9a-f]{64}")
SECRET = re.compile(r"s-s4t2(ud|af)-[0-9a-f]{64}")
_COMPLETE = re.compile(r"\b[us]-s4t2(?:ud|af)-[0-9a-f]{64}\b")
_MARK = re.compile(r"\[data-app-([a-z][a-z-]*)-(\d+)\]")
_SECRET_LIKE = re.compile(r"\bs-s4t2[0-9a-zA-Z-]*")
_UNSEEN = ("head", "script", "style", "template", "noscript")


class LayoutError(ExternalError):
    """The page cannot be read in one way alone (exit 4). `difference`: from the known layout, without a value."""

    difference: tuple[str, ...] = ()


@dataclass(frozen=True)
class Credential:
    """One value that is shown. `application`: its number, None where only a label says what it is.

    `place`: where it stands among all that the page has.
    """

    application: str | None
    field: str
    value: str
    place: int
    element: Tag


def parse(html: str) -> BeautifulSoup:
    """What a person sees of a page, and its comments. Raises LayoutError for an attribute that says two things."""
    soup = BeautifulSoup(html, "html.parser", on_duplicate_attribute=_twice)
    for element in soup(_UNSEEN):
        element.decompose()
    return soup


def credentials(soup: BeautifulSoup, application: str) -> list[Credential]:
    """All that are shown, in their order, also another application's. Raises LayoutError for one without one value."""
    return list(_credentials(soup, application))


def _credentials(soup: BeautifulSoup, application: str) -> Iterator[Credential]:
    label: NavigableString | None = None
    taken: set[int] = set()
    for place, node in enumerate(soup.descendants):
        if any(id(parent) in taken for parent in node.parents):
            continue
        if isinstance(node, Tag):
            mark = mark_of(node)
            if mark:
                field, number = mark
                if number == application and label and _contradicts(label, node, field):
                    raise LayoutError(f"the label before {field} is another credential's")
                value = _value(node, field) if number == application else str(node.get(VALUE) or node.get_text())
                yield Credential(number, field, value.strip(), place, node)
            elif label and _is_value(str(node.get(VALUE, "")).strip()):
                yield Credential(None, _label(label), _value(node, _label(label)), place, node)
            else:
                continue
            label = None
            taken.add(id(node))
        elif type(node) is NavigableString and node.strip():
            if _label(node):
                # Labels side by side are the head of a table: none of them stands before its value.
                in_a_row = label is not None and label.find_parent("th") and node.find_parent("th")
                label = None if in_a_row else node
            elif label and _is_value(node.strip()) and node.parent:
                yield Credential(None, _label(label), node.strip(), place, node.parent)
                label = None
    if label and _label(label) == "next-secret":
        # The silent failure of others: a next secret that is shown in some new way, taken for none.
        raise LayoutError("the label of the next secret has no value after it")


def mark_of(element: Tag) -> tuple[str, str] | None:
    """Which field of which application an element says that it shows."""
    match = _MARK.fullmatch(str(element.get(COPY, "")).strip())
    return (match[1], match[2]) if match else None


def shows_any(html: str) -> bool:
    """Whether a page has anything of a credential."""
    return "s4t2" in html or "data-app-" in html


def strays(soup: BeautifulSoup, shown: list[Credential]) -> int:
    """How many secrets the page has, in comments too, that stand in no credential and are not the beginning of one."""
    known = {credential.value for credential in shown}
    texts = set(_SECRET_LIKE.findall(str(soup)))
    unknown = {text for text in texts if not _begins_one(text, known)}
    return len(unknown)


def _begins_one(text: str, values: Collection[str]) -> bool:
    return any(value.startswith(text) for value in values)


def stands_in(element: Tag, container: Tag) -> bool:
    """Whether an element is another or inside it; elements that say the same are equal, and not the same."""
    return element is container or any(parent is container for parent in element.parents)


def text_of(element: Tag) -> str:
    """An element's text on one line."""
    return " ".join(element.get_text(" ").split())


def _value(element: Tag, field: str) -> str:
    copied = str(element.get(VALUE) or "").strip()
    text = text_of(element)
    values = set(_COMPLETE.findall(text)) | ({copied} if copied else set())
    if not values and text == NONE:
        return NONE
    if len(values) != 1:
        raise LayoutError(f"{counted(len(values), 'value')} in one element of {field}")
    return values.pop()


def _is_value(text: str) -> bool:
    return text == NONE or _COMPLETE.fullmatch(text) is not None


def _label(node: PageElement) -> str:
    return LABELS.get(" ".join(str(node).split()).casefold().rstrip(": "), "")


def _contradicts(label: NavigableString, element: Tag, field: str) -> bool:
    """Whether a label stands in a block of this credential alone, and says that it is another."""
    around = {id(parent) for parent in label.parents}
    block = next((parent for parent in element.parents if id(parent) in around), None)
    alone = block is not None and sum(mark_of(inner) is not None for inner in block.find_all(True)) == 1
    return alone and field in LABELS.values() and _label(label) != field


def _twice(attributes: dict[str, str], name: str, value: str) -> None:
    """A browser takes the first of two; of what is read, both must say the same."""
    if name in (COPY, VALUE) and attributes[name] != value:
        raise LayoutError(f"an element has two attributes {name}")

"""The dates on 42's application page: what each says, whose it is, and whether it can be meant.

42 writes d/m/Y without a time and a zone. A date that could be m/d/Y as well, lies in the past or too far ahead, or
stands in words that are not known is no date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone

from bs4 import BeautifulSoup, Tag

from gitops.oauth.blocks import Credential, LayoutError, stands_in, text_of

BLOCK = "rotation-actions"
# Secrets live for two weeks; what ends later than this is not meant. A day has not ended everywhere before two have.
LONGEST, SLACK = timedelta(days=60), timedelta(days=2)
# The first place on Earth where a day begins: the more careful reading of an end without a time zone.
_FIRST = timezone(timedelta(hours=14))
# From then until it is that day nearly everywhere.
ANYWHERE = timedelta(hours=14)

_DATE = r"(?P<day>\d{1,2}/\d{1,2}/\d{4}|\d{4}-\d{2}-\d{2})(?![\d/-])"
_PHRASE = re.compile(rf"\bvalid (?P<word>from|until):? {_DATE}", re.IGNORECASE)
_THEN = re.compile(rf",? ?(?:and |- )?(?P<word>until|to):? {_DATE}", re.IGNORECASE)
_ANY_DATE = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}")
_OTHERWISE = re.compile(r"changed to|not valid|no longer valid", re.IGNORECASE)


@dataclass(frozen=True)
class Day:
    """A day as it is written. `swapped`: what it would be as m/d/Y, where that is a day too."""

    meant: date
    swapped: date | None = None

    @classmethod
    def of(cls, text: str) -> Day:
        """Raises LayoutError for what is no day."""
        try:
            if "-" in text:
                meant = date.fromisoformat(text)
                return cls(meant.replace(year=_year(meant.year)))
            day, month, year = map(int, text.split("/"))
            year = _year(year)
            swapped = date(year, day, month) if day <= 12 and day != month else None
            return cls(date(year, month, day), swapped)
        except ValueError:
            raise LayoutError("a date that is no d/m/Y") from None

    @property
    def begins(self) -> datetime:
        """When it begins where it begins first."""
        return _begins(self.meant)


@dataclass(frozen=True)
class Period:
    """What is said of one credential: from when and until when 42 accepts it. `place`: where on the page."""

    since: Day | None
    until: Day | None
    place: int
    element: Tag

    @property
    def says(self) -> tuple[Day | None, Day | None]:
        """Its days."""
        return (self.since, self.until)

    @property
    def days(self) -> list[Day]:
        """The days that it names."""
        return [day for day in self.says if day]


def periods(soup: BeautifulSoup) -> list[Period]:
    """Each block that says or could say a date, in their order. Raises LayoutError for words that are not known."""
    places = {id(node): place for place, node in enumerate(soup.descendants)}
    blocks = {id(block): block for block in _blocks(soup)}
    return [_period(block, places[id(block)]) for block in sorted(blocks.values(), key=lambda block: places[id(block)])]


def _blocks(soup: BeautifulSoup) -> Iterator[Tag]:
    for element in soup.find_all(True):
        outer = element.find_parent(class_=BLOCK)
        if BLOCK in (element.get("class") or []):
            yield outer or element
        elif _PHRASE.search(text_of(element)):
            inner = any(_PHRASE.search(text_of(child)) for child in element.find_all(True, recursive=False))
            if not inner:
                yield outer or element


def _period(block: Tag, place: int) -> Period:
    text = text_of(block)
    if _OTHERWISE.search(text):
        raise LayoutError("a date with words that change it")
    said = list(_said(text))
    if len(said) != len(_ANY_DATE.findall(text)):
        raise LayoutError("a date in words that are not known")
    since = {day for word, day in said if word == "from"}
    until = {day for word, day in said if word != "from"}
    if len(since) > 1 or len(until) > 1:
        raise LayoutError("two dates of one kind in one block")
    return Period(next(iter(since), None), next(iter(until), None), place, block)


def _said(text: str) -> Iterator[tuple[str, Day]]:
    for match in _PHRASE.finditer(text):
        yield match["word"].lower(), Day.of(match["day"])
        then = _THEN.match(text, match.end())
        if then:
            yield "until", Day.of(then["day"])


def of_secrets(stated: Sequence[Period], shown: Sequence[Credential], application: str) -> tuple[Period, Period | None]:
    """The periods of the secret and of the next one: as the blocks are nested and, where they are not, in their order.

    Each way of reading the order is tried; those that leave a block over, give one credential two, or end the next
    secret before the current one are none. Raises LayoutError unless one reading is left.
    """
    marks = [(credential.application or application, credential) for credential in shown]
    readings: dict[tuple[object, object], tuple[Period, Period | None]] = {}
    for owners in _readings(stated, marks):
        secret, following = owners.get((application, "secret")), owners.get((application, "next-secret"))
        if secret is None or secret.until is None:
            continue
        if following and following.until and following.until.meant <= secret.until.meant:
            continue
        readings[secret.says, following.says if following else (None, None)] = (secret, following)
    if len(readings) != 1:
        raise LayoutError("no date of the current secret" if not readings else "a date that is not one secret's alone")
    return next(iter(readings.values()))


_Marks = Sequence[tuple[str, Credential]]
_Owner = tuple[str, str]


def _readings(stated: Sequence[Period], marks: _Marks) -> Iterator[dict[_Owner, Period]]:
    fixed = [(owner, period) for period in stated if (owner := _container_owner(period, marks))]
    nested = {period.place for _, period in fixed}
    loose = [period for period in stated if period.place not in nested]
    for pairs in (_neighbours(loose, marks, -1), _neighbours(loose, marks, 1)):
        if pairs is not None:
            yield from _merged(fixed, pairs)
            yield from _merged(fixed, _grouped(pairs, marks, [owner for owner, _ in fixed]))


def _container_owner(period: Period, marks: _Marks) -> _Owner | None:
    """The one credential that a block stands in or beside: the innermost element around it has no other."""
    for container in (period.element, *period.element.parents):
        owners = {
            (application, credential.field)
            for application, credential in marks
            if stands_in(credential.element, container)
        }
        if owners:
            return owners.pop() if len(owners) == 1 else None
    return None


def _neighbours(loose: Sequence[Period], marks: _Marks, step: int) -> list[tuple[_Owner, Period]] | None:
    """Each block with the credential before (-1) or after (1) it; None where one has none there."""
    pairs = []
    for period in loose:
        beside = [mark for mark in marks if (mark[1].place - period.place) * step > 0]
        if not beside:
            return None
        application, credential = min(beside, key=lambda mark: abs(mark[1].place - period.place))
        pairs.append(((application, credential.field), period))
    return pairs


def _grouped(
    pairs: Sequence[tuple[_Owner, Period]], marks: _Marks, fixed: Sequence[_Owner]
) -> list[tuple[_Owner, Period]] | None:
    """Each application's blocks, which stand together, for its secrets in their order; one alone is the secret's."""
    grouped: list[tuple[_Owner, Period]] = []
    for application in dict.fromkeys(application for (application, _), _ in pairs):
        own = [period for (owner, _), period in pairs if owner == application]
        fields = dict.fromkeys(c.field for owner, c in marks if owner == application and c.field != "uid")
        free = [field for field in fields if (application, field) not in fixed]
        if len(own) == 1 and "secret" in free:
            free = ["secret"]
        parted = any(own[0].place < credential.place < own[-1].place for _, credential in marks)
        if len(own) != len(free) or parted:
            return None
        grouped += [((application, field), period) for field, period in zip(free, own, strict=True)]
    return grouped


def _merged(
    fixed: Sequence[tuple[_Owner, Period]], pairs: Sequence[tuple[_Owner, Period]] | None
) -> Iterator[dict[_Owner, Period]]:
    """Who has which; nothing where one would have two, or a uid a date."""
    owners: dict[_Owner, Period] = {}
    for owner, period in (*fixed, *(pairs or ())):
        if owner[1] == "uid" and period.days:
            return
        beside = owners.get(owner)
        if beside and beside.days and period.days and beside.says != period.says:
            return
        owners[owner] = beside if beside and beside.days else period
    if pairs is not None:
        yield owners


def end(day: Day, now: datetime, proofs: Sequence[Day]) -> tuple[datetime, datetime | None]:
    """When `day`, an end, begins, and when it would as m/d/Y, where that could be meant too and no proof is against it.

    `now`: 42's own time; `proofs`: all days of the page. Raises LayoutError for a day that cannot be meant.
    """
    return _moment(day, proofs, now - SLACK, now + LONGEST)


def beginning(day: Day, now: datetime, proofs: Sequence[Day]) -> tuple[datetime, datetime | None]:
    """The same for a day from which a secret is accepted, which may have been some time ago. Raises LayoutError."""
    return _moment(day, proofs, now - LONGEST, now + LONGEST)


def _moment(day: Day, proofs: Sequence[Day], earliest: datetime, latest: datetime) -> tuple[datetime, datetime | None]:
    if not earliest <= day.begins <= latest:
        raise LayoutError("a date in the past, or more than 60 days ahead")
    proved = any(proof.swapped is None and proof.meant.day > 12 for proof in proofs)
    swapped = _begins(day.swapped) if day.swapped else None
    if proved or swapped is None or not earliest <= swapped <= latest:
        return day.begins, None
    return day.begins, swapped


def _year(year: int) -> int:
    """Years near the ends of the calendar have no time in another zone. Raises ValueError."""
    if not 2000 <= year <= 2999:
        raise ValueError(year)
    return year


def _begins(day: date) -> datetime:
    return datetime.combine(day, time(), _FIRST).astimezone(UTC)

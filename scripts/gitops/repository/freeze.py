"""Windows in which nothing is to change (.github/freezes.yaml)."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile

FILE = ".github/freezes.yaml"
# A status stays until something sets it again, at the latest the schedule of images.yaml. So long before a window
# (its period, and how late GitHub starts it) it fails: else something could be merged in the window's first hour.
AHEAD = timedelta(hours=1, minutes=15)
_SECOND = timedelta(seconds=1)


def _zone_name(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("not a time zone; expected one such as Asia/Seoul or Europe/Paris") from None
    return name


class Freeze(BaseModel):
    """A window in which nothing is to change, in wall-clock time of its zone.

    It is the longer one of two: in the hour that autumn repeats `from` is the first pass and `to` the second. A time
    that spring leaves out is the moment after the gap.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: str = Field(min_length=1)
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    zone: Annotated[str, AfterValidator(_zone_name)] = Field(alias="time-zone")

    @model_validator(mode="after")
    def _order(self) -> Freeze:
        if self.start.tzinfo or self.end.tzinfo:
            raise ValueError("from and to are wall-clock times of time-zone: leave their offset out")
        if self.start >= self.end:
            raise ValueError(f"from {self.start} is not before to {self.end}")
        try:
            begins, ends = self.begins, self.ends
        except OverflowError:
            raise ValueError("from and to: expected years from 2 to 9998") from None
        if begins >= ends:
            raise ValueError(f"from {self.start} to {self.end}: the clocks of {self.zone} leave all of it out")
        return self

    @cached_property
    def begins(self) -> datetime:
        """The moment of its start, in UTC."""
        return _moment(self.start, ZoneInfo(self.zone), fold=0)

    @cached_property
    def ends(self) -> datetime:
        """The moment of its end, in UTC."""
        return _moment(self.end, ZoneInfo(self.zone), fold=1)

    def covers(self, now: datetime, ahead: timedelta = timedelta()) -> bool:
        """Whether `now` (with a zone) lies in it (the start does, the end does not), or it begins within `ahead`."""
        return self.begins <= now + ahead and now < self.ends


def _moment(wall: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    """When a zone's clocks show `wall`, the first time (`fold` 0) or the last; where they never do: the gap's end."""
    moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    # In a gap both readings are beside it, and the clocks jump between the two.
    before, after = (wall.replace(tzinfo=zone, fold=number).astimezone(UTC) for number in (1, 0))
    offset = before.astimezone(zone).utcoffset()

    def has_jumped(seconds: int) -> bool:
        return (before + seconds * _SECOND).astimezone(zone).utcoffset() != offset

    return before + bisect.bisect_left(range((after - before) // _SECOND), True, key=has_jumped) * _SECOND


class Freezes(BaseModel):
    """.github/freezes.yaml: every window."""

    model_config = ConfigDict(extra="forbid")

    freezes: list[Freeze]


def read(checkout: Checkout) -> list[Freeze]:
    """Read .github/freezes.yaml (none where it is not there). Raises InputError."""
    file = checkout.root / FILE
    return yamlfile.read_model(checkout, file, Freezes).freezes if file.exists() else []


def current(windows: Sequence[Freeze], now: datetime, ahead: timedelta = timedelta()) -> Freeze | None:
    """The window that covers `now` or begins within `ahead`, the one that ends last."""
    covering = (window for window in windows if window.covers(now, ahead))
    return max(covering, key=lambda window: window.ends, default=None)

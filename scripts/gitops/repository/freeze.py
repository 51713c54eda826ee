"""Windows in which nothing is to change (.github/freezes.yaml), and the commit status `freeze` that keeps them."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gitops.clients.github import FREEZE, Hub
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.printable import line
from gitops.manifests import yamlfile
from gitops.repository.history import History
from gitops.repository.rotation import is_rotation

FILE = ".github/freezes.yaml"
# A status stays until something sets it again, at the latest the schedule of images.yaml. So long before a window
# (its period, and how late GitHub starts it) it fails: else something could be merged in the window's first hour.
AHEAD = timedelta(hours=1, minutes=15)
_SECOND = timedelta(seconds=1)
# Whether a commit does nothing but go back to what ran, as far as who asks can tell.
GoesBack = Callable[[History, str], bool]


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


def read_main(history: History) -> list[Freeze]:
    """The windows that main has. Raises InputError."""
    content = history.content(history.main(), FILE)
    documents = yamlfile.parse_all(content, FILE) if content else []
    try:
        return Freezes.model_validate(documents[0]).freezes if documents else []
    except ValidationError as error:
        raise InputError.several(yamlfile.faults(error, FILE)) from None


def set_one(hub: Hub, history: History, window: Freeze | None, head: str, goes_back: GoesBack | None) -> str:
    """Set the status of one commit. Returns what was written, nothing where it is so already. Raises ExternalError.

    `history` must have the commit where there is a window; what it has not passes in none.
    """
    state, text = "success", "no freeze"
    if window and goes_back and goes_back(history, head):
        text = f"a rollback may be merged in {window.name}"
    elif window and is_rotation(history, head):
        # 42 waits for no window of ours: what is deployed ends all the same.
        text = f"a rotation may be merged in {window.name}"
    elif window:
        state, text = "failure", f"{window.name}: {window.start} until {window.end} {window.zone}"
    return f"{state}: {text}" if hub.status(head, FREEZE, state, line(text)[:140]) else ""


def judge_made(hub: Hub, history: History, made: str | None, goes_back: GoesBack | None = None) -> None:
    """Set the status of what has just been proposed (None: nothing), so that it waits for no other run.

    Only as the App: what another sets the ruleset does not take, and the workflow `freeze` comes with the event. Raises
    InputError for windows that cannot be read, ExternalError.
    """
    if made is None or not hub.is_app:
        return
    window = current(read_main(history), datetime.now(UTC), AHEAD)
    if window:
        history.fetch(hub.settings.token)
    set_one(hub, history, window, made, goes_back)

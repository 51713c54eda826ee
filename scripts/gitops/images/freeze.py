"""Windows in which nothing is to change (.github/freezes.yaml), and the commit status `freeze` that keeps them."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gitops.clients.github import FREEZE, Hub
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, InputError, combined
from gitops.ground.printable import line
from gitops.images import edit, entry, hold
from gitops.manifests import yamlfile
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository.git import FILE_MODE
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from gitops.repository.pulls import Outcome
from gitops.repository.rotation import is_rotation

FILE = ".github/freezes.yaml"
# Where the merge queue tries what it is about to merge.
QUEUE = "gh-readonly-queue/main/"
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


def set_all(checkout: Checkout, hub: Hub, now: datetime) -> dict[str, str]:
    """Set the commit status `freeze` on all that waits to be merged to what holds now.

    Returns what was written, by pull request (#12) or branch of the merge queue. Raises ExternalError where GitHub
    refused one, once all others are set. Branch protection requires the status:
    GitHub evaluates no check again at a window's edge, so a scheduled job does.
    """
    history = History(checkout.root)
    history.fetch(hub.settings.token)
    with main_files(checkout, history) as base:
        window = current(read(base), now, AHEAD)
    written, failures = {}, []
    waiting = [(f"#{pull.number}", pull.head.sha) for pull in hub.open_heads()]
    for name, head in [*waiting, *history.branches(QUEUE)]:
        try:
            if text := set_one(hub, history, window, head):
                written[name] = text
        except ExternalError as error:
            # GitHub takes 1,000 statuses of one name on a commit: whoever used them up stops their own alone.
            failures.append(error)
    if failures:
        raise combined(failures)
    return written


def set_one(hub: Hub, history: History, window: Freeze | None, head: str) -> str:
    """Set the status of one commit. Returns what was written, nothing where it is so already. Raises ExternalError.

    `history` must have the commit where there is a window; what it has not passes in none.
    """
    state, text = "success", "no freeze"
    if window and goes_back(history, head):
        text = f"a rollback may be merged in {window.name}"
    elif window and is_rotation(history, head):
        # 42 waits for no window of ours: what is deployed ends all the same.
        text = f"a rotation may be merged in {window.name}"
    elif window:
        state, text = "failure", f"{window.name}: {window.start} until {window.end} {window.zone}"
    return f"{state}: {text}" if hub.status(head, FREEZE, state, line(text)[:140]) else ""


def judge_made(hub: Hub, history: History, window: Freeze | None, outcome: Outcome) -> None:
    """Set the status of what a run has just proposed, so that it waits for no other run. Raises ExternalError.

    Only as the App: what another sets the ruleset does not take, and the workflow `freeze` comes with the event.
    """
    if outcome.made and hub.is_app:
        if window:
            history.fetch(hub.settings.token)
        set_one(hub, history, window, outcome.made)


def goes_back(history: History, head: str) -> bool:
    """Whether a commit does nothing but bring overlays back to images that main ran in them, and hold them there."""
    return bool(taken_back(history, head))


def taken_back(history: History, head: str) -> set[Overlay]:
    """The overlays that a commit brings back to images that main ran in them; none where it does anything else.

    Read from its files and main's history: a label, a title or a branch's name can be given by anyone.
    """
    base = history.fork_point(head)
    if base is None:
        return set()
    added = history.changes(base, head)
    if set(added.values()) != {FILE_MODE}:
        return set()
    allowed = set()
    overlays = {Overlay.of_path(path) for path in added}
    for overlay in overlays:
        back = _taken_back(history, overlay, base, head) if overlay else None
        if overlay is None or back is None:
            return set()
        name, image = back
        allowed.add(overlay.kustomization)
        file = entry.hold_file(overlay, name)
        if _holds(history, head, file, image):
            allowed.add(file)
    return set(filter(None, overlays)) if set(added) <= allowed else set()


def _taken_back(history: History, overlay: Overlay, base: str, head: str) -> tuple[str, Image] | None:
    """The entry and its former image that `head` pins, where the kustomization changes that image and no more."""
    path = overlay.kustomization
    before, after = history.content(base, path), history.content(head, path)
    if before is None or after is None:
        return None
    with suppress(InputError):
        for name in edit.entries(before, path):
            if image := _image_taken_back(history, path, before, after, name):
                return name, image
    return None


def _image_taken_back(history: History, path: str, before: bytes, after: bytes, name: str) -> Image | None:
    """The former image of one entry, where `after` is `before` with that image and no other change."""
    try:
        pin = edit.read(before, path, name)
        past = hold.former_images(hold.past_images(history, path, pin.entry))
        former = [image for image in past if image.name == pin.image.name]
        # What a stranger wrote is compared and never parsed.
        fitting = [image for image in former if image != pin.image and edit.replace(before, path, image, name) == after]
    except InputError:
        return None
    return fitting[0] if fitting else None


def _holds(history: History, head: str, file: str, image: Image) -> bool:
    kept = hold.as_written(history.content(head, file) or b"")
    return kept is not None and kept.tag == image.tag

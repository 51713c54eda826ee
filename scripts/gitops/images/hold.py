"""What keeps the bot's hands off: a recorded hold, a person's downgrade, a declined pull request, a freeze window."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from github.PullRequest import PullRequest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.images import edit
from gitops.images.policy import Policy
from gitops.images.select import order
from gitops.manifests import yamlfile
from gitops.manifests.image import Image
from gitops.repository.history import History, Version
from gitops.repository.pulls import WITHDRAWN

FILE = "hold.yaml"
FREEZES = ".github/freezes.yaml"
# How a pull request says which image it proposes: read back when a person declined it.
_MARKER = re.compile(r"<!-- gitops-image: (\{.*?\}) -->")


class Hold(BaseModel):
    """overlays/<service>/<environment>/hold.yaml: this environment stays on `tag` until then, and why."""

    model_config = ConfigDict(extra="forbid")

    tag: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    until: datetime

    @model_validator(mode="after")
    def _zone(self) -> Hold:
        if self.until.tzinfo is None:
            raise ValueError("until: expected a time zone, such as 2026-12-01T09:00:00+09:00")
        return self


def _zone_name(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("not a time zone; expected one such as Asia/Seoul or Europe/Paris") from None
    return name


class Freeze(BaseModel):
    """A window in which nothing is to change, in wall-clock time of its zone."""

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
        return self

    def covers(self, now: datetime) -> bool:
        """Whether `now` (with a zone) lies in it: the start belongs to it, the end does not."""
        zone = ZoneInfo(self.zone)
        return self.start.replace(tzinfo=zone) <= now < self.end.replace(tzinfo=zone)


class Freezes(BaseModel):
    """.github/freezes.yaml: every window."""

    model_config = ConfigDict(extra="forbid")

    freezes: list[Freeze]


def freezes(checkout: Checkout) -> list[Freeze]:
    """Read .github/freezes.yaml (none where it is not there). Raises InputError."""
    file = checkout.root / FREEZES
    return yamlfile.read_model(checkout, file, Freezes).freezes if file.exists() else []


def frozen(windows: Sequence[Freeze], now: datetime) -> Freeze | None:
    """The window that covers `now`, the one that ends last."""
    return max((window for window in windows if window.covers(now)), key=lambda window: window.end, default=None)


def read(checkout: Checkout, folder: Path) -> Hold | None:
    """The hold of an overlay. Raises InputError."""
    file = folder / FILE
    return yamlfile.read_model(checkout, file, Hold) if file.exists() else None


def write(hold: Hold) -> bytes:
    """The file of a hold."""
    head = "# yaml-language-server: $schema=../../../docs/schemas/hold.json\n"
    lines = [f"tag: {json.dumps(hold.tag)}", f"reason: {json.dumps(hold.reason, ensure_ascii=False)}"]
    return (head + "\n".join([*lines, f"until: {hold.until.isoformat(timespec='seconds')}", ""])).encode()


def pins(history: History, path: str, entry: str) -> list[tuple[Version, Image]]:
    """What an overlay ran on main, newest first; versions that changed another line are left out."""
    found: list[tuple[Version, Image]] = []
    with history.lock:  # one git process answers all threads
        versions = list(history.versions(path))
    for version in versions:
        try:
            image = edit.read(version.content, path, entry).image
        except InputError:  # an old version may have been broken
            continue
        if found and found[-1][1] == image:
            found[-1] = (version, image)  # the oldest commit that had it is the one that brought it
        else:
            found.append((version, image))
    return found


def taken_back(policy: Policy, ran: Sequence[tuple[Version, Image]]) -> list[str]:
    """Tags that a person replaced on main by an older one: a downgrade is a hold."""
    found: list[str] = []
    for at, ((_, new), (_, old)) in enumerate(pairwise(ran)):
        now, then = order(policy, new.tag), order(policy, old.tag)
        if now is not None and then is not None:
            back = now < then
        else:  # no order by name: what ran before that one already runs again
            back = any(image.digest == new.digest for _, image in ran[at + 2 :])
        if back:
            found += [old.tag, old.digest]
    return found


def declined(closed: Sequence[PullRequest]) -> list[str]:
    """Tags and digests of pull requests that a person closed without a merge."""
    found: list[str] = []
    for pull in closed:
        if any(label.name == WITHDRAWN for label in pull.labels):
            continue
        if marker := _MARKER.search(pull.body or ""):
            proposed = json.loads(marker[1])
            found += [str(proposed.get("tag", "")), str(proposed.get("digest", ""))]
    return found


def marker(image: Image) -> str:
    """The line of a pull request's body that `declined` reads."""
    return f"<!-- gitops-image: {json.dumps({'tag': image.tag, 'digest': image.digest})} -->"

"""What came of it: each count of the closing line, with what is counted.

rotations: secrets that 42 showed as the next one and that an overlay's ready pods then held.
bumps: merged pull requests with an image.
lost: secrets that 42 showed, that are over, and that no pod ever held, though 42 answered in their window.
without_secret_s: seconds in which 42 refused what the ready pods of an overlay held, over all overlays.
red_by_bot: pull requests of a bot, touched by nobody else, of which a required check was red.
by_hand: what people did to a bot's pull request: images of prod, and what the simulation had them do and mend.
duplicates: a secret or an image that was proposed again while it was open or after it was merged, or a number used
twice. untold: what concerns a person and was in no message to Slack in its time (conditions.py). leaks: places in
which a secret stands, in any form, of all that was written.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from tests.fakes.github_repository import BOT, Pull
from tests.fakes.intra42 import App
from tests.year.cluster import Held
from tests.year.conditions import Condition, Message
from tests.year.plan import Away, Plan

_MARKER = re.compile(r"^<!-- gitops-(oauth|image): (\{.*\}) -->", re.MULTILINE)


@dataclass(frozen=True)
class Window:
    """A secret of 42: shown from `shown`, the only one accepted from `switch`, refused from `ends` (None: not yet)."""

    value: str
    shown: datetime
    switch: datetime | None
    ends: datetime | None


@dataclass(frozen=True)
class Without:
    """Seconds without an accepted secret: all, and those of secrets in whose whole window 42 was away."""

    seconds: float
    excused: float


@dataclass(frozen=True)
class Score:
    """The closing line's counts. `faults` says of each what it is; `details`: those that it has no count for."""

    rotations: int
    bumps: int
    lost: int
    without_secret_s: int
    red_by_bot: int
    by_hand: int
    duplicates: int
    untold: int
    leaks: int
    excused_s: int
    details: tuple[str, ...]
    faults: tuple[str, ...]

    COUNTED: ClassVar[tuple[str, ...]] = (
        "rotations",
        "bumps",
        "lost",
        "without_secret_s",
        "red_by_bot",
        "by_hand",
        "duplicates",
        "untold",
        "leaks",
    )

    @property
    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.COUNTED}

    @property
    def line(self) -> str:
        """The closing line. What 42's own absence brought about is said, and told apart."""
        text = "year: " + " ".join(f"{name}={count}" for name, count in self.counts.items())
        return text + (f" (42 was away for a whole window: {self.excused_s} of these s)" if self.excused_s else "")

    @property
    def bad(self) -> bool:
        """Whether a promise was broken."""
        faults = (self.lost, self.red_by_bot, self.duplicates, self.untold, self.leaks)
        return any(faults) or self.without_secret_s > self.excused_s or bool(self.details)


# -- 42's secrets and the pods


def windows(app: App) -> list[Window]:
    """Every secret that 42 ever showed of an application, oldest first: the first ran when all began."""
    values = list(app.accepted.items())
    issued = []
    for index, (value, (shown, ends)) in enumerate(values):
        before = values[index - 1][1][1] if index else shown
        issued.append(Window(value, shown, before, ends))
    return issued


def rotated(app: App, held: Sequence[Held]) -> list[Window]:
    """Those that 42 showed as the next one, and that pods held."""
    values = {period.value for period in held}
    return [window for window in windows(app)[1:] if window.value in values]


def lost(app: App, held: Sequence[Held], plan: Plan, now: datetime) -> list[Window]:
    """Those that are over, and that no pod ever held, though it was possible."""
    ran = {window.value for window in rotated(app, held)}
    over = [window for window in windows(app)[1:] if window.ends is not None and window.ends <= now]
    return [window for window in over if window.value not in ran and not _whole_window_away(window, plan)]


def _whole_window_away(window: Window, plan: Plan) -> bool:
    """Whether 42 answered at no moment at which its page showed a secret before the one in use was refused."""
    last = window.switch or plan.end
    away = [outage for outage in plan.outages if outage.what is Away.INTRA42]
    return any(outage.begin <= window.shown and outage.end >= last for outage in away)


def without(app: App, held: Sequence[Held], plan: Plan, end: datetime) -> Without:
    """The seconds between two moments at which something changes, wherever what is held is refused."""
    seconds = excused = 0.0
    issued = windows(app)
    known = {window.value: number for number, window in enumerate(issued)}
    for index, period in enumerate(held):
        until = held[index + 1].since if index + 1 < len(held) else end
        number = known.get(period.value or "")
        ends = issued[number].ends if number is not None else period.since
        if ends is None:
            continue
        gap = max(0.0, (until - max(period.since, ends)).total_seconds())
        seconds += gap
        # What should have run by then was shown while 42 was away.
        if number is not None and number + 1 < len(issued) and _whole_window_away(issued[number + 1], plan):
            excused += gap
    return Without(seconds, excused)


# -- pull requests


def proposals(pulls: Iterable[Pull]) -> dict[tuple[str, str], list[Pull]]:
    """The pull requests of a bot by branch and by what they propose."""
    by_proposal: dict[tuple[str, str], list[Pull]] = {}
    for pull in pulls:
        markers = _MARKER.findall(pull.body) if pull.user == BOT[0] else []
        if markers:
            proposed = json.dumps(json.loads(markers[-1][1]), sort_keys=True)
            by_proposal.setdefault((pull.head, proposed), []).append(pull)
    return by_proposal


def duplicates(pulls: Iterable[Pull]) -> list[str]:
    """What was proposed again, though the pull request before was merged or is still open."""
    doubled = []
    for (branch, _), same in proposals(pulls).items():
        for earlier, later in itertools.pairwise(same):
            if earlier.merged_at or earlier.state == "open":
                doubled.append(f"#{later.number} proposes what #{earlier.number} did ({branch})")
    return doubled


def used_twice(git_dir: str) -> list[str]:
    """Generations that came to main twice: the files of seals that were added again."""
    words = [
        "git",
        "--git-dir",
        git_dir,
        "log",
        "main",
        "--first-parent",
        "--diff-filter=A",
        "--name-only",
        "--format=",
    ]
    done = subprocess.run([*words, "--", "overlays"], capture_output=True, check=True, text=True)
    added = Counter(path for path in done.stdout.split() if "sealedsecret-oauth-42-g" in path)
    return [f"{path} was added {count} times" for path, count in added.items() if count > 1]


def red(pulls: Iterable[Pull], failed: dict[str, str], touched: Iterable[int]) -> list[str]:
    """A bot's pull requests whose check was red. `failed`: by commit, which check."""
    people = set(touched)
    own = [pull for pull in pulls if pull.user == BOT[0] and pull.number not in people]
    return [f"#{pull.number} {pull.title}: {failed[pull.last_head]}" for pull in own if pull.last_head in failed]


# -- who heard


def untold(conditions: Iterable[Condition], messages: Sequence[Message]) -> list[str]:
    """What nobody heard of in its time."""
    silent = [condition for condition in conditions if not condition.told(messages)]
    return [
        f"{condition.what} {condition.subject} from {condition.begin:%Y-%m-%d %H:%M}, due {condition.due:%m-%d %H:%M}"
        for condition in silent
    ]

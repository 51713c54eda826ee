"""What concerns a person, as the simulation itself knows it, and until when Slack must have said it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.year.clock import HOUR
from tests.year.plan import Away, Plan

# What looks four times a day has looked by then.
PERIOD = 6.5 * HOUR
# How long after a merge a secret that no pod holds is told of, and how long one may wait for its merge.
DELIVERED, WAITS = HOUR, 6 * HOUR
# What looks every quarter of an hour has looked by then, also where GitHub starts it late or leaves one out.
QUARTER = 0.75 * HOUR
# overlays/oauth-watch: how old the newest success may be, and how often it looks.
OLDEST, WATCH = 24 * HOUR, 6.5 * HOUR


@dataclass(frozen=True)
class Message:
    """What Slack was told, and when."""

    moment: datetime
    channel: str
    text: str


@dataclass(frozen=True)
class Condition:
    """From `begin` until `end` this is so. Told means: a message until `due` that has one of `words`, each with all
    of its parts.

    What is over before it is due needs no word.
    """

    what: str
    subject: str
    begin: datetime
    due: datetime
    end: datetime
    words: tuple[tuple[str, ...], ...]

    def told(self, messages: Sequence[Message]) -> bool:
        """Whether somebody heard of it in time, or it was over before."""
        if self.end <= self.due:
            return True
        heard = [message.text for message in messages if self.begin <= message.moment <= self.due]
        return any(self._is_in(line) for line in "\n".join(heard).splitlines())

    def _is_in(self, line: str) -> bool:
        """Whether a line has all parts of one of the words."""
        return any(all(map(line.__contains__, parts)) for parts in self.words)


def put_off(plan: Plan, due: datetime, begin: datetime) -> datetime:
    """Until when something is to be told, where GitHub started no run or answered none meanwhile: a period after."""
    for outage in sorted(plan.outages, key=lambda outage: outage.begin):
        silenced = outage.what in (Away.ACTIONS, Away.GITHUB) and outage.begin < due and outage.end > begin
        if silenced:
            due = max(due, outage.end + PERIOD)
    return due


def of_plan(plan: Plan) -> Iterator[Condition]:
    """What the outages are to people: those that last."""
    for outage in plan.outages:
        if outage.what in (Away.INTRA42, Away.LAYOUT):
            words = (("unreachable",), ("maintenance",)) if outage.what is Away.INTRA42 else (("layout",),)
            due = put_off(plan, outage.begin + PERIOD + 6 * HOUR, outage.begin)
            yield Condition(f"{outage.what} away", "", outage.begin, due, outage.end, words)
        elif outage.what is Away.ACTIONS:
            due = outage.begin + OLDEST + WATCH
            yield Condition("no run starts", "", outage.begin, due, outage.end, (("oauth.yaml",),))
        elif outage.what is Away.ECR:
            due = put_off(plan, outage.begin + OLDEST + WATCH, outage.begin)
            yield Condition("ECR away", "", outage.begin, due, outage.end, (("images.yaml",), ("ECR",)))


def undelivered(plan: Plan, overlay: str, merged: datetime, end: datetime) -> Condition:
    """A merged secret that no ready pod holds."""
    due = put_off(plan, merged + DELIVERED + QUARTER, merged)
    return Condition(
        "merged and not delivered", overlay, merged, due, end, ((overlay, "not delivered"), *_ends(overlay))
    )


def declined(plan: Plan, overlay: str, begin: datetime, end: datetime) -> Condition:
    """A person closed the pull request with a secret, or committed to it."""
    due = put_off(plan, begin + PERIOD + HOUR, begin)
    words = ((overlay, "BLOCKED"), *_ends(overlay))
    return Condition("a person's act on a rotation", overlay, begin, due, end, words)


def waits(plan: Plan, overlay: str, opened: datetime, end: datetime) -> Condition:
    """A pull request with a secret that does not merge."""
    due = put_off(plan, opened + WAITS + PERIOD, opened)
    words = ((overlay, "not merged"), (overlay, "BLOCKED"), *_ends(overlay))
    return Condition("a rotation waits for its merge", overlay, opened, due, end, words)


def at_risk(plan: Plan, overlay: str, begin: datetime, end: datetime) -> Condition:
    """Three days before 42's switch no pod holds what comes after it."""
    due = put_off(plan, begin + PERIOD, begin)
    return Condition("the secret ends", overlay, begin, due, end, _ends(overlay))


def _ends(overlay: str) -> tuple[tuple[str, str], ...]:
    """What is said of an overlay whose secret ends, whatever keeps the next one away."""
    return ((overlay, "AT_RISK"), (overlay, "EXPIRED"))


def red_main(moment: datetime) -> Condition:
    """Main's own check failed."""
    return Condition("main is red", "", moment, moment + HOUR, moment + timedelta(days=999), (("main is red",),))

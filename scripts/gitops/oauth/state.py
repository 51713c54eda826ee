"""What a secret's rotation is at, and what the bot does about it: no input, no output, no clock.

    IDLE -> DUE -> (FETCHED -> VERIFIED -> SEALED: in memory only) -> PR_OPEN -> MERGED -> SYNCED -> CONFIRMED
         -> RETIRED -> IDLE
    to the side: WAITING (42 shows no next secret yet), SCHEDULED (it accepts the next one from a date), BLOCKED,
    STUCK (no merge, or no pod has it), AT_RISK, EXPIRED

Every run begins from the facts, so a crash anywhere begins again at DUE and loses nothing. The first row of TABLE that
fits is the state. Secrets are known by their rotation ids alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# When a missing next secret begins to be worth a word, and when it is an emergency.
SOON, RISK = timedelta(days=7), timedelta(days=3)
ALERTS = (timedelta(days=7), timedelta(days=3), timedelta(days=1))
# How long after 42's switch the previous generation stays: nobody knows how long 42 still accepts it.
KEEP = timedelta(days=1)
# A day without an hour and a zone is over in the last place on Earth so long after it begins in the first.
SOMEWHERE = timedelta(hours=50)
# How long a merged secret may take to the last pod before someone is told.
PATIENCE = timedelta(hours=1)
# How long an open pull request that merges by itself may wait for its checks.
SLOW = timedelta(hours=6)
# A rotation is near where what is deployed ends within this: 42 rotates every two weeks.
NEAR = timedelta(days=14)


class Stage(StrEnum):
    """Where a rotation is."""

    IDLE = "IDLE"
    DUE = "DUE"
    FETCHED = "FETCHED"
    VERIFIED = "VERIFIED"
    SEALED = "SEALED"
    PR_OPEN = "PR_OPEN"
    MERGED = "MERGED"
    SYNCED = "SYNCED"
    CONFIRMED = "CONFIRMED"
    RETIRED = "RETIRED"
    WAITING = "WAITING"
    SCHEDULED = "SCHEDULED"
    BLOCKED = "BLOCKED"
    STUCK = "STUCK"
    AT_RISK = "AT_RISK"
    EXPIRED = "EXPIRED"


class Act(StrEnum):
    """What the bot does about it."""

    NOTHING = "nothing"
    ROTATE = "rotate"
    CLEAN_UP = "clean up"
    WITHDRAW = "withdraw"


class Obstacle(StrEnum):
    """Why the bot cannot go on by itself. docs/runbooks/oauth.md has a section for each."""

    LAYOUT = "layout"
    LOGIN = "login"
    OTP = "otp"
    NEW_LOGIN = "update-password"
    TERMS = "terms"
    ACTION = "action"
    DISABLED = "disabled"
    SESSION = "session"
    CONSENT = "consent"
    WALL = "wall"
    OWNER = "owner"
    MAINTENANCE = "maintenance"
    UNREACHABLE = "unreachable"
    MISMATCH = "mismatch"
    REFUSED = "refused"
    CERTIFICATE = "certificate"
    PERSON = "person"


class SyncStatus(StrEnum):
    """What the cluster says of the overlay, as far as what main deploys goes."""

    UNKNOWN = "not asked"
    SILENT = "nothing is known of the cluster"
    BEHIND = "has not synced this generation yet"
    SYNCED = "Synced, its pods not Healthy yet"
    HEALTHY = "Synced and Healthy"


@dataclass(frozen=True)
class Shown:
    """What 42 shows: rotation ids, and when it stops accepting `current`, by whichever of its dates is earlier.

    `next_from`, `next_until`: when it begins and stops to accept `next`, where it says so. `next_refused`: it was
    asked, and does not.
    """

    current: str
    next: str | None
    valid_until: datetime
    next_from: datetime | None = None
    next_until: datetime | None = None
    next_refused: bool = False


@dataclass(frozen=True)
class Facts:
    """All that is decided on.

    `deployed`: the rotation that main has, None where a person sealed it. `recorded`: its valid-until in git, which is
    the end of the one before it where that still ran; `ends`: its own end, where git knows it.
    `older`: previous generations still stand in the overlay. `proposed`: what the open pull request carries.
    `declined`: rotations that a person closed or took back. `refused`: 42 does not accept what the pods hold.
    `running`: the rotation that the cluster ran when it was Healthy last, None where that is what main has or nobody
    knows. `undelivered`: for how long main has had what the cluster does not say that its pods hold. `waiting`: for how
    long an open pull request that merges by itself has not.
    """

    now: datetime
    deployed: str | None
    recorded: datetime | None = None
    ends: datetime | None = None
    older: bool = False
    shown: Shown | None = None
    blocked: Obstacle | None = None
    proposed: str | None = None
    declined: frozenset[str] = frozenset()
    refused: bool = False
    sync: SyncStatus = SyncStatus.UNKNOWN
    running: str | None = None
    undelivered: timedelta | None = None
    waiting: timedelta | None = None

    @property
    def held_by_pods(self) -> str | None:
        """The rotation that signs people in: what counts for its end is what runs, and not what main says."""
        return self.running or self.deployed

    @property
    def undeliverable(self) -> bool:
        """What main has did not arrive, for longer than a rollout takes."""
        return self.undelivered is not None and self.undelivered >= PATIENCE

    @property
    def unmerged(self) -> bool:
        """What merges by itself did not, for longer than checks take."""
        return self.waiting is not None and self.waiting >= SLOW

    @property
    def scheduled(self) -> bool:
        """42 says that it accepts the next secret from a day that has not come, or that may not have come there."""
        shown = self.shown
        if shown is None or shown.next is None or shown.next_from is None:
            return False
        if self.deployed == shown.next and not (self.refused and self.held_by_pods == shown.next):
            return False
        return self.now < shown.next_from + (SOMEWHERE if shown.next_refused else timedelta(0))

    @property
    def intended(self) -> str | None:
        """The rotation that should run: the next one, which lasts longest, or the current one while 42 refuses that."""
        if self.shown is None:
            return None
        instead = self.scheduled or (self.shown.next_refused and self.deployed != self.shown.current)
        return self.shown.current if instead or self.shown.next is None else self.shown.next

    @property
    def intended_until(self) -> datetime | None:
        """When 42 stops accepting what is intended, where it says so."""
        if self.shown is None:
            return None
        return self.shown.valid_until if self.intended == self.shown.current else self.shown.next_until

    @property
    def settled(self) -> bool:
        """Main has what is intended."""
        return self.intended is not None and self.deployed == self.intended

    @property
    def arrives(self) -> bool:
        """Main has what is intended, and the pods hold what was before it."""
        return self.settled and self.held_by_pods != self.deployed

    @property
    def ends_without_next(self) -> bool:
        """42 shows no next secret, and what it shows ends soon."""
        shown = self.shown
        return shown is not None and shown.next is None and shown.valid_until - self.now <= RISK

    @property
    def ahead(self) -> bool:
        """The pods hold the next secret already: 42's switch will change nothing for them."""
        return self.shown is not None and self.shown.next is not None and self.held_by_pods == self.shown.next

    @property
    def until(self) -> datetime | None:
        """When 42 stops accepting what the pods hold; not in the future where it has already."""
        held = self.held_by_pods
        if self.shown is None:
            return self.recorded if self.running else self.ends or self.recorded
        if held == self.shown.next and held is not None:
            known = self.shown.next_until or self.shown.valid_until
        elif held in (self.shown.current, None):
            known = self.shown.valid_until
        else:
            return min(self.ends or self.recorded or self.now, self.now)
        return min(known, self.now) if self.refused else known

    @property
    def at_least(self) -> bool:
        """`until` is a lower bound: the end of the one before, as that of what they hold is not known."""
        if self.shown is None:
            return self.running is None and self.ends is None and self.recorded is not None
        return self.ahead and not self.refused and self.shown.next_until is None

    @property
    def left(self) -> timedelta | None:
        """How long that is from now."""
        return self.until - self.now if self.until else None

    @property
    def gone(self) -> bool:
        """42 does not accept what the pods hold, or it must be assumed."""
        if self.refused:
            return True
        held = self.held_by_pods
        if self.shown and held is not None and held not in (self.shown.current, self.shown.next):
            return True
        return self.within(timedelta(0)) and not self.in_time

    @property
    def in_time(self) -> bool:
        """42 accepts what the pods hold now, and by its own dates the next one before that ends."""
        shown = self.shown
        if shown is None or shown.next_from is None or self.held_by_pods != shown.current or self.refused:
            return False
        return self.scheduled and shown.next_from <= shown.valid_until

    def within(self, span: timedelta) -> bool:
        """What the pods hold ends within `span`, and they hold nothing that lasts longer."""
        return not self.ahead and self.left is not None and self.left <= span

    @property
    def begun(self) -> bool:
        """42 accepts the next secret since a short while, and what the pods hold for a day, in which it can merge."""
        shown = self.shown
        if shown is None or shown.next_from is None or self.held_by_pods != shown.current or self.refused:
            return False
        return shown.next_from <= self.now < shown.next_from + SOMEWHERE and not self.within(timedelta(days=1))

    @property
    def quiet(self) -> bool:
        """What ends is no emergency: what follows it comes in time, or just came."""
        return self.in_time or self.begun

    @property
    def held(self) -> bool:
        """A person declined what is intended."""
        return not self.settled and self.intended in self.declined

    @property
    def over(self) -> bool:
        """42 has switched to what is deployed, long enough ago that nothing before it is accepted."""
        switched = self.shown is not None and self.deployed == self.shown.current
        return switched and (self.recorded is None or self.now >= self.recorded + KEEP)

    @property
    def retires(self) -> bool:
        """No pod holds a generation before what main has, and 42 accepts none."""
        return self.older and self.over and self.sync is SyncStatus.HEALTHY

    @property
    def near(self) -> bool:
        """The next rotation is: it takes along what retires."""
        return self.left is not None and self.left <= NEAR


@dataclass(frozen=True)
class Row:
    """One row: the state, when it is that, and what comes next, for a person."""

    state: Stage
    when: Callable[[Facts], bool]
    then: str


_ARRIVES = "main has what 42 accepts: its pods have to take it, see docs/runbooks/application-not-healthy.md"

# What was asked of 42 or is known by git alone; where 42 was not asked at all nothing is urgent, as nothing is known.
TABLE = (
    Row(Stage.EXPIRED, lambda f: f.gone and asked(f) and f.arrives, _ARRIVES),
    Row(Stage.EXPIRED, lambda f: f.gone and asked(f), "its pull request has to merge, or: gitops oauth provide"),
    Row(Stage.AT_RISK, lambda f: f.within(RISK) and asked(f) and not f.quiet and f.arrives, _ARRIVES),
    Row(
        Stage.AT_RISK,
        lambda f: f.within(RISK) and asked(f) and not f.quiet,
        "its pull request has to merge, or see the runbook",
    ),
    Row(Stage.BLOCKED, lambda f: f.blocked is not None or f.held, "a person: see the runbook"),
    Row(Stage.STUCK, lambda f: f.undeliverable or f.unmerged, "a person: see the runbook"),
    Row(
        Stage.PR_OPEN, lambda f: f.proposed is not None and (not f.shown or not f.settled), "its checks, then its merge"
    ),
    Row(Stage.DUE, lambda f: f.shown is not None and not f.settled, "fetch, verify, seal, open a pull request"),
    Row(Stage.MERGED, lambda f: f.sync in (SyncStatus.BEHIND, SyncStatus.SILENT), "Argo CD syncs it"),
    Row(Stage.SYNCED, lambda f: f.sync is SyncStatus.SYNCED, "its pods start"),
    Row(Stage.SCHEDULED, lambda f: f.scheduled, "42 accepts the next secret from the date that it shows"),
    Row(Stage.WAITING, lambda f: f.within(SOON) and asked(f), "42 shows the next secret"),
    Row(
        Stage.RETIRED,
        lambda f: f.retires,
        "the previous generation goes with the next rotation, or alone if none is near",
    ),
    Row(
        Stage.CONFIRMED,
        lambda f: f.older and f.sync is SyncStatus.HEALTHY,
        "42 switches; the previous generation stays",
    ),
    Row(Stage.MERGED, lambda f: f.older, "the cluster was not asked whether it runs it"),
    Row(Stage.IDLE, lambda f: True, "nothing"),
)

# The steps of one run: what it found, holds in memory, leaves. What a branch carries already is
# proposed as it is.
STEPS: dict[Stage, tuple[Stage, ...]] = {
    **dict.fromkeys(
        (Stage.DUE, Stage.PR_OPEN, Stage.STUCK, Stage.AT_RISK, Stage.EXPIRED),
        (Stage.FETCHED,),
    ),
    Stage.FETCHED: (Stage.FETCHED, Stage.VERIFIED, Stage.PR_OPEN),
    Stage.VERIFIED: (Stage.SEALED,),
    # Another run was faster: made anew from what it left, and from what 42 shows by then.
    Stage.SEALED: (Stage.PR_OPEN, Stage.VERIFIED, Stage.FETCHED),
}


def asked(facts: Facts) -> bool:
    """42 was asked, with or without success."""
    return facts.shown is not None or facts.blocked is not None


@dataclass(frozen=True)
class Decision:
    """The state, and what the bot does."""

    state: Stage
    act: Act

    @property
    def needs_a_person(self) -> bool:
        """Whether someone is told, and the run is red."""
        return self.state in (Stage.BLOCKED, Stage.STUCK, Stage.AT_RISK, Stage.EXPIRED)


def decide(facts: Facts) -> Decision:
    """The first row that fits, and the act that goes with the facts."""
    row = next(row for row in TABLE if row.when(facts))
    return Decision(row.state, _act(facts))


def _act(facts: Facts) -> Act:
    if facts.shown is None or facts.blocked or facts.held:
        return Act.NOTHING
    if not facts.settled:
        return Act.ROTATE
    return Act.CLEAN_UP if facts.retires and not facts.near else Act.WITHDRAW


def crossed(facts: Facts, since: datetime | None) -> timedelta | None:
    """The smallest of ALERTS that the time left went below since the last run (None: ever)."""
    if facts.left is None or facts.ahead or facts.quiet or not asked(facts):
        return None
    for span in sorted(ALERTS):
        if facts.left <= span:
            before = None if since is None or facts.until is None else facts.until - since
            return span if before is None or before > span else None
    return None

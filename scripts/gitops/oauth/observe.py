"""From git, GitHub, Argo CD and 42 to the facts that `state` decides on. The values stay in memory, beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from github.PullRequest import PullRequest
from pydantic import SecretStr

from gitops.clients.intra42 import AcceptedSecret, Api, Intra42Error, SecretRefusedError
from gitops.ground.errors import Fault, GitopsError, InputError
from gitops.manifests import sealedsecret
from gitops.oauth import dates, delivery, model, proposed
from gitops.oauth.answers import LoginError, UnreachableError
from gitops.oauth.blocks import LayoutError
from gitops.oauth.delivery import Arrival
from gitops.oauth.model import OAuthApplication, Past, rotation_id
from gitops.oauth.page import Reading
from gitops.oauth.sources import Source
from gitops.oauth.state import SOMEWHERE, Decision, Facts, Obstacle, Shown, SyncStatus, decide
from gitops.repository.history import History
from gitops.repository.reconcile import Main
from gitops.repository.rotation import Record

# What two clocks may differ by without a word.
CLOCKS = timedelta(minutes=2)

_SOURCE_ERRORS = (LayoutError, LoginError, UnreachableError, InputError, Intra42Error)


class BlockedError(GitopsError):
    """The bot cannot go on by itself. `reason` has a section in docs/runbooks/oauth.md (exit 1).

    `difference`: of a page that was refused, from the layout that is known.
    """

    def __init__(self, reason: Obstacle, *faults: Fault) -> None:
        super().__init__()
        self.reason, self.faults = reason, faults
        self.difference: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: GitopsError) -> BlockedError:
        """What a failure of a source means."""
        blocked = cls(_reason(error), *error.faults)
        blocked.difference = error.difference if isinstance(error, LayoutError) else ()
        return blocked


def _reason(error: GitopsError) -> Obstacle:
    match error:
        case LayoutError():
            return Obstacle.LAYOUT
        case LoginError() | UnreachableError():
            return Obstacle(error.reason)
        case InputError():
            return Obstacle.LOGIN
    return Obstacle.UNREACHABLE


@dataclass(frozen=True)
class Observation:
    """Facts, and what belongs to them: the values that 42 shows, what the branch carries, and why it is blocked.

    `difference`: of a page that was refused, from the layout that is known.
    """

    application: OAuthApplication
    facts: Facts
    past: Past
    reading: Reading | None = None
    pull: PullRequest | None = None
    why: str = ""
    difference: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        """What the facts come to."""
        return decide(self.facts)

    @property
    def generation(self) -> int:
        """The number of the next generation: never one that was used before."""
        return self.past.highest + 1

    def intended_secret(self) -> SecretStr | None:
        """The value of the intended rotation."""
        if self.reading is None:
            return None
        return self.secret_of(self.reading)

    def secret_of(self, reading: Reading) -> SecretStr | None:
        """The value in a reading that stands where the intended one stood in this one's."""
        shown = self.facts.shown
        current = shown is not None and self.facts.intended == shown.current
        return reading.current if current else reading.next or reading.current

    def blocked(self, error: BlockedError) -> Observation:
        """The same, with a reason why the bot cannot go on."""
        facts = replace(self.facts, blocked=error.reason)
        return replace(self, facts=facts, why=str(error), difference=error.difference)


def branch_record(history: History, application: OAuthApplication, generation: int) -> tuple[bytes, Record] | None:
    """The sealed file of a generation on the pull request's branch, and its record."""
    head, path = history.branch(application.branch), application.sealed_path(generation)
    content = history.content(head, path) if head else None
    if content is None:
        return None
    try:
        record = Record.of(sealedsecret.read(content, path))
    except InputError:
        return None  # not the bot's: `propose` sees who wrote it
    return (content, record) if record else None


def observe(application: OAuthApplication, main: Main, source: Source | None, api: Api, now: datetime) -> Observation:
    """Everything that is known of an application now. Without a `source` 42 is not asked. Raises ExternalError."""
    observation = _from_git(application, main, now)
    if source is None:
        return replace(observation, why="42 was not asked")
    try:
        observation = _ask(observation, source, api)
    except BlockedError as error:
        return observation.blocked(error)
    facts = observation.facts
    if main.hub and not facts.settled:
        # Asked of GitHub only where there is something to propose.
        closed = proposed.declined(main.history, application, main.hub.closed_pulls(application.branch))
        facts = replace(facts, declined=facts.declined | closed)
        observation = replace(observation, facts=facts)
    if main.hub and facts.held:
        why = "a person declined this secret (closed its pull request, or reverted it)"
        observation = replace(observation, why=why)
    return observation


def _from_git(application: OAuthApplication, main: Main, now: datetime) -> Observation:
    past = model.past(main.history, application)
    record = application.deployed.record
    pull = main.pulls.get(application.branch)
    carried = branch_record(main.history, application, past.highest + 1) if pull else None
    head = main.history.branch(application.branch)
    waits = carried and head and application.owner.merges_by_itself
    arrived = Arrival(SyncStatus.UNKNOWN)
    if main.hub:
        arrived = delivery.look(main.hub, main.history, application, past.since, now)
    facts = Facts(
        now=now,
        deployed=record.rotation if record else None,
        recorded=record.valid_until if record else None,
        ends=record.ends if record else None,
        older=bool(application.older),
        proposed=carried[1].rotation if carried else None,
        declined=past.declined,
        sync=arrived.sync,
        running=arrived.running,
        undelivered=arrived.undelivered,
        waiting=now - main.history.when(head) if waits and head else None,
    )
    return Observation(application, facts, past, pull=pull)


def _ask(observation: Observation, source: Source, api: Api) -> Observation:
    """Read the page, and try what the pods hold where it is shown. Raises BlockedError."""
    application, facts = observation.application, observation.facts
    reading = _read(application, source)
    shown, values = _shown(application, reading)
    # The later of both clocks is the more careful one.
    now = max(facts.now, reading.date or facts.now)
    held = values.get(facts.held_by_pods) if facts.held_by_pods else None
    accepted = _accepted(api, application, held) if held else None
    shown = _dated(shown, reading, api, application, accepted, now)
    facts = replace(facts, now=now, shown=shown, refused=held is not None and accepted is None)
    if reading.next and facts.deployed != shown.next and _worth_asking(facts):
        refused = _accepted(api, application, reading.next) is None
        facts = replace(facts, shown=replace(shown, next_refused=refused))
    elif facts.refused and facts.held_by_pods == shown.next:
        facts = replace(facts, shown=replace(shown, next_refused=True))
    why = "; ".join(_remarks(facts, reading, observation.facts.now))
    return replace(observation, facts=facts, reading=reading, why=why)


def _accepted(api: Api, application: OAuthApplication, secret: SecretStr) -> AcceptedSecret | None:
    """What 42 says of a secret that it shows, None where it refuses it twice. Raises BlockedError.

    It was accepted before, or will be: one 401 alone is no reason to replace it.
    """
    for _ in range(2):
        try:
            return api.verify(application.uid, secret)
        except SecretRefusedError:
            continue
        except Intra42Error as error:
            raise BlockedError.of(error) from None
    return None


def _worth_asking(facts: Facts) -> bool:
    """Whether to know now if 42 accepts the next secret: the one that runs is dead, or the day is here somewhere."""
    begins = facts.shown.next_from if facts.shown else None
    return facts.gone or (begins is not None and begins <= facts.now < begins + SOMEWHERE)


def _dated(
    shown: Shown,
    reading: Reading,
    api: Api,
    application: OAuthApplication,
    accepted: AcceptedSecret | None,
    now: datetime,
) -> Shown:
    """With the most careful end: the page's or the token's. Raises BlockedError where the page's can be two days."""
    if reading.otherwise is not None:
        days = (shown.valid_until, reading.otherwise)
        if (accepted is None or _meant(days, accepted, now) is None) and reading.current:
            accepted = _accepted(api, application, reading.current) or accepted
        meant = _meant(days, accepted, now) if accepted else None
        if meant is None:
            raise BlockedError(
                Obstacle.LAYOUT, Fault("the date of the secret can be d/m/Y and m/d/Y, and no token tells")
            )
        shown = replace(shown, valid_until=meant)
    told = _told(accepted, now) if accepted else None
    # Whose end it tells is not known (facts of 42's API): the more careful date counts.
    return replace(shown, valid_until=min(shown.valid_until, told or shown.valid_until))


def _meant(days: Sequence[datetime], accepted: AcceptedSecret, now: datetime) -> datetime | None:
    """Which of two days a token tells of, where it is near one alone."""
    told = _told(accepted, now)
    near = [day for day in days if told and abs(told - day) <= dates.SLACK]
    return near[0] if len(near) == 1 else None


def _told(accepted: AcceptedSecret, now: datetime) -> datetime | None:
    """A token's word for the end of the secret, where that can be meant."""
    told = accepted.valid_until
    return told if told and now - dates.SLACK <= told <= now + dates.LONGEST else None


def _remarks(facts: Facts, reading: Reading, ours: datetime) -> Iterator[str]:
    """What a person has to know of what was asked."""
    shown = facts.shown
    if facts.refused:
        yield "42 refuses the secret that the pods hold"
    if facts.settled and facts.ends_without_next:
        yield (
            "42 shows no next secret, and the current one ends soon: a person decides, by the runbook's section "
            "'No next secret shows'"
        )
    if shown and shown.next_from and facts.scheduled:
        yield f"42 accepts the next secret from {shown.next_from + dates.ANYWHERE:%Y-%m-%d} on"
    ahead = (reading.date - ours) if reading.date else timedelta(0)
    if abs(ahead) > CLOCKS:
        which = "ahead of" if ahead > timedelta(0) else "behind"
        yield f"42's clock is {abs(ahead)} {which} ours; the later one counts"


def _read(application: OAuthApplication, source: Source) -> Reading:
    """What is shown of this very application. Raises BlockedError."""
    try:
        reading = source.read(application)
    except _SOURCE_ERRORS as error:
        raise BlockedError.of(error) from None
    if fault := other_uid(application, reading, f"42's application {application.id} has another uid"):
        raise BlockedError(Obstacle.MISMATCH, fault)
    return reading


def other_uid(application: OAuthApplication, reading: Reading, what: str) -> Fault | None:
    """What is wrong, in these words, where the page shows another application than the file names."""
    if reading.uid == application.uid:
        return None
    fix = "correct its application-id or client-id"
    return Fault(what, path=application.reference, expected=reading.uid, found=application.uid, fix=fix)


def _shown(application: OAuthApplication, reading: Reading) -> tuple[Shown, dict[str, SecretStr]]:
    """What is shown by rotation ids, and each one's value. Raises BlockedError."""
    if reading.current is None or reading.valid_until is None:
        raise BlockedError(Obstacle.LAYOUT, Fault("the page shows no current secret"))
    current = rotation_id(application.id, reading.current)
    values = {current: reading.current}
    following = None
    if reading.next:
        following = rotation_id(application.id, reading.next)
        values[following] = reading.next
    return Shown(current, following, reading.valid_until, reading.next_from, reading.next_until), values


def utc_now() -> datetime:
    """Now, to the second."""
    return datetime.now(UTC).replace(microsecond=0)

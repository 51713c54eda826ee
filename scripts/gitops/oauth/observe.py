"""From git, GitHub, Argo CD and 42 to the facts that `state` decides on. The values stay in memory, beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from github.PullRequest import PullRequest
from pydantic import SecretStr

from gitops.clients.github import Health, health_changes
from gitops.clients.intra42 import Api, Intra42Error, SecretRefusedError
from gitops.ground.errors import Fault, GitopsError, InputError
from gitops.manifests import sealedsecret
from gitops.oauth import change, model
from gitops.oauth.login import LoginError, OtpError, UnreachableError
from gitops.oauth.model import OAuthApplication, Past, rotation_id
from gitops.oauth.page import LayoutError, Reading
from gitops.oauth.sources import Source
from gitops.oauth.state import Decision, Facts, Obstacle, Shown, SyncStatus, decide
from gitops.repository.history import History
from gitops.repository.reconcile import Main
from gitops.repository.rotation import Record

# The first that fits; every other failure of a source is UNREACHABLE.
_REASONS: tuple[tuple[type[GitopsError], Obstacle], ...] = (
    (LayoutError, Obstacle.LAYOUT),
    (OtpError, Obstacle.OTP),
    (LoginError, Obstacle.LOGIN),
    (InputError, Obstacle.LOGIN),
)
_SOURCE_ERRORS = (LayoutError, LoginError, UnreachableError, InputError, Intra42Error)


class BlockedError(GitopsError):
    """The bot cannot go on by itself. `reason` has a section in docs/runbooks/oauth.md (exit 1)."""

    def __init__(self, reason: Obstacle, *faults: Fault) -> None:
        super().__init__()
        self.reason, self.faults = reason, faults

    @classmethod
    def of(cls, error: GitopsError) -> BlockedError:
        """What a failure of a source means."""
        reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), Obstacle.UNREACHABLE)
        return cls(reason, *error.faults)


@dataclass(frozen=True)
class Observation:
    """Facts, and what belongs to them: the values that 42 shows, what the branch carries, and why it is blocked."""

    application: OAuthApplication
    facts: Facts
    past: Past
    reading: Reading | None = None
    pull: PullRequest | None = None
    why: str = ""

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
        return self.reading.next or self.reading.current

    def blocked(self, error: BlockedError) -> Observation:
        """The same, with a reason why the bot cannot go on."""
        return replace(self, facts=replace(self.facts, blocked=error.reason), why=str(error))


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
    if facts.settled:
        return replace(observation, facts=replace(facts, sync=_sync_status(main, application)))
    if main.hub:
        # Asked of GitHub only where there is something to propose.
        closed = change.declined(main.hub.closed_pulls(application.branch))
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
    facts = Facts(
        now=now,
        deployed=record.rotation if record else None,
        recorded=record.valid_until if record else None,
        older=bool(application.older),
        proposed=carried[1].rotation if carried else None,
        declined=past.declined,
    )
    return Observation(application, facts, past, pull=pull)


def _ask(observation: Observation, source: Source, api: Api) -> Observation:
    """Read the page, and try what is deployed where it is shown. Raises BlockedError."""
    application, facts = observation.application, observation.facts
    reading = _read(application, source)
    shown, values = _shown(application, reading)
    deployed = values.get(facts.deployed) if facts.deployed else None
    refused = False
    if deployed is not None:
        try:
            valid_until = api.verify(application.uid, deployed).valid_until
        except SecretRefusedError:
            refused = True
        except Intra42Error as error:
            raise BlockedError.of(error) from None
        else:
            # Whose end it tells is not known (facts of 42's API): the more careful date counts.
            shown = replace(shown, valid_until=min(shown.valid_until, valid_until or shown.valid_until))
    # The later of both clocks is the more careful one.
    now = max(facts.now, reading.date or facts.now)
    facts = replace(facts, now=now, shown=shown, refused=refused)
    why = "42 refuses the secret that is deployed" if refused else ""
    return replace(observation, facts=facts, reading=reading, why=why)


def _read(application: OAuthApplication, source: Source) -> Reading:
    """What is shown of this very application. Raises BlockedError."""
    try:
        reading = source.read(application)
    except _SOURCE_ERRORS as error:
        raise BlockedError.of(error) from None
    if reading.uid != application.uid:
        fault = Fault(
            f"42's application {application.id} has another uid",
            path=application.reference,
            expected=reading.uid,
            found=application.uid,
            fix="correct its application-id or client-id",
        )
        raise BlockedError(Obstacle.MISMATCH, fault)
    return reading


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
    return Shown(current, following, reading.valid_until), values


def _sync_status(main: Main, application: OAuthApplication) -> SyncStatus:
    """What Argo CD said last of its Application, where it says anything. Raises ExternalError, InputError."""
    changes = health_changes(main.hub, application.overlay.application, None) if main.hub else []
    if not changes:
        return SyncStatus.UNKNOWN
    last = changes[-1]
    content = main.history.content(last.commit, application.reference)
    secret = model.deployed_secret(content, application.reference) if content else None
    if last.health is Health.FAILED or secret != application.deployed.name:
        return SyncStatus.BEHIND
    return SyncStatus.HEALTHY if last.health is Health.HEALTHY else SyncStatus.SYNCED


def utc_now() -> datetime:
    """Now, to the second."""
    return datetime.now(UTC).replace(microsecond=0)

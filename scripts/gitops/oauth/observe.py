"""From git, GitHub, Argo CD and 42 to the facts that `state` decides on. The values stay in memory, beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from github.PullRequest import PullRequest
from pydantic import SecretStr

from gitops.clients import argocd
from gitops.clients.github import Hub
from gitops.clients.intra42 import Api, Intra42Error
from gitops.ground.errors import GitopsError, InputError
from gitops.manifests import sealedsecret, yamlfile
from gitops.oauth import change, model
from gitops.oauth.login import LoginError, OtpError, UnreachableError
from gitops.oauth.model import Application, Past, Record, rotation_id
from gitops.oauth.page import LayoutError, Reading
from gitops.oauth.sources import Source
from gitops.oauth.state import Cluster, Decision, Facts, Reason, Shown, decide
from gitops.repository.history import History

# The first that fits; every other failure of a source is UNREACHABLE.
_REASONS: tuple[tuple[type[GitopsError], Reason], ...] = (
    (LayoutError, Reason.LAYOUT),
    (OtpError, Reason.OTP),
    (LoginError, Reason.LOGIN),
    (InputError, Reason.LOGIN),
)
_SOURCE_ERRORS = (LayoutError, LoginError, UnreachableError, InputError, Intra42Error)


class BlockedError(GitopsError):
    """The bot cannot go on by itself. `reason` has a section in docs/runbooks/oauth.md (exit 1)."""

    def __init__(self, reason: Reason, why: str) -> None:
        self.reason = reason
        super().__init__(why)

    @classmethod
    def of(cls, error: GitopsError) -> BlockedError:
        """What a failure of a source means."""
        reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.UNREACHABLE)
        return cls(reason, str(error))


@dataclass(frozen=True)
class Observation:
    """Facts, and what belongs to them: the values that 42 shows, what the branch carries, and why it is blocked."""

    application: Application
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

    def candidate(self) -> SecretStr | None:
        """The value of the wanted rotation."""
        if self.reading is None:
            return None
        return self.reading.next or self.reading.current

    def blocked(self, error: BlockedError) -> Observation:
        """The same, with a reason why the bot cannot go on."""
        return replace(self, facts=replace(self.facts, blocked=error.reason), why=str(error))


def branch_record(history: History, application: Application, generation: int) -> tuple[bytes, Record] | None:
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


def observe(
    application: Application,
    history: History,
    hub: Hub | None,
    pulls: Mapping[str, PullRequest],
    source: Source | None,
    api: Api,
    now: datetime,
) -> Observation:
    """Everything that is known of an application now. Without a `source` 42 is not asked. Raises ExternalError."""
    past = model.past(history, application)
    record = application.deployed.record
    pull = pulls.get(application.branch)
    carried = branch_record(history, application, past.highest + 1) if pull else None
    facts = Facts(
        now=now,
        deployed=record.rotation if record else None,
        recorded=record.valid_until if record else None,
        older=bool(application.older),
        proposed=carried[1].rotation if carried else None,
        declined=past.taken_back,
    )
    found = Observation(application, facts, past, pull=pull)
    if source is None:
        return replace(found, why="42 was not asked")
    try:
        found = _ask(found, source, api)
    except BlockedError as error:
        return found.blocked(error)
    facts = found.facts
    if facts.settled:
        return replace(found, facts=replace(facts, cluster=_cluster(history, application)))
    if hub:
        # Asked of GitHub only where there is something to propose.
        facts = replace(facts, declined=facts.declined | change.declined(hub.closed_pulls(application.branch)))
        found = replace(found, facts=facts)
        if facts.held:
            found = replace(found, why="a person declined this secret (closed its pull request, or reverted it)")
    return found


def _ask(found: Observation, source: Source, api: Api) -> Observation:
    """Read the page, and try what is deployed where it is shown. Raises BlockedError."""
    application, facts = found.application, found.facts
    try:
        reading = source.read(application)
    except _SOURCE_ERRORS as error:
        raise BlockedError.of(error) from None
    if reading.uid != application.uid:
        raise BlockedError(
            Reason.MISMATCH,
            f"42's application {application.id} has the uid {reading.uid}, but {application.folder}/{model.FILE} says "
            f"{application.uid}; correct its application-id or client-id",
        )
    if reading.current is None or reading.valid_until is None:
        raise BlockedError(Reason.LAYOUT, "the page shows no current secret")
    current = rotation_id(application.id, reading.current)
    following = rotation_id(application.id, reading.next) if reading.next else None
    shown = Shown(current, following, reading.valid_until)
    deployed = {current: reading.current, following: reading.next}.get(facts.deployed)
    refused = False
    if deployed is not None:
        try:
            verdict = api.verify(application.uid, deployed)
        except Intra42Error as error:
            raise BlockedError.of(error) from None
        if verdict.uid is None:
            refused = True
        elif verdict.valid_until:
            # Whose end it tells is not known (facts of 42's API): the more careful date counts.
            shown = replace(shown, valid_until=min(shown.valid_until, verdict.valid_until))
    # The later of both clocks is the more careful one.
    now = max(facts.now, reading.date or facts.now)
    facts = replace(facts, now=now, shown=shown, refused=refused)
    why = "42 refuses the secret that is deployed" if refused else ""
    return replace(found, facts=facts, reading=reading, why=why)


def _cluster(history: History, application: Application) -> Cluster:
    """What Argo CD says, where one is to be asked. Raises ExternalError."""
    answer = argocd.ask(application.namespace)
    if answer is None:
        return Cluster.UNKNOWN
    path = f"{application.folder}/{model.FILE}"
    content = history.content(answer.revision, path)
    names = yamlfile.parse_all(content, path)[0]["data"]["secret"] if content else None
    if answer.sync != "Synced" or names != application.deployed.name:
        return Cluster.BEHIND
    return Cluster.HEALTHY if answer.health == "Healthy" else Cluster.SYNCED


def utc_now() -> datetime:
    """Now, to the second."""
    return datetime.now(UTC).replace(microsecond=0)

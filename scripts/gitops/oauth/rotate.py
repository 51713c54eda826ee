"""`gitops oauth rotate`: look at every application, and bring its pull request to what it should be.

Values live in this process's memory alone, from the page to the seal. A run that is killed anywhere is taken up by the
next one: what the branch carries is known by its rotation id, so nothing is sealed or proposed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from github.PullRequest import PullRequest
from pydantic import SecretStr

from gitops.clients.github import Hub
from gitops.clients.intra42 import Api
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError
from gitops.manifests import sealedsecret
from gitops.oauth import change, model, observe
from gitops.oauth.model import KEY, Application, Record, rotation_id
from gitops.oauth.observe import BlockedError, Observation
from gitops.oauth.sources import Source
from gitops.oauth.state import STEPS, Act, Reason, State, asked
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from gitops.repository.pulls import Outcome, Proposal, bring, withdraw
from gitops.secrets import certificate
from gitops.secrets.seal import seal

LABELS = ("oauth",)


@dataclass(frozen=True)
class Report:
    """What was found for one application and what was done. `trace`: the states that this run passed."""

    name: str
    observation: Observation | None = None
    outcome: Outcome | None = None
    error: GitopsError | None = None
    trace: tuple[State, ...] = ()

    @property
    def state(self) -> State:
        """Where it is now."""
        if self.observation is None:
            return State.BLOCKED
        decided = self.observation.decision.state
        return State.PR_OPEN if decided is State.DUE and self.outcome and self.outcome.number else decided

    @property
    def known(self) -> bool:
        """Whether the state is more than a guess: 42 was asked, or git itself tells."""
        return self.observation is None or asked(self.observation.facts) or self.state is not State.IDLE

    @property
    def needs_a_person(self) -> bool:
        """Whether someone is told."""
        return self.error is not None or self.observation is None or self.observation.decision.needs_a_person


@dataclass
class Bot:
    """One run. `certificate`: what is sealed against, or why nothing can be."""

    base: Checkout
    history: History
    hub: Hub | None
    pulls: Mapping[str, PullRequest]
    source: Source | None
    api: Api
    certificate: certificate.Certificate | InputError
    now: datetime
    trace: list[State] = field(default_factory=list)

    def look(self, application: Application) -> Report:
        """Only look: nothing is written."""
        found = observe.observe(application, self.history, self.hub, self.pulls, self.source, self.api, self.now)
        return Report(f"{application.service}/{application.environment}", found)

    def work(self, application: Application) -> Report:
        """Look and act."""
        report = self.look(application)
        found, hub = report.observation, self.hub
        if found is None or hub is None:
            return report
        self.trace = [found.decision.state]
        try:
            outcome = self._act(hub, found)
        except BlockedError as error:
            found, outcome = found.blocked(error), None
        return replace(report, observation=found, outcome=outcome, trace=tuple(self.trace))

    def _reach(self, state: State) -> None:
        """Go on to a state, as `state.STEPS` allows and in no other order: nothing is sealed that was not verified."""
        if state not in STEPS[self.trace[-1]]:
            raise RuntimeError(f"{self.trace[-1]} does not lead to {state}")
        self.trace.append(state)

    def _act(self, hub: Hub, found: Observation) -> Outcome | None:
        application, act = found.application, found.decision.act
        if act is Act.ROTATE:
            self._reach(State.FETCHED)
            outcome = bring(hub, self.history, found.pull, lambda: self._rotation(found))
            if outcome.action == "stopped":
                raise BlockedError(Reason.PERSON, outcome.why)
            self._reach(State.PR_OPEN)
            return outcome
        if act is Act.CLEAN_UP:
            if f"clean-up-{application.deployed.number}" in change.declined(hub.closed_pulls(application.branch)):
                return Outcome("nothing", why="a person keeps the previous generation")
            return bring(hub, self.history, found.pull, lambda: self._clean_up(application))
        if act is Act.WITHDRAW:
            return withdraw(hub, self.history, found.pull, application.branch, "main has what 42 shows")
        return None

    def _rotation(self, found: Observation) -> Proposal:
        application, generation = found.application, found.generation
        if isinstance(self.certificate, InputError):
            raise BlockedError(Reason.CERTIFICATE, str(self.certificate))
        carried = observe.branch_record(self.history, application, generation)
        known = (found.facts.wanted, self.certificate.fingerprint)
        if carried and (carried[1].rotation, carried[1].certificate) == known:
            sealed, record = carried
        else:
            candidate = self._verified(found)
            record = Record(
                application=application.id,
                uid=application.uid,
                generation=generation,
                rotation=rotation_id(application.id, candidate),
                certificate=self.certificate.fingerprint,
                valid_until=found.facts.until,
            )
            sealed = sealed_file(self.certificate, application, record, candidate)
            self._reach(State.SEALED)
        retired = application.older if found.facts.over else ()
        return Proposal(
            branch=application.branch,
            base=self.history.main(),
            title=change.title(application, generation),
            body=change.rotation_body(application, record),
            files=change.rotation(self.base, application, generation, sealed, retired),
            labels=(*LABELS, application.environment),
        )

    def _verified(self, found: Observation) -> SecretStr:
        """The candidate, once 42 took it for this very application. Raises BlockedError.

        A refusal is asked again only where the page shows another secret meanwhile.
        """
        candidate = found.candidate()
        if candidate is None or self.source is None:
            raise BlockedError(Reason.LAYOUT, "no candidate is shown")
        try:
            verdict = self.api.verify(found.application.uid, candidate)
            if verdict.uid is None:
                reading = self.source.read(found.application)
                again = reading.next or reading.current
                if again is not None and again != candidate:
                    self._reach(State.FETCHED)
                    candidate, verdict = again, self.api.verify(found.application.uid, again)
        except GitopsError as error:
            raise BlockedError.of(error) from None
        check(found.application, verdict.uid)
        self._reach(State.VERIFIED)
        return candidate

    def _clean_up(self, application: Application) -> Proposal:
        return Proposal(
            branch=application.branch,
            base=self.history.main(),
            title=f"{application.service}/{application.environment}: remove 42 secrets before generation "
            f"{application.deployed.number}",
            body=change.clean_up_body(application),
            files=change.clean_up(self.base, application),
            labels=(*LABELS, application.environment),
        )


def check(application: Application, uid: str | None) -> None:
    """Raise BlockedError unless 42 says that a secret opens this very application."""
    if uid is None:
        raise BlockedError(Reason.REFUSED, f"42 refuses the secret that it shows for application {application.id}")
    if uid != application.uid:
        raise BlockedError(
            Reason.MISMATCH,
            f"the secret that 42 shows for application {application.id} opens another one, {uid}; expected "
            f"{application.uid}",
        )


def sealed_file(
    against: certificate.Certificate, application: Application, record: Record, candidate: SecretStr
) -> bytes:
    """The SealedSecret of a generation."""
    name = application.secret_name(record.generation)
    value = candidate.get_secret_value().encode()
    encrypted = {KEY: seal(against.key, application.namespace, name, value)}
    return sealedsecret.write(name, encrypted, record.annotations())


def run(
    checkout: Checkout,
    hub: Hub | None,
    source: Source | None,
    *,
    cluster: str | None,
    names: Sequence[str],
    now: datetime,
    token: str | None,
    api: Api | None = None,
    tell: Callable[[str], None] = lambda name: None,
) -> list[Report]:
    """Every application (or those of the services `names`): looked at and, with a `cluster` to seal for, acted on.

    What goes wrong for one is in its report and stops no other. Raises InputError, ExternalError for what stops all.
    """
    history = History(checkout.root)
    history.fetch(token)
    with main_files(checkout, history) as base:
        applications, broken = model.applications(base, names)
        reports = [Report(name, error=error) for name, error in broken]
        pulls = hub.open_pulls() if hub else {}
        bot = Bot(base, history, hub, pulls, source, api or Api(), _pinned(base, cluster, now), now)
        for application in applications:
            name = f"{application.service}/{application.environment}"
            tell(name)
            try:
                reports.append(bot.work(application) if cluster else bot.look(application))
            except GitopsError as error:
                reports.append(Report(name, error=error))
    return sorted(reports, key=lambda report: report.name)


def _pinned(base: Checkout, cluster: str | None, now: datetime) -> certificate.Certificate | InputError:
    if cluster is None:
        return InputError("nothing is sealed")
    try:
        return certificate.pinned(base, cluster, now)
    except certificate.CertificateError as error:
        return error

"""`gitops oauth rotate`: look at every application, and make its pull request what it should be.

Values live in this process's memory alone, from the page to the seal. A run that is killed anywhere is taken up by the
next one: what the branch carries is known by its rotation id, so nothing is sealed or proposed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pydantic import SecretStr

from gitops.clients.github import Hub
from gitops.clients.intra42 import AcceptedSecret, Api, SecretRefusedError
from gitops.ground.budget import Budget
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, GitopsError
from gitops.manifests import sealedsecret
from gitops.oauth import change, model, observe, proposed
from gitops.oauth.model import OAuthApplication, rotation_id
from gitops.oauth.observe import BlockedError, Observation
from gitops.oauth.sources import Source
from gitops.oauth.state import STEPS, Act, Obstacle, Stage, asked
from gitops.repository import reconcile
from gitops.repository.pulls import Outcome, Proposal, PullAction, propose_or_retry, withdraw
from gitops.repository.rotation import KEY, Record
from gitops.secrets import certificate
from gitops.secrets.certificate import CertificateError, SealingCertificate
from gitops.secrets.seal import seal

LABELS = ("oauth",)
# What a run has, with the last application's turn, in a job of 30 minutes: a run that is ended tells nobody.
SECONDS = 18 * 60.0


@dataclass(frozen=True, kw_only=True)
class RotationReport(reconcile.Report):
    """What was found for one application and what was done.

    `trace`: the states that this run passed. `arrived`: this run is the first to know that the pods hold it.
    """

    application: OAuthApplication | None = None
    observation: Observation | None = None
    trace: tuple[Stage, ...] = ()
    arrived: bool = False

    @property
    def state(self) -> Stage:
        """Where it is now."""
        if self.observation is None:
            return Stage.BLOCKED
        decided, outcome = self.observation.decision.state, self.outcome
        if outcome is None or decided not in (Stage.DUE, Stage.PR_OPEN):
            return decided
        if outcome.action is PullAction.MERGED:
            return Stage.MERGED
        return Stage.PR_OPEN if outcome.number else decided

    @property
    def known(self) -> bool:
        """Whether the state is more than a guess: 42 was asked, or git itself tells."""
        return self.observation is None or asked(self.observation.facts) or self.state is not Stage.IDLE

    @property
    def needs_a_person(self) -> bool:
        """Whether someone is told."""
        return self.error is not None or self.observation is None or self.observation.decision.needs_a_person


@dataclass
class _Rotation:
    """One application's turn. `certificate`: what is sealed against, or why nothing can be."""

    main: reconcile.Main
    hub: Hub
    source: Source | None
    api: Api
    certificate: SealingCertificate | CertificateError
    observation: Observation
    trace: list[Stage] = field(default_factory=list)

    @property
    def application(self) -> OAuthApplication:
        return self.observation.application

    def act(self) -> Outcome | None:
        """What the decision asks for. Raises BlockedError."""
        self.trace = [self.observation.decision.state]
        acts = {Act.ROTATE: self._rotate, Act.CLEAN_UP: self._clean_up, Act.WITHDRAW: self._withdraw}
        act = acts.get(self.observation.decision.act)
        return act() if act else None

    def _reach(self, state: Stage) -> None:
        """Go on to a state, as `state.STEPS` allows and in no other order: nothing is sealed that was not verified."""
        if state not in STEPS[self.trace[-1]]:
            raise RuntimeError(f"{self.trace[-1]} does not lead to {state}")
        self.trace.append(state)

    def _rotate(self) -> Outcome:
        self._reach(Stage.FETCHED)
        outcome = propose_or_retry(self.hub, self.main.history, self.observation.pull, self._rotation_proposal)
        if outcome.action is PullAction.STOPPED:
            raise BlockedError(Obstacle.PERSON, Fault(outcome.why))
        self._reach(Stage.PR_OPEN)
        return outcome

    def _clean_up(self) -> Outcome:
        closed = self.hub.closed_pulls(self.application.branch)
        declined = proposed.declined(self.main.history, self.application, closed)
        if change.clean_up_id(self.application.deployed.number) in declined:
            return Outcome(PullAction.NOTHING, why="a person keeps the previous generation")
        return propose_or_retry(self.hub, self.main.history, self.observation.pull, self._clean_up_proposal)

    def _withdraw(self) -> Outcome:
        branch = self.application.branch
        return withdraw(self.hub, self.main.history, self.observation.pull, branch, "main has what 42 shows")

    def _rotation_proposal(self) -> Proposal:
        application, generation, facts = self.application, self.observation.generation, self.observation.facts
        if isinstance(self.certificate, CertificateError):
            raise BlockedError(Obstacle.CERTIFICATE, *self.certificate.faults)
        sealed, record = self._carried(self.certificate) or self._sealed(self.certificate)
        retired = application.older if facts.retires else ()
        return Proposal(
            branch=application.branch,
            base=self.main.history.main(),
            title=change.title(application, generation),
            body=change.rotation_body(application, record),
            files=change.rotation(self.main.files, application, generation, sealed, retired),
            labels=(*LABELS, application.overlay.environment),
            auto_merge=application.owner.merges_by_itself,
        )

    def _carried(self, against: SealingCertificate) -> tuple[bytes, Record] | None:
        """What the branch carries, where it is this very rotation sealed against this very certificate."""
        carried = observe.branch_record(self.main.history, self.application, self.observation.generation)
        intended = (self.observation.facts.intended, against.fingerprint)
        return carried if carried and (carried[1].rotation, carried[1].certificate) == intended else None

    def _sealed(self, against: SealingCertificate) -> tuple[bytes, Record]:
        """The next secret, proved and sealed. Raises BlockedError."""
        secret, facts = self._verified(), self.observation.facts
        generation = self.observation.generation
        record = new_record(self.application, generation, secret, against, facts.until, facts.intended_until)
        sealed = sealed_file(against, self.application, record, secret)
        self._reach(Stage.SEALED)
        return sealed, record

    def _verified(self) -> SecretStr:
        """The next secret, once 42 took it for this very application. Raises BlockedError.

        A refusal is asked again only where the page shows another secret meanwhile.
        """
        secret = self.observation.intended_secret()
        if secret is None or self.source is None:
            raise BlockedError(Obstacle.LAYOUT, Fault("no secret is shown"))
        try:
            secret = self._proved(self.source, secret)
        except BlockedError:
            raise
        except GitopsError as error:
            raise BlockedError.of(error) from None
        self._reach(Stage.VERIFIED)
        return secret

    def _proved(self, source: Source, secret: SecretStr) -> SecretStr:
        try:
            prove(self.api, self.application, secret)
        except BlockedError as error:
            if error.reason is not Obstacle.REFUSED:
                raise
            shown = self.observation.secret_of(source.read(self.application))
            if shown is None or shown == secret:
                raise
            self._reach(Stage.FETCHED)
            prove(self.api, self.application, shown)
            return shown
        return secret

    def _clean_up_proposal(self) -> Proposal:
        application = self.application
        return Proposal(
            branch=application.branch,
            base=self.main.history.main(),
            title=change.clean_up_title(application),
            body=change.clean_up_body(application),
            files=change.clean_up(self.main.files, application),
            labels=(*LABELS, application.overlay.environment),
            auto_merge=application.owner.merges_by_itself,
        )


def prove(api: Api, application: OAuthApplication, secret: SecretStr) -> AcceptedSecret:
    """Have 42 say that it accepts a secret, and that it opens this very application.

    Raises BlockedError where it does not, Intra42Error where it could not be asked.
    """
    try:
        accepted = api.verify(application.uid, secret)
    except SecretRefusedError:
        why = f"42 refuses the secret that it shows for application {application.id}"
        raise BlockedError(Obstacle.REFUSED, Fault(why)) from None
    if accepted.uid != application.uid:
        what = f"the secret that 42 shows for application {application.id} opens another one"
        raise BlockedError(Obstacle.MISMATCH, Fault(what, expected=application.uid, found=accepted.uid))
    return accepted


def new_record(
    application: OAuthApplication,
    generation: int,
    secret: SecretStr,
    against: SealingCertificate,
    valid_until: datetime | None,
    ends: datetime | None = None,
) -> Record:
    """What git is to remember of a generation."""
    return Record(
        application=application.id,
        uid=application.uid,
        generation=generation,
        rotation=rotation_id(application.id, secret),
        certificate=against.fingerprint,
        valid_until=valid_until,
        ends=ends,
    )


def sealed_file(against: SealingCertificate, application: OAuthApplication, record: Record, secret: SecretStr) -> bytes:
    """The SealedSecret of a generation."""
    name = application.secret_name(record.generation)
    value = secret.get_secret_value().encode()
    encrypted = {KEY: seal(against.key, application.overlay.namespace, name, value)}
    return sealedsecret.write(name, encrypted, record.annotations())


def run(
    checkout: Checkout,
    hub: Hub | None,
    source: Source | None,
    *,
    cluster: str | None,
    names: Sequence[str],
    now: datetime,
    token: SecretStr | None,
    api: Api | None = None,
    budget: Budget | None = None,
) -> list[RotationReport]:
    """Every application (or those of the services `names`): looked at and, with a `cluster` to seal for, acted on.

    The most urgent comes first, and those that the budget does not reach say so. What goes wrong for one is in its
    report and stops no other. Raises InputError, ExternalError for what stops all.
    """
    budget = budget or Budget(SECONDS)
    api = api or Api()
    api.left = lambda: budget.left
    sealing: list[SealingCertificate | CertificateError] = []

    def look(main: reconcile.Main) -> list[RotationReport]:
        if cluster is not None:
            sealing.append(_pinned(main.files, cluster, now))
        listed = targets(main.files, names)
        main.history.read_ahead(own.application.reference for own in listed if own.application)
        return sorted(listed, key=_urgency)

    def act(main: reconcile.Main, report: RotationReport) -> RotationReport:
        assert report.application is not None  # noqa: S101 - those without have an error
        observation = observe.observe(report.application, main, source, api, now)
        # What cannot be decided is this application's failure too, and not that of whoever prints it.
        report = replace(report, observation=observation, trace=(observation.decision.state,))
        if not sealing or main.hub is None:
            return report
        rotation = _Rotation(main, main.hub, source, api, sealing[0], observation)
        try:
            outcome = rotation.act()
        except BlockedError as error:
            return replace(report, observation=observation.blocked(error), trace=tuple(rotation.trace))
        return replace(report, outcome=outcome, trace=tuple(rotation.trace))

    reports = reconcile.run(checkout, hub, token, look, act, budget)
    return sorted(reports, key=lambda report: report.overlay)


def _urgency(report: RotationReport) -> datetime:
    """When what main has ends, as far as git knows; at once where it does not."""
    record = report.application.deployed.record if report.application else None
    ends = (record.ends or record.valid_until) if record else None
    return ends or datetime.min.replace(tzinfo=UTC)


def targets(base: Checkout, names: Sequence[str]) -> list[RotationReport]:
    """A report for each application, by overlay; with the error of those that cannot be read."""
    applications, broken = model.applications(base, names)
    reports = [RotationReport(overlay=application.overlay, application=application) for application in applications]
    reports += [RotationReport(overlay=overlay, error=error) for overlay, error in broken]
    return sorted(reports, key=lambda report: report.overlay)


def _pinned(base: Checkout, cluster: str, now: datetime) -> SealingCertificate | CertificateError:
    try:
        return certificate.pinned(base, cluster, now)
    except CertificateError as error:
        return error

"""One run of `gitops oauth`: who is asked and told, by the credentials that the environment gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from gitops.clients.github import Hub
from gitops.clients.intra42 import Api
from gitops.clients.sealed_secrets import Controller
from gitops.clients.slack import Slack
from gitops.ground import credentials
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError, UnexpectedError, combined
from gitops.ground.progress import Progress
from gitops.oauth import alerts, issue, model
from gitops.oauth import deliver as delivers
from gitops.oauth import rotate as rotations
from gitops.oauth.deliver import DeliveryReport
from gitops.oauth.doctor import Check, Doctor, Examined
from gitops.oauth.login import Credentials, Session
from gitops.oauth.observe import utc_now
from gitops.oauth.record import Recorded
from gitops.oauth.record import record as record_layout
from gitops.oauth.rotate import RotationReport
from gitops.oauth.sources import IntraPage
from gitops.tools.build import ensure

# The workflow whose runs are watched: .github/workflows/oauth.yaml.
WORKFLOW = "oauth.yaml"


@dataclass(frozen=True)
class RotationRun:
    """What was found and done, and who is told of it. `complete`: every application was looked at."""

    reports: list[RotationReport]
    hub: Hub | None
    slack: Slack | None
    complete: bool

    def tell(self) -> None:
        """Send what a person must know to Slack, where there is one, and keep the issue of the page's layout.

        Raises ExternalError; what fails of one stops not the other.
        """
        if self.hub is None:
            return
        failed: list[GitopsError] = []
        for tell in (self._post, self._keep_issue):
            try:
                tell(self.hub)
            except GitopsError as error:
                failed.append(error)
        if failed:
            raise combined(failed)

    def _post(self, hub: Hub) -> None:
        if self.slack:
            since = hub.last_success(WORKFLOW)
            alerts.tell(self.slack, alerts.to_owners(self.reports, since), alerts.message(self.reports, since))

    def _keep_issue(self, hub: Hub) -> None:
        if self.complete:
            issue.keep(hub, self.reports)


@dataclass(frozen=True)
class DeliveryRun:
    """What was merged and how far it came, and who is told of it."""

    reports: list[DeliveryReport]
    slack: Slack

    def tell(self) -> None:
        """Send what is news to Slack: rotations repeat, four times a day, what still needs a person.

        Raises ExternalError.
        """
        news = [report for report in self.reports if report.alarming or not report.needs_a_person]
        alarming = [report for report in self.reports if report.alarming]
        now = utc_now()
        alerts.tell(self.slack, alerts.to_owners(news, now), alerts.message(alarming, now))


def look(taken: Mapping[str, SecretStr], services: Sequence[str]) -> RotationRun:
    """Look at every application (or those of `services`). 42 and GitHub are asked where their credentials are set.

    `taken`: the credentials of the environment, by their names. Raises InputError, ExternalError.
    """
    token = credentials.take("GITHUB_TOKEN")
    hub = Hub.from_environment(token) if token else None
    return RotationRun(_reports(hub, Credentials.of(taken), token, services, cluster=None), hub, None, not services)


def rotate(taken: Mapping[str, SecretStr], services: Sequence[str], cluster: str) -> RotationRun:
    """Look, and act for `cluster`. Raises InputError where a credential is not set, ExternalError."""
    token = credentials.take("GITHUB_TOKEN")
    intra42, slack = _intra42(taken), Slack.needed(taken, "of a secret that ends")
    try:
        hub = Hub.from_environment(token)
        return RotationRun(_reports(hub, intra42, token, services, cluster=cluster), hub, slack, not services)
    except Exception as error:  # of whatever type: nobody was looked at, and somebody has to know
        failure = UnexpectedError.of(error)
        slack.post(f":rotating_light: no secret of 42 was looked at: {failure.fault}", f"Runbook: {alerts.RUNBOOK}")
        raise failure from None


def deliver(taken: Mapping[str, SecretStr], services: Sequence[str]) -> DeliveryRun:
    """Merge what is proved, and follow what was merged.

    Raises InputError where a credential is not set, ExternalError.
    """
    token, slack = credentials.take("GITHUB_TOKEN"), Slack.needed(taken, "of a secret that did not arrive")
    hub = Hub.from_environment(token)
    checkout, progress = Checkout.find(), Progress()
    ensure(checkout, progress, ["kustomize"])
    with progress.step("42's secrets on their way"):
        return DeliveryRun(delivers.run(checkout, hub, names=services, now=utc_now(), token=token), slack)


def _reports(
    hub: Hub | None,
    intra42: Credentials | None,
    token: SecretStr | None,
    services: Sequence[str],
    *,
    cluster: str | None,
) -> list[RotationReport]:
    source = IntraPage(Session(intra42)) if intra42 else None
    # Only now: what is started here inherits no credential.
    checkout, progress = Checkout.find(), Progress()
    ensure(checkout, progress, ["kustomize"])
    with progress.step("42's applications"):
        return rotations.run(
            checkout,
            hub,
            source,
            cluster=cluster,
            names=services,
            now=utc_now(),
            token=token,
        )


def record(taken: Mapping[str, SecretStr], number: str) -> Recorded:
    """Read an application's page and write its layout into the working copy. Raises InputError, ExternalError."""
    intra42 = _intra42(taken)
    return record_layout(Checkout.find(), IntraPage(Session(intra42)), number, intra42.login)


def examine(taken: Mapping[str, SecretStr], services: Sequence[str], cluster: str, controller: str) -> list[Check]:
    """Try all that a rotation needs. Raises InputError for a service that does not exist."""
    token, intra42 = credentials.take("GITHUB_TOKEN"), Credentials.of(taken)
    checkout = Checkout.find()
    applications, broken = model.applications(checkout, services)
    doctor = Doctor(
        checkout,
        applications,
        IntraPage(Session(intra42)) if intra42 else None,
        Api(),
        Slack.of(taken),
        Hub.from_environment(token) if token else None,
        Controller(controller),
        cluster,
        utc_now(),
    )
    doctor.checks += [Check(str(overlay), Examined.FAILS, str(error)) for overlay, error in broken]
    return doctor.examine()


def _intra42(taken: Mapping[str, SecretStr]) -> Credentials:
    intra42 = Credentials.of(taken)
    if intra42 is None:
        raise InputError("not set: INTRA42_LOGIN, INTRA42_PASSWORD; in Actions the workflow sets them, see the runbook")
    return intra42

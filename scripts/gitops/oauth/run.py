"""One run of `gitops oauth`: who is asked and told, by the credentials that the environment gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from gitops.clients.github import Hub
from gitops.clients.slack import Slack
from gitops.ground import credentials
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.progress import Progress
from gitops.oauth import alerts
from gitops.oauth import rotate as rotations
from gitops.oauth.login import Credentials, Session
from gitops.oauth.observe import utc_now
from gitops.oauth.rotate import RotationReport
from gitops.oauth.sources import IntraPage
from gitops.tools.build import ensure

# The workflow whose runs are watched: .github/workflows/oauth.yaml.
WORKFLOW = "oauth.yaml"


@dataclass(frozen=True)
class RotationRun:
    """What was found and done, and who is told of it."""

    reports: list[RotationReport]
    hub: Hub | None
    slack: Slack | None

    def tell(self) -> None:
        """Send what a person must know to Slack, where there is one. Raises ExternalError."""
        if self.slack and self.hub and (lines := alerts.message(self.reports, self.hub.last_success(WORKFLOW))):
            self.slack.post(*lines)


def look(taken: Mapping[str, SecretStr], services: Sequence[str]) -> RotationRun:
    """Look at every application (or those of `services`). 42 and GitHub are asked where their credentials are set.

    `taken`: the credentials of the environment, by their names. Raises InputError, ExternalError.
    """
    token = credentials.take("GITHUB_TOKEN")
    hub = Hub.from_environment(token) if token else None
    return RotationRun(_reports(hub, Credentials.of(taken), token, services, cluster=None), hub, None)


def rotate(taken: Mapping[str, SecretStr], services: Sequence[str], cluster: str) -> RotationRun:
    """Look, and act for `cluster`. Raises InputError where a credential is not set, ExternalError."""
    token = credentials.take("GITHUB_TOKEN")
    intra42, slack = Credentials.of(taken), Slack.of(taken)
    if intra42 is None:
        raise InputError("not set: INTRA42_LOGIN, INTRA42_PASSWORD; in Actions the workflow sets them, see the runbook")
    if slack is None:
        raise InputError("not set: SLACK_TOKEN; without it nobody would hear of a secret that ends")
    hub = Hub.from_environment(token)
    return RotationRun(_reports(hub, intra42, token, services, cluster=cluster), hub, slack)


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

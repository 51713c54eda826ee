"""`gitops oauth doctor`: everything that a rotation needs, tried one by one, with what to do where it does not work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from pydantic import SecretStr

from gitops.clients.github import Hub, lists
from gitops.clients.intra42 import Api, Intra42Error
from gitops.clients.sealed_secrets import Controller
from gitops.clients.slack import Slack
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError
from gitops.oauth import page
from gitops.oauth.answers import LoginError, UnreachableError
from gitops.oauth.blocks import LayoutError
from gitops.oauth.model import OAuthApplication
from gitops.oauth.observe import CLOCKS, BlockedError, other_uid
from gitops.oauth.page import Reading
from gitops.oauth.rotate import prove
from gitops.oauth.sources import IntraPage
from gitops.secrets import certificate

T = TypeVar("T")
RUNBOOK = "docs/runbooks/oauth.md"
SETUP = "docs/runbooks/setup.md"


class Examined(StrEnum):
    """What came of a check."""

    WORKS = "works"
    FAILS = "does not work"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Check:
    """One check. `says`: what was found; `fix`: what to do about it."""

    name: str
    verdict: Examined
    says: str = ""
    fix: str = ""


@dataclass
class Doctor:
    """Who can be asked; None for those whose credentials are not set. `now`: our clock."""

    checkout: Checkout
    applications: Sequence[OAuthApplication]
    source: IntraPage | None
    api: Api
    slack: Slack | None
    hub: Hub | None
    controller: Controller
    cluster: str
    now: datetime
    checks: list[Check] = field(default_factory=list)

    def examine(self) -> list[Check]:
        """Try all of it; what fails stops nothing but what needs it."""
        self._ask_42()
        self._tried("Slack", self.slack, "SLACK_TOKEN", lambda slack: f"posts as {slack.whoami()}")
        self._tried("GitHub", self.hub, "GITHUB_TOKEN", _github)
        self._try("certificate", self._certificate)
        return self.checks

    def _ask_42(self) -> None:
        source = self.source
        if source is None:
            self._note("login", Examined.NOT_TRIED, "INTRA42_LOGIN and INTRA42_PASSWORD are not set", f"see {SETUP}")
            return

        def sign_in() -> str:
            source.sign_in()
            return "42 signs the account in"

        if not self._try("login", sign_in):
            return
        clock: datetime | None = None
        for application in self.applications:
            clock = self._application(source, application) or clock
        if clock:
            ahead = clock - self.now
            says = f"42's is {abs(ahead)} {'ahead of' if ahead.total_seconds() >= 0 else 'behind'} this machine's"
            differ = abs(ahead) > CLOCKS
            fix = "set this machine's clock; meanwhile the later of both counts" if differ else ""
            self._note("clock", Examined.FAILS if differ else Examined.WORKS, says, fix)

    def _application(self, source: IntraPage, application: OAuthApplication) -> datetime | None:
        """Ownership, page and token of an application; 42's clock where it was told."""
        name = f"{application.overlay} ({application.id})"
        told: list[tuple[str, datetime]] = []

        def own() -> str:
            told.append(source.page(application.id))
            return "42 shows its credentials to the account"

        if not self._try(f"{name}: ownership", own):
            return None
        [(html, clock)] = told
        readings: list[Reading] = []

        def read() -> str:
            reading = page.read(html, application.id, clock)
            if fault := other_uid(application, reading, "another uid than its file says"):
                raise InputError.several([fault])
            readings.append(reading)
            return f"read; a next secret {'shows' if reading.next else 'does not show'}"

        if self._try(f"{name}: page", read):
            secret = readings[0].current
            if secret:
                self._try(f"{name}: token endpoint", lambda: _proved(self.api, application, secret))
        return clock

    def _certificate(self) -> str:
        pinned = certificate.pinned(self.checkout, self.cluster, self.now)
        theirs = certificate.load(self.controller.certificate(), self.controller.url, self.now)
        if theirs.fingerprint != pinned.fingerprint:
            raise InputError(
                f"the controller of {self.cluster} seals with another certificate than is pinned",
                expected=pinned.fingerprint[:12],
                found=theirs.fingerprint[:12],
                fix="gitops secrets reseal, and docs/runbooks/secrets.md, 'The controller has a new key'",
            )
        return f"the controller's own is the pinned one ({pinned.fingerprint[:12]})"

    def _tried(self, name: str, who: T | None, variable: str, ask: Callable[[T], str]) -> None:
        if who is None:
            self._note(name, Examined.NOT_TRIED, f"{variable} is not set", f"see {SETUP}")
        else:
            self._try(name, lambda: ask(who))

    def _try(self, name: str, ask: Callable[[], str]) -> bool:
        try:
            says = ask()
        except GitopsError as error:
            self._note(name, Examined.FAILS, str(error).splitlines()[0], _fix(error))
            return False
        self._note(name, Examined.WORKS, says)
        return True

    def _note(self, name: str, verdict: Examined, says: str, fix: str = "") -> None:
        self.checks.append(Check(name, verdict, says, fix))


def _proved(api: Api, application: OAuthApplication, secret: SecretStr) -> str:
    accepted = prove(api, application, secret)
    says = f"{accepted.valid_until:%Y-%m-%d}" if accepted.valid_until else "nothing"
    return f"takes the secret that is shown; of its end it says {says}"


def _github(hub: Hub) -> str:
    """What a rotation reads there: with a right missing, GitHub refuses the call."""
    for path in ("/pulls?state=open", "/issues?state=open", "/deployments", "/actions/workflows"):
        key = "workflows" if path.startswith("/actions") else ""
        next(lists.entries(hub, path, key), None)
    return f"{hub.settings.repository}: pull requests, issues, deployments and runs can be read"


def _fix(error: GitopsError) -> str:
    """The runbook's section for what has one, else the fault's own."""
    if error.fault.fix:
        return error.fault.fix
    if isinstance(error, LoginError | UnreachableError | LayoutError | Intra42Error):
        error = BlockedError.of(error)
    return f"{RUNBOOK}, section 'BLOCKED ({error.reason})'" if isinstance(error, BlockedError) else f"see {SETUP}"

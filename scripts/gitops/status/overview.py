"""A person's services at a glance: what the files say at once, and what others say in the time that there is."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, GitopsError
from gitops.manifests.overlay import Overlay
from gitops.status import here, mine, remote
from gitops.status.asked import Question
from gitops.status.changes import Begun, CheckedChanges
from gitops.status.here import EnvironmentFiles
from gitops.status.mine import Mine
from gitops.status.remote import ClusterAnswer, HubAnswer

if TYPE_CHECKING:
    from gitops.clients.github.overview import OpenPull


@dataclass(frozen=True)
class EnvironmentOverview:
    """One overlay. `runs`: what a cluster, or Argo CD by GitHub, says of it; `why` in the pods' words.

    `pulls`: the open pull requests that concern it. `good`: None where nobody said it.
    """

    files: EnvironmentFiles
    runs: str
    why: str
    good: bool | None
    pulls: tuple[OpenPull, ...]

    def rotation(self, now: datetime) -> str:
        """What 42's secret is at, for a person."""
        waiting = [pull for pull in self.pulls if pull.branch == self.files.overlay.branch("oauth")]
        if waiting:
            return f"#{waiting[0].number} waits for {waiting[0].waits}"
        until = self.files.until
        if self.files.generation is None:
            return "-"
        if until is None:
            return f"g{self.files.generation}"
        days = (until - now).days
        return f"g{self.files.generation}, {f'ends in {days} days' if until > now else 'ended'}"

    def as_dict(self, now: datetime) -> dict[str, Any]:
        """For JSON."""
        overlay, until = self.files.overlay, self.files.until
        return {
            "service": overlay.service,
            "environment": overlay.environment,
            "image": self.files.image,
            "runs": self.runs or None,
            "good": self.good,
            "why": self.why,
            "generation": self.files.generation,
            "secret_until": until.isoformat() if until else None,
            "rotation": self.rotation(now),
            "pull_requests": [pull.number for pull in self.pulls],
        }


@dataclass(frozen=True)
class Glance:
    """Everything that is shown. `word`: whose word `runs` is; `unasked`: who could not be asked, and why.

    `changes`: what main has not, for a person; `checked`: what the check says of it, None where it did not.
    """

    mine: Mine
    environments: tuple[EnvironmentOverview, ...]
    pulls: tuple[OpenPull, ...]
    findings: tuple[Fault, ...]
    word: str
    unasked: tuple[str, ...] = ()
    changes: str = ""
    checked: CheckedChanges | None = None

    def as_dict(self, now: datetime) -> dict[str, Any]:
        """For JSON."""
        return {
            "services": list(self.mine.services),
            "whose": self.mine.why,
            "environments": [environment.as_dict(now) for environment in self.environments],
            "pull_requests": [asdict(pull) | {"waits": pull.waits} for pull in self.pulls],
            "findings": [asdict(fault) for fault in self.findings],
            "changes": self.changes,
            "check": asdict(self.checked) if self.checked else None,
            "word": self.word,
            "unasked": list(self.unasked),
        }


def look(
    checkout: Checkout,
    team: str | None,
    now: datetime,
    begun: Begun,
    *,
    everybody: bool,
    seconds: float,
    thorough: bool,
) -> Glance:
    """What there is for a person within `seconds`. `thorough`: GitHub is asked again, and pods why they are not well.
    `begun`: what main has not, and the check of it, which has a time of its own.

    Raises InputError for a team that is none; all else that cannot be told stands in `unasked`.
    """
    until = time.monotonic() + seconds
    owners = mine.teams_of(checkout)
    decided = mine.given(checkout, owners, team, everybody=everybody) or mine.by_git(checkout, owners)
    names = [overlay.application for overlay in _overlays(checkout)]
    hub = Question(
        "GitHub",
        lambda: remote.ask_hub(checkout, names, with_teams=decided is None, tries=3 if thorough else 0),
    )
    cluster = Question("what runs", lambda: remote.ask_cluster(checkout, seconds=seconds, reasons=thorough))
    files = _read(checkout, owners, decided, now) if decided else None
    unasked: list[str] = []
    told = _answer(hub, until, unasked)
    runs = _answer(cluster, until, unasked)
    own = decided or _by_others(checkout, owners, told)
    files = files or _read(checkout, owners, own, now)
    checked = _answer(begun.question, begun.until, unasked) if begun.question else None
    return replace(_put_together(own, files, told, runs, unasked), changes=begun.words, checked=checked)


def _overlays(checkout: Checkout) -> list[Overlay]:
    files = sorted(checkout.overlays.glob("[!.]*/*/kustomization.yaml"))
    return [Overlay(file.parent.parent.name, file.parent.name) for file in files]


def _read(checkout: Checkout, owners: dict[str, str], own: Mine, now: datetime) -> here.Here:
    # Of a service without a readable owner nobody knows whose it is: everybody is told.
    folders = {folder.name for folder in checkout.service_folders}
    teams = {owners[name] for name in own.services}
    return here.look(checkout, {*own.services, *(folders - owners.keys())}, teams, now)


def _by_others(checkout: Checkout, owners: dict[str, str], told: HubAnswer | None) -> Mine:
    by_hub = mine.by_handles(checkout, owners, told.handles, "GitHub") if told else None
    return by_hub or mine.by_commits(checkout, owners) or mine.nobody(owners)


def _answer(question: Question[Any], until: float, unasked: list[str]) -> Any:  # noqa: ANN401 - whatever it asks for
    try:
        return question.answer(until)
    except GitopsError as error:
        # What to do about it is said where somebody asks in full: nobody needs it each time.
        unasked.append(f"{question.who}: {error.fault.what.splitlines()[0]}")
        return None


def _put_together(
    own: Mine, files: here.Here, told: HubAnswer | None, runs: ClusterAnswer | None, unasked: list[str]
) -> Glance:
    login = told.overview.login if told else ""
    pulls = tuple(pull for pull in (told.overview.pulls if told else ()) if _concerns(pull, own.services, login))
    said = told.overview.health if told else None
    environments: list[EnvironmentOverview] = []
    for entry in files.environments:
        if entry.overlay.service in own.services:
            its = tuple(pull for pull in pulls if _is_of(pull, entry.overlay))
            environments.append(EnvironmentOverview(entry, *_running(entry.overlay, runs, said), its))
    word = runs.place if runs else "Argo CD, as it told GitHub" if said is not None else ""
    faults = [
        Fault(f"{entry.files.overlay}: {entry.runs}{entry.why and f': {entry.why}'}")
        for entry in environments
        if entry.good is False
    ]
    findings = (*faults, *files.findings)
    return Glance(own, tuple(environments), pulls, findings, word, (*unasked, *files.unread))


def _running(overlay: Overlay, runs: ClusterAnswer | None, said: Any) -> tuple[str, str, bool | None]:  # noqa: ANN401
    if runs is not None:
        app = runs.apps.get(overlay.application)
        if app is None:
            return "not there", "", None
        return f"{app.sync}, {app.health}", app.message, app.good
    health = (said or {}).get(overlay.application)
    return (health.name.capitalize(), "", health.name == "HEALTHY") if health else ("", "", None)


def _concerns(pull: OpenPull, names: Collection[str], login: str) -> bool:
    touched = {overlay.service for overlay in map(Overlay.of_path, pull.paths) if overlay}
    return bool(touched & set(names)) or (bool(login) and pull.author == login)


def _is_of(pull: OpenPull, overlay: Overlay) -> bool:
    return any(Overlay.of_path(path) == overlay for path in pull.paths)

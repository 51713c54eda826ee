"""The real planner of images on a world in memory, which a few short words describe: no process, no request.

    "3.0.0 20d, 3.1.0 2d bot"    what an environment ran on main, oldest first: a tag, how long ago, by whom (a person)
    "3.1.0 2d, stable=3.1.0 2d"  what the registry has: a tag, how long ago its digest was pushed
    "success 48h, failure 1h"    what Argo CD told of an environment: a state, how long ago

A digest goes by a name of its own (`stable=3.1.0`), which is the tag's where none is given.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from gitops.clients.github import Health, HealthChange
from gitops.clients.registries import ListedImage, Registry
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError
from gitops.images import edit, plan, policy
from gitops.images.hold import Hold
from gitops.images.memory import Declined
from gitops.images.target import Declines, FollowedOverlay, ImagePlan, Sources
from gitops.manifests.overlay import Overlay
from gitops.repository.history import History
from gitops.repository.ours import TRAILER
from gitops.repository.versions import Version

SERVICE = "mogle"
NAME = f"111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/{SERVICE}"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
AMD64 = "linux/amd64"


def digest(name: str) -> str:
    """The digest that a name stands for."""
    return f"sha256:{sha256(name.encode()).hexdigest()}"


# Where an argument has that name.
_digest = digest


def ago(span: str) -> datetime:
    """The moment so long before NOW."""
    return NOW - policy.duration(span)


def _parted(word: str) -> tuple[str, str]:
    """The tag and the digest of `tag` or `tag=digest`."""
    tag, _, name = word.partition("=")
    return tag, digest(name or tag)


def kustomization(word: str) -> bytes:
    """The file of an overlay that pins `tag` or `tag=digest`."""
    tag, pinned = _parted(word)
    pin = f'{{name: app, newName: {NAME}, newTag: "{tag}", digest: "{pinned}"}}'
    return f"images:\n  - {pin}\n".encode()


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is so before a run. By environment: `policies`, `ran`, `health` (else: Healthy at once), `declined`, `held`.

    `held`: the tag, and when the hold ends from now (negative: it is over). `platforms`, `broken`: by tag, what it is
    built for, and which manifest is gone. `fault`: what the registry answers instead of its listing. `names_alone`:
    it lists names, and tells no times whatever it is asked.
    """

    policies: Mapping[str, Mapping[str, Any]]
    registry: str = ""
    ran: Mapping[str, str]
    health: Mapping[str, str] = field(default_factory=dict)
    declined: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, tuple[str, timedelta]] = field(default_factory=dict)
    platforms: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    fault: str = ""
    names_alone: bool = False


def plans(situation: Situation, folder: Path) -> dict[str, ImagePlan]:
    """What the planner makes of it, by environment. `folder`: where the overlays' own files are (keys)."""
    policies = policy.Policies.model_validate(situation.policies).root
    history = _History(situation.ran)
    targets = [_target(situation, history, environment, own) for environment, own in policies.items()]

    def closed(target: FollowedOverlay) -> Declines:
        words = _words(situation.declined.get(target.overlay.environment, ""))
        return Declines(tuple(Declined(*_parted(word), "#7") for [word] in words))

    def health(application: str, since: datetime) -> list[HealthChange]:
        told = history.health(application.rpartition("-")[2], situation.health)
        return [change for change in told if change.when >= since]

    registry = cast(Registry, _Registry(situation))
    sources = Sources(Checkout(folder), cast(History, history), registry, NOW, closed, health)
    return {made.overlay.environment: made for made in plan.make(sources, targets)}


def _target(situation: Situation, history: _History, environment: str, own: policy.Policy) -> FollowedOverlay:
    overlay = Overlay(SERVICE, environment)
    held = situation.held.get(environment)
    hold = Hold(tag=held[0], reason="it fails", until=NOW + held[1]) if held else None
    content = history.runs[overlay.kustomization][0].content
    return FollowedOverlay(overlay, own, edit.read(content, overlay.kustomization), hold)


def _words(text: str) -> list[list[str]]:
    return [part.split() for part in text.split(",") if part.strip()]


class _History:
    """Main's history of the overlays, newest first."""

    def __init__(self, ran: Mapping[str, str]) -> None:
        self.lock = threading.Lock()
        self.runs = {Overlay(SERVICE, name).kustomization: _versions(name, text) for name, text in ran.items()}

    def read_ahead(self, paths: Iterable[str]) -> None:
        """They are at hand."""

    def versions(self, path: str) -> Iterator[Version]:
        return iter(self.runs[path])

    def content(self, sha: str, path: str) -> bytes | None:
        return next((version.content for version in self.runs[path] if version.sha == sha), None)

    def health(self, environment: str, told: Mapping[str, str]) -> list[HealthChange]:
        """What Argo CD said, oldest first: of the commit that was on main at that moment."""
        versions = self.runs[Overlay(SERVICE, environment).kustomization]
        if environment not in told:
            return [HealthChange(Health.HEALTHY, version.sha, version.when) for version in reversed(versions)]
        changes = []
        for state, span in _words(told[environment]):
            commit = next(version.sha for version in versions if version.when <= ago(span))
            changes.append(HealthChange(Health(state), commit, ago(span)))
        return changes


def _versions(environment: str, text: str) -> list[Version]:
    made = []
    for number, (word, span, *by) in enumerate(_words(text)):
        lines = frozenset({TRAILER}) if by else frozenset()
        sha = f"{environment}-{number}"
        made.append(Version(sha, ago(span), by[0] if by else "student", word, kustomization(word), lines))
    return made[::-1]


class _Registry:
    def __init__(self, situation: Situation) -> None:
        self.situation = situation

    def listing(self, name: str) -> list[ListedImage]:
        del name
        if self.situation.fault:
            raise ExternalError(self.situation.fault)
        images = self._images()
        return [ListedImage(image.tag, "", None) for image in images] if self.situation.names_alone else images

    def _images(self) -> list[ListedImage]:
        images = [_listed(word, span) for word, span in _words(self.situation.registry)]
        return [replace(image, pushed=None) for image in images] if self.situation.names_alone else images

    def look(self, name: str, *, tag: str = "", digest: str = "", dated: bool = False) -> ListedImage | None:
        del name, dated
        return next((image for image in self._images() if tag == image.tag or digest == image.digest), None)

    def manifest(self, name: str, *, digest: str = "", tag: str = "") -> dict[str, Any] | None:
        """An index of its platforms; none of them is signed."""
        del name
        if tag or digest in map(_digest, self.situation.broken):
            return None
        built = {_digest(own): platform for own, platform in self.situation.platforms.items()}
        keys = ("os", "architecture", "variant")
        platforms = built.get(digest, AMD64).split("+")
        children = [dict(zip(keys, platform.split("/"), strict=False)) for platform in platforms]
        return {"manifests": [{"digest": digest, "platform": child} for child in children]}

    def referrers(self, name: str, digest: str, kind: str) -> list[str]:
        """Nothing is attached to any."""
        del name, digest, kind
        return []


def _listed(word: str, span: str) -> ListedImage:
    tag, pushed = _parted(word)
    return ListedImage("" if tag == "-" else tag, pushed, ago(span))


def winners(made: Mapping[str, ImagePlan]) -> dict[str, str]:
    """The tag that is proposed, by environment: of those where something is."""
    return {name: own.winner.tag for name, own in made.items() if own.winner}

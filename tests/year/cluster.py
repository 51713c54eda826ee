"""The cluster: Argo CD follows main, the controller opens seals with its keys, pods hold what they were started with.

It says to GitHub what Argo CD's notifications say (docs/adr/0011), when GitHub answers. What a service's ready pods
hold is kept with its moments, so that the seconds without an accepted secret are counted and not sampled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from gitops.ground.errors import GitopsError
from gitops.images import edit
from gitops.manifests import sealedsecret
from gitops.manifests.overlay import Overlay
from gitops.secrets.seal import unseal
from tests.year.clock import MINUTE
from tests.year.events import Events
from tests.year.files import Files
from tests.year.plan import Away, Trouble
from tests.year.world import YearWorld

KEY = "client-secret"
# Argo CD asks git every three minutes, and new pods take a while until they are ready.
POLL, ROLLOUT, DEADLINE = 3 * MINUTE, timedelta(seconds=80), 10 * MINUTE


@dataclass(frozen=True)
class Held:
    """From `since` on an overlay's ready pods hold `value` (None: none that anybody knows), by its Secret's name."""

    since: datetime
    value: str | None
    secret: str


@dataclass
class Running:
    """One overlay in the cluster. `tree`: what was synced last; `template`: what its ready pods were made of."""

    overlay: Overlay
    application: str | None
    tree: str = ""
    commit: str = ""
    template: tuple[str, str] = ("", "")
    told: tuple[str, str] = ("", "")
    held: list[Held] = field(default_factory=list)
    begun: datetime | None = None

    @property
    def secret(self) -> str:
        """The name of the Secret that its ready pods hold."""
        return self.held[-1].secret if self.held else ""


class Cluster:
    """All overlays. `look` says that main has moved; all else comes by events."""

    def __init__(self, world: YearWorld, events: Events, files: Files) -> None:
        self.world, self.events, self.files = world, events, files
        self._asked = False
        own = {application.overlay: application.id for application in world.applications()}
        overlays = [
            Overlay.of_path(f"overlays/{path.parent.parent.name}/{path.parent.name}/x") for path in _folders(world)
        ]
        self.running = {
            overlay: Running(overlay, own.get(overlay))
            for overlay in overlays
            if overlay and overlay.service != "oauth-watch"
        }

    def begin(self) -> None:
        """All runs as main says, and has for a day."""
        commit = self.files.head()
        for state in self.running.values():
            state.tree, state.commit = self.files.id(commit, state.overlay.path), commit
            state.template = self._template(commit, state.overlay)
            self._hold(state, commit)
            self._tell(state, "success", commit)

    def poll(self) -> None:
        """Argo CD compares main with what runs, every overlay by itself; what it cannot bring there it tries again."""
        self._asked = False
        commit = self.files.head()
        if not self._away(Away.ARGOCD) and not self._away(Away.GITHUB):
            for state in self.running.values():
                tree = self.files.id(commit, state.overlay.path)
                if tree != state.tree and not self._hindered(state, Trouble.OUT_OF_SYNC):
                    self._sync(state, commit, tree)
        if any(self.files.id(commit, state.overlay.path) != state.tree for state in self.running.values()):
            self.look(10 * MINUTE)

    def look(self, span: timedelta = POLL) -> None:
        """Main has moved: Argo CD sees it within `span`."""
        if not self._asked:
            self._asked = True
            self.events.when(self.world.clock.now + span, self.poll)

    def _sync(self, state: Running, commit: str, tree: str) -> None:
        if self._hindered(state, Trouble.SYNC_FAILS):
            self._tell(state, "error", commit)
            return
        state.tree, state.commit = tree, commit
        if self._template(commit, state.overlay) == state.template:
            state.begun = None
            self._tell(state, "success", commit)
            return
        state.begun = self.world.clock.now
        self._tell(state, "in_progress", commit)
        self.events.when(self.world.clock.now + ROLLOUT, lambda: self._ready(state, commit))

    def _ready(self, state: Running, commit: str) -> None:
        """The new pods are ready, if nothing hinders them; else they are looked at again."""
        if state.commit != commit or state.begun is None:
            return  # a later sync has begun anew
        now = self.world.clock.now
        stuck = self._hindered(state, Trouble.DEGRADED) or self._value(commit, state) is None
        if stuck or self._away(Away.ARGOCD):
            if stuck and now - state.begun >= DEADLINE:
                self._tell(state, "failure", commit)
            self.events.when(now + 5 * MINUTE, lambda: self._ready(state, commit))
            return
        state.begun = None
        state.template = self._template(commit, state.overlay)
        self._hold(state, commit)
        self._tell(state, "success", commit)

    # -- what there is

    def _template(self, commit: str, overlay: Overlay) -> tuple[str, str]:
        """What makes new pods when it changes: the image, and the Secret's name."""
        pin = edit.read(self.files.read(commit, overlay.kustomization) or b"", overlay.kustomization)
        return str(pin.image), self.files.secret(commit, overlay)

    def _hold(self, state: Running, commit: str) -> None:
        if state.application is None:
            return
        secret = self.files.secret(commit, state.overlay)
        if secret != state.secret:
            state.held.append(Held(self.world.clock.now, self._value(commit, state), secret))

    def _value(self, commit: str, state: Running) -> str | None:
        """What the controller makes of the seal that a commit names; "" where an overlay has no application of 42."""
        if state.application is None:
            return ""
        name = self.files.secret(commit, state.overlay)
        path = state.overlay.file(f"sealedsecret-{name.removeprefix(f'{state.overlay.service}-')}.yaml")
        content = self.files.read(commit, path)
        if content is None or self._hindered(state, Trouble.UNOPENED):
            return None
        try:
            sealed = sealedsecret.read(content, path)
            return unseal(self.world.keys, sealed.namespace, sealed.name, sealed.encrypted[KEY]).decode()
        except GitopsError:
            return None

    def _hindered(self, state: Running, what: Trouble) -> bool:
        now = self.world.clock.now
        hindrances = self.world.plan.hindrances
        return any(it.what is what and it.application == state.application and it.covers(now) for it in hindrances)

    def _away(self, what: Away) -> bool:
        return self.world.plan.is_away(what, self.world.clock.now)

    # -- what is said of it

    def _tell(self, state: Running, health: str, commit: str) -> None:
        """As Argo CD's notifications do: each change once, and again and again until GitHub has taken it."""
        if state.told == (health, commit) and not self._away(Away.GITHUB):
            return
        if self._away(Away.GITHUB):
            self.events.when(self.world.clock.now + 5 * MINUTE, lambda: self._tell_later(state, health, commit))
            return
        state.told = (health, commit)
        self.world.github.deployments.says(state.overlay.application, health, commit, self.world.clock.now)

    def _tell_later(self, state: Running, health: str, commit: str) -> None:
        if state.commit == commit:
            self._tell(state, health, commit)


def _folders(world: YearWorld) -> list[Path]:
    return sorted(world.whole.overlays.glob("[!.]*/*/kustomization.yaml"))

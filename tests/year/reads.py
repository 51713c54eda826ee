"""What each scheduled command reads, as far as it can change: equal fingerprints, equal answer (see actions.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gitops.clients.github import CHECK, FREEZE, STATUSES
from gitops.images import policy as policies
from gitops.manifests.overlay import Overlay
from gitops.repository import services as catalogue
from tests.frozen import CLUSTER
from tests.year.actions import Fingerprint
from tests.year.cluster import Cluster, Running
from tests.year.files import Files
from tests.year.plan import Away
from tests.year.world import YearWorld

_PIN = re.compile(rb"^images:\n(?:[ -].*\n)+", re.MULTILINE)


@dataclass
class Reads:
    """Of one world."""

    world: YearWorld
    cluster: Cluster
    files: Files

    def __post_init__(self) -> None:
        root = self.world.whole
        self._applications = self.world.applications()
        services = catalogue.services(root)
        self._followed: list[Overlay] = []
        for service in services:
            environments = policies.read(root, service.folder)
            self._followed += [Overlay(service.name, environment) for environment in environments]
        self._services = [service.name for service in services]

    def fingerprints(self) -> Mapping[str, Fingerprint]:
        """By the first words of a command. One that is not here is run whenever it is due."""
        return {
            "oauth rotate": self.rotation,
            "oauth deliver": self.delivery,
            "images bump": self.images,
            "images freeze": self.freeze,
            "github verify": self.settings,
            "exceptions --tell": self.exceptions,
        }

    def rotation(self) -> object:
        shown = [(app.current, app.next) for app in self.world.intra.apps.values()]
        pins = [self.files.id(self._main, f"{CLUSTER}/{name}") for name in ("cluster.yaml", "sealed-secrets.pem")]
        return (self.delivery(), shown, pins, self._away(Away.INTRA42, Away.LAYOUT))

    def delivery(self) -> object:
        main, pulls = self._main, self._pulls("oauth/")
        overlays = []
        for application in self._applications:
            overlay = application.overlay
            sealed = [name for name in self.files.names(main, overlay.path) if name.startswith("sealedsecret-oauth-42")]
            open_listing = overlay.kustomization if any(overlay.branch("oauth") in str(pull) for pull in pulls) else ""
            ids = [self.files.id(main, overlay.file(name)) for name in ("oauth-42.yaml", *sealed)]
            running = self.cluster.running[overlay]
            told = (_worth(running), self.files.secret(running.told[1], overlay)) if running.told[1] else ()
            overlays.append((*ids, self.files.id(main, open_listing) if open_listing else "", told, running.secret))
        owners = [self.files.id(main, f"overlays/{service}/owner.yaml") for service in self._services]
        return (overlays, owners, pulls, self._away(Away.GITHUB))

    def images(self) -> object:
        main, pulls = self._main, self._pulls("bump/", "rollback/")
        overlays = []
        for overlay in self._followed:
            content = self.files.read(main, overlay.kustomization) or b""
            pin = _PIN.search(content)
            is_open = any(overlay.branch("bump") in str(pull) for pull in pulls)
            running = self.cluster.running[overlay]
            told = (_worth(running), running.template[0]) if overlay.environment == "staging" else ()
            hold = self.files.id(main, overlay.file("hold.yaml"))
            overlays.append((content if is_open or pin is None else pin[0], told, hold))
        services = [self.files.id(main, f"overlays/{service}/images.yaml") for service in self._services]
        away = self._away(Away.ECR, Away.GITHUB)
        return (overlays, services, pulls, len(self.world.ecr.pushed), self._windows(), away)

    def freeze(self) -> object:
        pulls = [pull for pull in self.world.github.pulls.values() if pull.state == "open"]
        heads = [(pull.number, pull.last_head, self._freeze_of(pull.last_head)) for pull in pulls]
        return (heads, self._windows(), self._away(Away.GITHUB))

    def _freeze_of(self, head: str) -> list[str]:
        return [str(entry) for entry in self.world.github.statuses.get(head, []) if entry["context"] == FREEZE]

    def settings(self) -> object:
        rules = self.world.github.rules
        return (
            repr(rules.rulesets),
            repr(rules.settings),
            self.files.id(self._main, ".github"),
            self._away(Away.GITHUB),
        )

    def exceptions(self) -> object:
        return (self.files.id(self._main, "policies"), self.world.clock.now.date())

    @property
    def _main(self) -> str:
        return self.files.head()

    def _pulls(self, *prefixes: str) -> tuple[object, ...]:
        """All that is known of the pull requests of some branches, and their branches."""
        github = self.world.github
        pulls = []
        for pull in github.pulls.values():
            if not pull.head.startswith(prefixes) or (pull.state == "closed" and pull.merged_at):
                continue
            # A person merges an image of prod: the bot does not ask for its checks.
            asks = pull.state == "open" and not (pull.head.startswith("bump/") and pull.head.endswith("/prod"))
            passed = asks and self._passed(pull.last_head)
            pulls.append((pull.number, pull.head, pull.state, pull.last_head, *pull.labels, passed))
        heads = [head for head in self.files.heads().items() if head[0].startswith(prefixes)]
        return (*pulls, *heads)

    def _passed(self, head: str) -> bool:
        """Whether all that must pass before a merge has."""
        github = self.world.github
        states = {entry["context"]: entry["state"] for entry in github.statuses.get(head, [])}
        checked = [conclusion for name, conclusion, _ in github.rules.check_runs.get(head, []) if name == CHECK]
        return bool(checked) and {*checked, *(states.get(name) for name in STATUSES)} == {"success"}

    def _windows(self) -> object:
        """Which freezes are written down, and which of the plan's is now."""
        now = self.world.clock.now
        current = [span.begin for span in self.world.plan.freezes if span.covers(now)]
        return (self.files.id(self._main, ".github/freezes.yaml"), *current)

    def _away(self, *whats: Away) -> list[bool]:
        return [self.world.plan.is_away(what, self.world.clock.now) for what in whats]


def _worth(running: Running) -> str:
    """What is said of an overlay's health."""
    return running.told[0]

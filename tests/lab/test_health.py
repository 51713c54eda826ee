"""What runs is told to GitHub by Argo CD itself, and believed by the bots: real notifications, a fake GitHub."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
from pydantic import SecretStr

from gitops.clients.github import Health, HealthChange, Hub, RepositorySettings, health_changes
from tests.fakes.github import GitHub
from tests.fakes.github_deployments import ARGOCD, ARGOCD_NAME
from tests.lab.running import Running
from tests.lab.test_lab import until

pytestmark = pytest.mark.lab
APPLICATION = "mogle-staging"


class Told:
    """A GitHub whose repository is the lab's origin. It gets each call that Argo CD made, in order and as it was."""

    def __init__(self, running: Running) -> None:
        self.file, self.calls = running.lab.deployments_file, 0
        self.github = GitHub(running.lab.origin)
        self.github.tokens["argocd"] = ARGOCD
        self.hub = Hub(RepositorySettings(self.github.name, SecretStr("argocd"), f"{self.github.url}/api/v3"), pause=0)

    def changes(self) -> list[HealthChange]:
        """What a bot reads of the Application by now."""
        lines = self.file.read_text().splitlines()
        for call in map(json.loads, lines[self.calls :]):
            address = f"{self.github.url}/api/v3{call['path']}"
            headers = {"Authorization": "Bearer argocd"}
            answer = requests.post(address, json=call["body"], headers=headers, timeout=20)
            assert answer.status_code == 201, answer.text
        self.calls = len(lines)
        return health_changes(self.hub, APPLICATION, None)

    def says(self, health: Health, commit: str) -> bool:
        """Whether that is the last word."""
        changes = self.changes()
        return bool(changes) and (changes[-1].health, changes[-1].commit) == (health, commit)


@pytest.fixture
def told(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    monkeypatch.setenv("ARGOCD_APP", ARGOCD_NAME)
    world = Told(running)
    yield world
    world.github.close()


PATIENCE = """\
patches:
  - target: {kind: Deployment}
    patch: |
      - {op: add, path: /spec/progressDeadlineSeconds, value: 5}
"""


def test_argo_cd_tells_github_of_every_change_of_health(running: Running, told: Told) -> None:
    name = "      app.kubernetes.io/name: mogle\n"
    running.edit(APPLICATION, name, f"{name}      example.com/health: told\n")
    good = running.push("replace its pods")
    until("GitHub hears of new pods that are Healthy", lambda: told.says(Health.HEALTHY, good))
    states = [change.health for change in told.changes()]
    assert Health.PROGRESSING in states[: states.index(Health.HEALTHY)]

    missing = ("secret: mogle-oauth-42-g1", "secret: mogle-oauth-42-g9")
    running.edit(APPLICATION, missing[0], missing[1], file="oauth-42.yaml")
    running.edit(APPLICATION, "patches:\n", PATIENCE)
    bad = running.push("name a Secret that does not exist")
    until("GitHub hears that they are Degraded", lambda: told.says(Health.DEGRADED, bad))

    running.edit(APPLICATION, missing[1], missing[0], file="oauth-42.yaml")
    running.edit(APPLICATION, PATIENCE, "patches:\n")
    again = running.push("name the one that does")
    running.wait(APPLICATION, revision=again)
    until("GitHub hears that they are Healthy again", lambda: told.says(Health.HEALTHY, again))
    names = {item["environment"] for item in told.github.deployments.kept}
    assert names >= {APPLICATION, "jobs-bot-prod"}
    assert "root" not in names, "no overlay: nobody asks for its health"

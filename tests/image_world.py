"""A GitHub and a registry around one clone in which `gitops images` runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from gitops.images import edit
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from tests.fakes.aws import Ecr
from tests.fakes.github import GitHub
from tests.world import World

REPOSITORY = "111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/mogle"


STAGING, PROD = "overlays/mogle/staging/kustomization.yaml", "overlays/mogle/prod/kustomization.yaml"
NOW = datetime.now(UTC)


class ImageWorld(World):
    """With a registry. It begins with mogle 3.0.0 in both environments."""

    def __init__(self, ecr: Ecr, github: GitHub, folder: Path) -> None:
        self.ecr, self.github = ecr, github
        first = ecr.push("mogle", "3.0.0", pushed=NOW - timedelta(days=30))
        github.commit("main", {f"overlays/{name}/images.yaml": None for name in OTHERS}, "Only mogle is bumped")
        self.pin(STAGING, "3.0.0", first, NOW - timedelta(days=20))
        self.pin(PROD, "3.0.0", first, NOW - timedelta(days=20))
        super().__init__(github, folder)

    def pin(
        self,
        path: str,
        tag: str,
        digest: str,
        when: datetime = NOW,
        *,
        by: str = "student",
        health: str | None = "success",
    ) -> None:
        """A person pins an image on main, of which Argo CD tells GitHub at once."""
        changed = edit.replace(self.file(path), path, Image(REPOSITORY, tag, digest))
        person = (by, f"{by}@example.com")
        commit = self.github.commit("main", {path: changed}, f"{path}: {tag}", person, when=when.isoformat())
        if health:
            application = Overlay("mogle", path.split("/")[2]).application
            self.github.deployments.says(application, health, commit, when)

    def write(self, path: str, text: str) -> None:
        self.github.commit("main", {path: text.encode()}, f"Change {path}")

    def policy(self, **environments: Any) -> None:
        self.write("overlays/mogle/images.yaml", yaml.safe_dump(environments))

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.ecr.environment}

    def bump(self, **env: str) -> dict[str, dict[str, Any]]:
        done = self.run("images", "bump", "--output", "json", **env)
        assert done.code == 0, done.err
        return {row["environment"]: row for row in json.loads(done.out)}

    def proposed(self, number: int) -> Image:
        pull = self.github.pulls[number]
        path = f"overlays/{pull.head.partition('/')[2]}/kustomization.yaml"
        return edit.read(self.file(path, pull.head), path).image

    def open(self) -> list[str]:
        return sorted(pull.head for pull in self.github.pulls.values() if pull.state == "open")


OTHERS = ("evaluation-metrics", "benefit", "umbrella", "notice-bot", "jobs-bot")

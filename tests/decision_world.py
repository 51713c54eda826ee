"""The bot's own run for docs/images-decisions.md: a GitHub with real git, a registry in memory, mogle on 3.0.0.

What a situation needs beside that is done to it as people, CI or GitHub would.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from git import Repo
from pydantic import SecretStr

from gitops.clients.github import Hub, RepositorySettings
from gitops.clients.registries import ListedImage, Registry
from gitops.images import bump, edit, wording
from gitops.images.report import BumpReport
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository.pulls import Outcome
from tests import image_planner
from tests.fakes import openapi
from tests.fakes.github import TOKEN, GitHub
from tests.fakes.github_repository import Pull
from tests.fakes.github_rulesets import BOT_ACTOR
from tests.frozen import TEST, platform
from tests.image_planner import NAME, NOW, SERVICE, Situation, digest
from tests.world import World

SERVICES = (SERVICE, "umbrella", "benefit")
STAGING, PROD = (Overlay(SERVICE, name) for name in ("staging", "prod"))
OTHER = "umbrella"
POLICIES = f"overlays/{SERVICE}/images.yaml"
FREEZES, WIDE = ".github/freezes.yaml", ".github/images.yaml"
# Ids of commits are others with each change of the platform.
_COMMIT = re.compile(r"(?<!sha256:)\b(?!111122223333\b)[0-9a-f]{12,40}\b")
_FOLDER = re.compile(r"/\S*/overlays/")


class RegistryOf(image_planner._Registry):
    """What the planner's has, for every repository; `refused`: why one is not read, by the end of its name."""

    def __init__(self, situation: Situation) -> None:
        super().__init__(situation)
        self.refused: dict[str, Exception] = {}

    def listing(self, name: str) -> list[ListedImage]:
        if error := self.refused.get(name.rpartition("/")[2]):
            raise error
        return super().listing(name)


class DecisionWorld(World):
    """mogle has run 3.0.0 for 30 days in both environments, and the registry has 3.1.0 as well."""

    def __init__(self, template: Path, folder: Path) -> None:
        super().__init__(GitHub(Path(shutil.copytree(template, folder / "origin.git"))), folder / "checkout")
        self.has("3.0.0 30d, 3.1.0 2d")

    def has(self, text: str, **facts: Any) -> None:
        """What the registry has, in the planner's words."""
        self.memory = RegistryOf(Situation(policies={}, ran={}, registry=text, **facts))

    @property
    def registry(self) -> Registry:
        return cast(Registry, self.memory)

    @property
    def hub(self) -> Hub:
        url = self.github.environment["GITHUB_API_URL"]
        return Hub(RepositorySettings(self.github.name, self.token, url), pause=0)

    @cached_property
    def token(self) -> SecretStr:
        return SecretStr(TOKEN)

    def write(self, path: str, text: str | bytes | None) -> None:
        content = text.encode() if isinstance(text, str) else text
        self.github.commit("main", {path: content}, f"Change {path}", when=NOW.isoformat())

    def policy(self, **environments: Mapping[str, Any]) -> None:
        self.write(POLICIES, yaml.safe_dump(environments))

    def pin(self, overlay: Overlay, tag: str, ago: str = "1h", *, healthy: bool = True) -> None:
        """A person pins a tag on main, of which Argo CD tells at once."""
        path, when = overlay.kustomization, image_planner.ago(ago)
        changed = edit.replace(self.file(path), path, Image(NAME, tag, digest(tag)))
        commit = self.github.commit("main", {path: changed}, f"{path}: {tag}", when=when.isoformat())
        if healthy:
            self.github.deployments.says(overlay.application, "success", commit, when)

    def bump(self) -> dict[str, BumpReport]:
        """One run of the bot, by what each image is called."""
        reports = bump.run(self.checkout, self.hub, self.registry, names=(), now=NOW, token=self.token)
        return {report.plan.label: report for report in reports}

    def pull(self, number: int = 1) -> Pull:
        return self.github.pulls[number]

    def passes(self, number: int = 1) -> None:
        """All that is required is green, on the very commit."""
        pull = self.pull(number)
        self.github.rules.checked(pull.last_head)
        self.github.rules.status(pull.last_head, "main-gate", "success", BOT_ACTOR)

    def closes(self, login: str = "student", branch_goes: float | None = None) -> None:
        """Somebody closes #1 and, where that is said, deletes its branch some seconds after."""
        pull = self.pull()
        pull.state = "closed"
        pull.happens("ClosedEvent", login, NOW)
        if branch_goes is not None:
            self.github.git("update-ref", "-d", f"refs/heads/{pull.head}")
            pull.happens("HeadRefDeletedEvent", login, NOW + timedelta(seconds=branch_goes))

    def opens(self, branch: str, files: Mapping[str, bytes | None], title: str = "x") -> None:
        """A person pushes a branch and opens its pull request."""
        self.github.commit(branch, dict(files), title, parent=self.github.head("main"))
        self.github._open({"head": branch, "base": "main", "title": title})
        self.github.pulls[max(self.github.pulls)].user = "student"

    def freeze_of(self, number: int = 1) -> str:
        """What the status `freeze` of a pull request says."""
        statuses = self.github.statuses.get(self.pull(number).last_head, [])
        return next((status["state"] for status in statuses if status["context"] == "freeze"), "not set")


@dataclass(frozen=True)
class Told:
    """What was done, and why."""

    did: str
    why: str


Situated = Callable[[DecisionWorld], Told]


@dataclass(frozen=True)
class RunCase:
    """One row. `policies`: by environment; `done`: what happens and whose decision is then told."""

    says: str
    policies: Mapping[str, Mapping[str, Any]]
    done: Situated


def told(world: DecisionWorld, label: str) -> Told:
    """What a run does about an image, or its whole service, and the reason that it gives."""
    reports = world.bump()
    report = reports.get(label) or reports.get(f"{label.partition('/')[0]}/*")
    if report is None:
        return Told("nothing is said of it", "")
    plan, outcome = report.plan, report.outcome
    why = [str(report.error).split("\n")[0] if report.error else "", outcome.why if outcome else ""]
    why += [wording.alert(plan.alert), wording.no_change(plan.no_change)]
    why += [wording.rejection(own.rejection) for own in plan.assessments if own.rejection and own.rejection.by]
    why += [wording.edited(marker) for marker in plan.edited]
    did = done(world, outcome) if outcome else "failed" if report.error else "nothing"
    return Told(did, stable("; ".join(dict.fromkeys(filter(None, why)))))


def done(world: DecisionWorld, outcome: Outcome) -> str:
    """What became of a pull request."""
    if outcome.number is None:
        return str(outcome.action)
    pull = world.github.pulls[outcome.number]
    armed = ", armed" if pull.auto_merge else ""
    state = f" ({pull.title}{armed})" if pull.state == "open" else ""
    return f"{outcome.action} #{pull.number}{state}"


def stable(text: str) -> str:
    """Without what is another in each run."""
    return _COMMIT.sub("COMMIT", _FOLDER.sub("overlays/", text))


def ran(case: RunCase, template: Path) -> Told:
    """What is done in a new world of its own; `template`: as `template_of` makes it."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        world = DecisionWorld(template, Path(name))
        try:
            for variable, value in world.environment.items():
                patch.setenv(variable, value)
            if case.policies:
                world.policy(**case.policies)
            return case.done(world)
        finally:
            world.github.close()


def template_of(folder: Path) -> Path:
    """A bare repository of what the bot reads of the frozen platform, in which mogle alone has a policy."""
    source = platform()
    listed = [source.root / ".github/teams.yaml", *(source.root / "base").rglob("*")]
    for name in SERVICES:
        listed += (source.overlays / name).rglob("*")
    files = {source.relative(path): path.read_bytes() for path in listed if path.is_file()}
    for name in SERVICES:
        files.pop(f"overlays/{name}/images.yaml", None)
    for overlay in (STAGING, PROD, Overlay(OTHER, "staging")):
        path = overlay.kustomization
        text = re.sub(b"newName: .*", f"newName: {NAME.replace(SERVICE, overlay.service)}".encode(), files[path])
        files[path] = edit.replace(text, path, Image(NAME, "3.0.0", digest("3.0.0")))
    files |= {FREEZES: b"freezes: []\n", WIDE: b"open-pull-requests-limit: 10\n"}
    for path, content in files.items():
        place = folder / "source" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    when = NOW - timedelta(days=30)
    with Repo.init(folder / "source", initial_branch="main") as repo:
        repo.git.add("--all")
        repo.index.commit("Begin", author=TEST, committer=TEST, author_date=when, commit_date=when)
    Repo.clone_from(folder / "source", folder / "template.git", bare=True).close()
    openapi.graphql_schema()  # as long as it takes, for no request to wait
    return folder / "template.git"

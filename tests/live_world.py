"""A clone of the live tree, and all that its users and bots meet: a GitHub, an ECR, a 42, a Slack, a controller.

Nothing here names a service of the live tree, as every legal state of it must do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.manifests import yamledit
from gitops.manifests.image import REFERENCE, Image, in_ecr
from gitops.manifests.overlay import Overlay
from gitops.oauth import model
from gitops.repository import freeze
from gitops.scope.targets import is_data
from tests import guard
from tests.conftest import Ran, commit_all
from tests.fakes.aws import MANIFEST, Ecr
from tests.fakes.github import TOKEN, GitHub
from tests.fakes.intra42 import App, Intra42
from tests.fakes.sealed_secrets import SealedSecrets
from tests.fakes.slack import Slack
from tests.forks import Done, Forks
from tests.frozen import ROOT, live_clone
from tests.oauth_world import certificate_of, private_key
from tests.world import run_here

# A name that no registrar gives away, and that no certificate of the live tree covers: a person declares one first.
DOMAIN = "piled.test"
DAY = timedelta(days=1)
CLUSTER = "clusters/seoul"


@dataclass
class Made:
    """The services that the changes made; `bumped` is the one whose images the bot proposed."""

    web: str = ""
    web_in_ecr: str = ""
    own_port: str = ""
    bot: str = ""
    bot_in_ecr: str = ""
    bumped: str = ""


def _end_freezes(source: Checkout) -> None:
    """In a window that covers today the bot would propose nothing: the test must not depend on the day that it runs."""
    if freeze.current(freeze.read(source), datetime.now(UTC)):
        file = source.root / freeze.FILE
        file.write_text(file.read_text().partition("freezes:")[0] + "freezes: []\n")
        commit_all(source, "No freeze today")


class LiveWorld:
    """`checkout` is where people work and the bots run; `commands` are those of `gitops` that were given there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # To copy it, and no more: what is read from here on is the copy.
        with guard.allowed(True):
            source = live_clone(folder / "source")
        _end_freezes(source)
        with Repo.init(folder / "origin.git", bare=True, initial_branch="main") as repo:
            repo.git.fetch(str(source.root), "+HEAD:refs/heads/main")
        self.github = GitHub(folder / "origin.git")
        self.ecr, self.slack = Ecr(), Slack()
        with Repo.clone_from(self.github.git_dir, folder / "clone") as repo:
            repo.remotes.origin.set_url(self.github.clone_url)
        (folder / "clone/.tools").symlink_to(ROOT / ".tools")
        self.checkout = Checkout(folder / "clone")
        self._forks = Forks(self.checkout.root)
        self.controller = SealedSecrets(certificate_of(private_key()), [private_key()])
        applications, _ = model.applications(self.checkout, [])
        self.intra = Intra42({application.id: application.uid for application in applications})
        self.commands: set[str] = set()
        self.made = Made()
        self._stocked: set[str] = set()
        self._warned: set[str] = set()

    def close(self) -> None:
        for part in (self.intra, self.slack, self.controller, self.ecr, self.github, self._forks):
            part.close()

    # -- the command

    def run(self, *words: str, stdin: str | None = None, codes: tuple[int, ...] = (0,)) -> Ran:
        """The command as its user or a workflow gives it, in this process; its exit code must be one of `codes`."""
        environment = {**self.github.environment, **self.ecr.environment, **self.intra.environment}
        environment |= {**self.slack.environment, "GITOPS_GITHUB_PAUSE": "0"}
        ran = run_here(self.checkout.root, words, stdin, environment)
        assert ran.code in codes, f"gitops {' '.join(words)}: exit code {ran.code}\n{ran.out}{ran.err}"
        self.commands.add(" ".join(words[:2]) if words[0] not in ("check", "preview") else words[0])
        return ran

    def rows(self, *words: str, codes: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
        """What a command says with --output json."""
        rows: list[dict[str, Any]] = json.loads(self.run(*words, "--output", "json", codes=codes).out)
        return rows

    # -- git

    @property
    def head(self) -> str:
        with Repo(self.checkout.root) as repo:
            return repo.head.commit.hexsha

    def land(self, message: str) -> None:
        """Commit and push what a person changed in the working copy, and take what was merged meanwhile."""
        with Repo(self.checkout.root) as repo:
            if repo.is_dirty(untracked_files=True):
                commit_all(self.checkout, message)
                owner = self.github.clone_url.replace("//", f"//x-access-token:{TOKEN}@")
                repo.git.push("--quiet", owner, "HEAD:main")
        self.pull()

    def pull(self) -> None:
        """Take what was merged."""
        with Repo(self.checkout.root) as repo:
            repo.git.pull("--quiet", "--ff-only", "origin", "main")

    def merge(self, branch: str, *, ago: timedelta = timedelta(0)) -> None:
        """Merge the open pull request of a bot's branch, as if that had been `ago`. Argo CD syncs it at once."""
        [number] = [n for n, pull in self.github.pulls.items() if pull.state == "open" and pull.head == branch]
        moment = datetime.now(UTC) - ago
        when = moment.isoformat()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GIT_AUTHOR_DATE", when)
            patch.setenv("GIT_COMMITTER_DATE", when)
            commit = self.github.merge(number)
        _, service, environment = branch.split("/")
        self.github.deployments.says(Overlay(service, environment).application, "success", commit, moment)
        self.pull()

    # -- files that people edit

    def read(self, path: str) -> str:
        return (self.checkout.root / path).read_text()

    def write(self, path: str, text: str) -> None:
        file = self.checkout.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def add_to_list(self, path: str, key: str, item: str) -> None:
        """Add an item to a list of a kustomization, which may not have the list yet."""
        text = self.read(path)
        if re.search(rf"^{key}:", text, re.MULTILINE):
            self.write(path, yamledit.append(text, path, (key,), item))
        else:
            self.write(path, text.replace("labels:\n", f"{key}:\n  - {item}\nlabels:\n", 1))

    # -- what there is

    def services(self) -> list[dict[str, Any]]:
        """Every overlay as `gitops service list` has it."""
        return self.rows("service", "list")

    def unused(self, name: str) -> str:
        """A service's name that is still free."""
        taken = {row["service"] for row in self.services()}
        return next(free for n in range(1, 99) if (free := f"{name}-{n}") not in taken)

    def team(self, *, other_than: str = "") -> str:
        teams: dict[str, Any] = yaml.safe_load(self.read(".github/teams.yaml"))
        return next(name for name in teams if name != other_than)

    def policies(self, service: str) -> dict[str, Any]:
        """The image policies of a service, by environment."""
        path = f"overlays/{service}/images.yaml"
        return yaml.safe_load(self.read(path)) if (self.checkout.root / path).exists() else {}

    def image(self, overlay: Overlay) -> Image:
        """What an overlay runs."""
        return self.images(overlay.service)[overlay.environment]

    def images(self, service: str) -> dict[str, Image]:
        """What a service runs, by environment."""
        images = {row["environment"]: row["image"] for row in self.services() if row["service"] == service}
        return {environment: image_of(text) for environment, text in images.items()}

    def application(self, overlay: Overlay) -> model.OAuthApplication:
        """An overlay's application of 42."""
        applications, _ = model.applications(self.checkout, [overlay.service])
        [application] = [application for application in applications if application.overlay == overlay]
        return application

    # -- the registry

    def stock(self, service: str) -> None:
        """Let the registry have what a service runs, under the very digests that git names."""
        for image in self.images(service).values():
            if in_ecr(image.name) and str(image) not in self._stocked:
                self._stocked.add(str(image))
                repository = image.name.partition("/")[2]
                self.ecr.push(repository, f"stock-{len(self._stocked)}")
                self.ecr.client.put_image(
                    repositoryName=repository,
                    imageManifest=json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "image": str(image)}),
                    imageTag=image.tag,
                    imageDigest=image.digest,
                )

    def push(self, image: str, tag: str, content: str = "") -> str:
        """A team's workflow pushes an image. Returns its digest."""
        # A tag of its own, by which it stays when `tag` moves on.
        tags = (tag, f"{tag}-{content}") if content else (tag,)
        digest = self.ecr.push(image.partition("/")[2], *tags, content=content)
        self._stocked.add(f"{image}:{tag}@{digest}")
        return digest

    # -- 42

    def new_application(self) -> App:
        """Somebody makes an application on 42's page."""
        number = str(max([40000, *map(int, self.intra.apps)]) + 1)
        uid = f"u-s4t2ud-{hashlib.sha256(number.encode()).hexdigest()}"
        issuer = Intra42({number: uid})
        issuer.close()
        self.intra.apps[number] = issuer.apps[number]
        self.intra.apps[number].switch = self.intra.now + 11 * DAY
        self.intra.apps[number].accepted = {self.intra.apps[number].current: (self.intra.now - DAY, None)}
        return self.intra.apps[number]

    def show_next(self, number: str) -> None:
        """Time passes until 42 shows an application's next secret."""
        app = self.intra.apps[number]
        if app.next is None:
            self.intra.advance(app.switch - self.intra.shows_before - self.intra.now + timedelta(hours=1))
        assert app.next

    def switch(self, number: str, after: timedelta) -> None:
        """Time passes until a while after 42's switch to the next secret."""
        self.intra.advance(self.intra.apps[number].switch - self.intra.now + after)

    # -- what must be green after each change

    def product_files(self, before: str) -> list[str]:
        """What was changed since a commit that is no data. The runs of the live tests share the product's code."""
        with Repo(self.checkout.root) as repo:
            changed: str = repo.git.diff("--name-only", "-z", before)
        return [path for path in changed.split("\0") if path and not is_data(path)]

    def red(self, before: str, *, warns: frozenset[str], tests: bool) -> Iterator[str]:
        """What the gate and (with `tests`) the live tests have against the change since a commit.

        But for the rules of `warns`.
        """
        if tests:
            yield from self._live_tests()
        for finding in self.rows("check", "--offline", "--base", before, codes=(0, 1)):
            if finding["severity"] == "error" or finding["rule"] not in warns | self._warned:
                yield _line(finding)

    def red_at_all(self) -> Iterator[str]:
        """What they have against the tree as a whole. Warnings of a tree that nothing changed yet stay allowed."""
        yield from self._live_tests()
        findings = self.rows("check", "--offline", "--all", codes=(0, 1))
        self._warned |= {finding["rule"] for finding in findings if finding["severity"] != "error"}
        yield from [_line(finding) for finding in findings if finding["severity"] == "error"]

    def _live_tests(self) -> Iterator[str]:
        """All tests that read the live tree, by the clone's own code."""
        done = self._pytest("-m", "live", *self._live_files)
        if done.code:
            yield done.text

    @cached_property
    def _live_files(self) -> list[str]:
        """The files with such tests: collecting all of them takes longer than running these."""
        listed = self._pytest("-m", "live", "--collect-only", "tests").text
        files = sorted({line.partition("::")[0] for line in listed.splitlines() if "::" in line})
        assert files, listed
        return files

    def _pytest(self, *words: str) -> Done:
        return self._forks.pytest("-q", "-p", "no:cacheprovider", *words)


def _line(finding: dict[str, Any]) -> str:
    return "{file}:{line}: {severity}: {rule}: {what}".format(**finding)


def image_of(text: str) -> Image:
    """A pinned image by its text."""
    match = REFERENCE.fullmatch(text)
    assert match, text
    return Image(match["name"], match["tag"], match["digest"])


@contextmanager
def live_world(folder: Path) -> Iterator[LiveWorld]:
    world = LiveWorld(folder)
    try:
        yield world
    finally:
        world.close()

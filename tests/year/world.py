"""What there is in a simulation: a GitHub with the frozen platform, a 42, an ECR, a Slack, a controller, one clone."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from git import Repo
from pydantic import SecretStr

from gitops.ground.checkout import Checkout
from gitops.images import edit
from gitops.images import policy as policies
from gitops.manifests import sealedsecret
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.oauth import model, rotate
from gitops.oauth.model import OAuthApplication
from gitops.repository import services as catalogue
from gitops.secrets import certificate
from gitops.secrets.seal import seal
from tests.conftest import Ran
from tests.fakes.aws import Ecr
from tests.fakes.github import GitHub
from tests.fakes.github_repository import Repository
from tests.fakes.github_rulesets import ADMIN, BOT_APP, WORKFLOW
from tests.fakes.intra42 import WEEKS, Intra42
from tests.fakes.sealed_secrets import SealedSecrets
from tests.fakes.slack import Slack
from tests.frozen import CLUSTER, clone
from tests.oauth_world import certificate_of
from tests.world import run_here
from tests.year.clock import DAY, Clock
from tests.year.plan import Away, Plan

ADMIN_TOKEN, WORKFLOW_TOKEN = "ghp-operator-of-the-year", "ghs-workflow-of-the-year"
# The slack token that the CronJob which watches is given.
_SEALED_SLACK = "overlays/oauth-watch/prod/sealedsecret-slack.yaml"
# The product's code, tests and prose say nothing to a bot; main is copied in each of its runs.
_LEFT_OUT = ("tests/", "docs/", "scripts/gitops/")


# What a step of a workflow has only where the workflow gives it.
CREDENTIALS = {
    "GITHUB_TOKEN",
    "SLACK_TOKEN",
    "INTRA42_LOGIN",
    "INTRA42_PASSWORD",
    "INTRA42_TOTP_SEED",
    "ARGOCD_APP",
    "BOT_APP_ID",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}
_SCRIPTS = '<main id="root"></main><script src="/assets/application.js"></script>'
_PERSON = ("student", "student@example.com")
_WHO = {
    f"GIT_{name}": _PERSON[name.endswith("EMAIL")]
    for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
}


class YearWorld:
    """`checkout` is the clone in which workflows and people work; `log` is all that commands printed."""

    def __init__(self, folder: Path, clock: Clock, plan: Plan) -> None:
        self.folder, self.clock, self.plan = folder, clock, plan
        # The whole platform with its tests: those that a required check runs.
        self.whole = clone(folder / "whole")
        self.github = self._begin_repository()
        self.intra = self._begin_42()
        self.ecr, self.slack = Ecr(), Slack()
        self.keys = [rsa.generate_private_key(65537, 2048)]
        self.controller = SealedSecrets(self._certificate(), self.keys)
        self.checkout = self._clone("clone")
        self.log: list[tuple[str, str]] = []
        self.versions: dict[str, list[int]] = {}
        self._seal_what_runs()
        self._stock()
        self._apply_rules()

    def close(self) -> None:
        self.github.server.away = self.intra.server.away = False
        for part in (self.intra, self.slack, self.controller, self.ecr, self.github):
            part.close()

    # -- what there is when it begins

    def _begin_repository(self) -> GitHub:
        """One commit of the moment at which all begins, without the past of the clone that it is made from."""
        before = Repository(self._bare("before.git", self.whole.root, "HEAD"), "before")
        paths = before.git("ls-tree", "-r", "--name-only", "main").splitlines()
        hold = "overlays/evaluation-metrics/staging/hold.yaml"  # it would hold its service for the whole year
        left_out = (*_LEFT_OUT, hold, ".github/rulesets/queue.json")  # a private repository has no merge queue
        gone = {path: None for path in paths if path.startswith(left_out)}
        freezes = self.whole.root / ".github/freezes.yaml"
        head = freezes.read_text().partition("freezes:")[0]
        before.commit("main", {**gone, ".github/freezes.yaml": f"{head}freezes: []\n".encode()}, "The year begins")
        begun = before.git("commit-tree", "main^{tree}", "-m", "The year begins", env=_WHO)
        before.git("update-ref", "refs/heads/main", begun)
        github = GitHub(self._bare("origin.git", before.git_dir, "main"))
        github.tokens |= {ADMIN_TOKEN: ADMIN, WORKFLOW_TOKEN: WORKFLOW}
        return github

    def _bare(self, name: str, source: Path, branch: str) -> Path:
        """A bare repository whose main is a branch of another one, with nothing besides."""
        with Repo.init(self.folder / name, bare=True, initial_branch="main") as repo:
            repo.git.fetch(str(source), f"+{branch}:refs/heads/main")
            with repo.config_writer() as writer:
                writer.set_value("http", "receivepack", "true")
                writer.set_value("gc", "auto", "0")  # references stay files, objects are never in the way
        return self.folder / name

    def _begin_42(self) -> Intra42:
        applications, broken = model.applications(self.whole, [])
        assert not broken
        intra = Intra42({application.id: application.uid for application in applications})
        intra.now = self.clock.now
        for number, app in intra.apps.items():
            app.switch = self.plan.switches[number]
            app.accepted = {app.current: (app.switch - WEEKS - 5 * DAY, None)}
        return intra

    def _clone(self, name: str) -> Checkout:
        with Repo.clone_from(self.github.git_dir, self.folder / name) as repo:
            repo.remotes.origin.set_url(self.github.clone_url)
            with repo.config_writer() as writer:
                writer.set_value("user", "name", "student")
                writer.set_value("user", "email", "student@example.com")
        (self.folder / name / ".tools").symlink_to(self.whole.root / ".tools")
        return Checkout(self.folder / name)

    def _seal_what_runs(self) -> None:
        """Main deploys what 42 shows, sealed for the key that the controller has: no rotation is due but by time."""
        pem = self.controller.certificate
        pinned = x509.load_pem_x509_certificate(pem)
        path = f"{CLUSTER}/cluster.yaml"
        text = (self.whole.root / path).read_text()
        fingerprint = pinned.fingerprint(hashes.SHA256()).hex()
        lines = [
            f"  {certificate.FIELD}: {fingerprint}" if certificate.FIELD in line else line for line in text.split("\n")
        ]
        files = {path: "\n".join(lines).encode(), f"{CLUSTER}/sealed-secrets.pem": pem}
        against = certificate.load(pem, "the controller", self.clock.now)
        for application in self.applications():
            app = self.intra.apps[application.id]
            secret = SecretStr(app.current)
            record = rotate.new_record(application, 1, secret, against, app.switch.replace(hour=0, minute=0, second=0))
            files[application.sealed_path(1)] = rotate.sealed_file(against, application, record, secret)
        watch = seal(against.key, "oauth-watch-prod", "slack", self.slack.environment["SLACK_TOKEN"].encode())
        sealed = sealedsecret.read((self.whole.root / _SEALED_SLACK).read_bytes(), _SEALED_SLACK)
        files[_SEALED_SLACK] = sealedsecret.write(
            "slack", dict.fromkeys(sealed.encrypted, watch), {sealedsecret.CERTIFICATE: fingerprint}
        )
        self.github.commit("main", {**files}, "What runs when the year begins")

    def _stock(self) -> None:
        """The registry has what runs, and main names its digests."""
        files: dict[str, bytes | None] = {}
        digests: dict[tuple[str, str], str] = {}
        pushed = self.clock.now - 20 * DAY
        for service in catalogue.services(self.whole):
            for environment in policies.read(self.whole, service.folder):
                path = Overlay(service.name, environment).kustomization
                pin = edit.read((self.whole.root / path).read_bytes(), path)
                version = [int(part) for part in re.findall(r"\d+", pin.image.tag)[:3]]
                self.versions[service.name] = max(version, self.versions.get(service.name, version))
                tag = (service.name, pin.image.tag)
                digests[tag] = digests.get(tag) or self._push(*tag, pushed)
                image = Image(pin.image.name, pin.image.tag, digests[tag])
                files[path] = edit.replace((self.whole.root / path).read_bytes(), path, image)
        self.github.commit("main", files, "What the registry has")

    def _apply_rules(self) -> None:
        """Who may merge what, by the product's own command; an organisation without GitHub Enterprise, private."""
        self.github.rules.plan = "team"
        # What no API sets: somebody took the tick from each environment's page.
        self.github.rules.no_bypass |= {path.stem for path in self.whole.root.glob(".github/environments/*.json")}
        self.pull()
        ran = self.run("github", "apply", GITHUB_TOKEN=ADMIN_TOKEN, BOT_APP_ID=str(BOT_APP))
        assert ran.code in (0, 1), ran.err
        assert {"main", "review", "bots"} <= {entry["name"] for entry in self.github.rules.rulesets.values()}, ran.err

    # -- what happens

    def set(self, moment: datetime) -> None:
        """Time passes: 42 shows and switches, services go and come back."""
        self.clock.set(moment)
        self.intra.advance(moment - self.intra.now)
        self.github.server.away = self.plan.is_away(Away.GITHUB, moment)
        self.intra.server.away = self.plan.is_away(Away.INTRA42, moment)
        self.intra.layout = _other_layout if self.plan.is_away(Away.LAYOUT, moment) else _known_layout

    def push(self, service: str) -> None:
        """A team's workflow pushes the next version."""
        version = self.versions[service]
        version[1:] = [version[1] + 1, 0]
        self._push(service, ".".join(map(str, version)), self.clock.now)

    def _push(self, service: str, tag: str, pushed: datetime) -> str:
        platforms = ("linux/amd64", "linux/arm64")
        return self.ecr.push(service, tag, platforms=platforms, pushed=pushed)

    def renew_key(self) -> None:
        """The controller makes a key, seals with it from now on and keeps the others."""
        self.keys.insert(0, rsa.generate_private_key(65537, 2048))
        self.controller.certificate = self._certificate()

    def _certificate(self) -> bytes:
        """The newest key's, as the controller makes it at this moment of the simulation."""
        ahead = (self.clock.now - datetime.now(UTC)).days
        return certificate_of(self.keys[0], begins=ahead, days=ahead + 3650)

    # -- the command

    @property
    def environment(self) -> dict[str, str]:
        """Every address and nothing that opens anything; with it all that a run of a workflow is never without."""
        everything = {**self.github.environment, **self.ecr.environment, **self.intra.environment}
        everything |= {**self.slack.environment, "GITOPS_GITHUB_PAUSE": "0", "GITOPS_GITHUB_WAIT": "0.01"}
        everything |= {"GITOPS_42_DEADLINE": "0.3", "GITOPS_SEALED_SECRETS_URL": self.controller.url}
        return {name: value for name, value in everything.items() if name not in CREDENTIALS}

    @property
    def credentials(self) -> dict[str, str]:
        """What workflows name as `secrets.*`, and what their steps make tokens of."""
        return {**self.intra.environment, **self.slack.environment, **self.ecr.environment}

    def run(self, *words: str, stdin: str | None = None, **env: str) -> Ran:
        """The command in the clone, in this process; nothing that waits for a server that is away really waits."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("urllib3.util.retry.time", _hurried())
            if self.plan.is_away(Away.ECR, self.clock.now):
                env = {**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
                patch.setattr("botocore.endpoint.time", _hurried())
            ran = run_here(self.checkout.root, words, stdin, {**self.environment, **env})
        self.log.append((" ".join(words), ran.out + ran.err))
        return ran

    def applications(self) -> list[OAuthApplication]:
        """As the frozen platform has them: their names and numbers, not their generations."""
        applications, _ = model.applications(self.whole, [])
        return applications

    def pull(self) -> None:
        """Bring the clone's working copy to main."""
        with Repo(self.checkout.root) as repo:
            repo.git.fetch("--quiet", "--prune", str(self.github.git_dir), "+refs/heads/*:refs/remotes/origin/*")
            repo.git.checkout("--quiet", "--force", "-B", "main", "origin/main")
            repo.git.clean("--quiet", "--force", "-d", "--exclude=.tools")


def _known_layout(text: str) -> str:
    return text


def _other_layout(text: str) -> str:
    """42 shows its page in a way that nobody can read: its credentials have neither names nor a place of their own."""
    return re.sub(r'<section class="credentials">.*?</section>', _SCRIPTS, text, flags=re.DOTALL)


def _hurried() -> SimpleNamespace:
    """The module `time` for urllib3's retries, which wait for seconds: here nothing comes back by waiting."""
    return SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})

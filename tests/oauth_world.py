"""A GitHub, a 42 and a Slack around one clone in which `gitops oauth` runs."""

from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.manifests import sealedsecret
from gitops.manifests.overlay import Overlay
from gitops.oauth import model
from gitops.oauth.model import OAuthApplication
from gitops.repository.rotation import KEY
from gitops.secrets import certificate
from gitops.secrets.seal import unseal
from tests.attacks.github_world import passed
from tests.fakes.github import GitHub
from tests.fakes.intra42 import Intra42
from tests.fakes.slack import Slack
from tests.frozen import clone, platform
from tests.world import World

OVERLAY = "overlays/mogle/prod"
BRANCH = "oauth/mogle/prod"
ID = "41002"
REFERENCE = f"{OVERLAY}/oauth-42.yaml"
DAY = timedelta(days=1)


# Made when first used; a process of its own may be given another's.
KEYS: dict[int, rsa.RSAPrivateKey] = {}


def private_key(number: int = 0) -> rsa.RSAPrivateKey:
    """The key of the cluster that is sealed for (0), or another's."""
    if number not in KEYS:
        KEYS[number] = rsa.generate_private_key(65537, 2048)
    return KEYS[number]


def certificate_of(key: rsa.RSAPrivateKey, *, days: int = 3650, begins: int = -1) -> bytes:
    """A certificate as the controller makes it."""
    now, name = datetime.now(UTC), x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + timedelta(days=begins)).not_valid_after(now + timedelta(days=days))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def application_ids() -> dict[str, str]:
    """Every application of the frozen platform: uid by id."""
    applications, broken = model.applications(platform(), [])
    assert not broken
    return {application.id: application.uid for application in applications}


class RotationWorld(World):
    """With a 42 and a Slack. Only mogle's application is looked at, so that a run is short."""

    def __init__(self, github: GitHub, folder: Path, *, only: str = "mogle", known: bool = False) -> None:
        """`known`: main is what `make_template` made, whose deployed secret is 42's of now."""
        super().__init__(github, folder)
        self.slack, self.only = Slack(), only
        self.intra = Intra42(application_ids())
        self.key = private_key()
        if known:
            app = self.intra.apps[ID]
            app.accepted, app.current = (
                {template_secret(): (self.intra.now - timedelta(days=9), None)},
                template_secret(),
            )
            self.argo_says("success")
            return
        others = [
            path for path in self.tree("main") if path.startswith("overlays/") and path.endswith("/oauth-42.yaml")
        ]
        gone = {path: None for path in others if path != f"{OVERLAY}/oauth-42.yaml"}
        github.commit("main", {**gone}, "Only mogle/prod has an application")
        self.pin(certificate_of(self.key))
        self.argo_says("success")

    def close(self) -> None:
        self.intra.close()
        self.slack.close()

    # -- git

    def pin(self, pem: bytes, *, fingerprint: str | None = None) -> None:
        """Pin a certificate on main."""
        pinned = x509.load_pem_x509_certificate(pem)
        path = "clusters/seoul/cluster.yaml"
        text = self.file(path).decode().splitlines()
        value = fingerprint or pinned.fingerprint(hashes.SHA256()).hex()
        lines = [f"  {certificate.FIELD}: {value}" if certificate.FIELD in line else line for line in text]
        changed = {path: "\n".join([*lines, ""]).encode(), "clusters/seoul/sealed-secrets.pem": pem}
        self.github.commit("main", {**changed}, "Pin a certificate")

    def export(self, branch: str) -> Checkout:
        """The files of a branch."""
        target = self.checkout.root.parent / f"export-{len(list(self.checkout.root.parent.glob('export-*')))}"
        target.mkdir()
        archive = subprocess.check_output(["git", "--git-dir", str(self.github.git_dir), "archive", branch])
        subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)
        return Checkout(target)

    def application(self, branch: str = "main") -> OAuthApplication:
        applications, broken = model.applications(self.export(branch), [self.only])
        assert not broken, broken
        return next(application for application in applications if application.overlay.environment == "prod")

    def opened(self, branch: str, *, key: rsa.RSAPrivateKey | None = None) -> str:
        """The value that a branch deploys, opened as the controller does."""
        application = self.application(branch)
        path = application.sealed_path(application.deployed.number)
        sealed = sealedsecret.read(self.file(path, branch), path)
        return unseal([key or self.key], sealed.namespace, sealed.name, sealed.encrypted[KEY]).decode()

    def open(self) -> list[int]:
        return [number for number, pull in self.github.pulls.items() if pull.state == "open"]

    def merge(self, *, delivered: bool = True, ago: timedelta = timedelta(), method: str = "squash") -> None:
        """A person merges the open pull request (so long ago); `delivered`: Argo CD says that its pods run it."""
        [number] = self.open()
        self.github.merge(number, when=datetime.now(UTC) - ago, method=method)
        if delivered:
            self.argo_says("success")

    def checks_pass(self, branch: str = BRANCH) -> None:
        """All that is required of a pull request passed on the commit that its branch stands at."""
        passed(self.github, self.github.head(branch) or "")

    def argo_says(self, state: str, revision: str | None = None) -> None:
        """What Argo CD tells GitHub of what main is now (or was, by `revision`), as a deployment's state."""
        commit = revision or self.github.head("main") or ""
        self.github.deployments.says(Overlay(self.only, "prod").application, state, commit)

    # -- runs

    @property
    def environment(self) -> dict[str, str]:
        return {
            **super().environment,
            **self.intra.environment,
            **self.slack.environment,
        }

    def rotate(self, *, code: int = 0, **env: str) -> dict[str, Any]:
        """One run over mogle/prod. Returns its row."""
        done = self.run("oauth", "rotate", "--output", "json", self.only, **env)
        assert done.code == code, (done.code, done.out, done.err)
        [row] = json.loads(done.out)
        assert isinstance(row, dict)
        return row

    def status(self, *, code: int = 0, **env: str) -> dict[str, Any]:
        done = self.run("oauth", "status", "--output", "json", self.only, **env)
        assert done.code == code, (done.code, done.out, done.err)
        [row] = json.loads(done.out)
        assert isinstance(row, dict)
        return row


def template_secret() -> str:
    """What is deployed when a case begins: the same in every process, and nowhere in the source."""
    return f"s-s4t2ud-{hashlib.sha256(b'what the template deploys').hexdigest()}"


def make_template(folder: Path) -> Path:
    """A bare repository whose main is the frozen platform, in which mogle/prod runs a secret that git knows."""
    source = clone(folder / "source")
    bare = folder / "template.git"
    with Repo.init(bare, bare=True, initial_branch="main") as repo:
        repo.git.fetch(str(source.root), "+HEAD:refs/heads/main")
        with repo.config_writer() as writer:
            writer.set_value("http", "receivepack", "true")
    github = GitHub(bare)
    world = RotationWorld(github, folder / "first")
    try:
        app = world.intra.apps[ID]
        app.current = template_secret()
        app.accepted = {app.current: (world.intra.now - timedelta(days=9), None)}
        done = world.run("oauth", "rotate", "mogle")
        assert done.code == 0, done.err
        world.merge()
        # The generation that nobody knows goes too: a case begins with one generation.
        folder_path = "overlays/mogle/prod"
        listing = world.file(f"{folder_path}/kustomization.yaml").replace(b"  - sealedsecret-oauth-42-g1.yaml\n", b"")
        gone = {f"{folder_path}/sealedsecret-oauth-42-g1.yaml": None}
        github.commit("main", {f"{folder_path}/kustomization.yaml": listing, **gone}, "Begin with one generation")
        github.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    finally:
        world.close()
        github.close()
    return bare


def next_shows(world: RotationWorld) -> str:
    """Time passes until 42 shows the next secret."""
    app = world.intra.apps[ID]
    world.intra.advance(app.switch - world.intra.shows_before - world.intra.now + timedelta(hours=1))
    assert app.next
    return app.next


def switch(world: RotationWorld, after: timedelta = timedelta(hours=1)) -> None:
    """Time passes until 42 has switched to the next secret, and some more."""
    world.intra.advance(world.intra.apps[ID].switch - world.intra.now + after)


def layout(world: RotationWorld) -> None:
    """42 shows its page in a way in which it cannot be read: values only after a click."""
    world.intra.layout = hide_values


def hide_values(html: str) -> str:
    """A page without what could be copied from it."""
    return html.replace("data-clipboard-text=", "data-clipboard-url=")

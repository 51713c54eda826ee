"""What Argo CD's own program makes of the triggers, templates and health checks of apps/argocd, without a cluster."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from tests.frozen import ROOT

CONFIG = ROOT / "apps/argocd/argocd-notifications-cm.yaml"
HEALTH = ROOT / "apps/argocd/argocd-cm.yaml"
NOWHERE = "http://127.0.0.1:9"
# The conditions of `on-trouble`, in their order: what each sends.
SENDS = ("render-failed", "sync-failed", "health-degraded", "well-again")


def health(document: dict[str, Any], folder: Path) -> tuple[str, str]:
    """The health of an object, and its words."""
    file = folder / "object.yaml"
    file.write_text(yaml.safe_dump(document))
    words: list[str | Path] = ["admin", "settings", "resource-overrides", "health", file, "--argocd-cm-path", HEALTH]
    said = run([Checkout(ROOT).tool("argocd"), *words], timeout=60).decode()
    [status] = re.findall(r"^STATUS: (\w+)", said, re.MULTILINE)
    return status, "".join(re.findall(r"^MESSAGE: (.*)", said, re.MULTILINE))


@dataclass(frozen=True)
class Notifications:
    """`folder` has what the program asks for: a kubeconfig that leads nowhere, and the Secret."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Notifications:
        """Write both."""
        context = {"name": "x", "context": {"cluster": "x", "namespace": "argocd", "user": "x"}}
        kubeconfig = {"apiVersion": "v1", "kind": "Config", "current-context": "x", "contexts": [context]}
        kubeconfig |= {
            "clusters": [{"name": "x", "cluster": {"server": NOWHERE}}],
            "users": [{"name": "x", "user": {}}],
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        values = {"slack-token": b"x", "github-app-id": b"1", "github-installation-id": b"1", "github-private-key": key}
        values |= {"slack-api-url": NOWHERE.encode(), "github-api-url": NOWHERE.encode()}
        data = {name: base64.b64encode(value).decode() for name, value in values.items()}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "argocd-notifications-secret"},
            "data": data,
        }
        (folder / "secret.yaml").write_text(yaml.safe_dump(secret))
        return cls(folder)

    def sent(self, application: dict[str, Any]) -> list[str]:
        """The templates that are sent of an Application."""
        lines = self._ask("trigger", "run", "on-trouble", application).splitlines()
        results = [line.rpartition(" ")[2] for line in lines if line.endswith((" true", " false"))]
        assert len(results) == len(SENDS), lines
        return [name for name, result in zip(SENDS, results, strict=True) if result == "true"]

    def message(self, template: str, application: dict[str, Any]) -> str:
        """The one line that stands for a message where it is short."""
        said = self._ask("template", "notify", template, application)
        return str(yaml.safe_load(said[said.index("message:") :])["message"]).strip()

    def blocks(self, template: str, application: dict[str, Any]) -> list[str]:
        """The texts of a message's blocks."""
        said = self._ask("template", "notify", template, application)
        message = yaml.safe_load(said[said.index("slack:") :])
        return [block["text"]["text"] for block in json.loads(message["slack"]["blocks"])]

    def _ask(self, *words: Any) -> str:
        *verb, application = words
        file = self.folder / "application.yaml"
        file.write_text(yaml.safe_dump(application))
        argv: list[str | Path] = [Checkout(ROOT).tool("argocd"), "admin", "notifications", *verb, file]
        argv += [
            "--kubeconfig",
            self.folder / "kubeconfig",
            "--config-map",
            CONFIG,
            "--secret",
            self.folder / "secret.yaml",
        ]
        return run(argv, timeout=60).decode()

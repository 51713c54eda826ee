"""A part of the lab: a program, how it is started, and how one sees that it is ready."""

from __future__ import annotations

import shutil
import ssl
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gitops.lab.layout import Lab

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Part:
    """One process. It starts once the parts of an earlier `wave` are ready."""

    name: str
    wave: int
    argv: list[str | Path]
    ready: Callable[[], bool]
    ports: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What the parts of one lab have in common."""

    lab: Lab
    ports: dict[str, int]
    token: str

    @property
    def folder(self) -> Path:
        """Where the lab keeps its files."""
        return self.lab.folder

    @property
    def pki(self) -> Path:
        """Its keys and certificates."""
        return self.lab.folder / "pki"

    @property
    def tools(self) -> Path:
        """The built programs."""
        return self.lab.checkout.tools / "bin"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.lab.kubeconfig

    @property
    def python(self) -> list[str]:
        """This interpreter, to run a module of ours."""
        return [sys.executable, "-m"]

    @property
    def redis(self) -> str:
        """Redis' address."""
        return f"{LOOPBACK}:{self.ports['redis']}"

    @property
    def repo_server(self) -> str:
        """The address of Argo CD's repo-server."""
        return f"{LOOPBACK}:{self.ports['repo-server']}"

    @property
    def serving(self) -> list[str]:
        """Flags: serve TLS with the API's certificate."""
        return [f"--tls-cert-file={self.pki / 'api.crt'}", f"--tls-private-key-file={self.pki / 'api.key'}"]

    @property
    def as_admin(self) -> list[str]:
        """Flags: every kubeconfig is the administrator's."""
        flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return [f"--{flag}={self.kubeconfig}" for flag in flags]

    @property
    def argocd_environment(self) -> dict[str, str]:
        """What each program of Argo CD has in its environment."""
        return {
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            # Relative to the lab's folder, where every part runs, as a socket's path may have 107 bytes. The default
            # is one file in /tmp for every lab of every user.
            "ARGOCD_ASK_PASS_SOCK": "argocd/ask-pass.sock",
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_SSH_DATA_PATH": str(self.folder / "argocd/ssh"),
            "ARGOCD_TLS_DATA_PATH": str(self.folder / "argocd/tls"),
            "HOME": str(self.folder / "argocd"),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{self.tools}:{Path(shutil.which('git') or '/usr/bin/git').parent}:/usr/bin:/bin",
            "TMPDIR": str(self.folder / "tmp"),
        }


def http(url: str, *, token: str | None = None, ca: Path | None = None) -> Callable[[], bool]:
    """Ready once the address answers with success."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310

    def ready() -> bool:
        try:
            context = ssl.create_default_context(cafile=str(ca)) if ca else None
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    return ready


def tcp(port: int) -> Callable[[], bool]:
    """Ready once something listens on the port."""
    import socket

    def ready() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return ready

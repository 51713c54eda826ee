"""A part of the lab: a program, how it is started, and how one sees that it is ready."""

from __future__ import annotations

import shutil
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gitops.lab import network
from gitops.lab.layout import Lab
from gitops.lab.relay import LOOPBACK

REDIS_SOCKET = "redis.sock"


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
    def redis(self) -> list[str]:
        """Flags: where Redis is. Every part runs in the lab's folder, and a socket's path may have 107 bytes."""
        return ["--redis", f"/proc/self/cwd/{REDIS_SOCKET}"]

    def repo_server(self, flag: str = "--repo-server") -> list[str]:
        """Flags: where Argo CD's repo-server is, who certifies it, and the certificate that it asks for."""
        return [
            *(flag, f"{LOOPBACK}:{self.ports['repo-server']}"),
            f"--repo-server-ca-cert-path={self.pki / 'parts-ca.crt'}",
            f"--repo-server-client-cert-path={self.pki / 'argocd.crt'}",
            f"--repo-server-client-cert-key-path={self.pki / 'argocd.key'}",
        ]

    @property
    def serving(self) -> list[str]:
        """Flags: serve TLS with the API's certificate."""
        return [f"--tls-cert-file={self.pki / 'api.crt'}", f"--tls-private-key-file={self.pki / 'api.key'}"]

    def http(
        self, port: str, path: str = "/healthz", *, tls: Callable[[], ssl.SSLContext] | None = None, token: str = ""
    ) -> Callable[[], bool]:
        """Ready once the path of a port answers with success."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}

        def ready() -> bool:
            try:
                status, _ = network.request(self.lab, port, path, headers=headers, tls=tls() if tls else None)
            except OSError:
                return False
            return status == 200

        return ready

    def tcp(self, port: str) -> Callable[[], bool]:
        """Ready once something listens on the port."""

        def ready() -> bool:
            try:
                network.connect(self.lab, port).close()
            except OSError:
                return False
            return True

        return ready

    def server_tls(self) -> ssl.SSLContext:
        """TLS of what people reach."""
        return network.tls_context(self.lab.ca)

    def etcd_tls(self) -> ssl.SSLContext:
        """TLS to etcd, which asks for a certificate."""
        return network.tls_context(
            self.pki / "parts-ca.crt", self.pki / "etcd-client.crt", self.pki / "etcd-client.key"
        )

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
            # Where repo-server looks for reposerver/tls, its own certificate.
            "ARGOCD_APP_CONF_PATH": str(self.pki / "argocd"),
            # Relative to the lab's folder, where every part runs, as a socket's path may have 107 bytes. The default
            # is one file in /tmp for every lab of every user.
            "ARGOCD_ASK_PASS_SOCK": "argocd/ask-pass.sock",
            # As apps/argocd/argocd-cmd-params-cm.yaml has it.
            "ARGOCD_GIT_MODULES_ENABLED": "false",
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_SSH_DATA_PATH": str(self.folder / "argocd/ssh"),
            "ARGOCD_TLS_DATA_PATH": str(self.folder / "argocd/tls"),
            "HOME": str(self.folder / "argocd"),
            "KUBECONFIG": str(self.kubeconfig),
            "REDIS_CREDS_DIR_PATH": str(self.folder / "redis"),
            "PATH": f"{self.tools}:{Path(shutil.which('git') or '/usr/bin/git').parent}:/usr/bin:/bin",
        }

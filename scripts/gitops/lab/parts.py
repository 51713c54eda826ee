"""What runs in a lab: every process, its flags, and how it says that it is ready."""

from __future__ import annotations

import shutil
import ssl
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gitops.lab.layout import Lab

# In the order of their start; they end in the opposite one, so that nothing writes a page of errors into its log while
# its server goes first.
PARTS = (
    "etcd", "redis", "externals", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "simulation",
    "metrics-server", "sealed-secrets", "argocd-repo-server", "argocd-server", "argocd-application-controller",
    "argocd-applicationset-controller", "argocd-notifications",
)  # fmt: skip
# What a lab waits for at most until one part answers. Reached only on a machine that is far too small.
READY_SECONDS = 90.0
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
class _Context:
    """What the parts of one lab have in common."""

    lab: Lab
    ports: dict[str, int]
    token: str

    @property
    def folder(self) -> Path:
        return self.lab.folder

    @property
    def pki(self) -> Path:
        return self.lab.folder / "pki"

    @property
    def tools(self) -> Path:
        return self.lab.checkout.tools / "bin"

    @property
    def kubeconfig(self) -> Path:
        return self.lab.kubeconfig

    @property
    def python(self) -> list[str]:
        return [sys.executable, "-m"]

    @property
    def redis(self) -> str:
        return f"{LOOPBACK}:{self.ports['redis']}"

    @property
    def repo_server(self) -> str:
        return f"{LOOPBACK}:{self.ports['repo-server']}"

    @property
    def serving(self) -> list[str]:
        return [f"--tls-cert-file={self.pki / 'api.crt'}", f"--tls-private-key-file={self.pki / 'api.key'}"]

    @property
    def as_admin(self) -> list[str]:
        flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return [f"--{flag}={self.kubeconfig}" for flag in flags]

    @property
    def argocd_environment(self) -> dict[str, str]:
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


def all_parts(lab: Lab) -> list[Part]:
    """Every part of the lab, in the order of its start."""
    settings = lab.settings()
    context = _Context(lab, settings.ports, settings.token)
    return [
        *_storage(context),
        *_api_server(context),
        *_kubernetes(context),
        *_nodes(context),
        *_sealed_secrets(context),
        *_argocd_servers(context),
        *_argocd_controllers(context),
    ]


def _storage(context: _Context) -> list[Part]:
    """What the control plane stands on, and what is outside of the cluster."""
    return [
        Part(
            "etcd",
            0,
            [
                context.tools / "etcd",
                f"--data-dir={context.folder / 'etcd'}",
                f"--listen-client-urls=http://{LOOPBACK}:{context.ports['etcd']}",
                f"--advertise-client-urls=http://{LOOPBACK}:{context.ports['etcd']}",
                f"--listen-peer-urls=http://{LOOPBACK}:{context.ports['etcd-peer']}",
                f"--initial-advertise-peer-urls=http://{LOOPBACK}:{context.ports['etcd-peer']}",
                f"--initial-cluster=default=http://{LOOPBACK}:{context.ports['etcd-peer']}",
                "--unsafe-no-fsync",  # a lab may lose its last second with the machine's power
                "--log-level=warn",
            ],
            _http(f"http://{LOOPBACK}:{context.ports['etcd']}/health"),
            ("etcd", "etcd-peer"),
        ),
        Part(
            "redis",
            0,
            [
                Path(sys.prefix) / "bin/redis-server",
                *("--bind", LOOPBACK, "--port", str(context.ports["redis"]), "--save", "", "--appendonly", "no"),
                # Redis writes its title over the environment that its lab is known by.
                *("--set-proc-title", "no"),
                *("--dir", str(context.folder / "tmp")),
            ],
            _tcp(context.ports["redis"]),
            ("redis",),
        ),
        Part(
            "externals",
            0,
            [*context.python, "gitops.lab.externals", str(context.lab.checkout.root), context.lab.name],
            _http(f"http://{LOOPBACK}:{context.ports['externals']}/healthz"),
            ("externals",),
        ),
    ]


def _api_server(context: _Context) -> list[Part]:
    """What answers the Kubernetes API."""
    return [
        Part(
            "kube-apiserver",
            1,
            [
                context.tools / "kube-apiserver",
                f"--etcd-servers=http://{LOOPBACK}:{context.ports['etcd']}",
                f"--bind-address={LOOPBACK}",
                f"--advertise-address={LOOPBACK}",
                f"--secure-port={context.ports['api']}",
                *context.serving,
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={context.pki / 'service-account.key'}",
                f"--service-account-signing-key-file={context.pki / 'service-account.key'}",
                f"--token-auth-file={context.pki / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--allow-privileged=true",  # as EKS has it: the policies and Pod Security refuse it, and say why
                "--service-cluster-ip-range=10.96.0.0/16",
                "--endpoint-reconciler-type=none",  # 127.0.0.1 is no valid endpoint of the Service `kubernetes`
                f"--client-ca-file={context.pki / 'ca.crt'}",
                f"--requestheader-client-ca-file={context.pki / 'ca.crt'}",
                "--requestheader-allowed-names=aggregator",
                "--requestheader-username-headers=X-Remote-User",
                "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                f"--proxy-client-cert-file={context.pki / 'aggregator.crt'}",
                f"--proxy-client-key-file={context.pki / 'aggregator.key'}",
                "--v=1",
            ],
            _http(f"https://{LOOPBACK}:{context.ports['api']}/readyz", token=context.token, ca=context.pki / "ca.crt"),
            ("api",),
        ),
    ]


def _kubernetes(context: _Context) -> list[Part]:
    """Kubernetes' own controllers."""
    return [
        Part(
            "kube-controller-manager",
            2,
            [
                context.tools / "kube-controller-manager",
                *context.as_admin,
                f"--bind-address={LOOPBACK}",
                f"--secure-port={context.ports['controller-manager']}",
                *context.serving,
                "--leader-elect=false",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={context.pki / 'service-account.key'}",
                f"--root-ca-file={context.pki / 'ca.crt'}",
                # Simulated pods report use from their first second on: nothing to wait out.
                "--horizontal-pod-autoscaler-sync-period=5s",
                "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
                "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
                "--v=1",
            ],
            _http(f"https://{LOOPBACK}:{context.ports['controller-manager']}/healthz", ca=context.pki / "ca.crt"),
            ("controller-manager",),
        ),
        Part(
            "kube-scheduler",
            2,
            [
                context.tools / "kube-scheduler",
                *context.as_admin,
                f"--bind-address={LOOPBACK}",
                f"--secure-port={context.ports['scheduler']}",
                *context.serving,
                "--leader-elect=false",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
                "--v=1",
            ],
            _http(f"https://{LOOPBACK}:{context.ports['scheduler']}/healthz", ca=context.pki / "ca.crt"),
            ("scheduler",),
        ),
    ]


def _nodes(context: _Context) -> list[Part]:
    """The simulated nodes, and what runs on and beside them."""
    return [
        Part(
            "kwok",
            2,
            [
                context.tools / "kwok",
                f"--kubeconfig={context.kubeconfig}",
                "--manage-all-nodes",
                f"--config={context.folder / 'kwok.yaml'}",
                f"--server-address={LOOPBACK}:{context.ports['kwok']}",
                f"--node-ip={LOOPBACK}",
                f"--node-port={context.ports['kwok']}",
                "--node-lease-duration-seconds=40",
            ],
            _http(f"http://{LOOPBACK}:{context.ports['kwok']}/healthz"),
            ("kwok",),
        ),
        Part(
            "simulation",
            2,
            [*context.python, "gitops.lab.simulation", str(context.lab.checkout.root), context.lab.name],
            _http(f"http://{LOOPBACK}:{context.ports['simulation']}/healthz"),
            ("simulation",),
        ),
        Part(
            "metrics-server",
            2,
            [
                context.tools / "metrics-server",
                *context.as_admin,
                f"--bind-address={LOOPBACK}",
                f"--secure-port={context.ports['metrics-server']}",
                f"--cert-dir={context.folder / 'metrics-server'}",
                "--deprecated-kubelet-completely-insecure",  # its kubelets are kwok, on loopback
                "--kubelet-use-node-status-port",
                "--kubelet-preferred-address-types=InternalIP",
                "--kubelet-request-timeout=5s",
                "--metric-resolution=10s",
            ],
            _tcp(context.ports["metrics-server"]),
            ("metrics-server",),
        ),
    ]


def _sealed_secrets(context: _Context) -> list[Part]:
    """The controller that opens what git seals."""
    return [
        Part(
            "sealed-secrets",
            2,
            # The controller reads in-cluster settings only: a namespace of its own, with them where it looks.
            [
                "unshare",
                "-Urm",
                "sh",
                "-ceu",
                'at=/var/run/secrets/kubernetes.io/serviceaccount; mount -t tmpfs tmpfs /var/run; mkdir -p "$at"; '
                'cp "$1"/* "$at"; shift; exec "$@"',
                "sealed-secrets",
                context.folder / "in-cluster",
                context.tools / "sealed-secrets-controller",
                f"--listen-addr={LOOPBACK}:{context.ports['sealed-secrets']}",
                f"--listen-metrics-addr={LOOPBACK}:{context.ports['sealed-secrets-metrics']}",
                "--kubeclient-qps=100",
                "--kubeclient-burst=200",
            ],
            _http(f"http://{LOOPBACK}:{context.ports['sealed-secrets']}/v1/cert.pem"),
            ("sealed-secrets", "sealed-secrets-metrics"),
            {
                "KUBERNETES_SERVICE_HOST": LOOPBACK,
                "KUBERNETES_SERVICE_PORT": str(context.ports["api"]),
                "POD_NAMESPACE": "kube-system",
            },
        ),
    ]


def _argocd_servers(context: _Context) -> list[Part]:
    """Argo CD's servers: of rendered manifests, and of its API."""
    return [
        Part(
            "argocd-repo-server",
            2,
            [
                context.tools / "argocd-repo-server",
                f"--address={LOOPBACK}",
                f"--port={context.ports['repo-server']}",
                f"--metrics-address={LOOPBACK}",
                f"--metrics-port={context.ports['repo-server-metrics']}",
                "--disable-tls",
                *("--client-ca-path", ""),
                *("--redis", context.redis),
                "--loglevel=warn",
            ],
            _tcp(context.ports["repo-server"]),
            ("repo-server", "repo-server-metrics"),
            context.argocd_environment,
        ),
        Part(
            "argocd-server",
            2,
            [
                context.tools / "argocd-server",
                f"--address={LOOPBACK}",
                f"--port={context.ports['argocd']}",
                f"--metrics-address={LOOPBACK}",
                f"--metrics-port={context.ports['argocd-metrics']}",
                "--insecure",  # TLS ends at the load balancer, which the lab has not
                *("--repo-server", context.repo_server, "--repo-server-plaintext"),
                *("--redis", context.redis),
                "--loglevel=warn",
            ],
            _http(f"http://{LOOPBACK}:{context.ports['argocd']}/healthz"),
            ("argocd", "argocd-metrics"),
            context.argocd_environment,
        ),
    ]


def _argocd_controllers(context: _Context) -> list[Part]:
    """Argo CD's controllers."""
    return [
        Part(
            "argocd-application-controller",
            2,
            [
                context.tools / "argocd-application-controller",
                f"--metrics-port={context.ports['application-controller']}",
                *("--repo-server", context.repo_server, "--repo-server-plaintext"),
                *("--redis", context.redis),
                "--server-side-diff-enabled=true",
                "--loglevel=warn",
            ],
            _tcp(context.ports["application-controller"]),
            ("application-controller",),
            context.argocd_environment,
        ),
        Part(
            "argocd-applicationset-controller",
            2,
            [
                context.tools / "argocd-applicationset-controller",
                f"--metrics-addr={LOOPBACK}:{context.ports['applicationset-metrics']}",
                f"--probe-addr={LOOPBACK}:{context.ports['applicationset-probe']}",
                f"--webhook-addr={LOOPBACK}:{context.ports['applicationset-webhook']}",
                *("--argocd-repo-server", context.repo_server, "--repo-server-plaintext"),
                "--loglevel=warn",
            ],
            _tcp(context.ports["applicationset-webhook"]),
            ("applicationset-webhook", "applicationset-metrics", "applicationset-probe"),
            {**context.argocd_environment, "NAMESPACE": "argocd"},
        ),
        Part(
            "argocd-notifications",
            2,
            [
                context.tools / "argocd-notifications",
                f"--metrics-port={context.ports['notifications']}",
                *("--argocd-repo-server", context.repo_server, "--argocd-repo-server-plaintext"),
                "--loglevel=warn",
            ],
            _tcp(context.ports["notifications"]),
            ("notifications",),
            context.argocd_environment,
        ),
    ]


def _http(url: str, *, token: str | None = None, ca: Path | None = None) -> Callable[[], bool]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310

    def ready() -> bool:
        try:
            context = ssl.create_default_context(cafile=str(ca)) if ca else None
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    return ready


def _tcp(port: int) -> Callable[[], bool]:
    import socket

    def ready() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return ready

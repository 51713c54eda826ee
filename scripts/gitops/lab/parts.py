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
    "etcd", "redis", "outside", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "played",
    "metrics-server", "sealed-secrets", "argocd-repo-server", "argocd-server", "argocd-application-controller",
    "argocd-applicationset-controller", "argocd-notifications",
)  # fmt: skip
# What a lab waits for at most until one part answers. Reached only on a machine that is far too small.
READY_SECONDS = 90.0


@dataclass(frozen=True)
class Part:
    """One process. It starts once the parts of an earlier `wave` are ready."""

    name: str
    wave: int
    argv: list[str | Path]
    ready: Callable[[], bool]
    ports: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


def all_parts(lab: Lab) -> list[Part]:
    """Every part of the lab, in the order of its start."""
    s = lab.settings()
    port = s.ports
    folder, pki, tools = lab.folder, lab.folder / "pki", lab.checkout.tools / "bin"
    kubeconfig = lab.kubeconfig
    local = "127.0.0.1"
    redis = f"{local}:{port['redis']}"
    repo_server = f"{local}:{port['repo-server']}"
    serving = [f"--tls-cert-file={pki / 'api.crt'}", f"--tls-private-key-file={pki / 'api.key'}"]
    as_admin = [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
    ]
    argo_env = {
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        # Relative to the lab's folder, where every part runs, as a socket's path may have 107 bytes. The default is one
        # file in /tmp for every lab of every user.
        "ARGOCD_ASK_PASS_SOCK": "argocd/ask-pass.sock",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_SSH_DATA_PATH": str(folder / "argocd/ssh"),
        "ARGOCD_TLS_DATA_PATH": str(folder / "argocd/tls"),
        "HOME": str(folder / "argocd"),
        "KUBECONFIG": str(kubeconfig),
        "PATH": f"{lab.checkout.tools / 'bin'}:{Path(shutil.which('git') or '/usr/bin/git').parent}:/usr/bin:/bin",
        "TMPDIR": str(folder / "tmp"),
    }
    python = [sys.executable, "-m"]

    return [
        Part(
            "etcd",
            0,
            [
                tools / "etcd",
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls=http://{local}:{port['etcd']}",
                f"--advertise-client-urls=http://{local}:{port['etcd']}",
                f"--listen-peer-urls=http://{local}:{port['etcd-peer']}",
                f"--initial-advertise-peer-urls=http://{local}:{port['etcd-peer']}",
                f"--initial-cluster=default=http://{local}:{port['etcd-peer']}",
                "--unsafe-no-fsync",  # a lab may lose its last second with the machine's power
                "--log-level=warn",
            ],
            _http(f"http://{local}:{port['etcd']}/health"),
            ("etcd", "etcd-peer"),
        ),
        Part(
            "redis",
            0,
            [
                Path(sys.prefix) / "bin/redis-server",
                *("--bind", local, "--port", str(port["redis"]), "--save", "", "--appendonly", "no"),
                # Redis writes its title over the environment that its lab is known by.
                *("--set-proc-title", "no"),
                *("--dir", str(folder / "tmp")),
            ],
            _tcp(port["redis"]),
            ("redis",),
        ),
        Part(
            "outside",
            0,
            [*python, "gitops.lab.outside", str(lab.checkout.root), lab.name],
            _http(f"http://{local}:{port['outside']}/healthz"),
            ("outside",),
        ),
        Part(
            "kube-apiserver",
            1,
            [
                tools / "kube-apiserver",
                f"--etcd-servers=http://{local}:{port['etcd']}",
                f"--bind-address={local}",
                f"--advertise-address={local}",
                f"--secure-port={port['api']}",
                *serving,
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={pki / 'service-account.key'}",
                f"--service-account-signing-key-file={pki / 'service-account.key'}",
                f"--token-auth-file={pki / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--allow-privileged=true",  # as EKS has it: the policies and Pod Security refuse it, and say why
                "--service-cluster-ip-range=10.96.0.0/16",
                "--endpoint-reconciler-type=none",  # 127.0.0.1 is no valid endpoint of the Service `kubernetes`
                f"--client-ca-file={pki / 'ca.crt'}",
                f"--requestheader-client-ca-file={pki / 'ca.crt'}",
                "--requestheader-allowed-names=aggregator",
                "--requestheader-username-headers=X-Remote-User",
                "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                f"--proxy-client-cert-file={pki / 'aggregator.crt'}",
                f"--proxy-client-key-file={pki / 'aggregator.key'}",
                "--v=1",
            ],
            _http(f"https://{local}:{port['api']}/readyz", token=s.token, ca=pki / "ca.crt"),
            ("api",),
        ),
        Part(
            "kube-controller-manager",
            2,
            [
                tools / "kube-controller-manager",
                *as_admin,
                f"--bind-address={local}",
                f"--secure-port={port['controller-manager']}",
                *serving,
                "--leader-elect=false",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={pki / 'service-account.key'}",
                f"--root-ca-file={pki / 'ca.crt'}",
                # Simulated pods report use from their first second on: nothing to wait out.
                "--horizontal-pod-autoscaler-sync-period=5s",
                "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
                "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
                "--v=1",
            ],
            _http(f"https://{local}:{port['controller-manager']}/healthz", ca=pki / "ca.crt"),
            ("controller-manager",),
        ),
        Part(
            "kube-scheduler",
            2,
            [
                tools / "kube-scheduler",
                *as_admin,
                f"--bind-address={local}",
                f"--secure-port={port['scheduler']}",
                *serving,
                "--leader-elect=false",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
                "--v=1",
            ],
            _http(f"https://{local}:{port['scheduler']}/healthz", ca=pki / "ca.crt"),
            ("scheduler",),
        ),
        Part(
            "kwok",
            2,
            [
                tools / "kwok",
                f"--kubeconfig={kubeconfig}",
                "--manage-all-nodes",
                f"--config={folder / 'kwok.yaml'}",
                f"--server-address={local}:{port['kwok']}",
                f"--node-ip={local}",
                f"--node-port={port['kwok']}",
                "--node-lease-duration-seconds=40",
            ],
            _http(f"http://{local}:{port['kwok']}/healthz"),
            ("kwok",),
        ),
        Part(
            "played",
            2,
            [*python, "gitops.lab.played", str(lab.checkout.root), lab.name],
            _http(f"http://{local}:{port['played']}/healthz"),
            ("played",),
        ),
        Part(
            "metrics-server",
            2,
            [
                tools / "metrics-server",
                *as_admin,
                f"--bind-address={local}",
                f"--secure-port={port['metrics-server']}",
                f"--cert-dir={folder / 'metrics-server'}",
                "--deprecated-kubelet-completely-insecure",  # its kubelets are kwok, on loopback
                "--kubelet-use-node-status-port",
                "--kubelet-preferred-address-types=InternalIP",
                "--kubelet-request-timeout=5s",
                "--metric-resolution=10s",
            ],
            _tcp(port["metrics-server"]),
            ("metrics-server",),
        ),
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
                folder / "in-cluster",
                tools / "sealed-secrets-controller",
                f"--listen-addr={local}:{port['sealed-secrets']}",
                f"--listen-metrics-addr={local}:{port['sealed-secrets-metrics']}",
                "--kubeclient-qps=100",
                "--kubeclient-burst=200",
            ],
            _http(f"http://{local}:{port['sealed-secrets']}/v1/cert.pem"),
            ("sealed-secrets", "sealed-secrets-metrics"),
            {
                "KUBERNETES_SERVICE_HOST": local,
                "KUBERNETES_SERVICE_PORT": str(port["api"]),
                "POD_NAMESPACE": "kube-system",
            },
        ),
        Part(
            "argocd-repo-server",
            2,
            [
                tools / "argocd-repo-server",
                f"--address={local}",
                f"--port={port['repo-server']}",
                f"--metrics-address={local}",
                f"--metrics-port={port['repo-server-metrics']}",
                "--disable-tls",
                *("--client-ca-path", ""),
                *("--redis", redis),
                "--loglevel=warn",
            ],
            _tcp(port["repo-server"]),
            ("repo-server", "repo-server-metrics"),
            argo_env,
        ),
        Part(
            "argocd-server",
            2,
            [
                tools / "argocd-server",
                f"--address={local}",
                f"--port={port['argocd']}",
                f"--metrics-address={local}",
                f"--metrics-port={port['argocd-metrics']}",
                "--insecure",  # TLS ends at the load balancer, which the lab has not
                *("--repo-server", repo_server, "--repo-server-plaintext"),
                *("--redis", redis),
                "--loglevel=warn",
            ],
            _http(f"http://{local}:{port['argocd']}/healthz"),
            ("argocd", "argocd-metrics"),
            argo_env,
        ),
        Part(
            "argocd-application-controller",
            2,
            [
                tools / "argocd-application-controller",
                f"--metrics-port={port['application-controller']}",
                *("--repo-server", repo_server, "--repo-server-plaintext"),
                *("--redis", redis),
                "--server-side-diff-enabled=true",
                "--loglevel=warn",
            ],
            _tcp(port["application-controller"]),
            ("application-controller",),
            argo_env,
        ),
        Part(
            "argocd-applicationset-controller",
            2,
            [
                tools / "argocd-applicationset-controller",
                f"--metrics-addr={local}:{port['applicationset-metrics']}",
                f"--probe-addr={local}:{port['applicationset-probe']}",
                f"--webhook-addr={local}:{port['applicationset-webhook']}",
                *("--argocd-repo-server", repo_server, "--repo-server-plaintext"),
                "--loglevel=warn",
            ],
            _tcp(port["applicationset-webhook"]),
            ("applicationset-webhook", "applicationset-metrics", "applicationset-probe"),
            {**argo_env, "NAMESPACE": "argocd"},
        ),
        Part(
            "argocd-notifications",
            2,
            [
                tools / "argocd-notifications",
                f"--metrics-port={port['notifications']}",
                *("--argocd-repo-server", repo_server, "--argocd-repo-server-plaintext"),
                "--loglevel=warn",
            ],
            _tcp(port["notifications"]),
            ("notifications",),
            argo_env,
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

"""What runs in a lab: every process, its flags, and how it says that it is ready."""

from __future__ import annotations

from pathlib import Path

from gitops.lab import argocd, redis
from gitops.lab.layout import DOORS, Lab
from gitops.lab.network import CONTROL, is_open
from gitops.lab.part import Context, Part
from gitops.lab.process import NETWORK
from gitops.lab.relay import LOOPBACK

# In the order of their start; they end in the opposite one, so that nothing writes a page of errors into its log while
# its server goes first.
PARTS = (
    "network", "etcd", "redis", "externals", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok",
    "simulation", "metrics-server", "sealed-secrets", "argocd-repo-server", "argocd-server",
    "argocd-application-controller", "argocd-applicationset-controller", "argocd-notifications",
)  # fmt: skip
# What a lab waits for at most until one part answers. Reached only on a machine that is far too small.
READY_SECONDS = 90.0
# An API server goes through its own roles and priorities once more at each start, a second after it serves all else.
_STORED = "/readyz?exclude=poststarthook/rbac/bootstrap-roles"
_STORED += "&exclude=poststarthook/scheduling/bootstrap-system-priority-classes"


def all_parts(lab: Lab, *, stored: bool = False) -> list[Part]:
    """Every part of the lab, in the order of its start.

    `stored`: etcd's data has what an API server writes there at its first start, so nobody waits for that.
    """
    settings = lab.settings()
    context = Context(lab, settings.ports, settings.token)
    return [
        *(_network(context) if settings.private else []),
        *_storage(context),
        *_api_server(context, _STORED if stored else "/readyz"),
        *_kubernetes(context),
        *_nodes(context),
        *_sealed_secrets(context),
        *argocd.servers(context),
        *argocd.controllers(context),
    ]


def _network(context: Context) -> list[Part]:
    """The network that all others are in."""
    doors = [str(context.ports[door]) for door in DOORS]
    argv: list[str | Path] = [*context.python, "gitops.lab.relay", CONTROL, *doors]
    return [Part(NETWORK, 0, argv, lambda: is_open(context.lab), DOORS)]


def _storage(context: Context) -> list[Part]:
    """What the control plane stands on, and what is outside of the cluster."""
    client, peer = (f"https://{LOOPBACK}:{context.ports[port]}" for port in ("etcd", "etcd-peer"))
    return [
        Part(
            "etcd",
            1,
            [
                context.tools / "etcd",
                f"--data-dir={context.folder / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                *_certified(context, ""),
                *_certified(context, "peer-"),
                "--unsafe-no-fsync",  # a lab may lose its last second with the machine's power
                "--log-level=warn",
            ],
            context.http("etcd", "/health", tls=context.etcd_tls),
            ("etcd", "etcd-peer"),
        ),
        redis.part(context),
        Part(
            "externals",
            1,
            [*context.python, "gitops.lab.externals", str(context.lab.checkout.root), context.lab.name],
            context.http("externals"),
            ("externals",),
        ),
    ]


def _certified(context: Context, prefix: str) -> list[str]:
    """etcd's flags: who may talk to it, on the port of its clients or of its peers."""
    return [
        f"--{prefix}cert-file={context.pki / 'etcd.crt'}",
        f"--{prefix}key-file={context.pki / 'etcd.key'}",
        f"--{prefix}trusted-ca-file={context.pki / 'parts-ca.crt'}",
        f"--{prefix}client-cert-auth",
    ]


def _api_server(context: Context, ready: str) -> list[Part]:
    """What answers the Kubernetes API."""
    return [
        Part(
            "kube-apiserver",
            2,
            [
                context.tools / "kube-apiserver",
                f"--etcd-servers=https://{LOOPBACK}:{context.ports['etcd']}",
                f"--etcd-cafile={context.pki / 'parts-ca.crt'}",
                f"--etcd-certfile={context.pki / 'etcd-client.crt'}",
                f"--etcd-keyfile={context.pki / 'etcd-client.key'}",
                "--anonymous-auth=false",
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
            context.http("api", ready, tls=context.server_tls, token=context.token),
            ("api",),
        ),
    ]


def _kubernetes(context: Context) -> list[Part]:
    """Kubernetes' own controllers."""
    return [
        Part(
            "kube-controller-manager",
            3,
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
            context.http("controller-manager", tls=context.server_tls),
            ("controller-manager",),
        ),
        Part(
            "kube-scheduler",
            3,
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
            context.http("scheduler", tls=context.server_tls),
            ("scheduler",),
        ),
    ]


def _nodes(context: Context) -> list[Part]:
    """The simulated nodes, and what runs on and beside them."""
    return [
        Part(
            "kwok",
            3,
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
            context.http("kwok"),
            ("kwok",),
        ),
        Part(
            "simulation",
            3,
            [*context.python, "gitops.lab.simulation", str(context.lab.checkout.root), context.lab.name],
            context.http("simulation"),
            ("simulation",),
        ),
        Part(
            "metrics-server",
            3,
            [
                context.tools / "metrics-server",
                *context.as_admin,
                f"--bind-address={LOOPBACK}",
                f"--secure-port={context.ports['metrics-server']}",
                f"--tls-cert-file={context.pki / 'metrics-server.crt'}",
                f"--tls-private-key-file={context.pki / 'metrics-server.key'}",
                "--deprecated-kubelet-completely-insecure",  # its kubelets are kwok, on loopback
                "--kubelet-use-node-status-port",
                "--kubelet-preferred-address-types=InternalIP",
                "--kubelet-request-timeout=5s",
                "--metric-resolution=10s",
            ],
            context.tcp("metrics-server"),
            ("metrics-server",),
        ),
    ]


def _sealed_secrets(context: Context) -> list[Part]:
    """The controller that opens what git seals."""
    return [
        Part(
            "sealed-secrets",
            3,
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
            context.http("sealed-secrets", "/v1/cert.pem"),
            ("sealed-secrets", "sealed-secrets-metrics"),
            {
                "KUBERNETES_SERVICE_HOST": LOOPBACK,
                "KUBERNETES_SERVICE_PORT": str(context.ports["api"]),
                "POD_NAMESPACE": "kube-system",
            },
        ),
    ]

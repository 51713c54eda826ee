"""Argo CD's parts of the lab: one binary under many names."""

from __future__ import annotations

# In the order of their start; they end in the opposite one, so that nothing writes a page of errors into its log while
# its server goes first.
from gitops.lab.part import LOOPBACK, Context, Part, http, tcp


def servers(context: Context) -> list[Part]:
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
            tcp(context.ports["repo-server"]),
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
            http(f"http://{LOOPBACK}:{context.ports['argocd']}/healthz"),
            ("argocd", "argocd-metrics"),
            context.argocd_environment,
        ),
    ]


def controllers(context: Context) -> list[Part]:
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
            tcp(context.ports["application-controller"]),
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
            tcp(context.ports["applicationset-webhook"]),
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
            tcp(context.ports["notifications"]),
            ("notifications",),
            context.argocd_environment,
        ),
    ]

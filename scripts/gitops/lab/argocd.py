"""Argo CD's parts of the lab: one binary under many names."""

from __future__ import annotations

from gitops.lab.part import Context, Part
from gitops.lab.relay import LOOPBACK


def servers(context: Context) -> list[Part]:
    """Argo CD's servers: of rendered manifests, and of its API."""
    return [
        Part(
            "argocd-repo-server",
            3,
            [
                context.tools / "argocd-repo-server",
                f"--address={LOOPBACK}",
                f"--port={context.ports['repo-server']}",
                f"--metrics-address={LOOPBACK}",
                f"--metrics-port={context.ports['repo-server-metrics']}",
                f"--client-ca-path={context.pki / 'parts-ca.crt'}",
                *context.redis,
                "--loglevel=warn",
            ],
            context.tcp("repo-server"),
            ("repo-server", "repo-server-metrics"),
            {
                **context.argocd_environment,
                # To the lab's git host, which is github.com there (externals.py). All else is on loopback.
                "HTTPS_PROXY": f"http://{LOOPBACK}:{context.ports['externals']}",
                "NO_PROXY": LOOPBACK,
            },
        ),
        Part(
            "argocd-server",
            3,
            [
                context.tools / "argocd-server",
                f"--address={LOOPBACK}",
                f"--port={context.ports['argocd']}",
                f"--metrics-address={LOOPBACK}",
                f"--metrics-port={context.ports['argocd-metrics']}",
                *context.repo_server(),
                *context.redis,
                "--loglevel=warn",
            ],
            context.http("argocd", tls=context.server_tls),
            ("argocd", "argocd-metrics"),
            context.argocd_environment,
        ),
    ]


def controllers(context: Context) -> list[Part]:
    """Argo CD's controllers."""
    return [
        Part(
            "argocd-application-controller",
            3,
            [
                context.tools / "argocd-application-controller",
                f"--metrics-port={context.ports['application-controller']}",
                *context.repo_server(),
                *context.redis,
                "--server-side-diff-enabled=true",
                "--persist-resource-health",
                # Each `lab up` of what is dead sets Argo CD's own objects back to how a cluster begins with them, and
                # it waits up to five minutes more before each further healing.
                "--self-heal-backoff-cap-seconds=20",
                "--loglevel=warn",
            ],
            context.tcp("application-controller"),
            ("application-controller",),
            context.argocd_environment,
        ),
        Part(
            "argocd-applicationset-controller",
            3,
            [
                context.tools / "argocd-applicationset-controller",
                f"--metrics-addr={LOOPBACK}:{context.ports['applicationset-metrics']}",
                f"--probe-addr={LOOPBACK}:{context.ports['applicationset-probe']}",
                f"--webhook-addr={LOOPBACK}:{context.ports['applicationset-webhook']}",
                *context.repo_server("--argocd-repo-server"),
                "--loglevel=warn",
            ],
            context.tcp("applicationset-webhook"),
            ("applicationset-webhook", "applicationset-metrics", "applicationset-probe"),
            {**context.argocd_environment, "NAMESPACE": "argocd"},
        ),
        Part(
            "argocd-notifications",
            3,
            [
                context.tools / "argocd-notifications",
                f"--metrics-port={context.ports['notifications']}",
                *context.repo_server("--argocd-repo-server"),
                "--loglevel=warn",
            ],
            context.tcp("notifications"),
            ("notifications",),
            context.argocd_environment,
        ),
    ]

"""Argo CD's Applications, as the API server shows them. A bot, outside of the cluster, asks GitHub (clients/github)."""

from gitops.clients.argocd.applications import (
    APPLICATIONS,
    AppStatus,
    SyncRefusal,
    applications,
    describe,
    explained,
    refresh,
)
from gitops.clients.argocd.waits import NO_SUCH, SERVICES, wait_for

__all__ = [
    "APPLICATIONS",
    "NO_SUCH",
    "SERVICES",
    "AppStatus",
    "SyncRefusal",
    "applications",
    "describe",
    "explained",
    "refresh",
    "wait_for",
]

"""GitHub, as far as the platform needs it."""

from gitops.clients.github.deployments import Health, HealthChange, health_changes, last_words
from gitops.clients.github.errors import NoAccessError, QuotaError, RaceError, errors
from gitops.clients.github.hub import (
    ACTIONS_APP,
    CHECK,
    FREEZE,
    GITHUB_COMMITTER,
    MAIN_GATE,
    STATUSES,
    WORK,
    FinishedRun,
    Hub,
)
from gitops.clients.github.settings import RepositorySettings

__all__ = [
    "ACTIONS_APP",
    "CHECK",
    "FREEZE",
    "GITHUB_COMMITTER",
    "MAIN_GATE",
    "STATUSES",
    "WORK",
    "FinishedRun",
    "Health",
    "HealthChange",
    "Hub",
    "NoAccessError",
    "QuotaError",
    "RaceError",
    "RepositorySettings",
    "errors",
    "health_changes",
    "last_words",
]

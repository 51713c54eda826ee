"""GitHub, as far as the platform needs it."""

from gitops.clients.github.errors import RaceError
from gitops.clients.github.hub import (
    ACTIONS_APP,
    CHECK,
    GITHUB_COMMITTER,
    STATUSES,
    WORK,
    FinishedRun,
    Hub,
    RepositorySettings,
)

__all__ = [
    "ACTIONS_APP",
    "CHECK",
    "GITHUB_COMMITTER",
    "STATUSES",
    "WORK",
    "FinishedRun",
    "Hub",
    "RaceError",
    "RepositorySettings",
]

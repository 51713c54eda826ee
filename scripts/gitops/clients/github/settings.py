"""Which repository on GitHub is meant, and who asks."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from gitops.ground import settings as environment
from gitops.ground.errors import InputError


@dataclass(frozen=True)
class RepositorySettings:
    """Where the repository is and who asks. In Actions the environment says all of it."""

    repository: str
    token: SecretStr
    api_url: str = "https://api.github.com"

    @classmethod
    def from_environment(cls, token: SecretStr | None = None) -> RepositorySettings:
        """By GITHUB_REPOSITORY, GITHUB_TOKEN (unless `token` is it) and GITHUB_API_URL. Raises InputError."""
        own = environment.read()
        token = token or own.github_token
        missing = [] if own.github_repository else ["GITHUB_REPOSITORY"]
        missing += [] if token else ["GITHUB_TOKEN"]
        if own.github_repository is None or token is None:
            fix = "in Actions the workflow sets them (.github/workflows)"
            raise InputError(f"not set: {', '.join(missing)}", fix=fix)
        return cls(own.github_repository, token, own.github_api_url)

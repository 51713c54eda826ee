"""One session of boto3 for a run: clients by name, every call through one door."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

from gitops.clients.aws.errors import calling


class AwsSession:
    """Calls of AWS in one region, with the credentials that the environment gives."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._session = boto3.session.Session()
        self._client = cache(self._new_client)

    @property
    def configured_region(self) -> str | None:
        """The region that the environment or the profile names, which may be another."""
        return self._session.region_name

    @property
    def events(self) -> Any:  # noqa: ANN401 - botocore has no types
        """What botocore tells of its work to whoever listens: a signer asks for it."""
        return self._session.events

    def credentials(self) -> Any:  # noqa: ANN401
        """The credentials that the environment gives. Raises InputError where there are none."""
        with calling("sts:GetCallerIdentity"):
            credentials = self._session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            return credentials.get_frozen_credentials()

    def _new_client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients as they are asked for
        # Waits and asks again where AWS says that it is asked too often; AWS_MAX_ATTEMPTS says how many times.
        retries: Any = {"mode": "standard"}
        config = Config(retries=retries, connect_timeout=5, read_timeout=30)
        return self._session.client(service, region_name=self.region, config=config)  # type: ignore[call-overload]

    def call(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """One call, such as `call("eks", "describe_cluster", name="x")`. Raises what `calling` says."""
        words = "".join(word.capitalize() for word in operation.split("_"))
        with calling(f"{service}:{words}"):
            answer: dict[str, Any] = self.raw(service, operation, **arguments)
            return answer

    def raw(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """The same, for a caller who knows what ClientError may mean there."""
        answer: dict[str, Any] = getattr(self._client(service), operation)(**arguments)
        return answer

    def pages(self, service: str, operation: str, key: str, /, **arguments: Any) -> list[Any]:
        """Every item of a list that AWS gives in pages."""
        words = "".join(word.capitalize() for word in operation.split("_"))
        items: list[Any] = []
        with calling(f"{service}:{words}"):
            for page in self._client(service).get_paginator(operation).paginate(**arguments):
                items += page.get(key, [])
        return items

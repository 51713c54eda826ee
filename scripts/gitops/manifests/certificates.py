"""Which names the load balancer's certificates cover, as clusters/<cluster>/certificates.yaml says."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile

FILE = "certificates.yaml"


class Certificate(BaseModel):
    """A certificate of the load balancer and the names that it covers."""

    model_config = ConfigDict(extra="forbid")

    arn: str
    names: list[str]


class Certificates(BaseModel):
    """A cluster's certificates.yaml."""

    model_config = ConfigDict(extra="forbid")

    certificates: list[Certificate]


def read(checkout: Checkout, cluster: Path) -> list[Certificate]:
    """The certificates of a cluster's folder; none where it has no such file. Raises InputError."""
    file = cluster / FILE
    return yamlfile.read_model(checkout, file, Certificates).certificates if file.exists() else []


def covers(certificates: Iterable[Certificate], host: str) -> bool:
    """Whether one of them covers a host: a wildcard stands for one label."""
    names = set(itertools.chain.from_iterable(certificate.names for certificate in certificates))
    return host in names or f"*.{host.partition('.')[2]}" in names

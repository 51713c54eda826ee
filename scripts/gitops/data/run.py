"""One run of `gitops data`: the bucket, the database, and what was done in how many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import boto3

from gitops.clients.aws.objects import Objects, ObjectUrl
from gitops.clients.aws.session import AwsSession
from gitops.clients.postgres import Database
from gitops.data import backup
from gitops.data.backup import Backup
from gitops.ground.errors import InputError


@dataclass(frozen=True)
class DataReport:
    """What was done to a backup, in seconds."""

    url: str
    made: str
    tables: int
    rows: int
    bytes: int
    seconds: float


def dump(place: str, target: str) -> DataReport:
    """Copy a database into a bucket."""
    return _timed(lambda: backup.dump(_objects(), Database(target), ObjectUrl.parse(place), datetime.now(UTC)))


def check(url: str) -> DataReport:
    """Read a backup to its end."""
    return _timed(lambda: backup.check(_objects(), ObjectUrl.parse(url)))


def load(url: str, target: str) -> DataReport:
    """Bring a backup into an empty database."""
    return _timed(lambda: backup.load(_objects(), Database(target), ObjectUrl.parse(url)))


def backups(place: str) -> list[str]:
    """The backups below a place, the newest last."""
    return backup.backups(_objects(), ObjectUrl.parse(place))


def _objects() -> Objects:
    region = boto3.session.Session().region_name
    if not region:
        raise InputError("AWS: no region", fix="set AWS_DEFAULT_REGION to the bucket's region")
    return Objects(AwsSession(region))


def _timed(work: Callable[[], Backup]) -> DataReport:
    begin = time.monotonic()
    done = work()
    manifest = done.manifest
    seconds = round(time.monotonic() - begin, 1)
    rows = sum(manifest.rows.values())
    made = f"{manifest.made:%Y-%m-%d %H:%M} UTC"
    return DataReport(str(done.url), made, len(manifest.rows), rows, manifest.bytes, seconds)

"""A backup of a database in S3: the archive, and beside it what it is. Without that there is no backup.

The archive streams from pg_dump into the bucket. It is then fetched and read to its end, and only what was read is
written down: its size, its hash, and how many rows each table has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gitops.clients import postgres
from gitops.clients.aws.objects import Objects, ObjectUrl
from gitops.clients.postgres import Content, Database
from gitops.ground import temporary
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile

_MANIFEST = ".json"
_ARCHIVE = ".dump"


class Manifest(BaseModel):
    """What a backup is. `rows` and `sequences`: of each table and sequence, as the archive itself says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made: datetime
    bytes: int
    sha256: str
    rows: dict[str, int]
    sequences: dict[str, str]

    @property
    def content(self) -> Content:
        """What a database has after it was loaded."""
        return Content(self.rows, self.sequences)


@dataclass(frozen=True)
class Backup:
    """A backup in S3, and where."""

    url: ObjectUrl
    manifest: Manifest


class _Measured:
    """Counts and hashes what passes by."""

    def __init__(self) -> None:
        self.bytes, self._hash = 0, hashlib.sha256()

    def passing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.bytes += len(piece)
            self._hash.update(piece)
            yield piece

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def dump(objects: Objects, database: Database, place: ObjectUrl, now: datetime) -> Backup:
    """Copy a database below `place`. Raises InputError, ExternalError; then there is no backup."""
    if not objects.encrypted_by_ours(place.bucket):
        raise InputError(
            "this bucket does not encrypt by a key of ours", found=place.bucket, fix="use the bucket for backups"
        )
    url = place.beside(f"/{now.astimezone(UTC):%Y-%m-%dT%H-%M-%SZ}{_ARCHIVE}")
    measured = _Measured()
    objects.put_pieces(url, measured.passing(database.dump()))
    with temporary.folder() as folder:
        archive = _fetched(objects, url, folder, measured.bytes, measured.sha256)
        content = postgres.content_of(archive)
    manifest = Manifest(
        made=now, bytes=measured.bytes, sha256=measured.sha256, rows=content.rows, sequences=content.sequences
    )
    objects.put(url.beside(_MANIFEST), manifest.model_dump_json(indent=2).encode())
    return Backup(url, manifest)


def backups(objects: Objects, place: ObjectUrl) -> list[str]:
    """The addresses of the backups below a place, the newest last."""
    keys = set(objects.keys(place))
    whole = sorted(key for key in keys if key.endswith(_ARCHIVE) and f"{key}{_MANIFEST}" in keys)
    return [str(ObjectUrl(place.bucket, key)) for key in whole]


def check(objects: Objects, url: ObjectUrl) -> Backup:
    """Fetch a backup and read it to its end. Raises InputError where it is not what it was."""
    manifest = _manifest(objects, url)
    with temporary.folder() as folder:
        _read(objects, url, manifest, folder)
    return Backup(url, manifest)


def load(objects: Objects, database: Database, url: ObjectUrl) -> Backup:
    """Bring a backup into an empty database: all of it or nothing. Raises InputError, ExternalError."""
    manifest = _manifest(objects, url)
    if present := database.objects():
        raise InputError(
            "the database is not empty, so nothing was loaded",
            found=", ".join(present),
            fix="load into a new one (docs/runbooks/data.md)",
        )
    with temporary.folder() as folder:
        database.load(_read(objects, url, manifest, folder))
    loaded = database.content(manifest.content)
    if loaded != manifest.content:
        differences = [
            f"{name}: {count}, not {manifest.rows[name]}"
            for name, count in loaded.rows.items()
            if count != manifest.rows[name]
        ]
        differences += [name for name, value in loaded.sequences.items() if value != manifest.sequences[name]]
        raise InputError("what was loaded is not what the backup has", found=", ".join(differences[:5]))
    return Backup(url, manifest)


def _manifest(objects: Objects, url: ObjectUrl) -> Manifest:
    content = objects.get(url.beside(_MANIFEST))
    if content is None:
        raise InputError(
            "no backup: what is there was never read to its end, or is not there",
            found=str(url),
            fix="gitops data list says which there are",
        )
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise InputError.several(yamlfile.faults(error, str(url.beside(_MANIFEST)))) from None


def _read(objects: Objects, url: ObjectUrl, manifest: Manifest, folder: Path) -> Path:
    archive = _fetched(objects, url, folder, manifest.bytes, manifest.sha256)
    if postgres.content_of(archive) != manifest.content:
        raise InputError("the backup is not what its description says", path=str(url))
    return archive


def _fetched(objects: Objects, url: ObjectUrl, folder: Path, size: int, sha256: str) -> Path:
    archive = folder / "archive"
    objects.fetch(url, archive)
    with archive.open("rb") as file:
        found_hash = hashlib.file_digest(file, "sha256").hexdigest()
    if (archive.stat().st_size, found_hash) != (size, sha256):
        raise InputError(
            "the backup is broken: these are not the bytes that were written",
            path=str(url),
            expected=f"{size} bytes, sha256 {sha256[:12]}",
            found=f"{archive.stat().st_size} bytes, sha256 {found_hash[:12]}",
        )
    return archive

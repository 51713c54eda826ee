"""What an overlay keeps outside of its pods: a database (database.yaml) and a bucket (bucket.yaml).

Who asks for one names its component (base/components); the file beside it says which one it is. What AWS alone knows
is `pending` there until `gitops cluster up` has written it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import yamlfile
from gitops.manifests.overlay import Overlay
from gitops.manifests.yamlfile import Model
from gitops.repository.services import OverlaySummary, Service

DATABASE = "database"
BUCKET = "bucket"
VOLUME = "volume"
# What stands in a file until AWS has said it.
PENDING = "pending"
_STRICT = ConfigDict(extra="forbid", frozen=True)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("expected a zone, such as 2026-11-26T03:00:00Z")
    return moment.astimezone(UTC)


class DeclaredDatabase(BaseModel):
    """`data` of an overlay's database.yaml. Each field's alias is the key there."""

    model_config = _STRICT

    host: str = Field(min_length=1, description="written by `gitops cluster up`")
    secret: str = Field(min_length=1, description="the ARN of its user's name and password; written likewise")
    generation: int = Field(ge=1, description="which one runs: a restored database is a new one beside the old")
    storage_gb: int = Field(alias="storage-gb", ge=20, le=1000)
    restored_from: int | None = Field(alias="restored-from", default=None, ge=1)
    restored_to: Annotated[datetime, AfterValidator(_utc)] | None = Field(alias="restored-to", default=None)
    previous: int | None = Field(default=None, ge=1, description="the one that is kept beside it")

    @model_validator(mode="after")
    def _fits(self) -> DeclaredDatabase:
        if (self.restored_from is None) != (self.restored_to is None):
            raise ValueError("restored-from and restored-to go together: from which database, and to which moment")
        for name, older in (("restored-from", self.restored_from), ("previous", self.previous)):
            if older is not None and older >= self.generation:
                raise ValueError(f"{name} must be below generation")
        return self


class DeclaredBucket(BaseModel):
    """`data` of an overlay's bucket.yaml."""

    model_config = _STRICT

    name: str = Field(min_length=1, description="written by `gitops cluster up`")


def databases(checkout: Checkout, services: Iterable[Service]) -> dict[Overlay, DeclaredDatabase]:
    """The database of each overlay that asks for one. Raises InputError, all faults at once."""
    known: dict[Overlay, DeclaredDatabase] = {}
    faults: list[Fault] = []
    for overlay in asking(services, DATABASE):
        try:
            known[overlay] = _read(checkout, overlay, DATABASE, DeclaredDatabase)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError.several(faults)
    return known


def buckets(checkout: Checkout, services: Iterable[Service]) -> dict[Overlay, DeclaredBucket]:
    """The bucket of each overlay that asks for one. Raises InputError."""
    return {overlay: _read(checkout, overlay, BUCKET, DeclaredBucket) for overlay in asking(services, BUCKET)}


def asking(services: Iterable[Service], component: str) -> list[Overlay]:
    """The overlays that name a component, in order."""
    summaries: list[OverlaySummary] = []
    for service in services:
        summaries += service.overlays
    return sorted(summary.overlay for summary in summaries if component in summary.components)


def file(overlay: Overlay, component: str) -> str:
    """The path of the file that says which database or bucket an overlay has."""
    return overlay.file(f"{component}.yaml")


def _read(checkout: Checkout, overlay: Overlay, component: str, model: type[Model]) -> Model:
    source = file(overlay, component)
    path = checkout.root / source
    if not path.exists():
        raise InputError(
            f"asks for base/components/{component} and does not say which",
            path=source,
            expected="a ConfigMap",
            fix="docs/runbooks/data.md has one to begin with",
        )
    data: dict[str, Any] = yamlfile.read(checkout, path).get("data") or {}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError.several(yamlfile.faults(error, source, "data")) from None

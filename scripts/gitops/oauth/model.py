"""What git remembers of each application of 42: which overlay, which generation runs, and what each generation was.

overlays/<service>/<environment>/oauth-42.yaml names the application and the current Secret; each generation's
SealedSecret carries its record as annotations. Nothing of it is secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError, UnexpectedError
from gitops.ground.suggest import unknown
from gitops.manifests import sealedsecret, yamlfile
from gitops.manifests.overlay import Overlay
from gitops.oauth.blocks import UID
from gitops.repository import rotation, services
from gitops.repository.rotation import FILE, Record, generation_of, sealed_file
from gitops.repository.services import Owner

if TYPE_CHECKING:
    from gitops.repository.history import History

_TAG = b"gitops oauth-42 rotation\n"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: str = Field(alias="application-id", pattern=r"^\d{1,10}$")
    uid: str = Field(alias="client-id", pattern=f"^{UID.pattern}$")
    secret: str


@dataclass(frozen=True)
class Generation:
    """A generation that stands in an overlay. `record` is None for one that was sealed by hand."""

    number: int
    name: str
    record: Record | None


@dataclass(frozen=True)
class OAuthApplication:
    """An application of 42 and the overlay that uses it, as main has them. `owner`: of the overlay's service."""

    overlay: Overlay
    owner: Owner
    id: str
    uid: str
    deployed: Generation
    older: tuple[Generation, ...] = ()

    @property
    def branch(self) -> str:
        """The one branch of its pull request."""
        return self.overlay.branch("oauth")

    @property
    def reference(self) -> str:
        """The file that names its current Secret."""
        return self.overlay.file(FILE)

    def secret_name(self, generation: int) -> str:
        """The name of a generation's Secret."""
        return rotation.secret_name(self.overlay, generation)

    def sealed_path(self, generation: int) -> str:
        """The file of a generation's SealedSecret."""
        return self.overlay.file(sealed_file(generation))


def rotation_id(application: str, secret: SecretStr) -> str:
    """Names a secret without telling it: 42's secrets carry 256 random bits, so no one can try them all."""
    return hashlib.sha256(_TAG + f"{application}\n{secret.get_secret_value()}".encode()).hexdigest()


def having(base: Checkout, names: Collection[str]) -> list[str]:
    """Those of the services `names` that have an application of 42."""
    return sorted({file.parent.parent.name for file in base.overlays.glob(f"[!.]*/*/{FILE}")} & set(names))


def applications(
    base: Checkout, names: Sequence[str]
) -> tuple[list[OAuthApplication], list[tuple[Overlay, GitopsError]]]:
    """Every overlay with an application of 42 (or those of the services `names`), and those that cannot be read.

    Raises InputError for a service that does not exist, or that has no application.
    """
    known, unreadable = services.readable(base, names or None)
    existing = {folder.name for folder in base.service_folders}
    if missing := [name for name in names if name not in existing]:
        raise unknown("service", missing[0], existing)
    readable: list[OAuthApplication] = []
    broken: list[tuple[Overlay, GitopsError]] = []
    for name, error in unreadable.items():
        files = sorted((base.overlays / name).glob(f"*/{FILE}"))
        broken += [(Overlay(name, file.parent.name), error) for file in files]
    for service in known:
        overlays = [*(summary.overlay for summary in service.overlays), *service.broken]
        overlays = [overlay for overlay in overlays if (base.root / overlay.file(FILE)).exists()]
        if names and not overlays:
            raise InputError(f"service {service.name!r}: has no {FILE}, so no application of 42")
        for overlay in overlays:
            if overlay in service.broken:
                broken.append((overlay, service.broken[overlay]))
                continue
            try:
                readable.append(_application(base, overlay, service.owner))
            except Exception as error:  # of whatever type: it is this one's
                broken.append((overlay, UnexpectedError.of(error)))
    return readable, broken


def _application(base: Checkout, overlay: Overlay, owner: Owner) -> OAuthApplication:
    path = overlay.file(FILE)
    data = _data(yamlfile.read(base, base.root / path), path)
    current = generation_of(data.secret, overlay.service, path)
    generations = []
    for file in sorted((base.root / overlay.path).glob("sealedsecret-oauth-42-g*.yaml")):
        sealed = sealedsecret.read(file.read_bytes(), base.relative(file))
        number = generation_of(sealed.name, overlay.service, sealed.path)
        generations.append(Generation(number, sealed.name, Record.of(sealed)))
    deployed = next((generation for generation in generations if generation.number == current), None)
    if deployed is None:
        raise InputError(f"names {data.secret}, but there is no {sealed_file(current)} beside it", path=path)
    older = [generation for generation in generations if generation is not deployed]
    older.sort(key=lambda generation: generation.number)
    return OAuthApplication(overlay, owner, data.id, data.uid, deployed, tuple(older))


def deployed_secret(content: bytes, path: str) -> str:
    """The name of the Secret that a version of oauth-42.yaml deploys. Raises InputError."""
    documents = yamlfile.parse_all(content, path)
    if len(documents) != 1:
        raise InputError(path=path, expected="one document", found=str(len(documents)))
    return _data(documents[0], path).secret


def _data(document: dict[str, Any], path: str) -> _Data:
    try:
        return _Data.model_validate(document.get("data"))
    except ValidationError as error:
        raise InputError.several(yamlfile.faults(error, path, "data")) from None


@dataclass(frozen=True)
class Past:
    """What main's history says: the highest generation ever, the rotations that a person took back, and since when main
    has what it deploys (None where this clone does not know).
    """

    highest: int
    declined: frozenset[str]
    since: datetime | None


def past(history: History, application: OAuthApplication) -> Past:
    """Read main's history of an overlay's oauth-42.yaml: a generation later than what runs was taken back."""
    path = application.reference
    highest, declined = application.deployed.number, set()
    since, is_current = None, True
    for version in history.versions(path):
        try:
            number = generation_of(deployed_secret(version.content, path), application.overlay.service, path)
        except InputError:  # an old version may have been broken
            continue
        is_current = is_current and number == application.deployed.number
        since = version.when if is_current else since
        highest = max(highest, number)
        if number > application.deployed.number:
            sealed = application.sealed_path(number)
            content = history.content(version.sha, sealed)
            record = Record.of(sealedsecret.read(content, sealed)) if content else None
            if record:
                declined.add(record.rotation)
    highest = max([highest, *(generation.number for generation in application.older)])
    return Past(highest, frozenset(declined), since)

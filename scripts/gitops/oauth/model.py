"""What git remembers of each application of 42: which overlay, which generation runs, and what each generation was.

overlays/<service>/<environment>/oauth-42.yaml names the application and the current Secret; each generation's
SealedSecret carries its record as annotations. Nothing of it is secret.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import sealedsecret, yamlfile
from gitops.oauth.page import UID
from gitops.repository import services
from gitops.repository.history import History

FILE = "oauth-42.yaml"
KEY = "client-secret"
_TAG = b"gitops oauth-42 rotation\n"
_PREFIX = "gitops/"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: str = Field(alias="application-id", pattern=r"^\d{1,10}$")
    uid: str = Field(alias="client-id", pattern=f"^{UID.pattern}$")
    secret: str


@dataclass(frozen=True)
class Record:
    """What is remembered of a generation. `valid_until`: the most careful date that was known when it was sealed."""

    application: str
    uid: str
    generation: int
    rotation: str
    certificate: str
    valid_until: datetime | None

    def annotations(self) -> dict[str, str]:
        """As its SealedSecret carries it."""
        until = {"valid-until": self.valid_until.isoformat(timespec="seconds")} if self.valid_until else {}
        values = {
            "application": self.application,
            "uid": self.uid,
            "generation": str(self.generation),
            "rotation": self.rotation,
            "certificate": self.certificate,
            **until,
        }
        return {f"{_PREFIX}{name}": value for name, value in values.items()}

    @classmethod
    def of(cls, sealed: sealedsecret.Sealed) -> Record | None:
        """The record that a SealedSecret carries, or None: sealed by hand. Raises InputError where it is damaged."""
        found = {name.removeprefix(_PREFIX): text for name, text in sealed.annotations.items()}
        if "rotation" not in found:
            return None
        try:
            until = found.get("valid-until")
            return cls(
                found["application"],
                found["uid"],
                int(found["generation"]),
                found["rotation"],
                found["certificate"],
                datetime.fromisoformat(until).astimezone(UTC) if until else None,
            )
        except (KeyError, ValueError) as error:
            raise InputError(f"{sealed.path}: annotations {_PREFIX}*: {error}; restore them from git") from None


@dataclass(frozen=True)
class Generation:
    """A generation that stands in an overlay. `record` is None for one that was sealed by hand."""

    number: int
    name: str
    record: Record | None


@dataclass(frozen=True)
class Application:
    """An application of 42 and the overlay that uses it, as main has them."""

    service: str
    environment: str
    id: str
    uid: str
    deployed: Generation
    older: tuple[Generation, ...] = ()

    @property
    def branch(self) -> str:
        """The one branch of its pull request."""
        return f"oauth/{self.service}/{self.environment}"

    @property
    def folder(self) -> str:
        """The overlay's folder in the repository."""
        return f"overlays/{self.service}/{self.environment}"

    @property
    def namespace(self) -> str:
        """Where its Secret goes."""
        return f"{self.service}-{self.environment}"

    def secret_name(self, generation: int) -> str:
        """The name of a generation's Secret."""
        return f"{self.service}-oauth-42-g{generation}"

    def sealed_path(self, generation: int) -> str:
        """The file of a generation's SealedSecret."""
        return f"{self.folder}/{sealed_file(generation)}"


def sealed_file(generation: int) -> str:
    """The name of a generation's file."""
    return f"sealedsecret-oauth-42-g{generation}.yaml"


def rotation_id(application: str, secret: SecretStr) -> str:
    """Names a candidate without telling it: 42's secrets carry 256 random bits, so no one can try them all."""
    return hashlib.sha256(_TAG + f"{application}\n{secret.get_secret_value()}".encode()).hexdigest()


def applications(base: Checkout, names: Sequence[str]) -> tuple[list[Application], list[tuple[str, InputError]]]:
    """Every overlay with an application of 42 (or those of the services `names`), and those that cannot be read.

    Raises InputError for a service that does not exist, or that has no application.
    """
    known = services.services(base)
    if unknown := [name for name in names if name not in {service.name for service in known}]:
        raise InputError(f"service {unknown[0]!r}: does not exist; gitops service list shows those that do")
    found: list[Application] = []
    broken: list[tuple[str, InputError]] = []
    for service in known:
        if names and service.name not in names:
            continue
        files_of = [each.folder / FILE for each in service.deployments if (each.folder / FILE).exists()]
        if names and not files_of:
            raise InputError(f"service {service.name!r}: has no {FILE}, so no application of 42")
        for file in files_of:
            try:
                found.append(_application(base, file))
            except InputError as error:
                broken.append((f"{service.name}/{file.parent.name}", error))
    return found, broken


def _application(base: Checkout, file: Path) -> Application:
    service, environment, path = file.parent.parent.name, file.parent.name, base.relative(file)
    data = _data(yamlfile.read(base, file), path)
    current = _number(data.secret, service, path)
    generations = []
    for each in sorted(file.parent.glob("sealedsecret-oauth-42-g*.yaml")):
        sealed = sealedsecret.read(each.read_bytes(), base.relative(each))
        number = _number(sealed.name, service, sealed.path)
        generations.append(Generation(number, sealed.name, Record.of(sealed)))
    deployed = next((each for each in generations if each.number == current), None)
    if deployed is None:
        raise InputError(f"{path}: names {data.secret}, but there is no {sealed_file(current)} beside it")
    older = tuple(sorted((g for g in generations if g is not deployed), key=lambda g: g.number))
    return Application(service, environment, data.id, data.uid, deployed, older)


def _data(document: dict[str, Any], path: str) -> _Data:
    try:
        return _Data.model_validate(document.get("data"))
    except ValidationError as error:
        raise InputError.several(yamlfile.faults(error, path, "data")) from None


def _number(name: str, service: str, path: str) -> int:
    found = re.fullmatch(rf"{re.escape(service)}-oauth-42-g([1-9]\d*)", name)
    if not found:
        raise InputError(f"{path}: Secret {name!r}: expected {service}-oauth-42-g<number>")
    return int(found[1])


@dataclass(frozen=True)
class Past:
    """What main's history says: the highest generation ever, and the rotations that a person took back."""

    highest: int
    taken_back: frozenset[str]


def past(history: History, application: Application) -> Past:
    """Read main's history of an overlay's oauth-42.yaml: a generation later than what runs was taken back."""
    path = f"{application.folder}/{FILE}"
    highest, taken_back = application.deployed.number, set()
    for version in history.versions(path):
        try:
            name = _data(yamlfile.parse_all(version.content, path)[0], path).secret
            number = _number(name, application.service, path)
        except (InputError, IndexError):  # an old version may have been broken
            continue
        highest = max(highest, number)
        if number > application.deployed.number:
            sealed = application.sealed_path(number)
            content = history.content(version.sha, sealed)
            record = Record.of(sealedsecret.read(content, sealed)) if content else None
            if record:
                taken_back.add(record.rotation)
    highest = max([highest, *(each.number for each in application.older)])
    return Past(highest, frozenset(taken_back))

"""Every registry of images, chosen by an image's name; the digest behind a tag."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from gitops.clients.registries.distribution import Distribution, place
from gitops.clients.registries.ecr import Ecr
from gitops.clients.registries.oci import ListedImage, Registry
from gitops.ground import credentials, jsontext
from gitops.ground.errors import ExternalError, InputError
from gitops.manifests.image import MUTABLE_TAGS, REFERENCE, Image, in_ecr

VARIABLE = "REGISTRY_CREDENTIALS"


class _Login(BaseModel):
    """One registry of a docker config: `auth` is base64 of USER:PASSWORD."""

    auth: SecretStr | None = None
    username: str = ""
    password: SecretStr | None = None

    def basic(self) -> SecretStr | None:
        if self.auth is None and self.password is not None:
            pair = f"{self.username}:{self.password.get_secret_value()}"
            return SecretStr(base64.b64encode(pair.encode()).decode())
        return self.auth


class _DockerConfig(BaseModel):
    auths: dict[str, _Login]


def logins(taken: Mapping[str, SecretStr]) -> dict[str, SecretStr]:
    """The credentials of REGISTRY_CREDENTIALS by their registry's host, of which no text has any. Raises InputError."""
    value = taken.get(VARIABLE)
    if value is None:
        return {}
    expected = 'one line of JSON such as {"auths": {"ghcr.io": {"auth": "<base64 of USER:TOKEN>"}}}'
    try:
        config = _DockerConfig.model_validate(jsontext.parse(value.get_secret_value()))
        known: dict[str, SecretStr] = {}
        for address, login in config.auths.items():
            if (basic := login.basic()) is not None:
                password = base64.b64decode(basic.get_secret_value(), validate=True).decode().partition(":")[2]
                for secret in (basic, SecretStr(password)):
                    credentials.mask(secret)
                # docker login writes https://index.docker.io/v1/ for its own.
                host = address.removeprefix("https://").partition("/")[0]
                known[place(f"{host}/x")[0]] = basic
    except (ValidationError, binascii.Error, UnicodeDecodeError, ValueError):
        raise InputError(f"{VARIABLE} cannot be read", expected=expected) from None
    return known


class Registries:
    """All that one run reads: a `Registry` of every name, each read in its registry's own way."""

    def __init__(self, taken: Mapping[str, SecretStr] | None = None) -> None:
        """`taken`: the credentials of the environment. Raises InputError where they cannot be read."""
        self._logins = logins(taken or {})
        self._lock = threading.Lock()
        self._known: dict[str, Registry] = {}

    @property
    def calls(self) -> int:
        """Requests to all of them."""
        return sum(registry.calls for registry in self._known.values())

    def _of(self, name: str) -> Registry:
        host = "ecr" if in_ecr(name) else place(name)[0]
        with self._lock:
            if host not in self._known:
                self._known[host] = Ecr() if host == "ecr" else Distribution(host, self._logins.get(host))
            return self._known[host]

    def listing(self, name: str) -> list[ListedImage]:
        """As `Registry` has it."""
        return self._of(name).listing(name)

    def look(self, name: str, *, tag: str = "", digest: str = "", dated: bool = False) -> ListedImage | None:
        """As `Registry` has it."""
        return self._of(name).look(name, tag=tag, digest=digest, dated=dated)

    def manifest(self, name: str, *, digest: str = "", tag: str = "") -> dict[str, Any] | None:
        """As `Registry` has it."""
        return self._of(name).manifest(name, digest=digest, tag=tag)

    def blob(self, name: str, digest: str) -> bytes:
        """As `Registry` has it."""
        return self._of(name).blob(name, digest)

    def referrers(self, name: str, digest: str, kind: str) -> list[str]:
        """As `Registry` has it."""
        return self._of(name).referrers(name, digest, kind)


def resolve(reference: str, registry: Registry) -> Image:
    """Parse REGISTRY/NAME:TAG[@DIGEST] and ask the registry for the digest where none is given.

    Raises InputError for a reference that is malformed, has no tag, or a mutable one; ExternalError where the registry
    cannot be reached or does not have it.
    """
    match = REFERENCE.fullmatch(reference)
    if not match:
        expected = "REGISTRY/NAME:TAG or REGISTRY/NAME:TAG@sha256:<64 hex digits>"
        raise InputError("image: malformed", expected=expected, found=repr(reference))
    name, tag, digest = match["name"], match["tag"], match["digest"]
    if not tag:
        raise InputError("image: no tag", found=repr(reference), fix=f"name the version, such as {name}:1.2.3")
    if tag.lower() in MUTABLE_TAGS:
        fix = f"name one version, such as {name}:1.2.3"
        raise InputError(f"image: the tag {tag!r} is mutable", found=repr(reference), fix=fix)
    return Image(name, tag, digest or _digest(registry, name, tag))


def _digest(registry: Registry, name: str, tag: str) -> str:
    try:
        image = registry.look(name, tag=tag)
    except ExternalError as error:
        fix = f"give its digest too: {name}:{tag}@sha256:..."
        raise ExternalError(f"image {name}:{tag}: no digest: {error.fault.what}", fix=fix) from None
    if image is None:
        raise ExternalError(f"image {name}:{tag}: its registry has no such tag")
    return image.digest

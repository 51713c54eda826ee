"""What every registry of images is asked, and what an image says of itself (the OCI's image specification)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from gitops.ground import jsontext
from gitops.ground.errors import ExternalError

MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest"
# What a tag may name; a signature, a chart and an SBOM are manifests too.
MANIFESTS = (INDEX, MANIFEST, f"{DOCKER}.list.v2+json", f"{DOCKER}.v2+json")


class CredentialsError(ExternalError):
    """AWS does not take these credentials: no repository can be read, so the whole run ends."""


@dataclass(frozen=True)
class ListedImage:
    """One tag of a repository as its listing shows it. `pushed` belongs to the digest and not to the tag.

    A registry that lists names alone leaves `digest` empty and `pushed` None until it is asked (`Registry.look`).
    """

    tag: str
    digest: str
    pushed: datetime | None
    media_type: str = MANIFEST
    artifact_type: str | None = None


class Registry(Protocol):
    """One registry or many. Safe for threads.

    `name` is an image's name with its registry. All raise CredentialsError, ExternalError.
    """

    @property
    def calls(self) -> int:
        """Requests so far."""

    def listing(self, name: str) -> list[ListedImage]:
        """Every tag of a repository; where the registry tells, an untagged image has the tag "".

        Raises InputError too, for a repository that is not there.
        """

    def look(self, name: str, *, tag: str = "", digest: str = "", dated: bool = False) -> ListedImage | None:
        """One image by its tag or its digest, `dated` with its time too; None where it or its repository is not there.

        The time is that of the push or, where the registry tells none, of the build.
        """

    def manifest(self, name: str, *, digest: str = "", tag: str = "") -> dict[str, Any] | None:
        """One manifest, or None where the registry has it not."""

    def blob(self, name: str, digest: str) -> bytes:
        """One layer or configuration."""

    def referrers(self, name: str, digest: str, kind: str) -> list[str]:
        """The digests of the manifests of an artifact type that name this image as their subject."""


@dataclass(frozen=True)
class Details:
    """What an image says of itself: its platforms and its OCI labels, annotations laid over them.

    `created`: when it was built, where its configuration was read and says so.
    """

    platforms: frozenset[str]
    labels: dict[str, str] = field(hash=False)
    created: datetime | None = None

    @property
    def source(self) -> str:
        """The repository that it was built from (https://...), or nothing."""
        url = self.labels.get("org.opencontainers.image.source", "").removesuffix(".git").rstrip("/")
        return url if url.startswith("https://") else ""

    @property
    def revision(self) -> str:
        """The commit that it was built from, or nothing."""
        return self.labels.get("org.opencontainers.image.revision", "")


def details(registry: Registry, name: str, digest: str, *, labels: bool = False) -> Details | None:
    """The platforms of an image, read from its index alone where it has one; with `labels` from its configuration too.

    None where the registry has it not. Attestations hang in an index as platform unknown/unknown: they are no platform.
    Raises CredentialsError, ExternalError.
    """
    manifest = registry.manifest(name, digest=digest)
    if manifest is None:
        return None
    try:
        return _details(registry, name, manifest, labels)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExternalError(f"{name}@{digest[:19]}: its manifest cannot be read ({type(error).__name__})") from None


def _details(registry: Registry, name: str, manifest: dict[str, Any], labels: bool) -> Details:
    annotations: dict[str, str] = manifest.get("annotations") or {}
    children = [child for child in manifest.get("manifests") or [] if not _attestation(child)]
    if not children and "config" not in manifest:
        return Details(frozenset(), annotations)
    platforms = frozenset(_platform(child["platform"]) for child in children if child.get("platform"))
    if children and not labels:
        return Details(platforms, annotations)
    if children:
        manifest = registry.manifest(name, digest=children[0]["digest"]) or {}
    if "config" not in manifest:
        return Details(platforms, annotations)
    config = jsontext.parse(registry.blob(name, manifest["config"]["digest"]))
    own: dict[str, str] = (config.get("config") or {}).get("Labels") or {}
    if not children:
        platforms = frozenset({_platform(config)})
    all_labels = {**own, **(manifest.get("annotations") or {}), **annotations}
    return Details(platforms, all_labels, _moment(config.get("created")))


def _moment(text: object) -> datetime | None:
    """A time of RFC 3339, or None."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def _attestation(child: dict[str, Any]) -> bool:
    kind = (child.get("annotations") or {}).get("vnd.docker.reference.type")
    return kind == "attestation-manifest" or (child.get("platform") or {}).get("os") == "unknown"


def _platform(value: dict[str, Any]) -> str:
    return "/".join(str(value[key]) for key in ("os", "architecture", "variant") if value.get(key))


def normal_platform(platform: str) -> str:
    """A platform without the variant that goes without saying, as containerd compares them: linux/arm64/v8 is arm64."""
    for usual in ("/arm64/v8", "/amd64/v1", "/arm/v7"):
        if platform.endswith(usual):
            return platform.rpartition("/")[0]
    return platform

"""Amazon ECR: one listing of a repository, and what one image says of itself."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from gitops.ground import jsontext
from gitops.ground.errors import ExternalError, InputError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef

_NAME = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/(.+)")
_INDEXES = {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
_MANIFESTS = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"]
_PAGE = 1000
_SECONDS = 30
_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "AccessDeniedException",
}


class CredentialsError(ExternalError):
    """AWS does not take these credentials: no repository can be read, so the whole run ends."""


@dataclass(frozen=True)
class ListedImage:
    """One tag of a repository as its listing shows it. `pushed` belongs to the digest and not to the tag."""

    tag: str
    digest: str
    pushed: datetime
    media_type: str = "application/vnd.oci.image.manifest.v1+json"
    artifact_type: str | None = None


@dataclass(frozen=True)
class Repository:
    """An ECR repository by its image name."""

    account: str
    region: str
    path: str

    @classmethod
    def parse(cls, name: str) -> Repository:
        """Raises InputError where `name` is no ECR repository."""
        match = _NAME.fullmatch(name)
        if not match:
            expected = "<account>.dkr.ecr.<region>.amazonaws.com/<name>"
            raise InputError("not an ECR repository", found=name, expected=expected)
        return cls(match[1], match[2], match[3])

    def __str__(self) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.path}"


@dataclass(frozen=True)
class Details:
    """What an image says of itself: its platforms and its OCI labels, annotations laid over them."""

    platforms: frozenset[str]
    labels: dict[str, str] = field(hash=False)

    @property
    def source(self) -> str:
        """The repository that it was built from (https://...), or nothing."""
        url = self.labels.get("org.opencontainers.image.source", "").removesuffix(".git").rstrip("/")
        return url if url.startswith("https://") else ""

    @property
    def revision(self) -> str:
        """The commit that it was built from, or nothing."""
        return self.labels.get("org.opencontainers.image.revision", "")


class Registry:
    """All of ECR that one run reads. Safe for threads. `calls` counts requests to the registry."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()
        self._session = boto3.session.Session()
        self._client = cache(self._new_client)

    def _new_client(self, region: str) -> ECRClient:
        # Adaptive: slows down by itself when ECR says that it is asked too often.
        retries: Any = {"mode": "adaptive", "max_attempts": 8}
        config = Config(retries=retries, connect_timeout=5, read_timeout=_SECONDS, max_pool_connections=16)
        with self._lock:  # a session is not made for threads, its clients are
            return self._session.client("ecr", region_name=region, config=config)

    def _count(self) -> None:
        with self._lock:
            self.calls += 1

    def listing(self, repository: Repository) -> list[ListedImage]:
        """Every tag of a repository; an untagged image has the tag "". Raises InputError for an unknown repository,
        CredentialsError, ExternalError.
        """
        listing: list[ListedImage] = []
        with _errors(repository):
            pages = self._client(repository.region).get_paginator("describe_images")
            for page in pages.paginate(
                registryId=repository.account,
                repositoryName=repository.path,
                PaginationConfig={"PageSize": _PAGE},
            ):
                self._count()
                for image in page["imageDetails"]:
                    listing += _by_tag(image)
        return listing

    def manifest(self, repository: Repository, *, digest: str = "", tag: str = "") -> dict[str, Any] | None:
        """One manifest, or None where the registry has it not. Raises CredentialsError, ExternalError."""
        with _errors(repository):
            answer = self._client(repository.region).batch_get_image(
                registryId=repository.account,
                repositoryName=repository.path,
                imageIds=[{"imageDigest": digest} if digest else {"imageTag": tag}],
                acceptedMediaTypes=[*sorted(_INDEXES), *_MANIFESTS],
            )
        self._count()
        if not answer["images"]:
            return None
        manifest = jsontext.parse(answer["images"][0]["imageManifest"])
        return manifest if isinstance(manifest, dict) else None

    def blob(self, repository: Repository, digest: str) -> bytes:
        """One layer or configuration. Raises CredentialsError, ExternalError."""
        with _errors(repository):
            answer = self._client(repository.region).get_download_url_for_layer(
                registryId=repository.account, repositoryName=repository.path, layerDigest=digest
            )
            self._count()
            # The address is signed: it must not appear in an error.
            content = requests.get(answer["downloadUrl"], timeout=_SECONDS)
            if content.status_code != 200:
                raise ExternalError(f"{repository}: blob {digest[:19]}: HTTP {content.status_code}")
        return content.content

    def details(self, repository: Repository, digest: str, *, labels: bool = False) -> Details | None:
        """The platforms of an image, read from its index alone where it has one; with `labels` from its configuration
        too. None where the registry has it not.

        Attestations hang in an index as platform unknown/unknown: they are no platform.
        """
        manifest = self.manifest(repository, digest=digest)
        if manifest is None:
            return None
        annotations: dict[str, str] = manifest.get("annotations") or {}
        children = [child for child in manifest.get("manifests") or [] if not _attestation(child)]
        if not children and "config" not in manifest:
            return Details(frozenset(), annotations)
        platforms = frozenset(_platform(child["platform"]) for child in children if child.get("platform"))
        if children and not labels:
            return Details(platforms, annotations)
        if children:
            manifest = self.manifest(repository, digest=children[0]["digest"]) or {}
        if "config" not in manifest:
            return Details(platforms, annotations)
        config = jsontext.parse(self.blob(repository, manifest["config"]["digest"]))
        own: dict[str, str] = (config.get("config") or {}).get("Labels") or {}
        if not children:
            platforms = frozenset({_platform(config)})
        return Details(platforms, {**own, **(manifest.get("annotations") or {}), **annotations})


def _by_tag(image: ImageDetailTypeDef) -> list[ListedImage]:
    """One for each tag of an image of the listing."""
    return [
        ListedImage(
            tag=tag,
            digest=image["imageDigest"],
            pushed=image["imagePushedAt"],
            media_type=image.get("imageManifestMediaType") or ListedImage.media_type,
            artifact_type=image.get("artifactMediaType"),
        )
        for tag in image.get("imageTags") or [""]
    ]


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


@contextmanager
def _errors(repository: Repository) -> Iterator[None]:
    try:
        yield
    except NoCredentialsError:
        fix = "in Actions the OIDC step gives them, here: aws sso login"
        raise CredentialsError("AWS: no credentials", fix=fix) from None
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "RepositoryNotFoundException":
            fix = "create it, or correct newName"
            raise InputError("no such repository in ECR", found=str(repository), fix=fix) from None
        if code in _CREDENTIALS:
            raise CredentialsError(f"AWS refuses these credentials ({code})", fix="sign in again") from None
        raise ExternalError(f"{repository}: ECR answered {code}") from None
    except (BotoCoreError, requests.RequestException) as error:
        raise ExternalError(f"{repository}: ECR cannot be reached ({type(error).__name__})") from None
    except (KeyError, ValueError, TypeError) as error:
        raise ExternalError(f"{repository}: ECR's answer cannot be read ({type(error).__name__})") from None

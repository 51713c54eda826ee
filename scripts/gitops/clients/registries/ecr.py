"""Amazon ECR, which lists a repository with every digest and time of push."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from gitops.clients.registries.oci import MANIFESTS, CredentialsError, ListedImage
from gitops.ground import jsontext
from gitops.ground.errors import ExternalError, InputError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef

_NAME = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/(.+)")
_PAGE = 1000
_SECONDS = 30
_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
}


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


class Ecr:
    """All of ECR that one run reads: a `Registry`."""

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

    def listing(self, name: str) -> list[ListedImage]:
        """As `Registry` has it."""
        return self._listing(Repository.parse(name))

    def _listing(self, repository: Repository, tag: str = "", digest: str = "") -> list[ListedImage]:
        """All of a repository, or one image of it."""
        only: Any = {"imageIds": [{"imageTag": tag} if tag else {"imageDigest": digest}]} if tag or digest else {}
        listing: list[ListedImage] = []
        with _errors(repository):
            pages = self._client(repository.region).get_paginator("describe_images")
            for page in pages.paginate(
                registryId=repository.account,
                repositoryName=repository.path,
                PaginationConfig={} if only else {"PageSize": _PAGE},
                **only,
            ):
                self._count()
                for image in page["imageDetails"]:
                    listing += _by_tag(image)
        return listing

    def look(self, name: str, *, tag: str = "", digest: str = "", dated: bool = False) -> ListedImage | None:
        """As `Registry` has it; the time of the push is always there."""
        try:
            images = self._listing(Repository.parse(name), tag, digest)
        except InputError:
            return None
        return next((image for image in images if tag in ("", image.tag)), None)

    def manifest(self, name: str, *, digest: str = "", tag: str = "") -> dict[str, Any] | None:
        """As `Registry` has it."""
        repository = Repository.parse(name)
        with _errors(repository):
            answer = self._client(repository.region).batch_get_image(
                registryId=repository.account,
                repositoryName=repository.path,
                imageIds=[{"imageDigest": digest} if digest else {"imageTag": tag}],
                acceptedMediaTypes=list(MANIFESTS),
            )
            self._count()
            manifest = jsontext.parse(answer["images"][0]["imageManifest"]) if answer["images"] else None
        return manifest if isinstance(manifest, dict) else None

    def blob(self, name: str, digest: str) -> bytes:
        """As `Registry` has it."""
        repository = Repository.parse(name)
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

    def referrers(self, name: str, digest: str, kind: str) -> list[str]:
        """As `Registry` has it. AWS asks for the right ecr:BatchGetImage."""
        repository, referrers, token = Repository.parse(name), list[str](), ""
        with _errors(repository):
            while True:
                more: Any = {"nextToken": token} if token else {}
                answer = self._client(repository.region).list_image_referrers(
                    registryId=repository.account,
                    repositoryName=repository.path,
                    subjectId={"imageDigest": digest},
                    filter={"artifactTypes": [kind]},
                    **more,
                )
                self._count()
                referrers += [entry["digest"] for entry in answer["referrers"]]
                token = answer.get("nextToken", "")
                if not token:
                    return referrers


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
        if code == "ImageNotFoundException":
            raise InputError("no such image in ECR", found=str(repository)) from None
        if code in _CREDENTIALS:
            raise CredentialsError(f"AWS refuses these credentials ({code})", fix="sign in again") from None
        if code == "AccessDeniedException":
            fix = "let the role that asks (AWS_IMAGES_ROLE) read it, in its own policy or in the repository's"
            raise ExternalError(f"{repository}: AWS denies reading it ({code})", fix=fix) from None
        raise ExternalError(f"{repository}: ECR answered {code}") from None
    except (BotoCoreError, requests.RequestException) as error:
        raise ExternalError(f"{repository}: ECR cannot be reached ({type(error).__name__})") from None
    except (KeyError, ValueError, TypeError) as error:
        raise ExternalError(f"{repository}: ECR's answer cannot be read ({type(error).__name__})") from None

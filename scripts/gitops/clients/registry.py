"""Any registry of images: the digest behind a tag."""

from __future__ import annotations

import re

import requests

from gitops.ground.errors import ExternalError, InputError
from gitops.manifests.image import ECR, MUTABLE_TAGS, REFERENCE, Image

_ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
SECONDS = 15.0


def resolve(reference: str) -> Image:
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
    return Image(name, tag, digest or _digest(name, tag))


def _digest(name: str, tag: str) -> str:
    host, _, path = name.partition("/")
    if not path or not re.search(r"[.:]|^localhost$", host):
        host, path = "registry-1.docker.io", name if path else f"library/{name}"
    try:
        ecr = ECR.fullmatch(host)
        digest = _ecr_digest(ecr[1], ecr[2], path, tag) if ecr else _registry_digest(host, path, tag)
    except ExternalError:
        raise
    except Exception as error:
        raise ExternalError(
            f"image {name}:{tag}: its registry {host} cannot be asked for the digest ({type(error).__name__})",
            fix=f"give the digest: --image {name}:{tag}@sha256:...",
        ) from None
    if digest is None or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ExternalError(f"image {name}:{tag}: its registry {host} has no such tag")
    return digest


def _registry_digest(host: str, path: str, tag: str) -> str | None:
    """The distribution API: HEAD of the manifest, with an anonymous token where one is asked for.

    None where there is no such tag.
    """
    # As docker does: a registry on this machine speaks plain HTTP.
    scheme = "http" if re.fullmatch(r"(localhost|127\.0\.0\.1)(:\d+)?", host) else "https"
    url, headers = f"{scheme}://{host}/v2/{path}/manifests/{tag}", {"Accept": _ACCEPT}
    answer = requests.head(url, headers=headers, timeout=SECONDS)
    if answer.status_code == 401:
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers.get("WWW-Authenticate", "")))
        query = {"service": challenge.get("service", ""), "scope": f"repository:{path}:pull"}
        token = requests.get(challenge["realm"], params=query, timeout=SECONDS).json()
        headers["Authorization"] = f"Bearer {token.get('token') or token['access_token']}"
        answer = requests.head(url, headers=headers, timeout=SECONDS)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return answer.headers.get("Docker-Content-Digest")


def _ecr_digest(account: str, region: str, path: str, tag: str) -> str | None:
    """None where there is no such tag."""
    import boto3
    from botocore.exceptions import ClientError

    client = boto3.client("ecr", region_name=region)
    try:
        answer = client.describe_images(registryId=account, repositoryName=path, imageIds=[{"imageTag": tag}])
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return None
        raise
    return str(answer["imageDetails"][0]["imageDigest"])

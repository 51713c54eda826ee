"""Registries of images: ECR by AWS's API, any other by the OCI's."""

from gitops.clients.registries.choice import Registries, resolve
from gitops.clients.registries.oci import (
    MANIFESTS,
    CredentialsError,
    Details,
    ListedImage,
    Registry,
    details,
    normal_platform,
)

__all__ = [
    "MANIFESTS",
    "CredentialsError",
    "Details",
    "ListedImage",
    "Registries",
    "Registry",
    "details",
    "normal_platform",
    "resolve",
]

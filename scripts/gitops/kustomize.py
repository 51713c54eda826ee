"""kustomize, by subprocess."""

from __future__ import annotations

from pathlib import Path

from gitops import yamlfile
from gitops.cluster import Object
from gitops.command import CommandError, run
from gitops.errors import InputError
from gitops.paths import Checkout

BUILD_SECONDS = 60.0


def build(checkout: Checkout, folder: Path) -> list[Object]:
    """The objects of `kustomize build folder`, in its order.

    Raises InputError with kustomize's own complaint where the folder does not render.
    """
    try:
        out = run([checkout.tool("kustomize"), "build", folder], timeout=BUILD_SECONDS)
    except CommandError as error:
        raise InputError(f"{checkout.relative(folder)}: does not render: {error.stderr.strip() or error}") from None
    return yamlfile.parse_all(out, f"kustomize build {checkout.relative(folder)}")

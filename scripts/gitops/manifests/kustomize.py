"""kustomize, by subprocess."""

from __future__ import annotations

import os
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.command import CommandError, run
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.objects import Object

# An overlay takes a tenth of a second. One that takes this long hangs: on a network, or in a loop.
BUILD_SECONDS = float(os.environ.get("GITOPS_RENDER_TIMEOUT", "60"))
# A build ends before Go's collector has paid for itself: half the time of one with it.
_ENV = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}


def text(checkout: Checkout, folder: Path) -> bytes:
    """What `kustomize build folder` prints. Raises CommandError with kustomize's own complaint."""
    return run([checkout.tool("kustomize"), "build", folder], timeout=BUILD_SECONDS, env=_ENV)


def build(checkout: Checkout, folder: Path) -> list[Object]:
    """The objects of `kustomize build folder`, in its order.

    Raises InputError with kustomize's own complaint where the folder does not render.
    """
    try:
        out = text(checkout, folder)
    except CommandError as error:
        raise InputError(f"{checkout.relative(folder)}: does not render: {error.stderr.strip() or error}") from None
    return yamlfile.parse_all(out, f"kustomize build {checkout.relative(folder)}")

"""An image by hand, in the working copy: tag and digest together, in every environment or in one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops.clients.registries import Registry, resolve
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.images import edit, entry, hold
from gitops.manifests.image import REFERENCE, Image
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from gitops.repository.contents import Contents
from gitops.service.change import check_clean
from gitops.service.draft import Expectation, Gate, keep
from gitops.service.registries import check_registry

_VERSION = re.compile(r"(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})(?:@(?P<digest>sha256:[0-9a-f]{64}))?")


@dataclass(frozen=True)
class ImageChange:
    """What was written: the files, the tag, and what is to be said."""

    paths: list[Path]
    tag: str
    notes: tuple[str, ...]


def set_image(
    checkout: Checkout,
    gate: Gate,
    registry: Registry,
    service: str,
    version: str,
    *,
    name: str = entry.MAIN,
    environment: str | None,
) -> ImageChange:
    """Pin another version of a service's image. `version`: TAG, TAG@DIGEST, or a whole reference.

    The registry is asked for the digest where none is given. `name`: which entry of `images:`. Raises as `draft.keep`
    does, and ExternalError where the digest cannot be had.
    """
    overlays = services.chosen(checkout, service, environment)
    check_clean(checkout)
    files: Contents = {}
    expectations: dict[Overlay, Expectation] = {}
    notes: list[str] = []
    known: dict[str, Image] = {}
    for overlay in overlays:
        path = overlay.kustomization
        content = (checkout.root / path).read_bytes()
        pin = edit.read(content, path, name)
        reference = _reference(checkout, version, pin.image.name)
        known[reference] = image = known.get(reference) or resolve(reference, registry)
        if image.name == pin.image.name:
            files[path] = edit.replace(content, path, image, name)
        else:
            files[path] = edit.complete(content, path, image, name)
        expectations[overlay] = runs(image)
        held = hold.read(checkout, overlay, name)
        if held and held.tag != image.tag:
            notes.append(f"{entry.hold_file(overlay, name)} holds {held.tag} until {held.until.isoformat()}; delete it")
    tags = {image.tag for image in known.values()}
    return ImageChange(keep(checkout, gate, files, expectations), " ".join(sorted(tags)), tuple(notes))


def _reference(checkout: Checkout, version: str, repository: str) -> str:
    if match := _VERSION.fullmatch(version):
        tagged = f"{repository}:{match['tag']}"
        return f"{tagged}@{match['digest']}" if match["digest"] else tagged
    # A digest alone would be read as the tag of an image `sha256`.
    if "/" not in version or not REFERENCE.fullmatch(version):
        expected = "TAG, TAG@sha256:DIGEST or REGISTRY/NAME:TAG[@sha256:DIGEST]"
        raise InputError("image", expected=expected, found=repr(version))
    check_registry(checkout, version)
    return version


def runs(image: Image) -> Expectation:
    """That a container runs exactly this."""

    def unmet(objects: Sequence[Object]) -> str:
        return "" if str(image) in edit.images(objects) else f"no container runs {image}"

    return unmet

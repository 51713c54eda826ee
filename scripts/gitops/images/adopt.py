"""Entries of `images:` as other tools leave them, brought into the form that a bot can follow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops.clients.registries import ListedImage, Registry
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError, combined
from gitops.ground.suggest import unknown
from gitops.images import edit, lookup, order
from gitops.images.select import no_image
from gitops.manifests.image import MUTABLE_TAGS, REFERENCE, Image
from gitops.repository import contents


@dataclass(frozen=True)
class Adoption:
    """An entry that was not whole: where it stands, and what it pins now."""

    path: str
    line: int
    entry: str
    image: Image


def adopt(checkout: Checkout, registry: Registry, services: Sequence[str], *, dry_run: bool = False) -> list[Adoption]:
    """Give every entry of these services (or of all) its newName, newTag and digest; every other byte stays.

    All is asked and rendered before anything is written, and with `dry_run` nothing is. Raises GitopsError with every
    fault at once, and then nothing was written.
    """
    adoptions: list[Adoption] = []
    errors: list[GitopsError] = []
    changed: contents.Contents = {}
    for file in _kustomizations(checkout, services):
        try:
            content, own = _adopt_file(checkout, registry, file)
        except GitopsError as error:
            errors.append(error)
            continue
        if own:
            changed[checkout.relative(file)] = content
            adoptions += own
    if errors:
        raise combined(errors)
    with contents.temporarily_written(checkout, changed):
        for adoption in adoptions:
            pin = edit.Pin(adoption.entry, adoption.image, adoption.line)
            folder = (checkout.root / adoption.path).parent
            edit.check_render(checkout, folder, adoption.path, pin, adoption.image)
    if not dry_run:
        contents.write_all(checkout, changed)
    return adoptions


def _kustomizations(checkout: Checkout, services: Sequence[str]) -> list[Path]:
    known = [folder.name for folder in checkout.service_folders]
    if missing := [name for name in services if name not in known]:
        raise unknown("service", missing[0], known)
    files = [sorted((checkout.overlays / name).glob("*/kustomization.yaml")) for name in services or known]
    return list(itertools.chain.from_iterable(files))


def _adopt_file(checkout: Checkout, registry: Registry, file: Path) -> tuple[bytes, list[Adoption]]:
    """The file with all its entries whole, and those that were not. Raises GitopsError."""
    path = checkout.relative(file)
    content = before = file.read_bytes()
    adoptions: list[Adoption] = []
    errors: list[GitopsError] = []
    for entry in edit.entries(before, path):
        try:
            said, line = edit.fields(before, path, entry)
            image = _whole(registry, path, line, said)
            whole = edit.complete(content, path, image, entry)
        except GitopsError as error:
            errors.append(error)
            continue
        if whole != content:
            content = whole
            adoptions.append(Adoption(path, line, entry, image))
    if errors:
        raise combined(errors)
    return content, adoptions


def _whole(registry: Registry, path: str, line: int, said: dict[str, str]) -> Image:
    """What an entry pins, with what the registry says where it says only a part. Raises InputError, ExternalError."""
    name = said.get("newName") or said["name"]
    # Renovate writes both into newTag.
    tag, _, behind = said.get("newTag", "").partition("@")
    digest = said.get("digest") or behind
    reference = REFERENCE.fullmatch(f"{name}{tag and f':{tag}'}{digest and f'@{digest}'}")
    if reference is None or reference["name"] != name:
        sides = f"newName {name}, newTag {tag}, digest {digest}"
        raise InputError("no image's name, tag or digest", path=path, line=line, found=sides)
    if not tag and not digest:
        raise InputError(f"{name}: no version", path=path, line=line, fix="write newTag, the version that is to run")
    if digest and not tag:
        return Image(name, _tag_of(registry, path, line, name, digest), digest)
    if not digest:
        image = registry.look(name, tag=tag)
        if image is None:
            fix = "write one that it has; nothing was written"
            raise InputError(f"{name}: the registry has no tag {tag}", path=path, line=line, fix=fix)
        digest = image.digest
    return Image(name, tag, digest)


def _tag_of(registry: Registry, path: str, line: int, name: str, digest: str) -> str:
    """The best tag that names a digest: a version before what CI moves. Raises InputError, ExternalError."""
    tags = [image for image in registry.listing(name) if image.tag and no_image(image) is None]
    best = sorted(
        tags, key=lambda image: (image.tag.lower() not in MUTABLE_TAGS, order.natural(image.tag)), reverse=True
    )
    asked: list[ListedImage] = best if all(image.digest for image in best) else best[: lookup.MOST]
    for image in asked:
        known = image if image.digest else registry.look(name, tag=image.tag)
        if known and known.digest == digest:
            return image.tag
    what = f"{name}: none of the registry's {len(asked)} best tags names {digest[:19]}"
    raise InputError(what, path=path, line=line, fix="write newTag by hand; nothing was written")

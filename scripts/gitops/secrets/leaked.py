"""A secret leaked: what it is, who reads it, what is to be done about it, and the pull request with its successor."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from gitops.clients.github import Hub
from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.printable import code
from gitops.ground.suggest import unknown
from gitops.manifests import kustomize, secret, yamlfile
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay
from gitops.manifests.sealedsecret import ISSUER, KIND
from gitops.repository import rotation
from gitops.secrets import status
from gitops.secrets.status import SecretStatus


@dataclass(frozen=True)
class Leak:
    """What a person must know of it. `uses`: what reads it, and where; `steps`: what to do, in their order."""

    status: SecretStatus
    uses: list[str]
    elsewhere: list[str]
    steps: list[str]


def look(checkout: Checkout, cluster: str, hub: Hub | None, overlay: Overlay, name: str) -> Leak:
    """Raises InputError where no such Secret is sealed, ExternalError."""
    known, faults = status.read(checkout, cluster, hub)
    if unreadable := [fault for fault in faults if str(fault.path).startswith(f"{overlay.path}/")]:
        raise InputError.several(unreadable)
    mine = [entry for entry in known if entry.sealed.overlay == overlay and entry.sealed.name == name]
    if not mine:
        sealed = sorted(entry.sealed.name for entry in known if entry.sealed.overlay == overlay)
        raise unknown(f"sealed secret of {overlay}", name, sealed)
    [own] = mine
    elsewhere = [
        entry.sealed.path
        for entry in known
        if entry.sealed.name == name and entry.sealed.overlay != overlay and not secret.is_generation(name)
    ]
    rendered = kustomize.build(checkout, checkout.root / overlay.path)
    readers = [item for item in rendered if item.get("kind") != KIND]
    uses = list(itertools.chain.from_iterable(_uses(item, name) for item in readers))
    steps = _of_42(checkout, overlay) if secret.is_generation(name) else _of_others(own)
    return Leak(own, uses, elsewhere, steps)


def _uses(item: Object, name: str) -> Iterator[str]:
    """Every field of an object that names the Secret, whatever its kind is."""
    for path, value in _texts(item):
        if value == name and path != "metadata.name":
            yield f"{item.get('kind')} {(item.get('metadata') or {}).get('name')}: {path}"


def _texts(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            label = value.get("name", number) if isinstance(value, dict) else number
            yield from _texts(value, f"{path}[{label}]")
    elif isinstance(node, str):
        yield path, node


def _of_42(checkout: Checkout, overlay: Overlay) -> list[str]:
    data = yamlfile.read(checkout, checkout.root / overlay.file(rotation.FILE)).get("data") or {}
    page = f"{settings.read().intra42_profile_url}/oauth/applications/{data.get('application-id')}"
    return [
        f'press "Generate now" on {page}: it makes another next secret',
        "start the rotation: gh workflow run oauth.yaml; it seals the next secret, and its pull request is merged",
        f"look until it says CONFIRMED: gitops oauth status {overlay.service}",
        f'only then press "Replace now" on {page}, which should take the leaked one away; expect that sign-in may fail',
        f"look again: gitops oauth status {overlay.service}",
    ]


def _of_others(own: SecretStatus) -> list[str]:
    sealed = own.sealed
    words = f"{sealed.overlay.service} {sealed.name} --environment {sealed.overlay.environment}"
    keys = " ".join(f"--key {key}" for key in sorted(sealed.encrypted))
    issuer = sealed.annotations.get(ISSUER) or f"its issuer (none is declared: ask {own.contact or own.team})"
    return [
        f"revoke it and make another one at {issuer}",
        f"seal the new one and open its pull request: gitops secrets leaked {words} {keys}",
        "have it merged, and start what reads it anew: a pod sees a changed Secret when it starts",
        f"look until it says delivered: gitops secrets status {sealed.overlay.service}",
        "see what was done with the old one meanwhile, in its issuer's log",
    ]


def body(overlay: Overlay, name: str) -> str:
    """The text of the pull request with the successor."""
    return f"The value of {code(name)} in {code(str(overlay))} leaked. This seals its successor, and nothing else.\n"

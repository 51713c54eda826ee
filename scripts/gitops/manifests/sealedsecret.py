"""SealedSecrets as they stand in overlays: reading them, and writing one without touching another byte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import yamlfile, yamltext
from gitops.manifests.overlay import Overlay

KIND = "SealedSecret"
# On each SealedSecret that `gitops` writes: the fingerprint of the certificate that it was sealed against.
CERTIFICATE = "gitops/certificate"
_SCHEMA = "https://raw.githubusercontent.com/datreeio/CRDs-catalog/main/bitnami.com/sealedsecret_v1alpha1.json"
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Sealed:
    """One SealedSecret of an overlay. `path`: of its file in the repository."""

    path: str
    overlay: Overlay
    name: str
    encrypted: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def namespace(self) -> str:
        """The namespace that it is sealed for."""
        return self.overlay.namespace


def check_names(name: str, keys: list[str]) -> None:
    """Raise InputError unless Kubernetes takes them as the name and the keys of a Secret."""
    if not _NAME.fullmatch(name):
        expected = "lower-case letters, digits, dots and hyphens (a DNS subdomain)"
        raise InputError("name", expected=expected, found=repr(name))
    for key in keys:
        if not _KEY.fullmatch(key):
            expected = "letters, digits, hyphens, dots and underscores, at most 253"
            raise InputError("key", expected=expected, found=repr(key))


def read(content: bytes, path: str) -> Sealed:
    """A file with one SealedSecret. Raises InputError where it is none, or where its scope is not strict."""
    documents = yamlfile.parse_all(content, path)
    if len(documents) != 1 or documents[0].get("kind") != KIND:
        raise InputError(path=path, expected=f"one {KIND}")
    document = documents[0]
    try:
        meta, encrypted = document["metadata"], document["spec"]["encryptedData"]
        name, annotations = meta["name"], meta.get("annotations") or {}
        template = document["spec"]["template"]["metadata"]["name"]
    except (KeyError, TypeError) as error:
        raise InputError(f"not a whole {KIND}: {error} is missing", path=path) from None
    if template != name:
        what = f"spec.template.metadata.name is {template!r}, metadata.name {name!r}: expected equal"
        raise InputError(what, path=path)
    if any(scope.startswith("sealedsecrets.bitnami.com/") for scope in annotations):
        raise InputError("a wider scope than strict", path=path, fix="seal it anew: gitops secrets seal")
    overlay = Overlay.of_path(path)
    if overlay is None:
        raise InputError(f"a {KIND} outside of an overlay", path=path, fix="move it into the overlay that it is for")
    return Sealed(path, overlay, name, encrypted, annotations)


def all_sealed(checkout: Checkout) -> list[Sealed]:
    """Every SealedSecret under overlays/. Raises InputError, all faults at once."""
    sealed: list[Sealed] = []
    faults: list[Fault] = []
    for file in sorted(checkout.overlays.glob("[!.]*/*/*.yaml")):
        content = file.read_bytes()
        if f"kind: {KIND}".encode() in content:
            try:
                sealed.append(read(content, checkout.relative(file)))
            except InputError as error:
                faults += error.faults
    if faults:
        raise InputError.several(faults)
    return sealed


def write(name: str, encrypted: Mapping[str, str], annotations: Mapping[str, str]) -> bytes:
    """The file of a new SealedSecret of strict scope."""
    lines = [
        f"# yaml-language-server: $schema={_SCHEMA}",
        "apiVersion: bitnami.com/v1alpha1",
        f"kind: {KIND}",
        "metadata:",
        f"  name: {name}",
        "  annotations:",
        *(f'    {key}: "{value}"' for key, value in annotations.items()),
        "spec:",
        "  encryptedData:",
        *(f"    {key}: {value}" for key, value in encrypted.items()),
        "  template:",
        "    metadata:",
        f"      name: {name}",
        "",
    ]
    return "\n".join(lines).encode()


def reseal(content: bytes, path: str, encrypted: Mapping[str, str], fingerprint: str) -> bytes:
    """The file with other seals of the same keys, and the certificate that they are for. Raises InputError."""
    text = yamlfile.decode(content, path)
    old = read(content, path)
    for key in encrypted:
        if key not in old.encrypted:
            raise InputError("no such key", path=path, expected=f"one of {', '.join(old.encrypted)}", found=repr(key))
        text = yamltext.put(text, path, ("spec", "encryptedData", key), encrypted[key])
    if CERTIFICATE in old.annotations:
        text = yamltext.put(text, path, ("metadata", "annotations", CERTIFICATE), fingerprint)
    return text.encode()

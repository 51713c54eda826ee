"""Secrets that a person brings: sealing one into an overlay, and keeping all seals openable."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretBytes

from gitops.clients.sealed_secrets import Controller
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, GitopsError, InputError, combined
from gitops.manifests import kustomize, sealedsecret, yamlfile, yamltext
from gitops.manifests.sealedsecret import CERTIFICATE, Sealed
from gitops.repository import contents
from gitops.repository import services as model
from gitops.secrets import certificate
from gitops.secrets.seal import seal, unseal

KUSTOMIZATION = "kustomization.yaml"
GENERATION = "-oauth-42-g"


@dataclass(frozen=True)
class Place:
    """A SealedSecret that is to be written: in which overlay, under which name."""

    service: str
    environment: str
    name: str

    @property
    def folder(self) -> str:
        """The overlay's folder in the repository."""
        return f"overlays/{self.service}/{self.environment}"

    @property
    def path(self) -> str:
        """Its file in the repository. A generation of 42's secret leaves the service's name out, as the bot does."""
        name = self.name.removeprefix(f"{self.service}-") if GENERATION in self.name else self.name
        return f"{self.folder}/sealedsecret-{name}.yaml"


def check_place(checkout: Checkout, place: Place, keys: list[str]) -> None:
    """Raise InputError unless there is such an overlay, and Kubernetes takes the names. Asked before any value is."""
    sealedsecret.check_names(place.name, keys)
    known = [f"{each.service}/{each.environment}" for s in model.services(checkout) for each in s.deployments]
    if f"{place.service}/{place.environment}" not in known:
        raise InputError(f"{place.service}/{place.environment}: no such overlay; there are: {', '.join(known)}")
    if GENERATION in place.name and (checkout.root / place.path).exists():
        raise InputError(
            f"{place.path}: a generation is never changed, as its pods would not notice; the next one comes by: "
            f"gitops oauth provide {place.service}"
        )


def put(checkout: Checkout, place: Place, values: Mapping[str, SecretBytes], cluster: str) -> list[Path]:
    """Seal `values` as keys of the Secret; other keys of it stay as they are. Returns the files that changed.

    The overlay is rendered first: where it does not, nothing is written (InputError).
    """
    against = certificate.pinned(checkout, cluster)
    namespace = f"{place.service}-{place.environment}"
    encrypted = {
        key: seal(against.key, namespace, place.name, value.get_secret_value()) for key, value in values.items()
    }
    file, listing = checkout.root / place.path, f"{place.folder}/{KUSTOMIZATION}"
    if file.exists():
        after: contents.Contents = {place.path: _merge(file.read_bytes(), place, encrypted)}
    else:
        after = {place.path: sealedsecret.write(place.name, encrypted, {CERTIFICATE: against.fingerprint})}
        text = yamltext.decode((checkout.root / listing).read_bytes(), listing)
        after[listing] = yamltext.add_item(text, listing, "resources", file.name).encode()
    with contents.laid(checkout, after):
        kustomize.build(checkout, checkout.root / place.folder)
    contents.lay(checkout, after)
    return [checkout.root / path for path in after]


def _merge(old: bytes, place: Place, encrypted: Mapping[str, str]) -> bytes:
    found = sealedsecret.read(old, place.path)
    text = yamltext.decode(old, place.path)
    for key, value in encrypted.items():
        path = ("spec", "encryptedData")
        if key in found.encrypted:
            text = yamltext.put(text, place.path, (*path, key), value)
        else:
            text = yamltext.add_key(text, place.path, path, key, value)
    return text.encode()


def verify(sealed: Sequence[Sealed], controller: Controller) -> list[tuple[Sealed, bool]]:
    """Which seals the controller opens. Raises ExternalError."""
    return [(each, controller.opens(each)) for each in sealed]


def reseal(checkout: Checkout, controller: Controller, cluster: str) -> tuple[certificate.Certificate, list[Path]]:
    """Seal every value anew with the controller's newest key, inside of the controller, and pin its certificate.

    Returns that certificate and the files that changed (none where it is the pinned one already). All or nothing:
    raises ExternalError that names each seal that the controller cannot open.
    """
    source = f"{controller.url}/v1/cert.pem"
    newest = certificate.load(controller.certificate(), source, datetime.now(UTC))
    try:
        if certificate.pinned(checkout, cluster).fingerprint == newest.fingerprint:
            return newest, []
    except certificate.CertificateError:
        pass  # expired, or the two files disagree: that is what this mends
    return newest, _all_anew(checkout, cluster, newest, controller.rotate)


def recover(checkout: Checkout, keys: Sequence[rsa.RSAPrivateKey], cluster: str) -> list[Path]:
    """Seal every value anew against the pinned certificate with private keys from a backup, when the controller lost
    its own. Values stay in memory. All or nothing. Returns the files that changed. Raises ExternalError, InputError.
    """
    against = certificate.pinned(checkout, cluster)

    def anew(each: Sealed) -> dict[str, str]:
        return {
            key: seal(against.key, each.namespace, each.name, unseal(keys, each.namespace, each.name, value))
            for key, value in each.encrypted.items()
        }

    return _all_anew(checkout, cluster, against, anew)


def _all_anew(
    checkout: Checkout, cluster: str, against: certificate.Certificate, anew: Callable[[Sealed], dict[str, str]]
) -> list[Path]:
    changed = dict(certificate.pin_files(checkout, cluster, against))
    failed: list[GitopsError] = []
    for each in sealedsecret.all_sealed(checkout):
        try:
            content = (checkout.root / each.path).read_bytes()
            changed[each.path] = sealedsecret.reseal(content, each.path, anew(each), against.fingerprint)
        except (ExternalError, InputError) as error:
            failed.append(error)
    if failed:
        raise combined(failed)
    paths = [
        checkout.root / path for path, content in changed.items() if (checkout.root / path).read_bytes() != content
    ]
    for path in paths:
        path.write_bytes(changed[checkout.relative(path)])
    return paths


def backup_keys(file: Path) -> list[rsa.RSAPrivateKey]:
    """The private keys of a backup: PEM, or what `kubectl get secret -l sealedsecrets.bitnami.com/sealed-secrets-key -o
    yaml` printed. Raises InputError.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    blocks = [content] if b"PRIVATE KEY" in content else _of_secrets(content, str(file))
    keys = []
    for block in blocks:
        try:
            key = load_pem_private_key(block, None)
        except (ValueError, TypeError):
            raise InputError(f"{file}: holds no private key in PEM without a password") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise InputError(f"{file}: {type(key).__name__}: expected an RSA key")
        keys.append(key)
    if not keys:
        raise InputError(f"{file}: no Secret in it has tls.key; expected the controller's key Secrets")
    return keys


def _of_secrets(content: bytes, source: str) -> list[bytes]:
    found = []
    for document in yamlfile.parse_all(content, source):
        for item in document.get("items") or [document]:
            encoded = (item.get("data") or {}).get("tls.key")
            try:
                found += [base64.b64decode(encoded, validate=True)] if encoded else []
            except (binascii.Error, TypeError):
                raise InputError(f"{source}: data.tls.key is not base64") from None
    return found

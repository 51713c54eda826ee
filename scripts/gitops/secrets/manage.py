"""Secrets that a person brings: sealing one into an overlay, and keeping all seals openable."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretBytes

from gitops.clients.sealed_secrets import Controller
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, GitopsError, InputError, combined
from gitops.manifests import kustomize, sealedsecret, secret, yamledit, yamlfile, yamltext
from gitops.manifests.overlay import Overlay
from gitops.manifests.sealedsecret import CERTIFICATE, VALID_UNTIL, Sealed
from gitops.repository import contents
from gitops.repository import services as model
from gitops.secrets import certificate
from gitops.secrets.certificate import SealingCertificate
from gitops.secrets.seal import seal, unseal


@dataclass(frozen=True)
class SecretTarget:
    """A SealedSecret that is to be written: in which overlay, under which name, for a Secret of which type.

    `kind` is None for the type that it has, or Opaque where it is new.
    """

    overlay: Overlay
    name: str
    kind: str | None = None

    @property
    def path(self) -> str:
        """Its file in the repository."""
        return self.overlay.file(secret.file_name(self.overlay.service, self.name))


def check_target(checkout: Checkout, target: SecretTarget, keys: Sequence[str], declared: Collection[str] = ()) -> str:
    """The type that the Secret has, or will have. Raises InputError unless there is such an overlay, Kubernetes takes
    the names, and the file that is there has this Secret and no other. Asked before any value is.
    """
    model.check_exists(checkout, target.overlay)
    file = checkout.root / target.path
    if not file.exists():
        secret.check(target.name, keys, target.kind or secret.OPAQUE)
        return target.kind or secret.OPAQUE
    if secret.is_generation(target.name):
        raise InputError(
            "a generation is never changed, as its pods would not notice",
            path=target.path,
            fix=f"make the next one: gitops oauth provide {target.overlay.service}",
        )
    old = sealedsecret.read(file.read_bytes(), target.path)
    if old.name != target.name:
        fix = "give that file the name of its Secret, or seal under another name"
        raise InputError("has another Secret", path=target.path, expected=target.name, found=old.name, fix=fix)
    kind = target.kind or old.kind
    if kind != old.kind:
        fix = "seal it under another name, as Kubernetes changes no Secret's type"
        raise InputError("type", path=target.path, expected=old.kind, found=kind, fix=fix)
    secret.check(target.name, [*old.encrypted, *keys], kind)
    if old.annotations.get(VALID_UNTIL) and VALID_UNTIL not in declared:
        what = f"the value before was declared to end on {old.annotations[VALID_UNTIL]}"
        raise InputError(what, path=target.path, fix="say when this one ends: --valid-until DAY, or none")
    return kind


def put(
    checkout: Checkout,
    target: SecretTarget,
    values: Mapping[str, SecretBytes],
    cluster: str,
    declared: Mapping[str, str] = MappingProxyType({}),
) -> list[Path]:
    """Seal `values` as keys of the Secret; other keys of it stay as they are. Returns the files that changed.

    `declared`: annotations by which a person says more of them (VALID_UNTIL, ISSUER). The overlay is rendered first:
    where it does not, nothing is written (InputError).
    """
    after = sealed_files(checkout, target, values, cluster, declared)
    with contents.temporarily_written(checkout, after):
        kustomize.build(checkout, checkout.root / target.overlay.path)
    contents.write_all(checkout, after)
    return [checkout.root / path for path in after]


def sealed_files(
    checkout: Checkout,
    target: SecretTarget,
    values: Mapping[str, SecretBytes],
    cluster: str,
    declared: Mapping[str, str] = MappingProxyType({}),
) -> contents.Contents:
    """What `put` would write. Raises InputError."""
    kind = check_target(checkout, target, list(values), declared)
    against = certificate.pinned(checkout, cluster)
    namespace = target.overlay.namespace
    encrypted = {
        key: seal(against.key, namespace, target.name, value.get_secret_value()) for key, value in values.items()
    }
    file, listing = checkout.root / target.path, target.overlay.kustomization
    if file.exists():
        merged = _merge(file.read_bytes(), target, encrypted, against.fingerprint, declared)
        after: contents.Contents = {target.path: merged}
    else:
        annotations = {CERTIFICATE: against.fingerprint, **declared}
        after = {target.path: sealedsecret.write(target.name, encrypted, annotations, kind)}
        text = yamlfile.decode((checkout.root / listing).read_bytes(), listing)
        after[listing] = yamledit.append(text, listing, ("resources",), file.name).encode()
    return after


def _merge(
    old: bytes, target: SecretTarget, encrypted: Mapping[str, str], fingerprint: str, declared: Mapping[str, str]
) -> bytes:
    sealed = sealedsecret.read(old, target.path)
    text = yamlfile.decode(old, target.path)
    for key, value in encrypted.items():
        path = ("spec", "encryptedData")
        if key in sealed.encrypted:
            text = yamltext.put(text, target.path, (*path, key), value)
        else:
            text = yamltext.add_key(text, target.path, path, yamltext.quoted(key), value)
    # Where a value stays, the file goes on naming the older certificate: it is to be sealed anew.
    whole = sealed.encrypted.keys() <= encrypted.keys()
    annotations = {**declared, **({CERTIFICATE: fingerprint} if whole else {})}
    return sealedsecret.annotate(text, target.path, sealed, annotations).encode()


def verify(sealed: Sequence[Sealed], controller: Controller) -> list[tuple[Sealed, bool]]:
    """Which seals the controller opens. Raises ExternalError."""
    return [(secret, controller.opens(secret)) for secret in sealed]


def reseal(
    checkout: Checkout, controller: Controller, cluster: str, *, every: bool = False
) -> tuple[SealingCertificate, list[Path]]:
    """Seal what is stale anew with the controller's newest key, inside of the controller, and pin its certificate.

    Stale is each file that does not name that certificate, whatever is pinned: it may have been merged after the last
    time. `every`: the others too. Returns the certificate and the files that changed. All or nothing: raises
    ExternalError that names each seal that the controller cannot open, InputError for a file of another Secret.
    """
    source = f"{controller.url}/v1/cert.pem"
    newest = certificate.load(controller.certificate(), source, datetime.now(UTC))
    sealed = sealedsecret.all_sealed(checkout)
    chosen = sealed if every else stale(sealed, newest.fingerprint)
    return newest, _all_anew(checkout, cluster, newest, chosen, controller.rotate)


def stale(sealed: Sequence[Sealed], fingerprint: str) -> list[Sealed]:
    """Those that are not sealed against this certificate, or do not say against which."""
    return [secret for secret in sealed if secret.annotations.get(CERTIFICATE) != fingerprint]


def pin(
    checkout: Checkout, controller: Controller, cluster: str
) -> tuple[SealingCertificate, list[Path], list[Sealed]]:
    """Pin the certificate of a controller that is new, whoever held the keys before.

    Every seal that it opens is sealed anew with its newest key, inside of it; the others stay as they are. Returns the
    certificate, the files that changed, and the seals that must be made again from their values. Raises ExternalError.
    """
    newest = certificate.load(controller.certificate(), f"{controller.url}/v1/cert.pem", datetime.now(UTC))
    changed = dict(certificate.pin_files(checkout, cluster, newest))
    lost = []
    for sealed, opens in verify(sealedsecret.all_sealed(checkout), controller):
        if not opens:
            lost.append(sealed)
        elif sealed.annotations.get(CERTIFICATE) != newest.fingerprint:
            content = (checkout.root / sealed.path).read_bytes()
            encrypted = controller.rotate(sealed)
            changed[sealed.path] = sealedsecret.reseal(content, sealed.path, encrypted, newest.fingerprint)
    return newest, _write_changed(checkout, changed), lost


def recover(checkout: Checkout, keys: Sequence[rsa.RSAPrivateKey], cluster: str) -> list[Path]:
    """Seal every value anew against the pinned certificate with private keys from a backup, when the controller lost
    its own. Values stay in memory. All or nothing. Returns the files that changed. Raises ExternalError, InputError.
    """
    against = certificate.pinned(checkout, cluster)

    def anew(sealed: Sealed) -> dict[str, str]:
        where = (sealed.namespace, sealed.name)
        values = {key: unseal(keys, *where, value, path=sealed.path) for key, value in sealed.encrypted.items()}
        return {key: seal(against.key, *where, value) for key, value in values.items()}

    return _all_anew(checkout, cluster, against, sealedsecret.all_sealed(checkout), anew)


def _all_anew(
    checkout: Checkout,
    cluster: str,
    against: SealingCertificate,
    chosen: Sequence[Sealed],
    anew: Callable[[Sealed], dict[str, str]],
) -> list[Path]:
    changed: dict[str, bytes] = dict(certificate.pin_files(checkout, cluster, against))
    failed: list[GitopsError] = []
    for sealed in chosen:
        try:
            sealedsecret.check_place(sealed)
            content = (checkout.root / sealed.path).read_bytes()
            changed[sealed.path] = sealedsecret.reseal(content, sealed.path, anew(sealed), against.fingerprint)
        except (ExternalError, InputError) as error:
            failed.append(error)
    if failed:
        raise combined(failed)
    return _write_changed(checkout, changed)


def _write_changed(checkout: Checkout, files: Mapping[str, bytes]) -> list[Path]:
    """Write what differs from what stands there."""
    before = contents.read(checkout, files)
    changed: contents.Contents = {path: content for path, content in files.items() if before[path] != content}
    contents.write_all(checkout, changed)
    return [checkout.root / path for path in changed]


def backup_keys(file: Path) -> list[rsa.RSAPrivateKey]:
    """The private keys of a backup: PEM, or what `kubectl get secret -l sealedsecrets.bitnami.com/sealed-secrets-key -o
    yaml` printed. Raises InputError.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(file)) from None
    blocks = [content] if b"PRIVATE KEY" in content else _of_secrets(content, str(file))
    keys = []
    for block in blocks:
        try:
            key = load_pem_private_key(block, None)
        except (ValueError, TypeError):
            raise InputError("holds no private key in PEM without a password", path=str(file)) from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise InputError(path=str(file), expected="an RSA key", found=type(key).__name__)
        keys.append(key)
    if not keys:
        raise InputError("no Secret in it has tls.key", path=str(file), expected="the controller's key Secrets")
    return keys


def _of_secrets(content: bytes, source: str) -> list[bytes]:
    keys = []
    for document in yamlfile.parse_all(content, source):
        for item in document.get("items") or [document]:
            encoded = (item.get("data") or {}).get("tls.key")
            try:
                keys += [base64.b64decode(encoded, validate=True)] if encoded else []
            except (binascii.Error, TypeError):
                raise InputError("data.tls.key is not base64", path=source) from None
    return keys

"""The signature of an image, by a key that its service names. Fails closed: whatever cannot be verified is not signed.

cosign 3 attaches bundles (`bundles`). Its former format (cosign/specs/SIGNATURE_SPEC.md) is read too: the tag
sha256-<digest>.sig names a manifest whose layers are the signed payloads, each with its signature as an annotation.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gitops.clients.registries import CredentialsError, Registry
from gitops.ground import jsontext
from gitops.ground.errors import GitopsError, InputError
from gitops.images import bundles

_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_ANNOTATION = "dev.cosignproject.cosign/signature"
# Characters of a reason, which may have a stranger's words.
_LONGEST = 300

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


def load_key(file: Path, source: str) -> PublicKey:
    """A public key as `cosign generate-key-pair` writes it (cosign.pub). Raises InputError."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except (ValueError, OSError) as error:
        raise InputError(f"not a public key in PEM ({error})", path=source, expected="cosign.pub") from None
    if not isinstance(key, PublicKey):
        raise InputError(path=source, expected="an ECDSA, RSA or Ed25519 key", found=type(key).__name__)
    return key


class SignatureError(GitopsError):
    """An image does not count as signed (exit 1)."""


class UnsignedError(SignatureError):
    """It has no signature at all."""


class InvalidSignatureError(SignatureError):
    """It has signatures, and none is valid for this digest. `reasons`: why not, each once."""

    def __init__(self, what: str, reasons: Iterable[str]) -> None:
        self.reasons = tuple(dict.fromkeys(reasons))
        super().__init__(f"{what}: no signature is valid: {'; '.join(self.reasons)}")


# Raises what says why the bytes of a bundle are no signature.
BundleCheck = Callable[[bytes], None]


def verify(registry: Registry, name: str, digest: str, key: PublicKey) -> None:
    """Return where the digest is signed by this key, in one format or the other, and only then.

    Raises SignatureError where it is not, CredentialsError, ExternalError.
    """
    manifest = registry.manifest(name, tag=f"{digest.replace(':', '-')}.sig")
    reasons = []
    for layer in (manifest or {}).get("layers") or []:
        try:
            _verify_layer(registry, name, layer, digest, key)
        except CredentialsError:
            raise
        except Exception as error:  # of whatever type: it is no signature
            reasons.append(_reason(error))
            continue
        return
    verify_bundles(registry, name, digest, partial(_verify_bundle, key, digest), reasons)


def verify_bundles(registry: Registry, name: str, digest: str, check: BundleCheck, reasons: Sequence[str] = ()) -> None:
    """Return where one of an image's bundles passes a check, and only then.

    `check` raises what says why one does not; `reasons`: why other signatures do not. Raises SignatureError where none
    does, CredentialsError, ExternalError.
    """
    failed = list(reasons)
    for raw in bundles.read(registry, name, digest):
        try:
            check(raw)
        except Exception as error:  # of whatever type: it is no signature
            failed.append(_reason(error))
            continue
        return
    if not failed:
        raise UnsignedError(f"{name}@{digest}: not signed")
    raise InvalidSignatureError(f"{name}@{digest}", failed)


def _reason(error: Exception) -> str:
    """Why something is no signature: in words where they are ours or the library's, by its type otherwise."""
    if isinstance(error, GitopsError):
        return str(error.fault)
    if isinstance(error, InvalidSignature):
        return "it is of another key or of other bytes"
    return str(error)[:_LONGEST] if type(error) is ValueError else f"it cannot be read ({type(error).__name__})"


def _verify_bundle(key: PublicKey, digest: str, raw: bytes) -> None:
    """Return where a bundle is this key's signature of this digest; raise whatever is not as it must be.

    As with the former format the key alone decides: it has no time that a log would have to tell.
    """
    document = jsontext.parse(raw)
    envelope = document["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    [signature] = [base64.b64decode(entry["sig"], validate=True) for entry in envelope["signatures"]]
    kind = str(envelope["payloadType"])
    # DSSE's pre-authentication encoding.
    signed = b"DSSEv1 %d %b %d %b" % (len(kind.encode()), kind.encode(), len(payload), payload)
    _verify_bytes(key, signature, signed)
    bundles.check_statement(kind, payload, digest)


def _verify_layer(registry: Registry, name: str, layer: dict[str, Any], digest: str, key: PublicKey) -> None:
    """Return where this layer is this key's signature of this digest; raise whatever is not as it must be."""
    if layer["mediaType"] != _PAYLOAD:
        raise ValueError("not a signed payload")
    signature = base64.b64decode(layer["annotations"][_ANNOTATION], validate=True)
    payload = registry.blob(name, layer["digest"])
    if f"sha256:{hashlib.sha256(payload).hexdigest()}" != layer["digest"]:
        raise ValueError("not the payload that the manifest names")
    _verify_bytes(key, signature, payload)
    if jsontext.parse(payload)["critical"]["image"]["docker-manifest-digest"] != digest:
        raise ValueError("a signature of another image")


def _verify_bytes(key: PublicKey, signature: bytes, payload: bytes) -> None:
    """Raises InvalidSignature."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
    else:
        key.verify(signature, payload)

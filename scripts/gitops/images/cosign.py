"""The signature of an image, by a key that its service names. Fails closed: whatever cannot be verified is not signed.

The format is cosign's own (cosign/specs/SIGNATURE_SPEC.md): the tag sha256-<digest>.sig names a manifest whose layers
are the signed payloads, each with its signature as an annotation. cosign 3: `cosign sign --new-bundle-format=false`.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gitops.clients.registries import CredentialsError, Registry
from gitops.ground import jsontext
from gitops.ground.errors import ExternalError, GitopsError, InputError

_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_ANNOTATION = "dev.cosignproject.cosign/signature"

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
    """An image does not count as signed by the named key (exit 1)."""


class UnsignedError(SignatureError):
    """It has no signature at all."""


class InvalidSignatureError(SignatureError):
    """It has signatures, and none is of this key for this digest."""


def verify(registry: Registry, name: str, digest: str, key: PublicKey) -> None:
    """Return where the digest is signed by this key, and only then.

    Raises SignatureError where it is not, CredentialsError, ExternalError.
    """
    manifest = registry.manifest(name, tag=f"{digest.replace(':', '-')}.sig")
    if manifest is None:
        raise UnsignedError(f"{name}@{digest}: not signed")
    for layer in manifest.get("layers") or []:
        try:
            _verify_layer(registry, name, layer, digest, key)
        except CredentialsError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, InvalidSignature, ExternalError):
            continue
        return
    raise InvalidSignatureError(f"{name}@{digest}: no signature of the named key is valid for this digest")


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

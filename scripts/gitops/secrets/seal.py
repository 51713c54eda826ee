"""Sealing a value as kubeseal does, and opening a seal with a private key from a backup; in memory alone.

Format (github.com/bitnami/sealed-secrets, pkg/crypto): two bytes of big-endian length, then a random 32-byte key under
RSA-OAEP (SHA-256, MGF1 with SHA-256, the scope as label), then the value under AES-256-GCM with that key, a zero nonce
and no additional data; all of it in standard base64.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gitops.ground.errors import InputError

# The nonce may be constant because each key is used once.
_NONCE = b"\0" * 12
# How many bytes GCM adds to a value, and an empty value has.
_TAG = 16
# In bytes, what RSA seals: keys of 2048, 3072, 4096 (the controller's own) and 8192 bits.
_LENGTHS = (256, 384, 512, 1024)


def _oaep(namespace: str, name: str) -> padding.OAEP:
    """Strict scope: only a Secret of exactly this namespace and name can carry the value."""
    label = f"{namespace}/{name}".encode()
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label)


def seal(key: rsa.RSAPublicKey, namespace: str, name: str, value: bytes) -> str:
    """Seal one value in strict scope for the Secret `namespace`/`name`."""
    session = os.urandom(32)
    wrapped = key.encrypt(session, _oaep(namespace, name))
    sealed = AESGCM(session).encrypt(_NONCE, value, None)
    return base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + sealed).decode()


def unseal(
    keys: Sequence[rsa.RSAPrivateKey], namespace: str, name: str, sealed: str, *, path: str | None = None
) -> bytes:
    """Open a seal with whichever of `keys` fits; `path`: the file that it stands in.

    Raises InputError, which says nothing of the value.
    """
    try:
        wrapped, rest = _parts(sealed)
    except ValueError:
        raise InputError("not a seal: no base64", path=path) from None
    for key in keys:
        try:
            return AESGCM(key.decrypt(wrapped, _oaep(namespace, name))).decrypt(_NONCE, rest, None)
        except (ValueError, InvalidTag):
            continue
    raise InputError(
        "no given key opens this seal",
        path=path,
        expected=f"one that was made for {namespace}/{name} with one of these keys",
        found="a seal of another key, or for another namespace or name",
        fix="give the backup of the key that was in use, or seal the value anew: gitops secrets seal",
    )


def is_sealed(text: str) -> bool:
    """Whether a text has the form of a seal, of whichever key: those that were replaced open theirs all the same."""
    try:
        wrapped, rest = _parts(text)
    except ValueError:
        return False
    return len(wrapped) in _LENGTHS and len(rest) >= _TAG


def _parts(sealed: str) -> tuple[bytes, bytes]:
    """The sealed key and the sealed value. Raises ValueError where it is no base64."""
    raw = base64.b64decode(sealed, validate=True)
    size = int.from_bytes(raw[:2], "big")
    return raw[2 : 2 + size], raw[2 + size :]

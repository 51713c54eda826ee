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
        raw = base64.b64decode(sealed, validate=True)
        size = int.from_bytes(raw[:2], "big")
        wrapped, rest = raw[2 : 2 + size], raw[2 + size :]
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

"""Sealing a value as kubeseal does, in memory alone.

Format (github.com/bitnami/sealed-secrets, pkg/crypto): two bytes of big-endian length, then a random 32-byte key under
RSA-OAEP (SHA-256, MGF1 with SHA-256, the scope as label), then the value under AES-256-GCM with that key, a zero nonce
and no additional data; all of it in standard base64.
"""

from __future__ import annotations

import base64
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gitops.errors import InputError


def public_key(certificate_pem: bytes) -> rsa.RSAPublicKey:
    """The key of the controller's certificate. Raises InputError where it is no RSA certificate."""
    try:
        key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    except ValueError as error:
        raise InputError(f"not a PEM certificate: {error}") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise InputError(f"the sealing certificate must carry an RSA key, found {type(key).__name__}")
    return key


def seal(key: rsa.RSAPublicKey, namespace: str, name: str, value: bytes) -> str:
    """Seal one value in strict scope: only a Secret of exactly this namespace and name can carry it."""
    session = os.urandom(32)
    label = f"{namespace}/{name}".encode()
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label)
    wrapped = key.encrypt(session, oaep)
    # The nonce may be constant because the key is used once.
    sealed = AESGCM(session).encrypt(b"\0" * 12, value, None)
    return base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + sealed).decode()

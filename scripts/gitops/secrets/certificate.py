"""The certificate that values are sealed against: pinned by its fingerprint in the cluster's folder.

A seal against the wrong certificate cannot be opened, and one against a stranger's can be opened by the stranger: so
nothing is sealed against a certificate that is not the pinned one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile, yamltext

FILE, FIELD = "sealed-secrets.pem", "sealedSecretsFingerprint"
# What the controller makes has 4096 bits; NIST SP 800-57 takes nothing below 2048.
LEAST_BITS = 2048


class CertificateError(InputError):
    """The certificate cannot be sealed against (exit 2)."""


@dataclass(frozen=True)
class SealingCertificate:
    """A certificate that passed every check. `fingerprint`: SHA-256 of its DER form, in hex."""

    pem: bytes
    key: rsa.RSAPublicKey
    fingerprint: str
    ends: datetime


def load(pem: bytes, source: str, now: datetime) -> SealingCertificate:
    """Read a PEM certificate that may be sealed against. `source` names it in errors (CertificateError)."""
    try:
        parsed = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CertificateError(f"{source}: not a PEM certificate: {error}; fetch it from /v1/cert.pem") from None
    key = parsed.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise CertificateError(f"{source}: carries {type(key).__name__}; sealed-secrets needs an RSA key")
    if key.key_size < LEAST_BITS:
        raise CertificateError(f"{source}: its RSA key has {key.key_size} bits; expected {LEAST_BITS} or more")
    ends = parsed.not_valid_after_utc
    if now >= ends:
        raise CertificateError(
            f"{source}: expired on {ends:%Y-%m-%d}; the controller has a newer one: gitops secrets reseal"
        )
    return SealingCertificate(pem, key, parsed.fingerprint(hashes.SHA256()).hex(), ends)


def pinned(checkout: Checkout, cluster: str, now: datetime | None = None) -> SealingCertificate:
    """The certificate of clusters/<cluster>, checked against its pin. Raises CertificateError, InputError."""
    folder = checkout.root / "clusters" / cluster
    if not re.fullmatch(r"[a-z0-9-]+", cluster) or not folder.is_dir():
        known = ", ".join(sorted(path.parent.name for path in folder.parent.glob("*/cluster.yaml")))
        raise InputError(f"cluster {cluster!r}: no folder clusters/{cluster}; there are: {known}")
    file, source = folder / FILE, checkout.relative(folder / FILE)
    pin = yamlfile.read(checkout, folder / "cluster.yaml").get("data", {}).get(FIELD)
    if not file.exists() or pin is None:
        raise CertificateError(
            f"{source}: cluster {cluster!r} has no certificate, or no {FIELD} in cluster.yaml; "
            "GITOPS_CLUSTER names another cluster"
        )
    certificate = load(file.read_bytes(), source, now or datetime.now(UTC))
    if certificate.fingerprint != pin:
        raise CertificateError(
            f"{source}: its SHA-256 fingerprint is {certificate.fingerprint}, but cluster.yaml pins {pin}; "
            "compare both with the controller's own before you change either"
        )
    return certificate


def pin_files(checkout: Checkout, cluster: str, certificate: SealingCertificate) -> dict[str, bytes]:
    """The two files that pin `certificate` for a cluster, by their paths in the repository."""
    folder = f"clusters/{cluster}"
    path = f"{folder}/cluster.yaml"
    text = yamltext.decode((checkout.root / path).read_bytes(), path)
    if FIELD in yamlfile.read(checkout, checkout.root / path).get("data", {}):
        text = yamltext.put(text, path, ("data", FIELD), certificate.fingerprint)
    else:
        text = f"{text.rstrip()}\n  {FIELD}: {certificate.fingerprint}\n"
    return {path: text.encode(), f"{folder}/{FILE}": certificate.pem}

"""The certificate that values are sealed against: pinned by its fingerprint in the cluster's folder.

A seal against the wrong certificate cannot be opened, and one against a stranger's can be opened by the stranger: so
nothing is sealed against a certificate that is not the pinned one.
"""

from __future__ import annotations

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
    begins: datetime
    ends: datetime


def load(pem: bytes, source: str, now: datetime) -> SealingCertificate:
    """Read a PEM certificate that may be sealed against. `source` names it in errors (CertificateError)."""
    try:
        parsed = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise CertificateError("not a PEM certificate", path=source, fix="fetch it from /v1/cert.pem") from None
    key = parsed.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise CertificateError(path=source, expected="an RSA key, as sealed-secrets needs", found=type(key).__name__)
    if key.key_size < LEAST_BITS:
        raise CertificateError(
            "its RSA key is too short", path=source, expected=f"{LEAST_BITS} bits or more", found=str(key.key_size)
        )
    ends = parsed.not_valid_after_utc
    if now >= ends:
        raise CertificateError(
            f"expired on {ends:%Y-%m-%d}", path=source, fix="take the controller's newer one: gitops secrets reseal"
        )
    return SealingCertificate(pem, key, parsed.fingerprint(hashes.SHA256()).hex(), parsed.not_valid_before_utc, ends)


def pinned(checkout: Checkout, cluster: str, now: datetime | None = None) -> SealingCertificate:
    """The certificate of clusters/<cluster>, checked against its pin. Raises CertificateError, InputError."""
    folder = checkout.cluster(cluster)
    file, source = folder / FILE, checkout.relative(folder / FILE)
    pin = yamlfile.read(checkout, folder / "cluster.yaml").get("data", {}).get(FIELD)
    if not file.exists() or pin is None:
        raise CertificateError(
            f"cluster {cluster!r} has no certificate, or no {FIELD} in cluster.yaml",
            path=source,
            fix="name another cluster: GITOPS_CLUSTER",
        )
    certificate = load(file.read_bytes(), source, now or datetime.now(UTC))
    if certificate.fingerprint != pin:
        raise CertificateError(
            "its SHA-256 fingerprint is not the one that cluster.yaml pins",
            path=source,
            expected=str(pin),
            found=certificate.fingerprint,
            fix="compare both with the controller's own before you change either",
        )
    return certificate


def ever_pinned(checkout: Checkout, cluster: str) -> SealingCertificate | None:
    """The pinned certificate, also one that has ended; None where there is none, or not the one of the pin.

    Raises InputError.
    """
    try:
        return pinned(checkout, cluster, datetime.min.replace(tzinfo=UTC))
    except CertificateError:
        return None


def pin_files(checkout: Checkout, cluster: str, certificate: SealingCertificate) -> dict[str, bytes]:
    """The two files that pin `certificate` for a cluster, by their paths in the repository."""
    folder = f"clusters/{cluster}"
    path = f"{folder}/cluster.yaml"
    text = yamlfile.decode((checkout.root / path).read_bytes(), path)
    if FIELD in yamlfile.read(checkout, checkout.root / path).get("data", {}):
        text = yamltext.put(text, path, ("data", FIELD), certificate.fingerprint)
    else:
        text = f"{text.rstrip()}\n  {FIELD}: {certificate.fingerprint}\n"
    return {path: text.encode(), f"{folder}/{FILE}": certificate.pem}

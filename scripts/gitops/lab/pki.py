"""The lab's certificates and kubeconfig. Nothing here is meant to outlive the lab."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gitops.lab.layout import Lab

YEAR = datetime.timedelta(days=365)


def write(lab: Lab) -> None:
    """Write the CA, the API server's and the aggregator's certificates, the service account key and the kubeconfig."""
    folder = lab.folder / "pki"
    if lab.kubeconfig.exists():
        return
    folder.mkdir(exist_ok=True)
    ca_key, ca = _issue(folder, "ca", "gitops-lab", None)
    _issue(folder, "api", "kube-apiserver", (ca_key, ca), server=True)
    # The API server shows this one to metrics-server, to vouch for whom it forwards.
    _issue(folder, "aggregator", "aggregator", (ca_key, ca))
    _write_key(folder / "service-account.key", ec.generate_private_key(ec.SECP256R1()))
    settings = lab.settings()
    (folder / "tokens.csv").touch(0o600)
    (folder / "tokens.csv").write_text(f'{settings.token},lab-admin,lab-admin,"system:masters"\n')
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [
            {
                "name": "lab",
                "cluster": {
                    "server": f"https://127.0.0.1:{settings.ports['api']}",
                    "certificate-authority": str(folder / "ca.crt"),
                },
            }
        ],
        "users": [{"name": "admin", "user": {"token": settings.token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "admin", "namespace": "argocd"}}],
    }
    partial = lab.folder / "kubeconfig.partial"
    partial.touch(0o600)
    partial.write_text(yaml.safe_dump(config))
    partial.rename(lab.kubeconfig)


def _issue(
    folder: Path,
    file: str,
    name: str,
    issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None,
    *,
    server: bool = False,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + YEAR)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if server:
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.DNSName("kubernetes.default.svc"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(issuer[0] if issuer else key, hashes.SHA256())
    _write_key(folder / f"{file}.key", key)
    (folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )

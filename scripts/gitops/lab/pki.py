"""The lab's certificates and kubeconfig. Nothing here is meant to outlive the lab."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gitops.lab.layout import Lab

YEAR = datetime.timedelta(days=365)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
GITHUB = "github.com"
Issuer = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def write(lab: Lab) -> None:
    """Write two authorities, what each certifies, the service account key and the kubeconfig.

    `ca` is the API's: it certifies what people reach, and its clients have a name in the API. `parts-ca` is for parts
    that talk to each other alone.
    """
    folder = lab.folder / "pki"
    if lab.kubeconfig.exists():
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    ca = _issue(folder, "ca", "gitops-lab", None)
    _issue(folder, "api", "kube-apiserver", ca, SERVER)
    _issue(folder, "argocd-server", "argocd-server", ca, SERVER)
    _issue(folder, "metrics-server", "metrics-server.kube-system.svc", ca, SERVER)
    # What the git host is to the repo-server, which reads other projects there.
    _issue(folder, "github", GITHUB, ca, SERVER)
    # The API server shows this one to metrics-server, to vouch for whom it forwards.
    _issue(folder, "aggregator", "aggregator", ca, CLIENT)
    parts = _issue(folder, "parts-ca", "gitops-lab-parts", None)
    _issue(folder, "etcd", "etcd", parts, SERVER, CLIENT)
    _issue(folder, "etcd-client", "kube-apiserver", parts, CLIENT)
    _issue(folder, "argocd", "argocd", parts, CLIENT)
    # Under the name and in the folder where repo-server looks for it.
    (folder / "argocd/reposerver/tls").mkdir(parents=True, exist_ok=True)
    _issue(folder / "argocd/reposerver/tls", "tls", "argocd-repo-server", parts, SERVER)
    _write_key(folder / "service-account.key", ec.generate_private_key(ec.SECP256R1()))
    settings = lab.settings()
    if settings.private:
        # GitHub makes an App's key of this kind and size. A check's control plane is asked by no App.
        _write_key(folder / "github-app.key", rsa.generate_private_key(public_exponent=65537, key_size=2048))
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


def _issue(folder: Path, file: str, name: str, issuer: Issuer | None, *usages: x509.ObjectIdentifier) -> Issuer:
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
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if SERVER in usages:
        names: list[x509.GeneralName] = [
            x509.DNSName(name),
            x509.DNSName("localhost"),
            x509.DNSName("kubernetes.default.svc"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(issuer[0] if issuer else key, hashes.SHA256())
    _write_key(folder / f"{file}.key", key)
    (folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )

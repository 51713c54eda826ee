"""A Sigstore of the tests' own: Fulcio, its certificates' log and Rekor, with keys that are made here.

It signs images as cosign 3 does, in bundles that the real library takes; each part can be told to do something else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

IDENTITY = "https://github.com/ft-platform/mogle/.github/workflows/build.yaml@refs/tags/v3.1.0"
ISSUER = "https://token.actions.githubusercontent.com"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT, SIGNED = "application/vnd.in-toto+json", "https://sigstore.dev/cosign/sign/v1"
SIGNED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
_SCTS, _ISSUER = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
YEAR = timedelta(days=365)
Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def public(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: Key) -> bytes:
    return hashlib.sha256(public(key)).digest()


def sign(key: Key, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def envelope(key: Key, digest: str, *, predicate: str = SIGNED, kind: str = STATEMENT) -> dict[str, Any]:
    """A DSSE envelope of a statement that an image was signed."""
    subject = [{"name": "", "digest": {"sha256": digest.removeprefix("sha256:")}}]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": predicate,
        "predicate": {},
    }
    payload = json.dumps(statement).encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    return {"payload": text(payload), "payloadType": kind, "signatures": [{"sig": text(sign(key, signed))}]}


def bundle_of_key(key: Key, digest: str, **options: str) -> bytes:
    """As `cosign sign --key` makes one without a log."""
    material = {"publicKey": {"hint": text(key_id(key))}}
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": envelope(key, digest, **options),
    }
    return json.dumps(document).encode()


@dataclass
class Sigstore:
    """One instance. `root_ends`: until when the trust root trusts it; None: still."""

    fulcio: Key = field(default_factory=new_key)
    ctlog: Key = field(default_factory=new_key)
    rekor: Key = field(default_factory=new_key)
    root_ends: datetime | None = None

    def __post_init__(self) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fulcio of the tests")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = x509.CertificateBuilder(name, name, self.fulcio.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(SIGNED_AT - YEAR).not_valid_after(SIGNED_AT + YEAR)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.fulcio.public_key())
        self.ca = builder.add_extension(identifier, critical=False).sign(self.fulcio, hashes.SHA256())

    def trust_root(self) -> dict[str, Any]:
        """Its trusted_root.json."""
        span = {"start": (SIGNED_AT - YEAR).isoformat()}
        if self.root_ends:
            span["end"] = self.root_ends.isoformat()

        def log(key: Key, url: str) -> dict[str, Any]:
            known = {"rawBytes": text(public(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": span}
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": known,
                "logId": {"keyId": text(key_id(key))},
            }

        authority = {
            "subject": {"organization": "tests", "commonName": "fulcio"},
            "uri": "https://fulcio.example.com",
            "certChain": {"certificates": [{"rawBytes": text(self.ca.public_bytes(Encoding.DER))}]},
            "validFor": span,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.rekor, "https://rekor.example.com")],
            "certificateAuthorities": [authority],
            "ctlogs": [log(self.ctlog, "https://ctlog.example.com")],
        }

    def certificate(
        self, key: Key, identity: str = IDENTITY, issuer: str = ISSUER, *, with_sct: bool = True
    ) -> x509.Certificate:
        """Fulcio's certificate of who signs, for ten minutes, with the promise of the certificates' log in it."""
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = x509.CertificateBuilder(self.ca.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(SIGNED_AT).not_valid_after(SIGNED_AT + timedelta(minutes=10))
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.fulcio.public_key())
        builder = builder.add_extension(own, critical=False)
        name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        builder = builder.add_extension(name, critical=True)
        builder = builder.add_extension(x509.UnrecognizedExtension(_ISSUER, issuer.encode()), critical=False)
        bare = builder.sign(self.fulcio, hashes.SHA256())
        if not with_sct:
            return bare
        promise = x509.UnrecognizedExtension(_SCTS, self._promise(bare.tbs_certificate_bytes))
        return builder.add_extension(promise, critical=False).sign(self.fulcio, hashes.SHA256())

    def _promise(self, tbs: bytes) -> bytes:
        """The list with one signed timestamp, as RFC 6962 (3.2, 3.3) has it, in an OCTET STRING."""
        moment = int(SIGNED_AT.timestamp() * 1000)
        entry = key_id(self.fulcio) + struct.pack("!I", len(tbs))[1:] + tbs
        signed = struct.pack("!BBQH", 0, 0, moment, 1) + entry + b"\0\0"
        signature = sign(self.ctlog, signed)
        sct = (
            b"\0"
            + key_id(self.ctlog)
            + struct.pack("!QH", moment, 0)
            + b"\4\3"
            + struct.pack("!H", len(signature))
            + signature
        )
        listed = struct.pack("!H", len(sct)) + sct
        whole = struct.pack("!H", len(listed)) + listed
        return b"\4" + (bytes([len(whole)]) if len(whole) < 128 else b"\x81" + bytes([len(whole)])) + whole

    def log_entry(self, signed: dict[str, Any], certificate: x509.Certificate, when: datetime) -> dict[str, Any]:
        """Rekor's entry of an envelope: the second of two, with its promise and its proof."""
        payload = base64.b64decode(signed["payload"])
        digest = hashlib.sha256(payload).hexdigest()
        pem = text(certificate.public_bytes(Encoding.PEM))
        spec: Any = {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(json.dumps(signed).encode()).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": digest},
            "signatures": [{"signature": signed["signatures"][0]["sig"], "verifier": pem}],
        }
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        first = hashlib.sha256(b"\0another").digest()
        root = hashlib.sha256(b"\1" + first + hashlib.sha256(b"\0" + body).digest()).digest()
        note = f"rekor.example.com - 1\n2\n{text(root)}\n"
        line = f"\u2014 rekor.example.com {text(key_id(self.rekor)[:4] + sign(self.rekor, note.encode()))}\n"
        seconds = int(when.timestamp())
        promise: Any = {"body": text(body), "integratedTime": seconds, "logID": key_id(self.rekor).hex(), "logIndex": 1}
        return {
            "logIndex": "1",
            "logId": {"keyId": text(key_id(self.rekor))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": text(sign(self.rekor, rfc8785.dumps(promise)))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": text(root),
                "treeSize": "2",
                "hashes": [text(first)],
                "checkpoint": {"envelope": f"{note}\n{line}"},
            },
            "canonicalizedBody": text(body),
        }

    def bundle(
        self,
        digest: str,
        *,
        identity: str = IDENTITY,
        issuer: str = ISSUER,
        when: datetime = SIGNED_AT + timedelta(minutes=1),
        with_sct: bool = True,
        change: Callable[[dict[str, Any]], object] = lambda document: None,
        **options: str,
    ) -> bytes:
        """An image's signature, logged at `when`; `change`: what somebody does to the bundle afterwards."""
        key = new_key()
        certificate = self.certificate(key, identity, issuer, with_sct=with_sct)
        signed = envelope(key, digest, **options)
        document = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "certificate": {"rawBytes": text(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self.log_entry(signed, certificate, when)],
            },
            "dsseEnvelope": signed,
        }
        change(document)
        return json.dumps(document).encode()

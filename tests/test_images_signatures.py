"""Signatures in Sigstore's bundles, without a key and with one: what is one, and why what is none is none."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitops.clients.registries import ListedImage
from gitops.ground.errors import ExternalError, InputError
from gitops.images import bundles, cosign, keyless
from gitops.images.keyless import Signer, TrustRoot
from tests import sigstore_world
from tests.sigstore_world import IDENTITY, ISSUER, SIGNED_AT, YEAR, Sigstore, bundle_of_key, new_key

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SIGNER = Signer(IDENTITY, ISSUER)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return Sigstore()


@pytest.fixture(scope="module")
def root(sigstore: Sigstore) -> TrustRoot:
    return TrustRoot(sigstore.trust_root())


def verdict(raw: bytes, root: TrustRoot, signer: Signer = SIGNER) -> str:
    """Why a bundle is no signature; nothing where it is one."""
    try:
        keyless.verify(raw, DIGEST, signer, root)
    except ValueError as error:
        return str(error)
    return ""


def test_a_signature_of_the_named_identity_is_one(sigstore: Sigstore, root: TrustRoot) -> None:
    assert verdict(sigstore.bundle(DIGEST), root) == ""


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "of another identity": ({"identity": IDENTITY.replace("v3.1.0", "v9")}, "Certificate's SANs do not match"),
    "of a workflow whose name goes on": ({"identity": f"{IDENTITY}-evil"}, "Certificate's SANs do not match"),
    "of another issuer": ({"issuer": "https://accounts.example.com"}, "OIDCIssuer does not match"),
    "logged after the certificate had ended": ({"when": SIGNED_AT + 11 * MINUTE}, "certificate"),
    "logged before the certificate began": ({"when": SIGNED_AT - MINUTE}, "certificate"),
    "in no log of certificates": ({"with_sct": False}, "failed to verify SCT"),
    "a provenance": ({"predicate": "https://slsa.dev/provenance/v1"}, "a statement of another kind"),
    "no statement": ({"kind": "text/plain"}, "the envelope holds 'text/plain'"),
}


@pytest.mark.parametrize("fault", OPTIONS)
def test_what_another_signed_or_signed_otherwise_is_none(sigstore: Sigstore, root: TrustRoot, fault: str) -> None:
    options, reason = OPTIONS[fault]
    assert reason in verdict(sigstore.bundle(DIGEST, **options), root)


def _flipped(value: str) -> str:
    """Base64 of the same bytes with one bit changed in the last of them."""
    raw = bytearray(base64.b64decode(value))
    raw[-1] ^= 1
    return base64.b64encode(raw).decode()


def entry(document: dict[str, Any]) -> dict[str, Any]:
    listed: list[dict[str, Any]] = document["verificationMaterial"]["tlogEntries"]
    return listed[0]


def flip(*path: str | int) -> Callable[[dict[str, Any]], None]:
    """Change one bit of what stands there."""

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = _flipped(place[path[-1]])

    return change


BEGIN, NOTE = str(int(SIGNED_AT.timestamp())), "x\n2\nAAAA\n\n\u2014 x AAAAAAAA\n"
ENTRY = ("verificationMaterial", "tlogEntries", 0)
CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no entry of the log": (lambda document: document["verificationMaterial"].update(tlogEntries=[]), "one log entry"),
    "two entries": (
        lambda document: document["verificationMaterial"].update(tlogEntries=[entry(document)] * 2),
        "one log entry",
    ),
    "no proof": (lambda document: entry(document).pop("inclusionProof"), "inclusionProof"),
    "no checkpoint": (lambda document: entry(document)["inclusionProof"].pop("checkpoint"), "checkpoint"),
    "no promise": (lambda document: entry(document).pop("inclusionPromise"), "inclusion promise"),
    "another promise": (flip(*ENTRY, "inclusionPromise", "signedEntryTimestamp"), "inclusion promise"),
    "another hash in the proof": (flip(*ENTRY, "inclusionProof", "hashes", 0), "invalid log entry"),
    "another root of the log": (flip(*ENTRY, "inclusionProof", "rootHash"), "invalid log entry"),
    "another entry": (flip(*ENTRY, "canonicalizedBody"), ""),
    "another time": (
        lambda document: entry(document).update(integratedTime=str(int(SIGNED_AT.timestamp()))),
        "promise",
    ),
    "another checkpoint": (
        lambda document: entry(document)["inclusionProof"]["checkpoint"].update(
            envelope="x\n2\nAAAA\n\n\u2014 x AAAAAAAA\n"
        ),
        "invalid log entry",
    ),
    "another payload": (flip("dsseEnvelope", "payload"), "signature"),
    "another signature": (flip("dsseEnvelope", "signatures", 0, "sig"), ""),
    "another certificate": (flip("verificationMaterial", "certificate", "rawBytes"), ""),
    "no certificate": (lambda document: document["verificationMaterial"].pop("certificate"), ""),
    "no envelope": (lambda document: document.pop("dsseEnvelope"), ""),
    "another format": (lambda document: document.update(mediaType="x"), "mediaType"),
}


@pytest.mark.parametrize("fault", CHANGES)
def test_what_was_changed_is_none(sigstore: Sigstore, root: TrustRoot, fault: str) -> None:
    change, reason = CHANGES[fault]
    with pytest.raises(cosign.InvalidSignatureError) as caught:
        check(root, sigstore.bundle(DIGEST, change=change))
    assert reason in str(caught.value)
    assert caught.value.reasons[0], "it is said why"


def check(root: TrustRoot, *attached: bytes) -> None:
    """As a plan checks an image that has these bundles."""
    registry = Attached(*attached)
    cosign.verify_bundles(
        registry, "registry.example.com/x", DIGEST, lambda raw: keyless.verify(raw, DIGEST, SIGNER, root)
    )


class Attached:
    """A registry in which bundles are attached to one image."""

    calls = 0

    def __init__(self, *attached: bytes) -> None:
        self.attached = {f"sha256:{number:064x}": raw for number, raw in enumerate(attached)}

    def referrers(self, name: str, digest: str, kind: str) -> list[str]:
        assert (digest, kind) == (DIGEST, bundles.ARTIFACT)
        return list(self.attached)

    def manifest(self, name: str, *, digest: str = "", tag: str = "") -> dict[str, Any] | None:
        if tag:
            return None
        layer = {"mediaType": bundles.ARTIFACT, "digest": f"sha256:{sigstore_world.sha256(self.attached[digest])}"}
        return {"layers": [layer]}

    def blob(self, name: str, digest: str) -> bytes:
        return next(raw for raw in self.attached.values() if f"sha256:{sigstore_world.sha256(raw)}" == digest)

    def listing(self, name: str) -> list[ListedImage]:
        raise NotImplementedError

    def look(self, name: str, *, tag: str = "", digest: str = "", dated: bool = False) -> ListedImage | None:
        raise NotImplementedError


def test_one_valid_signature_among_others_is_enough_and_none_is_not_signed(sigstore: Sigstore, root: TrustRoot) -> None:
    check(root, b"[]", sigstore.bundle(OTHER), sigstore.bundle(DIGEST))
    with pytest.raises(cosign.UnsignedError):
        check(root)
    with pytest.raises(cosign.InvalidSignatureError) as caught:
        check(root, b"\xff", b"[]", b"[" * 100_000, sigstore.bundle(OTHER), sigstore.bundle(OTHER))
    assert caught.value.reasons[-1] == "a signature of another image"
    assert len(caught.value.reasons) == len(set(caught.value.reasons))


ROOTS: dict[str, tuple[Callable[[Sigstore], TrustRoot], str]] = {
    "of another Sigstore": (lambda own: TrustRoot(Sigstore().trust_root()), "certificate chain"),
    "of another log": (lambda own: TrustRoot(replace(own, rekor=new_key()).trust_root()), "invalid log entry"),
    "of another log of certificates": (lambda own: TrustRoot(replace(own, ctlog=new_key()).trust_root()), "SCT"),
    "that had ended": (
        lambda own: TrustRoot(replace(own, root_ends=SIGNED_AT - MINUTE).trust_root()),
        "the trust root has no certificateAuthorities that was valid at 2026-11-20T12:00:00+00:00",
    ),
}


@pytest.mark.parametrize("fault", ROOTS)
def test_a_trust_root_trusts_its_own_in_its_time(sigstore: Sigstore, fault: str) -> None:
    make, reason = ROOTS[fault]
    assert reason in verdict(sigstore.bundle(DIGEST), make(sigstore))


def test_a_trust_root_that_ended_later_still_knows_what_was_signed_before(sigstore: Sigstore) -> None:
    assert verdict(sigstore.bundle(DIGEST), TrustRoot(replace(sigstore, root_ends=SIGNED_AT + YEAR).trust_root())) == ""


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"tlogs": []}', b"\xff", b"[" * 100_000])
def test_a_trust_root_that_cannot_be_read_is_bad_input(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root.json").write_bytes(content)
    with pytest.raises(InputError, match=r"overlays/x/root.json: .*trust root") as caught:
        TrustRoot.load(tmp_path / "root.json", "overlays/x/root.json")
    assert "cosign trusted-root create" in str(caught.value)


@pytest.mark.parametrize("kind", ["certificateAuthorities", "tlogs", "ctlogs"])
def test_a_trust_root_without_one_part_trusts_nobody(sigstore: Sigstore, tmp_path: Path, kind: str) -> None:
    (tmp_path / "root.json").write_text(json.dumps({**sigstore.trust_root(), kind: []}))
    with pytest.raises(InputError, match=f"without {kind} trusts nobody"):
        TrustRoot.load(tmp_path / "root.json", "root.json")


# -- with a key

KEY = new_key()


def keyed(*attached: bytes) -> None:
    cosign.verify(Attached(*attached), "registry.example.com/x", DIGEST, KEY.public_key())


def test_a_bundle_of_the_key_is_a_signature() -> None:
    keyed(bundle_of_key(new_key(), DIGEST), bundle_of_key(KEY, DIGEST))


def _changed(raw: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(raw)
    change(document)
    return json.dumps(document).encode()


KEYED: Mapping[str, tuple[bytes, str]] = {
    "of another key": (bundle_of_key(new_key(), DIGEST), "it is of another key or of other bytes"),
    "of another image": (bundle_of_key(KEY, OTHER), "a signature of another image"),
    "a provenance": (bundle_of_key(KEY, DIGEST, predicate="https://slsa.dev/provenance/v1"), "of another kind"),
    "another payload": (_changed(bundle_of_key(KEY, DIGEST), flip("dsseEnvelope", "payload")), "of other bytes"),
    "no signature": (
        _changed(bundle_of_key(KEY, DIGEST), lambda document: document["dsseEnvelope"].update(signatures=[])),
        "not enough values",
    ),
    "no envelope": (_changed(bundle_of_key(KEY, DIGEST), lambda document: document.clear()), "cannot be read"),
    "nothing": (b"", "cannot be read"),
}


@pytest.mark.parametrize("fault", KEYED)
def test_what_the_key_did_not_sign_is_none(fault: str) -> None:
    raw, reason = KEYED[fault]
    with pytest.raises(cosign.InvalidSignatureError) as caught:
        keyed(raw)
    assert reason in str(caught.value)


def test_a_registry_that_gives_another_bundle_than_it_names_is_told_of(sigstore: Sigstore, root: TrustRoot) -> None:
    registry = Attached(sigstore.bundle(DIGEST))
    registry.blob = lambda name, digest: b"{}"  # type: ignore[method-assign]
    with pytest.raises(ExternalError, match="gave another bundle"):
        list(bundles.read(registry, "registry.example.com/x", DIGEST))

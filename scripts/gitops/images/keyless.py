"""A signature without a key: Fulcio's certificate of who signed, and the log Rekor that says when.

Nothing is asked of Sigstore: what its instances are is the trust root, a file of this repository (trusted_root.json).
The library `sigstore` verifies; here each instance counts for the time only that the trust root gives it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops.ground import jsontext
from gitops.ground.errors import InputError, told
from gitops.images import bundles

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

_EXPECTED = "Sigstore's trusted_root.json, as `cosign trusted-root create` writes it"


@dataclass(frozen=True)
class Signer:
    """Who must have signed: the certificate's identity, exactly, as this issuer says."""

    identity: str
    issuer: str


@dataclass(frozen=True)
class TrustRoot:
    """The instances that are trusted, as the file has them."""

    document: dict[str, Any]

    @classmethod
    def load(cls, file: Path, source: str) -> TrustRoot:
        """Raises InputError for a file that cannot be read or that trusts nobody."""
        try:
            document = jsontext.parse(file.read_bytes())
            root = cls(document)
            root._named("certificateAuthorities")
            _library(document)
        except Exception as error:  # of whatever type: the library's readers raise many
            what = f"not a trust root ({told(error)})"
            raise InputError(what, path=source, expected=_EXPECTED) from None
        for kind in ("certificateAuthorities", "tlogs", "ctlogs"):
            if not root._named(kind):
                raise InputError(f"a trust root without {kind} trusts nobody", path=source, expected=_EXPECTED)
        return root

    def _named(self, kind: str) -> list[dict[str, Any]]:
        return list(self.document.get(kind) or [])

    def valid_at(self, moment: datetime) -> TrustedRoot:
        """What was trusted at a moment: the library takes each instance for all of time. Raises ValueError."""
        valid = dict(self.document)
        for kind in ("certificateAuthorities", "tlogs", "ctlogs", "timestampAuthorities"):
            valid[kind] = [own for own in self._named(kind) if _covers(own, moment)]
            if not valid[kind] and kind != "timestampAuthorities":
                raise ValueError(f"the trust root has no {kind} that was valid at {moment.isoformat()}")
        return _library(valid)


def _library(document: dict[str, Any]) -> TrustedRoot:
    from sigstore.models import TrustedRoot
    from sigstore_models.trustroot.v1 import TrustedRoot as Inner

    return TrustedRoot(Inner.from_json(json.dumps(document)))


def _covers(instance: dict[str, Any], moment: datetime) -> bool:
    span = instance.get("validFor") or (instance.get("publicKey") or {}).get("validFor") or {}
    start, end = (datetime.fromisoformat(span[edge]) if span.get(edge) else None for edge in ("start", "end"))
    return (start is None or start <= moment) and (end is None or moment <= end)


def verify(raw: bytes, digest: str, signer: Signer, root: TrustRoot) -> None:
    """Return where a bundle is the signer's signature of an image. Raises ValueError, which says why not."""
    from sigstore.errors import Error
    from sigstore.models import Bundle
    from sigstore.verify import Verifier, policy

    try:
        bundle = Bundle.from_json(raw)
        # The certificate lives for minutes, and the log's time has to lie within them.
        trusted = root.valid_at(bundle.signing_certificate.not_valid_before_utc)
        who = policy.Identity(identity=signer.identity, issuer=signer.issuer)
        kind, payload = Verifier(trusted_root=trusted).verify_dsse(bundle, who)
    except Error as error:
        # Of a field that is not as it must be: its name, and not the stranger's value.
        raise ValueError(" ".join(str(error).split("\n")[:2]) or type(error).__name__) from None
    bundles.check_statement(kind, payload, digest)

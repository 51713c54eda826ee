"""Sigstore's bundles of an image: cosign 3 attaches them as the OCI's referrers, one for each signature.

A bundle's envelope (DSSE) holds a statement (in-toto) of which image was signed. One of another kind, such as a
provenance or an SBOM, says nothing of who lets the image run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gitops.clients.registries import Registry
from gitops.ground import jsontext
from gitops.ground.errors import ExternalError

ARTIFACT = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT = "application/vnd.in-toto+json"
SIGNED = "https://sigstore.dev/cosign/sign/v1"
# Anyone who may push can attach more.
_MOST = 50


def read(registry: Registry, name: str, digest: str) -> Iterator[bytes]:
    """Each bundle that is attached to an image, newest last as the registry lists them, 50 at most.

    Raises CredentialsError, ExternalError.
    """
    for referrer in registry.referrers(name, digest, ARTIFACT)[:_MOST]:
        manifest = registry.manifest(name, digest=referrer) or {}
        layers = [layer for layer in manifest.get("layers") or [] if layer.get("mediaType") == ARTIFACT]
        for layer in layers[:1]:
            content = registry.blob(name, layer["digest"])
            if f"sha256:{hashlib.sha256(content).hexdigest()}" != layer["digest"]:
                raise ExternalError(f"{name}@{referrer[:19]}: the registry gave another bundle")
            yield content


def check_statement(kind: str, payload: bytes, digest: str) -> None:
    """Return where a verified envelope says that this image was signed. Raises ValueError, which says why not."""
    if kind != STATEMENT:
        raise ValueError(f"the envelope holds {kind!r} and no statement")
    try:
        statement = jsontext.parse(payload)
        predicate = statement["predicateType"]
        signed = {f"sha256:{subject['digest']['sha256']}" for subject in statement["subject"]}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError("the statement cannot be read") from None
    if predicate != SIGNED:
        raise ValueError(f"a statement of another kind ({predicate})")
    if signed != {digest}:
        raise ValueError("a signature of another image")

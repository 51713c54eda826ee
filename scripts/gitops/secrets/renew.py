"""What the cluster's own job sealed anew (apps/platform/key-backup), from the bucket into a pull request.

Nobody but that job writes there, and nothing in it is a secret. It is held to main all the same: other values than
those that main has now, other keys, or what is no seal, is left where it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gitops.clients.aws.session import AwsSession
from gitops.clients.github import Hub
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError
from gitops.ground.jsontext import parse
from gitops.ground.printable import code, counted
from gitops.manifests import sealedsecret
from gitops.manifests.sealedsecret import Sealed
from gitops.repository import contents
from gitops.secrets import certificate, manage, propose
from gitops.secrets.backup import KeyBucket
from gitops.secrets.certificate import SealingCertificate
from gitops.secrets.seal import is_sealed

PREFIX = "renewed-seals/"
_MOST_BYTES = 8_000_000


class RenewedSeal(BaseModel):
    """A SealedSecret's values under another key. `before`: of which ones, by `digest`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: str
    name: str
    before: str = Field(pattern=r"^[0-9a-f]{64}$")
    encrypted: dict[str, str]


class Renewal(BaseModel):
    """An object of the bucket, as backup.py writes it. `certificate`: in PEM, what all of them are sealed against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str
    certificate: str
    seals: tuple[RenewedSeal, ...]


@dataclass(frozen=True)
class Renewed:
    """The newest renewal, and the files that it makes of main's: none where main has it, or has moved on."""

    certificate: SealingCertificate
    files: contents.Contents


def digest(encrypted: Mapping[str, str]) -> str:
    """What tells one version of a SealedSecret's values from another: as backup.py counts it."""
    text = json.dumps(dict(encrypted), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read(where: KeyBucket) -> Renewal | None:
    """The newest object of the bucket; None where there is none. Raises InputError for credentials, ExternalError."""
    session = AwsSession(where.region)
    listed = session.pages("s3", "list_objects_v2", "Contents", Bucket=where.bucket, Prefix=PREFIX)
    if not listed:
        return None
    name = max(listed, key=lambda item: (item["LastModified"], item["Key"]))["Key"]
    path = f"s3://{where.bucket}/{name}"
    body = session.call("s3", "get_object", Bucket=where.bucket, Key=name)["Body"].read(_MOST_BYTES)
    try:
        renewal = Renewal.model_validate(parse(body))
    except (ValidationError, ValueError):
        raise ExternalError("not what the backup writes", path=path) from None
    if renewal.cluster != where.cluster:
        raise ExternalError("of another cluster", path=path, expected=where.cluster, found=renewal.cluster)
    return renewal


def apply(checkout: Checkout, cluster: str, renewal: Renewal) -> Renewed:
    """What the checkout's files become. Raises CertificateError, InputError."""
    newest = certificate.load(renewal.certificate.encode(), f"{PREFIX} of {cluster}", datetime.now(UTC))
    if not _follows(checkout, cluster, newest):
        return Renewed(newest, {})
    known = {(seal.namespace, seal.name): seal for seal in renewal.seals}
    files: contents.Contents = {}
    for sealed in manage.stale(sealedsecret.all_sealed(checkout), newest.fingerprint):
        seal = known.get((sealed.namespace, sealed.name))
        if seal and _fits(seal, sealed):
            old = (checkout.root / sealed.path).read_bytes()
            files[sealed.path] = sealedsecret.reseal(old, sealed.path, seal.encrypted, newest.fingerprint)
    pin = certificate.pin_files(checkout, cluster, newest)
    before = contents.read(checkout, pin)
    changed = {path: content for path, content in pin.items() if before[path] != content}
    return Renewed(newest, {**files, **changed})


def _follows(checkout: Checkout, cluster: str, newest: SealingCertificate) -> bool:
    """Whether it is the pinned one, or younger: an object of before would pin a key of before."""
    pinned = certificate.ever_pinned(checkout, cluster)
    return pinned is None or newest.fingerprint == pinned.fingerprint or newest.begins > pinned.begins


def _fits(seal: RenewedSeal, sealed: Sealed) -> bool:
    same = seal.before == digest(sealed.encrypted) and seal.encrypted.keys() == sealed.encrypted.keys()
    return same and all(map(is_sealed, seal.encrypted.values()))


def run(checkout: Checkout, cluster: str, where: KeyBucket, hub: Hub) -> str:
    """Open the pull request, unless it is open, or a person closed one for this key. Returns what was done, in words.

    Raises InputError, ExternalError.
    """
    renewal = read(where)
    if renewal is None:
        return "the cluster has sealed nothing anew"
    made = apply(checkout, cluster, renewal)
    if not made.files:
        return "main has all of it"
    branch = f"seals/{cluster}"
    fingerprint = made.certificate.fingerprint
    title = f"Seal anew for the key {fingerprint[:12]}"
    if pull := hub.open_pulls().get(branch):
        return f"#{pull.number} is open: {pull.html_url}"
    if any(pull.title == title for pull in hub.closed_pulls(branch)):
        return f"a person closed the pull request for the key {fingerprint[:12]}; reopen it, or wait for the next key"
    body = (
        f"{counted(len(made.files), 'file')}, sealed by the controller of {code(cluster)} itself: "
        "no value became known.\n\n"
        "Compare the fingerprint with the cluster's own before you merge (docs/runbooks/secrets.md): "
        f"{code(fingerprint)}\n"
    )
    contents.write_all(checkout, made.files)
    paths = [checkout.root / path for path in made.files]
    return f"opened {propose.propose(checkout, hub, branch, title, body, paths)}"

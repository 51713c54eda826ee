"""The backup of the sealing keys: what the CronJob key-backup put into the bucket, opened in memory and restored.

KMS opens a key for whoever may both read the bucket and decrypt with the cluster's key: people with the administrator's
role, and nothing in the cluster.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, SecretBytes, ValidationError

from gitops.clients.aws.session import AwsSession
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, GitopsError, InputError, combined
from gitops.ground.jsontext import parse
from gitops.manifests import yamlfile
from gitops.manifests.objects import Object
from gitops.secrets import certificate

PREFIX = "sealing-keys/"
# By it the controller finds its keys when it starts; the value is `active`, or what an operator wrote instead.
LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
_MOST_BYTES = 100_000


class BackupObject(BaseModel):
    """An object of the bucket, as backup.py writes it. `key` is what KMS encrypted, `certificate` PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    secret: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    label: str
    certificate: str
    key: Base64Bytes
    made: str


@dataclass(frozen=True)
class SealingKey:
    """A key that was opened, and held against its certificate. `stored`: when it came into the bucket."""

    secret: str
    label: str
    certificate: str
    fingerprint: str
    key: SecretBytes
    stored: datetime


@dataclass(frozen=True)
class KeyBucket:
    """Where a cluster's keys are. `pinned`: the fingerprint of what is sealed against, if anything is."""

    cluster: str
    bucket: str
    region: str
    pinned: str | None


def bucket_of(checkout: Checkout, cluster: str) -> KeyBucket:
    """The bucket that the stacks made, from outputs.yaml. Raises InputError where there is none yet."""
    folder = checkout.cluster(cluster)
    outputs = folder / "outputs.yaml"
    bucket = (yamlfile.read(checkout, outputs).get("data") or {}).get("BackupsBucket") if outputs.exists() else None
    data = yamlfile.read(checkout, folder / "cluster.yaml").get("data") or {}
    if not bucket or not data.get("region"):
        raise InputError(
            f"cluster {cluster!r} has no bucket of backups",
            path=checkout.relative(outputs),
            expected="data.BackupsBucket, as `gitops cluster up` writes it",
        )
    return KeyBucket(cluster, str(bucket), str(data["region"]), data.get(certificate.FIELD))


def read(where: KeyBucket) -> list[SealingKey]:
    """Every key of the bucket, opened in memory; the oldest first.

    Raises InputError for credentials; ExternalError, all faults at once, for what cannot be read, opened or trusted.
    """
    session = AwsSession(where.region)
    listed = session.pages("s3", "list_objects_v2", "Contents", Bucket=where.bucket, Prefix=PREFIX)
    keys: list[SealingKey] = []
    failed: list[GitopsError] = []
    for item in sorted(listed, key=lambda item: (item["LastModified"], item["Key"])):
        try:
            keys.append(_opened(session, where, item["Key"], item["LastModified"]))
        except ExternalError as error:
            failed.append(error)
    if failed:
        raise combined(failed)
    return keys


def _opened(session: AwsSession, where: KeyBucket, name: str, moment: datetime) -> SealingKey:
    source = f"s3://{where.bucket}/{name}"
    body = session.call("s3", "get_object", Bucket=where.bucket, Key=name)["Body"].read(_MOST_BYTES)
    try:
        stored = BackupObject.model_validate(parse(body))
    except (ValidationError, ValueError):
        # Its text would hold what is in the object.
        raise ExternalError("not what the backup writes", path=source, fix="look at the older versions of it") from None
    context = {"cluster": where.cluster, "fingerprint": stored.fingerprint}
    # By our own key and no other: whoever may write the bucket could have encrypted with one of his.
    ours = f"alias/{where.cluster}-platform"
    answer = session.call("kms", "decrypt", CiphertextBlob=stored.key, EncryptionContext=context, KeyId=ours)
    key = SecretBytes(answer["Plaintext"])
    if not _belongs(key, stored, source):
        raise ExternalError(
            "the key is not that of its certificate", path=source, fix="look at the older versions of it"
        )
    return SealingKey(stored.secret, stored.label, stored.certificate, stored.fingerprint, key, moment)


def _belongs(key: SecretBytes, stored: BackupObject, source: str) -> bool:
    """Whether a key, its certificate and the fingerprint are of each other."""
    try:
        loaded = certificate.load(stored.certificate.encode(), source, datetime.min.replace(tzinfo=UTC))
        private = load_pem_private_key(key.get_secret_value(), None)
    except (InputError, ValueError, TypeError):
        return False
    same = isinstance(private, rsa.RSAPrivateKey) and private.public_key() == loaded.key
    return same and loaded.fingerprint == stored.fingerprint and source.endswith(f"/{stored.fingerprint}.json")


def check_pinned(where: KeyBucket, keys: Iterable[SealingKey]) -> None:
    """Raise ExternalError where the key of what is sealed against now is in no backup."""
    if where.pinned and where.pinned not in {key.fingerprint for key in keys}:
        raise ExternalError(
            f"no backup has the key of the pinned certificate {where.pinned[:12]}",
            path=f"s3://{where.bucket}/{PREFIX}",
            fix="start the CronJob key-backup, or pin the controller's own certificate: gitops secrets pin",
        )


def held(cluster: Cluster, namespace: str) -> set[str]:
    """The fingerprints of all keys that a cluster's controller has, or will have once it is started again.

    The newest is not enough to ask for: a new controller makes a key of its own before the old ones are restored.
    """
    items = cluster.items(f"/api/v1/namespaces/{namespace}/secrets", labelSelector=LABEL)
    pems = [base64.b64decode((item.get("data") or {}).get("tls.crt", "")) for item in items]
    always = datetime.min.replace(tzinfo=UTC)
    return {certificate.load(pem, f"a key of {namespace}", always).fingerprint for pem in pems}


def restore(cluster: Cluster, keys: Iterable[SealingKey], namespace: str) -> list[str]:
    """Give the controller its keys again; the names of those that were not there. It reads them when it starts.

    Raises ExternalError where the API server refuses.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets"
    there = {(item.get("data") or {}).get("tls.crt") for item in cluster.items(path, labelSelector=LABEL)}
    restored = []
    for key in keys:
        secret = _secret(key, namespace)
        if secret["data"]["tls.crt"] in there:
            continue
        try:
            cluster.create(path, secret)
        except ClusterError as error:
            if error.status != 409:
                raise
            # Another key has that name in this cluster.
            secret["metadata"]["name"] = f"sealed-secrets-key-{key.fingerprint[:12]}"
            cluster.create(path, secret)
        restored.append(str(secret["metadata"]["name"]))
    return restored


def _secret(key: SealingKey, namespace: str) -> Object:
    values = {"tls.crt": key.certificate.encode(), "tls.key": key.key.get_secret_value()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": key.secret, "namespace": namespace, "labels": {LABEL: key.label}},
        "data": {name: base64.b64encode(value).decode() for name, value in values.items()},
    }

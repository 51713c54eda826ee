"""The scheduled backup of the sealing keys: what opens every SealedSecret of git's history, when the cluster is lost.

Run by a CronJob in the cluster with nothing but Python's own library. Each key of the sealed-secrets controller is
encrypted by KMS, whole, and put into the bucket of backups once, under the fingerprint of its certificate: what is
there is not written again. The role that it runs with can encrypt and write, and neither decrypt nor read: a stolen one
opens nothing. A key is in memory alone. `gitops secrets restore` is the way back.

Then what is sealed with a key of before is sealed anew, by the controller and inside of it, and put there too: `gitops
secrets renew` makes a pull request of it. What it writes is as public as git.

CLUSTER and AWS_REGION say where, NAMESPACE where the controller is, CONTROLLER its address (without it no seal is
renewed). Exit code 0: all is there; 1: not all.
"""

# ruff: noqa: S310, TID251 - every address is the pod's own setting, and nothing of the package is there

import base64
import hashlib
import hmac
import json
import os
import ssl
import sys
import time
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

# On each SealedSecret: what it is sealed against.
CERTIFICATE = "gitops/certificate"
RENEWED = "renewed-seals"
LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS = 30
# KMS encrypts no more at once; a key of RSA-4096, which the controller makes, has 3.2 kB in PEM.
MOST_BYTES = 4096
THERE_ALREADY, TOO_MANY = 412, 429
TRIES = 5
FAILURES = (HTTPError, URLError, OSError, HTTPException, KeyError, ValueError, TypeError)


def listed(path: str) -> list[dict[str, Any]]:
    """The items of a collection, asked of the API server as the pod's service account."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    server = f"https://{f'[{host}]' if ':' in host else host}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    account = Path(os.environ.get("SERVICE_ACCOUNT_FOLDER") or ACCOUNT)
    headers = {"Authorization": f"Bearer {(account / 'token').read_text()}"}
    request = Request(f"{server}{path}", headers=headers)
    context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    with urlopen(request, timeout=SECONDS, context=context) as answer:
        items: list[dict[str, Any]] = json.load(answer)["items"]
    return items


def sealing_keys(namespace: str) -> list[dict[str, Any]]:
    """The controller's key Secrets."""
    return listed(f"/api/v1/namespaces/{namespace}/secrets?{urlencode({'labelSelector': LABEL})}")


def credentials() -> dict[str, str]:
    """What EKS Pod Identity gives this pod: AccessKeyId, SecretAccessKey and Token, as AWS's SDKs ask for them."""
    token = Path(os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read_text()
    request = Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": token})
    with urlopen(request, timeout=SECONDS) as answer:
        given: dict[str, str] = json.load(answer)
    return given


def signed(
    method: str, url: str, headers: dict[str, str], body: bytes, service: str, keys: dict[str, str], now: datetime
) -> dict[str, str]:
    """The headers of a request with AWS's signature, version 4 (IAM User Guide, "Create a signed AWS API request").

    `url` is encoded already, and has no query.
    """
    parts, day, region = urlsplit(url), f"{now:%Y%m%d}", os.environ["AWS_REGION"]
    digest = hashlib.sha256(body).hexdigest()
    own = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
    own |= {"x-amz-security-token": keys["Token"]} | {name.lower(): value for name, value in headers.items()}
    names = ";".join(sorted(own))
    listed = "".join(f"{name}:{own[name].strip()}\n" for name in sorted(own))
    canonical = "\n".join([method, parts.path, "", listed, names, digest])
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", own["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys['SecretAccessKey']}".encode()
    for word in (day, region, service, "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    head = f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}"
    return {**own, "Authorization": f"{head}, SignedHeaders={names}, Signature={signature}"}


def call(method: str, url: str, headers: dict[str, str], body: bytes, service: str, keys: dict[str, str]) -> bytes:
    """One request to AWS. Raises HTTPError, URLError."""
    every = signed(method, url, headers, body, service, keys, datetime.now(UTC))
    with urlopen(Request(url, body, every, method=method), timeout=SECONDS) as answer:
        content: bytes = answer.read()
    return content


def digest(encrypted: dict[str, str]) -> str:
    """What tells one version of a SealedSecret's values from another."""
    return hashlib.sha256(json.dumps(encrypted, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def rotated(controller: str, item: dict[str, Any]) -> dict[str, str]:
    """The values of a SealedSecret, sealed with the controller's newest key. It takes two requests a second."""
    meta = {name: item["metadata"][name] for name in ("name", "namespace")}
    spec = {"encryptedData": item["spec"]["encryptedData"], "template": {"metadata": meta}}
    document = {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": meta, "spec": spec}
    for _ in range(TRIES):
        time.sleep(float(os.environ.get("PAUSE") or 0.6))
        try:
            with urlopen(Request(f"{controller}/v1/rotate", json.dumps(document).encode()), timeout=SECONDS) as answer:
                values: dict[str, str] = json.load(answer)["spec"]["encryptedData"]
            return values
        except HTTPError as error:
            if error.code != TOO_MANY:
                raise
    raise TimeoutError


def renew(cluster: str, bucket: str, keys: dict[str, str]) -> str:
    """Bring what is stale, sealed anew, into the bucket once; what was done, in words."""
    controller = os.environ["CONTROLLER"]
    with urlopen(f"{controller}/v1/cert.pem", timeout=SECONDS) as answer:
        certificate = answer.read().decode()
    newest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
    seals = []
    for item in listed("/apis/bitnami.com/v1alpha1/sealedsecrets"):
        meta, old = item["metadata"], item["spec"]["encryptedData"]
        if (meta.get("annotations") or {}).get(CERTIFICATE) == newest:
            continue
        try:
            seal = {"namespace": meta["namespace"], "name": meta["name"], "before": digest(old)}
            seals.append({**seal, "encrypted": rotated(controller, item)})
        except FAILURES as error:
            print(f"{meta['namespace']}/{meta['name']}: not sealed anew: {_reason(error)}", file=sys.stderr)
    if not seals:
        return "no seal is stale"
    # Of the same seals once, whenever it is asked: each time they come out otherwise.
    state = hashlib.sha256("\n".join(sorted(str(seal["before"]) for seal in seals)).encode()).hexdigest()
    document = {"cluster": cluster, "certificate": certificate, "seals": seals}
    is_new = store(bucket, f"{RENEWED}/{newest}/{state}.json", json.dumps(document).encode(), keys)
    return f"{len(seals)} seals anew for {newest[:12]}: {'written' if is_new else 'there already'}"


def encrypted(key: bytes, context: dict[str, str], keys: dict[str, str]) -> tuple[str, str]:
    """A key as KMS encrypts it, in base64, and the ARN of what it did so with. Only the same context opens it again."""
    url = os.environ.get("AWS_ENDPOINT_URL") or f"https://kms.{os.environ['AWS_REGION']}.amazonaws.com"
    asked = {
        "KeyId": f"alias/{context['cluster']}-platform",
        "Plaintext": base64.b64encode(key).decode(),
        "EncryptionContext": context,
    }
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "TrentService.Encrypt"}
    answer = json.loads(call("POST", f"{url}/", headers, json.dumps(asked).encode(), "kms", keys))
    return answer["CiphertextBlob"], answer["KeyId"]


def store(bucket: str, name: str, content: bytes, keys: dict[str, str]) -> bool:
    """Put an object where there is none of its name yet; whether there was none."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    host = f"{endpoint}/{bucket}" if endpoint else f"https://{bucket}.s3.{os.environ['AWS_REGION']}.amazonaws.com"
    headers = {"content-type": "application/json", "if-none-match": "*"}
    try:
        call("PUT", f"{host}/{name}", headers, content, "s3", keys)
    except HTTPError as error:
        if error.code != THERE_ALREADY:
            raise
        return False
    return True


def back_up(secret: dict[str, Any], cluster: str, keys: dict[str, str]) -> tuple[str, str]:
    """Bring one key into the bucket; what was done, in words, and the bucket. Raises ValueError where it is none."""
    name, data = secret["metadata"]["name"], secret["data"]
    certificate = base64.b64decode(data["tls.crt"]).decode()
    key = base64.b64decode(data["tls.key"])
    if len(key) > MOST_BYTES:
        raise ValueError(f"expected a key of at most {MOST_BYTES} bytes, found {len(key)}")
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
    context = {"cluster": cluster, "fingerprint": fingerprint}
    text, arn = encrypted(key, context, keys)
    document = {
        **context,
        "secret": name,
        "label": secret["metadata"]["labels"][LABEL],
        "certificate": certificate,
        "key": text,
        "made": secret["metadata"].get("creationTimestamp", ""),
    }
    bucket = f"{cluster}-backups-{arn.split(':')[4]}"
    is_new = store(bucket, f"sealing-keys/{fingerprint}.json", json.dumps(document).encode(), keys)
    return f"{name} ({fingerprint[:12]}): {'written' if is_new else 'there already'}", bucket


def main() -> int:
    """Every key, whatever is wrong with the one before. Nothing of a key is ever printed."""
    cluster, namespace = os.environ["CLUSTER"], os.environ["NAMESPACE"]
    try:
        secrets, keys = sealing_keys(namespace), credentials()
    except FAILURES as error:
        print(f"no answer of the API server or of Pod Identity: {_reason(error)}", file=sys.stderr)
        return 1
    failed, bucket = 0, ""
    for secret in secrets:
        try:
            words, bucket = back_up(secret, cluster, keys)
            print(words)
        except FAILURES as error:
            failed += 1
            print(f"{secret['metadata']['name']}: not backed up: {_reason(error)}", file=sys.stderr)
    if bucket and os.environ.get("CONTROLLER"):
        try:
            print(renew(cluster, bucket, keys))
        except FAILURES as error:
            failed += 1
            print(f"no seal was renewed: {_reason(error)}", file=sys.stderr)
    if not secrets:
        print(f"no Secret with the label {LABEL} in {namespace}: is the controller there?", file=sys.stderr)
    return int(bool(failed) or not secrets)


def _reason(error: Exception) -> str:
    """A status or a kind of error: the text of some holds what they could not read."""
    return f"HTTP {error.code}" if isinstance(error, HTTPError) else type(error).__name__


if __name__ == "__main__":
    sys.exit(main())

"""Objects of S3: put as they come, whole or not at all, and encrypted by a key of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from gitops.clients.aws.errors import calling, code_of
from gitops.clients.aws.session import AwsSession
from gitops.ground.errors import InputError

_ABSENT = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}


@dataclass(frozen=True)
class ObjectUrl:
    """Where an object is, or where several begin alike."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> ObjectUrl:
        """Of s3://BUCKET/KEY. Raises InputError."""
        parts = urlsplit(text)
        key = parts.path.strip("/")
        if parts.scheme != "s3" or not parts.netloc or not key or parts.query or parts.fragment:
            raise InputError("not an address in S3", expected="s3://BUCKET/KEY", found=repr(text))
        return cls(parts.netloc, key)

    def beside(self, suffix: str) -> ObjectUrl:
        """The object whose key ends with `suffix` beside."""
        return ObjectUrl(self.bucket, f"{self.key}{suffix}")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Objects:
    """Objects, with the credentials that the environment gives."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def encrypted_by_ours(self, bucket: str) -> bool:
        """Whether a bucket encrypts by a key of KMS what is put into it, and not by S3's own."""
        with calling("s3:GetEncryptionConfiguration"):
            try:
                answer = self._session.raw("s3", "get_bucket_encryption", Bucket=bucket)
            except ClientError as error:
                if code_of(error) == "ServerSideEncryptionConfigurationNotFoundError":
                    return False
                if code_of(error) in _ABSENT:
                    raise InputError("no such bucket", found=bucket) from None
                raise
        rules: list[dict[str, Any]] = answer["ServerSideEncryptionConfiguration"]["Rules"]
        defaults = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules]
        return any(default.get("SSEAlgorithm") == "aws:kms" and default.get("KMSMasterKeyID") for default in defaults)

    def put_pieces(self, url: ObjectUrl, pieces: Iterable[bytes]) -> None:
        """Put what comes in pieces. Where the pieces end with an error there is no object, and the error is raised."""
        with calling("s3:PutObject"):
            self._session.raw("s3", "upload_fileobj", Fileobj=_Reader(iter(pieces)), Bucket=url.bucket, Key=url.key)

    def put(self, url: ObjectUrl, content: bytes) -> None:
        """Put something small."""
        self._session.call("s3", "put_object", Bucket=url.bucket, Key=url.key, Body=content)

    def get(self, url: ObjectUrl) -> bytes | None:
        """Something small, or None where there is no such object."""
        with calling("s3:GetObject"):
            try:
                content: bytes = self._session.raw("s3", "get_object", Bucket=url.bucket, Key=url.key)["Body"].read()
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                raise
        return content

    def fetch(self, url: ObjectUrl, file: Path) -> None:
        """Write an object into a file. Raises InputError where there is none."""
        with calling("s3:GetObject"):
            try:
                self._session.raw("s3", "download_file", Bucket=url.bucket, Key=url.key, Filename=str(file))
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    raise InputError("no such object", found=str(url)) from None
                raise

    def keys(self, url: ObjectUrl) -> list[str]:
        """The keys below one."""
        prefix = f"{url.key}/"
        items = self._session.pages("s3", "list_objects_v2", "Contents", Bucket=url.bucket, Prefix=prefix)
        return [str(item["Key"]) for item in items]


class _Reader:
    """What comes in pieces, as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._rest += piece
        end = len(self._rest) if size < 0 else size
        content, self._rest = self._rest[:end], self._rest[end:]
        return content

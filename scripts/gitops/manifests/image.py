"""Image references: what may be written into an overlay."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Tags that are moved by habit. What a name like these points to today is not what runs tomorrow.
MUTABLE_TAGS = frozenset(
    [
        "latest",
        "main",
        "master",
        "trunk",
        "dev",
        "develop",
        "development",
        "staging",
        "stage",
        "prod",
        "production",
        "stable",
        "edge",
        "nightly",
        "release",
        "canary",
        "beta",
        "alpha",
        "next",
        "current",
        "snapshot",
    ]
)
# The grammar of github.com/distribution/reference.
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com")


@dataclass(frozen=True)
class Image:
    """A pinned image: repository with its registry, tag for people, digest for machines."""

    name: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}@{self.digest}"


def in_ecr(name: str) -> bool:
    """Whether an image's name is a repository of Amazon ECR."""
    return ECR.fullmatch(name.partition("/")[0]) is not None

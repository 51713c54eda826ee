"""A seal against the bare cryptography that nothing can avoid, and against one kubeseal process for each value."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gitops.secrets.seal import seal
from tests.bench_report import Report
from tests.frozen import ROOT
from tests.oauth_world import certificate_of

VALUE = b"s-s4t2ud-" + b"x" * 64
BARE_BOUND, KUBESEAL_BOUND = 1.2, 1.0


@dataclass(frozen=True)
class Size:
    """How many seals and kubeseal processes a round has, and how many rounds there are."""

    seals: int
    processes: int
    rounds: int


FULL, SMALLEST = Size(2000, 50, 7), Size(2, 1, 1)


def measure(size: Size, report: Report) -> None:
    """The controller's key size, 42's value size; medians of rounds that take turns."""
    key = rsa.generate_private_key(65537, 4096)
    public = key.public_key()

    def ours() -> None:
        seal(public, "mogle-prod", "mogle-oauth-42-g7", VALUE)

    def bare() -> None:
        session = os.urandom(32)
        label = b"mogle-prod/mogle-oauth-42-g7"
        public.encrypt(session, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label))
        AESGCM(session).encrypt(b"\0" * 12, VALUE, None)

    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "cert.pem"
        pem.write_bytes(certificate_of(key))
        words = [str(ROOT / ".tools/bin/kubeseal"), "--raw", "--from-file=/dev/stdin", "--cert", str(pem)]
        words += ["--namespace", "mogle-prod", "--name", "mogle-oauth-42-g7"]

        def process() -> None:
            subprocess.run(words, input=VALUE, capture_output=True, check=True)

        rounds = [
            (_seconds(ours, size.seals), _seconds(bare, size.seals), _seconds(process, size.processes))
            for _ in range(size.rounds)
        ]
    sealed, floor, kubeseal = (statistics.median(column) for column in zip(*rounds, strict=True))
    report.ratio("seal", sealed, floor, BARE_BOUND, "s for a seal / bare RSA-OAEP and AES-GCM")
    report.ratio(
        "seal-kubeseal", sealed, kubeseal, KUBESEAL_BOUND, "s for a seal / one kubeseal process for each value"
    )


def _seconds(call: Callable[[], None], count: int) -> float:
    """The seconds of one call, of `count` calls in a row."""
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count

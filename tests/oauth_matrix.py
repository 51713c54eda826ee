"""Every kill times every fault of a rotation: `make matrix` runs all of it, `make test` a fixed sample.

A case is one whole rotation, from the day on which 42 shows a next secret to the clean-up after its switch. Somewhere
in it a run is killed (kill -9), and in the run after that something else is wrong. A person mends what a bot cannot.
In the end main must deploy what 42 accepts, by exactly one pull request, and everyone who had to know was told.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gitops.ground.output import print_table
from tests import figures
from tests.memory import work_in_memory
from tests.oauth_case import Result, bad, run_case
from tests.oauth_troubles import KILLS, TROUBLES
from tests.oauth_world import KEYS, make_template, private_key


def _job(case: tuple[str, str, str, bytes]) -> Result:
    kill, trouble, template, pem = case
    key = load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    KEYS[0] = key
    try:
        return run_case(kill, trouble, Path(template))
    except Exception as error:  # a case that breaks is a bad one, and no end of the others
        return Result(kill, trouble, lost=f"broke: {error!r}"[:300])


def counts(results: Iterable[Result], *, control: bool) -> dict[str, int | str]:
    """What the closing line says, by name."""
    listed = list(results)
    return {
        "cases": len(listed),
        "lost": sum(bool(result.lost) for result in listed),
        "duplicates": sum(result.duplicates for result in listed),
        "silent": sum(result.silent for result in listed),
        "leaks": sum(len(result.leaks) for result in listed),
        "control": "found" if control else "MISSED",
    }


def summary(results: Iterable[Result], *, control: bool) -> str:
    """The closing line."""
    return "matrix: " + " ".join(f"{name}={count}" for name, count in counts(results, control=control).items())


def main(kills: Collection[str] = KILLS, troubles: Collection[str] = TROUBLES) -> int:
    """Run every one of `kills` with every one of `troubles`. Returns the exit code."""
    work_in_memory()
    with tempfile.TemporaryDirectory() as folder:
        template = make_template(Path(folder))
        pem = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        jobs = [(kill, trouble, str(template), pem) for kill, trouble in itertools.product(kills, troubles)]
        results = []
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for result in pool.map(_job, jobs):
                results.append(result)
                if sys.stderr.isatty() or len(results) % 20 == 0:
                    print(f"{len(results)} of {len(jobs)}", file=sys.stderr, flush=True)
        control = run_case("none", "none", template, plant=True).control
    rows = [_row(trouble, results) for trouble in troubles]
    print_table(["trouble", "cases (a kill each)", "bad", "seconds without an accepted secret", "which"], rows)
    print(summary(results, control=control))
    if len(results) == len(KILLS) * len(TROUBLES):  # a part is no figure
        figures.record("matrix", counts(results, control=control))
    return 1 if any(map(bad, results)) or not control else 0


def _row(trouble: str, results: list[Result]) -> list[str]:
    cases = [result for result in results if result.trouble == trouble]
    worst = max(result.gap for result in cases)
    which = [f"{result.kill}: {result.lost or result.leaks or 'silent or doubled'}" for result in cases if bad(result)]
    return [trouble, str(len(cases)), str(len(which)), f"{worst:.0f}", "; ".join(which) or "-"]


if __name__ == "__main__":
    sys.exit(main())

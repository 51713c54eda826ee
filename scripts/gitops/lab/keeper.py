"""Ends a lab however the run that needs it ends, by kill -9 too.

`python -m gitops.lab.keeper CHECKOUT LAB` does it when its standard input ends.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.lab import process
from gitops.lab.layout import Lab


@contextmanager
def kept(lab: Lab) -> Iterator[None]:
    """Nothing of the lab is left afterwards, nor when this process has died."""
    words = [sys.executable, "-m", "gitops.lab.keeper", str(lab.checkout.root), lab.name]
    # Of a session of its own: what a terminal sends to the run does not reach it.
    keeper = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        keeper.communicate()


def main() -> None:
    """Wait, then end it. Nothing in it is worth an orderly end."""
    root, name = sys.argv[1:]
    sys.stdin.buffer.read()
    lab = Lab(Checkout(Path(root)), name)
    process.end_all(lab, patience=0)
    shutil.rmtree(lab.folder, ignore_errors=True)


if __name__ == "__main__":
    main()

"""The files of origin's main in a folder of their own: what a bot reads and renders. No working copy is touched."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.repository.history import History


@contextmanager
def main_files(checkout: Checkout, history: History) -> Iterator[Checkout]:
    """Write the files of origin's main to a temporary folder and give it as a checkout that has this one's tools."""
    with tempfile.TemporaryDirectory(prefix="gitops-") as folder:
        base = Path(folder) / "main"
        history.export(history.main(), base)
        (base / ".tools").symlink_to(checkout.tools)
        yield Checkout(base)

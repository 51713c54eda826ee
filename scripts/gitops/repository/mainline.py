"""The files of origin's main in a folder of their own: what a bot reads and renders. No working copy is touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gitops.ground import temporary
from gitops.ground.checkout import Checkout
from gitops.repository.history import History


@contextmanager
def main_files(checkout: Checkout, history: History) -> Iterator[Checkout]:
    """Write the files of origin's main to a temporary folder and give it as a checkout that has this one's tools."""
    with temporary.folder() as folder:
        base = folder / "main"
        history.export(history.main(), base)
        (base / ".tools").symlink_to(checkout.tools)
        yield Checkout(base)

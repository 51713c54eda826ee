"""Files that a change is made of, before they are anywhere: laid into a checkout to be rendered, or for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gitops.ground.checkout import Checkout

# Files by their paths in the repository; None for one that goes.
Contents = dict[str, bytes | None]


def lay(checkout: Checkout, contents: Contents) -> None:
    """Write files into a checkout."""
    for path, content in contents.items():
        if content is None:
            (checkout.root / path).unlink(missing_ok=True)
        else:
            (checkout.root / path).write_bytes(content)


@contextmanager
def laid(checkout: Checkout, contents: Contents) -> Iterator[None]:
    """Have the files there for as long as the block runs, to render them; then everything is as it was."""
    before = {path: file.read_bytes() if (file := checkout.root / path).exists() else None for path in contents}
    try:
        lay(checkout, contents)
        yield
    finally:
        lay(checkout, before)

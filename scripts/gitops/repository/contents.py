"""Files that a change is made of, before any commit has them: written into a checkout to be rendered, or for good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gitops.ground.checkout import Checkout

# Files by their paths in the repository; None for one that goes.
Contents = dict[str, bytes | None]


def write(checkout: Checkout, contents: Contents) -> None:
    """Write files into a checkout, and remove those that go."""
    for path, content in contents.items():
        if content is None:
            (checkout.root / path).unlink(missing_ok=True)
        else:
            (checkout.root / path).write_bytes(content)


def read(checkout: Checkout, paths: Iterable[str]) -> Contents:
    """What stands at these paths now; None where there is no file."""
    files = {path: checkout.root / path for path in paths}
    return {path: file.read_bytes() if file.exists() else None for path, file in files.items()}


@contextmanager
def temporarily_written(checkout: Checkout, contents: Contents) -> Iterator[None]:
    """Have the files there for as long as the block runs, to render them; then everything is as it was."""
    before = read(checkout, contents)
    try:
        write(checkout, contents)
        yield
    finally:
        write(checkout, before)


@contextmanager
def written_if_it_holds(checkout: Checkout, contents: Contents) -> Iterator[None]:
    """Write the files, and undo it where the block, which checks the result, raises."""
    before = read(checkout, contents)
    try:
        write(checkout, contents)
        yield
    except BaseException:
        write(checkout, before)
        raise

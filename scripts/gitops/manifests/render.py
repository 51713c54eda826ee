"""Rendering many overlays at once, and only reading what differs."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import kustomize, shape, yamlfile
from gitops.manifests.kustomize import Renderer
from gitops.manifests.objects import Object
from gitops.manifests.reach import Reach, RefusedError

Input = TypeVar("Input")
Result = TypeVar("Result")
_SEPARATOR = re.compile(rb"^---\n", re.MULTILINE)


@dataclass(frozen=True)
class Rendered:
    """What `kustomize build` printed for a folder, or why it did not (RenderError where it was asked)."""

    unit: str
    text: bytes = b""
    error: InputError | None = None

    @property
    def documents(self) -> list[bytes]:
        """The objects' texts. kustomize indents every block of text, so a separator is never part of one."""
        return [part for part in _SEPARATOR.split(self.text) if part.strip()]

    def objects(self) -> list[Object]:
        """All of them, read. Raises InputError: its own error, or where kustomize printed what is no object (a
        MalformedError where it is an object that no rule can read)."""
        if self.error:
            raise self.error
        return shape.read(_parsed(self.documents, self.unit), self.unit)

    def sound(self) -> list[Object]:
        """Those that rules can read. Raises InputError as `objects` does."""
        if self.error:
            raise self.error
        return shape.sound(_parsed(self.documents, self.unit))


def build(tools: Checkout | Renderer, tree: Path, unit: str, reach: Reach | None = None) -> Rendered:
    """Render one folder of a revision's files. kustomize's own faults are no exception.

    `tools`: whose kustomize renders, or what renders many folders. `reach`: what the folder is made of, where that is
    known already.
    """
    checkout, folder = Checkout(tree), tree / unit
    try:
        if isinstance(tools, Renderer):
            return Rendered(unit, tools.text(checkout, folder, reach=reach))
        return Rendered(unit, kustomize.text(checkout, folder, tools=tools, reach=reach))
    except (kustomize.RenderError, RefusedError) as error:
        return Rendered(unit, error=error)


def in_parallel(work: Callable[[Input], Result], items: Iterable[Input]) -> list[Result]:
    """`work` on each item, as many at once as there are processors, in the items' order."""
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return list(pool.map(work, items))


def differing(before: Rendered, after: Rendered) -> tuple[list[Object], list[Object]]:
    """The objects that are not the same, byte for byte, on both sides: (before, after). The others are never read.

    What no rule can read is left out before, and raises MalformedError after.
    """
    left, right = _differing(before, after)
    return shape.sound(left), shape.read(right, after.unit)


def sound_differing(before: Rendered, after: Rendered) -> tuple[list[Object], list[Object]]:
    """The same without what no rule can read, on either side."""
    left, right = _differing(before, after)
    return shape.sound(left), shape.sound(right)


def _differing(before: Rendered, after: Rendered) -> tuple[list[Object], list[Object]]:
    if before.text == after.text:
        return [], []
    left, right = Counter(before.documents), Counter(after.documents)
    return _parsed((left - right).elements(), before.unit), _parsed((right - left).elements(), after.unit)


def _parsed(documents: Iterable[bytes], unit: str) -> list[Object]:
    return list(itertools.chain.from_iterable(yamlfile.parse_all(document, unit) for document in documents))

"""What the tests of the preview share: a preview of a checkout, one of any size, and how a terminal shows it."""

from __future__ import annotations

import io

from rich.console import Console

from gitops.ground.checkout import Checkout
from gitops.ground.output import say_styled
from gitops.ground.progress import Progress
from gitops.preview import run, text
from gitops.preview.model import ApplicationChange, FieldChange, ObjectChange, Preview
from gitops.repository import revision

QUIET = Progress(quiet=True)


def preview(checkout: Checkout, base: str = "HEAD") -> Preview:
    with revision.compare(checkout, base, None, for_all=run.FOR_ALL) as change:
        return run.run(checkout, change, QUIET)


def edit(checkout: Checkout, path: str, old: str, new: str) -> None:
    file = checkout.root / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def large(count: int, size: int = 400) -> Preview:
    field = FieldChange(path="data.text", old="o" * size, new="n" * size)
    objects = (ObjectChange(action="changed", kind="ConfigMap", namespace="n", name="c", fields=(field,)),)
    apps = tuple(
        ApplicationChange(name=f"app-{n}", action="changed", objects=objects, notable=(f"removes host {n}",))
        for n in range(count)
    )
    return Preview(base="origin/main", head="HEAD", head_sha="a" * 40, looked=count, applications=apps)


def terminal(shown: Preview) -> str:
    stream = io.StringIO()
    say_styled(text.terminal(shown), Console(file=stream, force_terminal=True, width=200, highlight=False))
    return stream.getvalue()

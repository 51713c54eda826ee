"""What workflows do to a cluster's account: say what a pull request would change, and make what follows from main.

A pull request's files are read as data by main's code: nothing of it is run, and nothing outside of it is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from gitops.cluster import definition as definitions
from gitops.cluster import make, preflight, stacks, world
from gitops.cluster.make import Confirm, PlannedStack
from gitops.cluster.world import ClusterWorld
from gitops.ground import printable
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, GitopsError, InputError
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.repository import revision

# The stacks that follow from overlays/ and that a new service needs. All others are a person's (`gitops cluster up`).
PARTS = ("certificates", "services")
HEAD = ("stack", "do", "resource", "type", "replaced")
_READ = ("clusters", "overlays", "base")


def marker(name: str) -> str:
    """What the comment on a pull request begins with: it is known by it, one for each cluster."""
    return printable.marker("gitops-cluster-plan", {"cluster": name})


def plan(checkout: Checkout, name: str, head: str, today: date) -> list[PlannedStack]:
    """What would change at AWS if a revision were main: nothing where its stacks are main's, and AWS is not asked.

    Raises as `gitops cluster plan` does, and InputError for a link among the files that are read.
    """
    with _laid(checkout, head) as (before, after):
        if _stacks(before, name) == _stacks(after, name):
            return []
        place = world.look(after, name)
        preflight.check(place, today)
        return [item for item in make.plan(place) if item.changes]


@contextmanager
def _laid(checkout: Checkout, head: str) -> Iterator[tuple[Checkout, Checkout]]:
    # An empty path stands for any: all overlays are there on both sides.
    with revision.compare(checkout, None, head, for_all=("",)) as change:
        files = itertools.chain.from_iterable((change.head.root / folder).rglob("*") for folder in _READ)
        if links := [path for path in files if path.is_symlink()]:
            raise InputError.several(
                Fault("a link: it may lead to what is not in the repository", path=change.head.relative(path))
                for path in links
            )
        yield change.base or checkout, change.head


def _stacks(checkout: Checkout, name: str) -> object:
    """All that AWS would be given of a revision; nothing where main has no such cluster yet."""
    if not (checkout.root / "clusters" / name / definitions.FILE).exists():
        return None
    definition = definitions.read(checkout, name)
    return stacks.given(definition), [(stack.name, stack.template) for stack in stacks.read(checkout, definition)]


def comment(name: str, planned: Sequence[PlannedStack]) -> str | None:
    """The plan as Markdown, or None where there is nothing to tell."""
    if not planned:
        return None
    rows = list(itertools.chain.from_iterable(map(_rows, planned)))
    replaced = [row for row in rows if row[-1] != "False"]
    anew = f", {counted(len(replaced), 'makes', 'make')} something anew" if replaced else ""
    summary = f"{counted(len(rows), 'change')} of {counted(len(planned), 'stack')}{anew}"
    by = f"Merged, {' and '.join(PARTS)} are made by the workflow `cluster`, all else by `gitops cluster up {name}`."
    return "\n".join([marker(name), f"### At AWS: {summary}", "", *printable.table(HEAD, rows), "", by, ""])


def _rows(item: PlannedStack) -> list[list[str]]:
    return [[item.stack.name, change.verb, change.name, change.kind, change.replaces] for change in item.changes]


def refusal(name: str, error: GitopsError) -> str:
    """Why there is no plan, as the same comment."""
    lines = [str(fault) for fault in error.faults]
    return "\n".join([marker(name), "### At AWS: no plan", "", *printable.fence(lines), ""])


def apply(place: ClusterWorld, confirm: Confirm, progress: Progress, today: date) -> dict[str, str]:
    """Bring the stacks of the services to what the files say; all that the stacks have put out.

    Raises InputError where a stack before them is not there yet: that is `gitops cluster up`.
    """
    preflight.check(place, today)
    given = stacks.given(place.definition)
    values = dict(given)
    for stack in place.stacks:
        state = place.cloudformation.state(stack.name)
        if stack.part in PARTS:
            inputs = stack.inputs(values)
            if inputs is None:
                raise InputError(
                    f"stack {stack.name}: what it is given is not there yet",
                    path=place.source,
                    fix=f"gitops cluster up {place.definition.name}",
                )
            state = make.bring(place, stack, inputs, confirm, progress)
        values |= state.outputs if state else {}
    return {key: value for key, value in values.items() if key not in given}

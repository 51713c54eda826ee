"""The change that a run is about, and what it can break."""

from __future__ import annotations

from dataclasses import dataclass

from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.printable import counted
from gitops.repository import revision
from gitops.scope.event import Comparison, comparison
from gitops.scope.targets import MakeTarget, targets


@dataclass(frozen=True)
class Scope:
    """`base` and `head`: what preview and check compare, the last commit alone where the event brought no change.

    `reason`: one line for the log.
    """

    base: str
    head: str
    targets: tuple[MakeTarget, ...]
    reason: str


def read(checkout: Checkout, base: str | None) -> Scope:
    """What the working copy changes since it left `base`, or the base of the event of Actions, or origin/main.

    Raises InputError (no repository, no such revision, an event that cannot be read) and CommandError as git does.
    """
    actions = settings.read()
    with revision.open_repository(checkout) as repo:
        if base:
            compared = Comparison(base, "HEAD")
        else:
            compared = comparison(actions.event_name, actions.event_file) or Comparison(
                revision.default_base(repo), "HEAD"
            )
        if compared.base is None:
            parents = repo.head.commit.parents or (repo.head.commit,)
            reason = "no change to look at: everything is tested"
            return Scope(str(parents[0].hexsha), compared.head, (MakeTarget.ALL,), reason)
        files = _files(checkout, revision.resolve(repo, compared.base))
        needed = targets(files)
        reason = f"{counted(len(files), 'file differs', 'files differ')} from {compared.base}: make {' '.join(needed)}"
        return Scope(compared.base, compared.head, needed, reason)


def _files(checkout: Checkout, base: str) -> list[str]:
    """Every path in which the working copy differs from where it left `base`."""
    differing = revision.paths(
        checkout.root, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", "--merge-base", base, "--"
    )
    return differing + revision.paths(checkout.root, "ls-files", "-z", "--others", "--exclude-standard")

"""What a person types next, as whole lines for a shell: a branch of one's own, the commit, the push."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.repository.git import GitError, Repo

# What comes behind the push of what Argo CD reads.
DEPLOYED = "and open a pull request; once it is merged, Argo CD deploys it. To try it first: gitops lab push"


@dataclass(frozen=True)
class OwnBranch:
    """The branch that a commit belongs on. `switch`: the line that makes it; empty where it is checked out."""

    name: str
    switch: str

    @property
    def push(self) -> str:
        """The line that brings it to the origin."""
        return f"git push origin {shlex.quote(self.name)}"


def branch(checkout: Checkout, name: str) -> OwnBranch:
    """The branch that is checked out or, in place of main, a new one: `name`, with a number where that is taken."""
    try:
        with Repo(checkout.root) as repo:
            # Beside a branch shop/x git makes none that is shop.
            taken = {head.name for head in repo.heads} | {head.name.partition("/")[0] for head in repo.heads}
            current = "" if repo.head.is_detached else repo.active_branch.name
    except GitError:  # what was written is told, wherever that is
        taken, current = set(), ""
    if current not in ("", "main"):
        return OwnBranch(current, "")
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    named = next(name for name in names if name not in taken)
    return OwnBranch(named, f"git switch -c {shlex.quote(named)}")


def commit(paths: Iterable[str], message: str) -> str:
    """The line that commits paths of the repository: a service's folder as a whole."""
    tops = sorted({_top(path) for path in paths})
    return f"git add {' '.join(map(shlex.quote, tops))} && git commit -m {shlex.quote(message)}"


def next_steps(checkout: Checkout, name: str, message: str, paths: Sequence[Path], then: str = DEPLOYED) -> list[str]:
    """The lines for files that were just written. `name`: of the branch where one is made; `then`: what comes last."""
    own = branch(checkout, name)
    begun = f"{own.switch} && " if own.switch else ""
    return [f"next: {begun}{commit(map(checkout.relative, paths), message)}", f"then: {own.push}", then]


def _top(path: str) -> str:
    """A path as one would add it: a service's folder as a whole."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "overlays" else path

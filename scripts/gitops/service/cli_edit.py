"""The commands of `gitops service` that edit overlays: parses and prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gitops.ground.checkout import Checkout
from gitops.ground.options import everywhere_option, pass_gate
from gitops.ground.output import say

if TYPE_CHECKING:
    from pathlib import Path

    from gitops.service.draft import Gate


def say_written(checkout: Checkout, paths: Sequence[Path], branch: str, message: str, *notes: str) -> None:
    """The files that were written, what there is to say of them, and what to type next."""
    from gitops.service.draft import next_steps

    if not paths:
        say("nothing to change: all of it stands there already")
        return
    for path in paths:
        say(f"{'changed' if path.exists() else 'deleted'} {checkout.relative(path)}")
    say(*(f"note: {note}" for note in notes), "", *next_steps(checkout, branch, message, paths))


@click.command("set")
@click.argument("service")
@click.argument("variables", nargs=-1, required=True, metavar="NAME=VALUE...")
@everywhere_option
@click.option("--public", is_flag=True, help="It is no secret, though it looks like one.")
@pass_gate
def set_variables(gate: Gate, service: str, variables: tuple[str, ...], environment: str | None, public: bool) -> None:
    """Give a service's program variables of its environment.

    Example: gitops service set mogle MENU_URL=https://menu.example.com

    What looks like a secret is refused: gitops secrets seal --as-env seals it.
    """
    from gitops.service import variables as edits

    checkout = Checkout.find()
    given = edits.parsed(variables, service, public=public)
    done = edits.set_all(checkout, gate, service, given, environment)
    names = " ".join(given)
    say_written(checkout, done.paths, f"{service}-set", f"{service}: set {names}", *done.notes)


@click.command("unset")
@click.argument("service")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@everywhere_option
@pass_gate
def unset_variables(gate: Gate, service: str, names: tuple[str, ...], environment: str | None) -> None:
    """Take variables from a service's program.

    Example: gitops service unset umbrella MOGLE_URL
    """
    from gitops.service import variables as edits

    checkout = Checkout.find()
    done = edits.unset(checkout, gate, service, names, environment)
    say_written(checkout, done.paths, f"{service}-unset", f"{service}: unset {' '.join(names)}", *done.notes)


COMMANDS = (set_variables, unset_variables)

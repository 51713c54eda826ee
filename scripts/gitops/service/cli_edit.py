"""The commands of `gitops service` that edit overlays: parses and prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.groups import Command, Group
from gitops.ground.options import everywhere_option, pass_gate
from gitops.ground.output import say

if TYPE_CHECKING:
    from pathlib import Path

    from gitops.service.draft import Gate


def say_written(
    checkout: Checkout, paths: Sequence[Path], branch: str, message: str, *notes: str, then: str | None = None
) -> None:
    """The files that were written, what there is to say of them, and what to type next. `then`: what comes last."""
    from gitops.service.steps import DEPLOYED, next_steps

    if not paths:
        say("nothing to change: all of it stands there already")
        return
    for path in paths:
        say(f"{'wrote' if path.exists() else 'deleted'} {checkout.relative(path)}")
    steps = next_steps(checkout, branch, message, paths, DEPLOYED if then is None else then)
    say(*(f"note: {note}" for note in notes), "", *steps)


@click.command("set", cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.argument("variables", nargs=-1, required=True, metavar="NAME=VALUE...")
@everywhere_option
@click.option("--public", is_flag=True, help="It is no secret, though it looks like one; written beside it.")
@pass_gate
def set_variables(gate: Gate, service: str, variables: tuple[str, ...], environment: str | None, public: bool) -> None:
    """Give a service's program variables of its environment.

    Example: gitops service set mogle MENU_URL=https://menu.example.com

    What looks like a secret is refused: gitops secrets seal --as-env seals it.
    """
    from gitops.service import variables as edits

    checkout = Checkout.find()
    given = edits.parsed(variables, service, public=public)
    done = edits.set_all(checkout, gate, service, given, environment, public=public)
    names = " ".join(given)
    say_written(checkout, done.paths, f"{service}-set", f"{service}: set {names}", *done.notes)


@click.command("unset", cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete.variables)
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


@click.group(cls=Group)
def domain() -> None:
    """The hosts that a site answers for: one more, one less, another one.

    Example: gitops service domain add mogle shop.mogle.example.com
    """


@domain.command()
@click.argument("service", shell_complete=complete.services)
@click.argument("host")
@everywhere_option
@pass_gate
def add(gate: Gate, service: str, host: str, environment: str | None) -> None:
    """Have a site answer for one more host: HOST is prod's, and staging gets its own of it.

    Example: gitops service domain add mogle shop.mogle.example.com

    A host that no certificate covers is refused at once. What must be done in DNS is said.
    """
    from gitops.service import domains

    checkout = Checkout.find()
    done = domains.add(checkout, gate, service, host, environment)
    say_written(checkout, done.paths, f"{service}-domain", f"{service}: answer for {host}", *done.notes)


@domain.command()
@click.argument("service", shell_complete=complete.services)
@click.argument("host", shell_complete=complete.domains)
@everywhere_option
@pass_gate
def remove(gate: Gate, service: str, host: str, environment: str | None) -> None:
    """Have a site answer for a host no more.

    Example: gitops service domain remove mogle admin.mogle.example.com
    """
    from gitops.service import domains

    checkout = Checkout.find()
    done = domains.remove(checkout, gate, service, host, environment)
    say_written(checkout, done.paths, f"{service}-domain", f"{service}: no more {host}", *done.notes)


@domain.command()
@click.argument("service", shell_complete=complete.services)
@click.argument("old", shell_complete=complete.domains)
@click.argument("new")
@everywhere_option
@pass_gate
def move(gate: Gate, service: str, old: str, new: str, environment: str | None) -> None:
    """Have a site answer for NEW in place of OLD, which answers no more from the merge on.

    Example: gitops service domain move mogle admin.mogle.example.com desk.mogle.example.com

    To have both for a while: gitops service domain add, and remove some weeks later.
    """
    from gitops.service import domains

    checkout = Checkout.find()
    done = domains.move(checkout, gate, service, old, new, environment)
    say_written(checkout, done.paths, f"{service}-domain", f"{service}: {new} for {old}", *done.notes)


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.option("--min", "least", type=click.IntRange(1), metavar="PODS", help="Never fewer.")
@click.option("--max", "most", type=click.IntRange(1), metavar="PODS", help="Never more.")
@click.option("--from", "begin", metavar="TIME", help="An opening day begins, as 2027-01-31T09:00.")
@click.option("--to", "end", metavar="TIME", help="It ends, as 2027-01-31T18:00.")
@click.option(
    "--time-zone", "zone", metavar="ZONE", shell_complete=complete.zones, help="Of both, as Asia/Seoul or Europe/Paris."
)
@click.option("--end", "ending", is_flag=True, help="Take the opening day away: it is over.")
@everywhere_option
@pass_gate
def scale(
    gate: Gate,
    service: str,
    least: int | None,
    most: int | None,
    begin: str | None,
    end: str | None,
    zone: str | None,
    ending: bool,
    environment: str | None,
) -> None:
    """Keep a site between other numbers of pods, for good or for an opening day.

    Example: gitops service scale mogle --min 4 --max 20 --environment prod

    More than the namespace's quota has room for is refused. An opening day holds from its merge on, until --end.
    """
    from datetime import UTC, datetime

    from gitops.service import scale as scaling

    checkout, moments = Checkout.find(), [begin, end, zone]
    if ending:
        if any(value is not None for value in (least, most, *moments)):
            raise InputError("--end takes the opening day away", fix="leave the other options out")
        done = scaling.end(checkout, gate, service, environment)
        say_written(checkout, done.paths, f"{service}-scale", f"{service}: the opening day is over", *done.notes)
        return
    if least is None and most is None:
        raise InputError("no number of pods", fix="give --min, --max or both")
    if any(moments) and not all(moments):
        raise InputError("an opening day", expected="--from, --to and --time-zone together")
    day = scaling.opening(str(begin), str(end), str(zone), datetime.now(UTC)) if all(moments) else None
    done = scaling.scale(checkout, gate, service, scaling.Bounds(least, most), environment, day)
    words = " to ".join(str(number) for number in (least, most) if number is not None)
    say_written(
        checkout, done.paths, f"{service}-scale", f"{service}: {words} {'pod' if words == '1' else 'pods'}", *done.notes
    )


COMMANDS = (set_variables, unset_variables, domain, scale)

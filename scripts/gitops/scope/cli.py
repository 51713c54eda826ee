"""`gitops scope`: parses and prints."""

from __future__ import annotations

import click

from gitops.ground.checkout import Checkout
from gitops.ground.groups import Command
from gitops.ground.options import base_option
from gitops.ground.output import hand_on, say


@click.command(cls=Command)
@base_option
def scope(base: str | None) -> None:
    """Say which tests a change can break, as targets of make.

    In GitHub Actions the event says what is compared; base, head and tests become outputs of the step.

    Example: gitops scope --base origin/main
    """
    from gitops.scope import change

    decision = change.read(Checkout.find(), base)
    say(f"gitops scope: {decision.reason}", err=True)
    words = " ".join(decision.targets)
    say(words)
    for name, value in (("base", decision.base), ("head", decision.head), ("tests", words)):
        hand_on(name, value)

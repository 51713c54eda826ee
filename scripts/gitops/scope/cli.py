"""`gitops scope`: parses and prints."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gitops.ground.checkout import Checkout
from gitops.ground.options import base_option


@click.command()
@base_option
def scope(base: str | None) -> None:
    """Say which tests the working copy's change can break: targets for make, as `make test-change` runs them.

    In GitHub Actions the event says what is compared; base, head and tests become outputs of the step.
    """
    from gitops.scope import change

    found = change.read(Checkout.find(), base, os.environ)
    click.echo(f"gitops scope: {found.reason}", err=True)
    words = " ".join(found.targets)
    click.echo(words)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as stream:
            stream.write(f"base={found.base}\nhead={found.head}\ntests={words}\n")

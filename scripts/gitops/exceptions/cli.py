"""`gitops exceptions`: parses and prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from gitops.ground.checkout import Checkout
from gitops.ground.errors import NotHealthyError
from gitops.ground.groups import Command
from gitops.ground.options import output_option
from gitops.ground.output import Table, present

if TYPE_CHECKING:
    from pydantic import SecretStr


@click.command(cls=Command)
@click.option("--tell", is_flag=True, help="Tell Slack of those that have ended, end soon or are wrong (SLACK_TOKEN).")
@output_option
@click.pass_obj
def exceptions(taken: Mapping[str, SecretStr], tell: bool, output: str) -> None:
    """Show what may break a rule for a while, and fail where its time is over.

    Exit codes: 0 all hold; 1 one has ended or is wrong; 2 a file cannot be read; 4 Slack could not be told.

    Example: gitops exceptions
    """
    from gitops.exceptions import run

    states = run.look(Checkout.find())
    rows = [[state.file, state.owner, str(state.until or "-"), state.word] for state in states]
    present(output, Table(["exception", "owner", "until", "state"], rows), [state.as_dict() for state in states])
    if tell:
        run.tell(states, taken)
    if over := dict.fromkeys(state.file for state in states if state.is_over):
        raise NotHealthyError(f"over or wrong: {', '.join(over)}", fix=f"see {run.RUNBOOK}")

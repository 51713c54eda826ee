"""The commands of `gitops service` that end a service, or say why something is not done: parses and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.groups import Command
from gitops.ground.options import check_reason, everywhere_option, pass_gate
from gitops.ground.output import say
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.service.cli_edit import say_written

if TYPE_CHECKING:
    from gitops.service.draft import Gate


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@everywhere_option
@click.option(
    "--reason",
    default="the service is closed for good",
    show_default=True,
    callback=check_reason,
    help="In the exception.",
)
@click.option("--finish", "finishing", is_flag=True, help="Its namespaces are gone: take the exceptions away.")
@pass_gate
def remove(gate: Gate, service: str, environment: str | None, reason: str, finishing: bool) -> None:
    """End a service: its folder, its line in CODEOWNERS, and the exception by which the gate lets it go.

    What it ran stays until somebody deletes it: who deletes what is said, and what takes the exception away again.

    Example: gitops service remove umbrella --reason "the lockers replaced it"
    """
    from datetime import UTC, datetime

    from gitops.service import ending

    checkout = Checkout.find()
    where = str(Overlay(service, environment)) if environment else service
    if finishing:
        done = ending.finish(checkout, gate, service, environment)
        message, then = f"{where} is gone: end its exceptions", "and open a pull request"
        say_written(checkout, done.paths, f"{service}-removed", message, then=then)
        return
    done = ending.remove(checkout, gate, service, environment, reason, datetime.now(UTC).date())
    then = "and open a pull request; once it is merged, Argo CD lets go of it and deletes nothing"
    say_written(checkout, done.paths, f"{service}-remove", f"Remove {where}", then=then)
    say("", "what stays, and who takes it away:", *(f"  {line}" for line in done.left))


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.argument("new")
def rename(service: str, new: str) -> None:
    """Say why a service keeps its name, and what to type to have it under another one.

    Exit code 2: nothing is renamed.

    Example: gitops service rename umbrella parasol
    """
    from gitops.service import refused

    raise refused.rename(Checkout.find(), service, new)


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.argument("new")
def copy(service: str, new: str) -> None:
    """Say why a service is not copied, and what to type to make another one of its image.

    Exit code 2: nothing is copied.

    Example: gitops service copy umbrella parasol
    """
    from gitops.service import refused

    raise refused.copy(Checkout.find(), service, new)


def _missing(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """For a shell: the environments that a service has not."""
    known = complete.environments(context, parameter, "")
    return complete.fitting((name for name in ENVIRONMENTS if name not in known), incomplete)


@click.command("add-environment", cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.argument("environment", shell_complete=_missing)
def add_environment(service: str, environment: str) -> None:
    """Say why an environment is added by hand, and where the steps are.

    Exit code 2: nothing is added.

    Example: gitops service add-environment umbrella canary
    """
    from gitops.service import refused

    raise refused.add_environment(Checkout.find(), service, environment)


COMMANDS = (remove, rename, copy, add_environment)

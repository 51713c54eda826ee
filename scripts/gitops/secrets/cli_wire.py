"""The commands of `gitops secrets` that seal what a person gives, and take it away: parses and prints."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitops.ground import complete, credentials
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.groups import Command
from gitops.ground.options import cluster_option, everywhere_option, pass_gate
from gitops.ground.output import say
from gitops.ground.progress import Progress
from gitops.manifests.overlay import Overlay
from gitops.manifests.secret import TYPES
from gitops.service.cli_edit import say_written

if TYPE_CHECKING:
    from gitops.service.draft import Gate

# What is one argument too many may be a value: click would print it.
SILENT = {"allow_extra_args": True}


def _without_values(context: click.Context, _: click.Parameter, keys: tuple[str, ...]) -> tuple[str, ...]:
    if named := [key.partition("=")[0] for key in keys if "=" in key]:
        raise _is_a_value(f"--key {named[0]}=...")
    return keys


def check_silent() -> None:
    """Raise InputError where there is an argument too many, without a word of it."""
    if click.get_current_context().args:
        raise _is_a_value("an argument too many")


def _is_a_value(what: str) -> InputError:
    fix = "pipe it in, or type it at the prompt; one that was typed here is in the shell's history: take another"
    return InputError(f"{what}: a value is never an argument", fix=fix)


_VALUES = (
    click.option(
        "--key",
        "keys",
        multiple=True,
        callback=_without_values,
        shell_complete=complete.keys,
        help="A key whose value is piped in or asked for (repeat it for more).",
    ),
    click.option(
        "--from-file",
        "files",
        multiple=True,
        metavar="[KEY=]PATH",
        shell_complete=complete.files,
        help="A key's value is a file's content.",
    ),
    click.option(
        "--from-env-file",
        "env_file",
        type=click.Path(path_type=Path),
        help="KEY=VALUE on each line, as kubectl has it.",
    ),
    click.option(
        "--type",
        "kind",
        type=click.Choice(list(TYPES)),
        metavar="TYPE",
        help=f"The Secret's type: {', '.join(TYPES)} (default: its own, or Opaque).",
    ),
    click.option("--exact", is_flag=True, help="Keep the newline that a pipe adds to a value."),
    click.option("--allow-empty", is_flag=True, help="Nothing is a value too."),
    click.option("--valid-until", metavar="DAY", help="The last day of the value, as 2027-01-31; or none."),
    click.option("--issuer", metavar="PAGE", help="Where it is revoked and made again, as https://api.slack.com/apps."),
)


def value_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of whatever seals what a person gives."""
    for option in reversed(_VALUES):
        command = option(command)
    return command


@click.command(cls=Command, context_settings=SILENT)
@click.argument("service", shell_complete=complete.services)
@click.argument("name", shell_complete=complete.secrets)
@value_options
@click.option("--as-env", is_flag=True, help="Have the program read each key as a variable of its environment.")
@click.option("--as-file", "file", metavar="PATH", help="Have the program read the key as this file.")
@click.option(
    "--environment",
    metavar="NAME",
    shell_complete=complete.environments,
    help="Only there (default: prod; with --as-env or --as-file everywhere).",
)
@cluster_option
@pass_gate
def seal(
    gate: Gate,
    /,
    service: str,
    name: str,
    as_env: bool,
    file: str | None,
    environment: str | None,
    cluster: str,
    **options: Any,
) -> None:
    """Seal values into the Secret NAME of SERVICE: asked without echo, piped in for one key, or from your files.

    With --as-env or --as-file its program reads them from the same change on.

    Example: head -c 24 /dev/urandom | base64 | gitops secrets seal mogle push --key PUSH_TOKEN --as-env
    """
    from gitops.repository import services
    from gitops.secrets import give, wire
    from gitops.tools.build import ensure

    credentials.harden()
    check_silent()
    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    today, asked = datetime.now(UTC).date(), give.Asked(**options)
    if as_env and file is not None:
        raise InputError("--as-env and --as-file", expected="one of them", fix="run it once for each")
    if as_env or file is not None:
        overlays = services.chosen(checkout, service, environment)
        done = wire.seal(checkout, gate, overlays, name, asked, cluster, today, wire.Wiring(file))
        say_written(checkout, done.paths, f"{service}-secret", f"{service}: seal {name}", *done.notes)
        return
    written = give.seal(checkout, Overlay(service, environment or "prod"), name, asked, cluster, today)
    say(*written.notes, err=True)
    note = f"the program reads it by secretKeyRef, name {name}; --as-env and --as-file write that by themselves"
    say_written(checkout, written.paths, f"{service}-secret", f"{service}: seal {name}", note)


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.argument("name", shell_complete=complete.secrets)
@click.option("--key", shell_complete=complete.keys, help="Only this key of it.")
@everywhere_option
@pass_gate
def remove(gate: Gate, service: str, name: str, key: str | None, environment: str | None) -> None:
    """Take a sealed Secret out of a service, with all that its programs read of it.

    Example: gitops secrets remove mogle mail
    """
    from gitops.repository import services
    from gitops.secrets import wire

    checkout = Checkout.find()
    overlays = services.chosen(checkout, service, environment)
    done = wire.remove(checkout, gate, overlays, name, key)
    what = f"{key} of {name}" if key else name
    say_written(checkout, done.paths, f"{service}-secret", f"{service}: no more {what}", *done.notes)

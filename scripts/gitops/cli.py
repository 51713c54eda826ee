"""`gitops`: parses the command line and prints; everything else is done by the packages beside it."""

from __future__ import annotations

import sys

import click

from gitops.errors import GitopsError
from gitops.paths import Checkout
from gitops.progress import Progress


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """The platform's one command.

    Exit codes: 0 done; 1 the answer is no (something is dead or not Healthy); 2 bad input;
    3 this machine lacks something; 4 a program or service that was called failed; 130 interrupted.
    """


@cli.command()
def tools() -> None:
    """Build the pinned Go tools that are missing, check and link them into .tools/."""
    from gitops.tools.build import ensure

    ensure(Checkout.find(), Progress())


def main() -> None:
    """Run the command line; every expected failure is one message and its exit code, never a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except GitopsError as error:
        click.echo(f"gitops: {error}", err=True)
        code = error.exit_code
    sys.exit(code if isinstance(code, int) else 0)

"""The options that several commands share."""

from __future__ import annotations

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError


def check_reason(_: click.Context, __: click.Parameter, value: str) -> str:
    """A reason without blanks around it. Raises InputError for none: who reads it later has nothing else."""
    if not value.strip():
        raise InputError("--reason", expected="why, in a few words", found=repr(value))
    return value.strip()


# What holds a draft against every rule: the door puts it there, as those who write drafts stand below the check.
GATE = "gitops.gate"
pass_gate = click.decorators.pass_meta_key(GATE, doc_description="the check of a draft")
everywhere_option = click.option(
    "--environment", metavar="NAME", shell_complete=complete.environments, help="Only there (default: everywhere)."
)

output_option = click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
environment_option = click.option(
    "--environment", default="prod", show_default=True, shell_complete=complete.environments
)
head_option = click.option(
    "--head",
    metavar="REVISION",
    shell_complete=complete.revisions,
    help="What to look at (default: the working copy as it is).",
)
base_option = click.option(
    "--base",
    metavar="REVISION",
    shell_complete=complete.revisions,
    help="What to compare with (default: origin/main).",
)


def _cluster() -> str:
    from gitops.ground import settings

    return settings.read().cluster


def _check_cluster(_: click.Context, __: click.Parameter, value: str) -> str:
    """Before anything is asked of a person or of a server."""
    Checkout.find().cluster(value)
    return value


cluster_option = click.option(
    "--cluster",
    default=_cluster,
    show_default="seoul",
    callback=_check_cluster,
    shell_complete=complete.clusters,
    help="A folder under clusters/ (GITOPS_CLUSTER).",
)

"""The options that several commands share."""

from __future__ import annotations

import click

output_option = click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
environment_option = click.option("--environment", default="prod", show_default=True)
head_option = click.option("--head", metavar="REVISION", help="What to look at (default: the working copy as it is).")
base_option = click.option("--base", metavar="REVISION", help="What to compare with (default: origin/main).")


def _cluster() -> str:
    from gitops.ground import settings

    return settings.read().cluster


cluster_option = click.option(
    "--cluster", default=_cluster, show_default="seoul", help="A folder under clusters/ (GITOPS_CLUSTER)."
)

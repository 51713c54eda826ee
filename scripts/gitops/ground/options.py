"""The options that several commands share."""

from __future__ import annotations

import click

output_option = click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
head_option = click.option("--head", metavar="REVISION", help="What to look at (default: the working copy as it is).")
base_option = click.option("--base", metavar="REVISION", help="What to compare with (default: origin/main).")
# GITOPS_CLUSTER: what a lab is started for.
cluster_option = click.option(
    "--cluster", default="seoul", show_default=True, envvar="GITOPS_CLUSTER", help="A folder under clusters/."
)

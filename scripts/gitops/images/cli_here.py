"""The commands of `gitops images` that do without GitHub: parses and prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.groups import Command
from gitops.ground.options import environment_option, everywhere_option, pass_gate
from gitops.ground.output import say
from gitops.ground.progress import Progress
from gitops.images import cli_by_hand
from gitops.manifests.overlay import Overlay
from gitops.service.cli_edit import say_written

if TYPE_CHECKING:
    from pydantic import SecretStr

    from gitops.clients.github import Hub
    from gitops.service.draft import Gate

image_option = click.option(
    "--image",
    "entry",
    default="app",
    show_default=True,
    shell_complete=complete.entries,
    help="Which of its images, by its entry's name.",
)


@click.command("set", cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.argument("version", shell_complete=complete.tags)
@everywhere_option
@image_option
@pass_gate
@click.pass_obj
def set_image(
    taken: Mapping[str, SecretStr], gate: Gate, service: str, version: str, environment: str | None, entry: str
) -> None:
    """Pin another image of SERVICE in the working copy, tag and digest together.

    VERSION is a tag, TAG@sha256:DIGEST (then no registry is asked), or a whole reference.

    Example: gitops images set mogle 2.15.0 --environment staging
    """
    from gitops.clients.registries import Registries
    from gitops.images import set as sets

    checkout = Checkout.find()
    done = sets.set_image(checkout, gate, Registries(taken), service, version, name=entry, environment=environment)
    say_written(checkout, done.paths, f"{service}-image", f"{service}: {done.tag}", *done.notes)


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@environment_option
@click.option(
    "--to",
    metavar="TAG",
    shell_complete=complete.tags,
    help="What it ran once; without it: what it ran before this one.",
)
@cli_by_hand.reason_option
@cli_by_hand.span_option
@image_option
@click.option("--local", "here", is_flag=True, help="Commit it here, and ask GitHub nothing.")
@pass_gate
@click.pass_obj
def rollback(
    taken: Mapping[str, SecretStr],
    gate: Gate,
    service: str,
    environment: str,
    to: str | None,
    reason: str,
    span: str,
    entry: str,
    here: bool,
) -> None:
    """Open the pull request that goes back to an image that SERVICE ran, and hold it there.

    Without a token of GitHub, or with --local, it is a commit on a branch of this clone, and the next step is said. One
    that the registry has no more is left out; where it cannot be asked (no credentials of AWS) that is said.

    Example: gitops images rollback mogle --reason "logins fail since noon" --for 3d
    """
    from gitops.clients.registries import Registries
    from gitops.images import rollback as rollbacks
    from gitops.images.entry import label
    from gitops.tools.build import ensure

    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    until = cli_by_hand.end_of(span)
    overlay, registry = Overlay(service, environment), Registries(taken)
    hub = None if here else _hub(checkout)
    if hub:
        outcome, image, asked = rollbacks.rollback(
            checkout, hub, registry, overlay, name=entry, to=to, reason=reason, until=until
        )
        say(f"{outcome.action}: {label(overlay, entry)} back to {image.tag} {outcome.url} {outcome.why}".rstrip())
    else:
        made = rollbacks.rollback_here(checkout, gate, registry, overlay, name=entry, to=to, reason=reason, until=until)
        image, asked = made.image, made.asked
        say(
            f"committed {made.commit[:12]} on the branch {made.branch}: {label(overlay, entry)} back to {image.tag}",
            "",
            f"next: git push origin {made.branch}",
            "and open a pull request with the label rollback; once it is merged, Argo CD deploys it. To try it first:",
            f"git switch {made.branch} && gitops lab push",
        )
    if not asked:
        say(f"the registry could not be asked whether it still has {image.tag}: look before you merge", err=True)


def _hub(checkout: Checkout) -> Hub | None:
    """GitHub, where someone is signed in to it."""
    from gitops.clients.github import person

    try:
        return person.hub_of(checkout.root)
    except InputError as error:
        say(f"without GitHub, so as a commit here: {error.fault.what}", err=True)
        return None


COMMANDS = (set_image, rollback)

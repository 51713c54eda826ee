"""The commands of `gitops images` by which a person has a say: parses and prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.groups import Command
from gitops.ground.options import check_reason, environment_option
from gitops.ground.output import say
from gitops.ground.progress import Progress
from gitops.manifests.overlay import Overlay

if TYPE_CHECKING:
    from pydantic import SecretStr

reason_option = click.option(
    "--reason", required=True, callback=check_reason, help="Why; it stands in the pull request and in the hold."
)
image_option = click.option(
    "--image",
    "entry",
    shell_complete=complete.entries,
    help="Which of its images, by its entry's name (default: the only one).",
)
span_option = click.option("--for", "span", default="7d", show_default=True, help="How long the bot waits.")


def end_of(span: str) -> datetime:
    """The moment after a span such as 3d from now. Raises InputError."""
    from gitops.images import policy

    try:
        length = policy.duration(span)
    except ValueError as error:
        raise InputError(f"--for {span!r}: {error}") from None
    if not length:
        raise InputError("--for", expected="a span of some minutes at least, such as 90m, 24h or 3d", found=repr(span))
    return datetime.now(UTC).replace(microsecond=0) + length


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None or moment <= datetime.now(UTC):
        expected = "a moment to come with its zone, such as 2027-01-31T18:00:00+09:00"
        raise InputError("--until", expected=expected, found=repr(text))
    return moment


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@environment_option
@reason_option
@span_option
@click.option("--until", help="Instead of --for: a moment with its zone, such as 2027-01-31T18:00:00+09:00.")
@click.option("--tag", shell_complete=complete.tags, help="What must run; another one is refused.")
@image_option
def hold(
    service: str, environment: str, reason: str, span: str, until: str | None, tag: str | None, entry: str | None
) -> None:
    """Open the pull request by which SERVICE stays on the image that it runs, until a moment.

    Exit codes: 0 opened, or open already; 2 there is no such overlay or policy; 4 GitHub refused.

    Example: gitops images hold mogle --reason "evaluation week" --for 7d
    """
    from gitops.clients.github import person
    from gitops.images import by_hand

    end = _moment(until) if until else end_of(span)
    checkout, overlay = Checkout.find(), Overlay(service, environment)
    hub = person.hub_of(checkout.root)
    outcome, target = by_hand.hold(checkout, hub, overlay, name=entry, tag=tag, reason=reason, until=end)
    what = f"{target.label} stays on {target.pin.image.tag} until {end.isoformat(timespec='minutes')}"
    say(f"{outcome.action}: {what} {outcome.url} {outcome.why}".rstrip())


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@environment_option
@image_option
def unhold(service: str, environment: str, entry: str | None) -> None:
    """Open the pull request that ends the hold on SERVICE, so that the bot goes on.

    Exit codes: 0 opened, or open already; 2 there is no hold; 4 GitHub refused.

    Example: gitops images unhold mogle
    """
    from gitops.clients.github import person
    from gitops.images import by_hand

    checkout, overlay = Checkout.find(), Overlay(service, environment)
    outcome, target, held = by_hand.unhold(checkout, person.hub_of(checkout.root), overlay, entry)
    say(f"{outcome.action}: {target.label} is held on {held.tag} no more {outcome.url} {outcome.why}".rstrip())


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.option("--environment", shell_complete=complete.environments, help="Only there (default: everywhere).")
@click.option(
    "--image",
    "entry",
    shell_complete=complete.entries,
    help="Of which image, by its entry's name (default: the only one declined).",
)
def undecline(service: str, environment: str | None, entry: str | None) -> None:
    """Let the bot propose again what was declined for SERVICE by closing its pull requests.

    They get the label `withdrawn`. Exit codes: 0 done, or nothing was declined; 2 there is no policy; 4 GitHub refused.

    Example: gitops images undecline mogle
    """
    from gitops.clients.github import person
    from gitops.images import by_hand

    checkout = Checkout.find()
    for done in by_hand.undecline(checkout, person.hub_of(checkout.root), service, environment, entry):
        tags = f"the next run may propose {', '.join(done.tags)} again" if done.tags else "nothing was declined"
        say(f"{done.label}: {tags}")
        for tag in done.taken_back:
            words = f"{done.words} --to {tag} --reason WHY"
            say(f"{done.label}: {tag} was taken back on main; gitops images rollback {words} brings it back")


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@click.option(
    "--from",
    "source",
    default="staging",
    show_default=True,
    shell_complete=complete.environments,
    help="The environment that runs it.",
)
@click.option(
    "--to",
    "target",
    default="prod",
    show_default=True,
    shell_complete=complete.environments,
    help="The environment that is to run it.",
)
@image_option
@click.pass_obj
def promote(taken: Mapping[str, SecretStr], service: str, source: str, target: str, entry: str | None) -> None:
    """Open the pull request that takes the image that SERVICE runs in one environment to another, now.

    It says which soak time is passed over. Exit codes: 0 opened, or open already; 2 it runs there already, is held
    there or must not run there; 4 GitHub refused.

    Example: gitops images promote mogle --from staging --to prod
    """
    from gitops.clients.github import person
    from gitops.clients.registries import Registries
    from gitops.images import by_hand
    from gitops.tools.build import ensure

    checkout = Checkout.find()
    ensure(checkout, Progress(), ["kustomize"])
    hub, registry = person.hub_of(checkout.root), Registries(taken)
    now = datetime.now(UTC)
    made = by_hand.promote(checkout, hub, registry, service, name=entry, source=source, target=target, now=now)
    say(f"{made.outcome.action}: {made.label} to {made.image.tag} {made.outcome.url} {made.outcome.why}".rstrip())
    if made.skipped:
        say(f"by hand, as it would wait: {made.skipped}")
    if not made.asked:
        say(f"the registry could not be asked about {made.image.tag}: look before you merge", err=True)


COMMANDS = (hold, unhold, undecline, promote)

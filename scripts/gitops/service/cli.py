"""`gitops service`: parses and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import output_option, pass_gate
from gitops.ground.output import Table, present, say
from gitops.service import cli_edit, cli_end, cli_live, cli_try
from gitops.service.cli_edit import say_written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from gitops.repository import services as model
    from gitops.service.draft import Gate


@click.group(cls=Group)
def service() -> None:
    """Make a service, change it, try its image, watch it, list them, hand one over, end one.

    Example: gitops service list
    """


@service.command()
@click.argument("name")
@click.option(
    "--image",
    required=True,
    metavar="REF",
    shell_complete=complete.images,
    help="REGISTRY/NAME:TAG[@DIGEST]; the digest is looked up.",
)
@click.option("--domain", "domains", multiple=True, metavar="HOST", help="Prod's host (repeat it for more).")
@click.option("--shape", type=click.Choice(["web", "bot"]), default="web", show_default=True)
@click.option(
    "--owner",
    default="platform",
    show_default=True,
    metavar="TEAM",
    shell_complete=complete.teams,
    help="A team of .github/teams.yaml.",
)
@click.option("--contact", metavar="CHANNEL", help="Who is told of it, as #shop-dev (default: its team's channel).")
@click.option(
    "--component",
    "components",
    multiple=True,
    type=click.Choice(["arm64", "burst", "internal-client"]),
    help="An opt-in of base/components (repeat it for more).",
)
@click.option("--port", type=int, metavar="PORT", help="Where the image listens, if not on $PORT (8080).")
@click.option("--health", metavar="PATH", help="What it answers while it is well, if not /healthz and /readyz.")
@click.pass_obj
def new(
    taken: Mapping[str, SecretStr],
    name: str,
    image: str,
    domains: tuple[str, ...],
    shape: str,
    owner: str,
    contact: str | None,
    components: tuple[str, ...],
    port: int | None,
    health: str | None,
) -> None:
    """Write the files of a new service, ready to merge.

    Example: gitops service new shop --image ghcr.io/ft-platform/shop:1.2.3 --domain shop.example.com --owner community
    """
    from gitops.clients.registries import Registries
    from gitops.service import change
    from gitops.service.steps import next_steps

    checkout = Checkout.find()
    request = change.NewService(name, image, domains, shape, owner, port, health, contact, components)
    paths = change.new(checkout, request, Registries(taken))
    for path in paths:
        say(f"wrote {checkout.relative(path)}")
    say(
        f"owner: {owner}; who is told of it: {change.contact_of(checkout, request)} (overlays/{name}/owner.yaml)",
        "",
        *next_steps(checkout, name, f"Add {name}", paths),
        f"the image must listen on {port or '$PORT (8080)'}, answer GET {health or '/healthz and /readyz'}, "
        "run as any user and write to /tmp alone",
    )
    if hosts := change.uncovered(checkout, request):
        say(
            f"note: no certificate covers {', '.join(hosts)}, so gitops check will refuse it (lb-certificate); "
            "see docs/runbooks/gate.md",
            err=True,
        )


@service.command("list")
@output_option
def list_services(output: str) -> None:
    """Every service: environment, image, domains, owner.

    Exit code 1: a file of one cannot be read; all else is shown.

    Example: gitops service list
    """
    from gitops.repository import services as model

    known, faults = model.listed(Checkout.find())
    rows: list[tuple[model.Service, model.OverlaySummary]] = []
    for service in known:
        rows += [(service, summary) for summary in service.overlays]
    documents = [
        {
            "service": service.name,
            "environment": summary.overlay.environment,
            "image": ", ".join(map(str, summary.images)),
            "domains": list(summary.domains),
            "owner": service.owner.team,
            "contact": service.owner.contact,
        }
        for service, summary in rows
    ]
    head = ["service", "environment", "image", "owner", "contact", "domains"]
    present(output, Table(head, [_row(service, summary) for service, summary in rows]), documents)
    if faults:
        raise NotHealthyError.several(faults)


def _row(service: model.Service, summary: model.OverlaySummary) -> list[str]:
    return [
        service.name,
        summary.overlay.environment,
        ", ".join(image.short for image in summary.images),
        service.owner.team,
        service.owner.contact,
        " ".join(summary.domains) or "-",
    ]


@service.command()
@click.argument("name", shell_complete=complete.services)
@click.option(
    "--to", "team", required=True, metavar="TEAM", shell_complete=complete.teams, help="A team of .github/teams.yaml."
)
@pass_gate
def handover(gate: Gate, name: str, team: str) -> None:
    """Give a service to another team: owner, labels and CODEOWNERS.

    Example: gitops service handover mogle --to benefit
    """
    from gitops.service.handover import hand_over

    checkout = Checkout.find()
    if changed := hand_over(checkout, gate, name, team):
        note = "both teams' approval is asked for by CODEOWNERS"
        say_written(checkout, changed, f"{name}-handover", f"{name}: to {team}", note)
    else:
        say(f"{name} belongs to {team} already")


@service.command()
def codeowners() -> None:
    """Write CODEOWNERS anew, after a service was removed or a team or an owner changed by hand.

    Example: gitops service codeowners
    """
    from gitops.service import change

    checkout = Checkout.find()
    if change.write_codeowners(checkout):
        then = "and open a pull request"
        say_written(checkout, [checkout.codeowners_file], "codeowners", "Write CODEOWNERS anew", then=then)
    else:
        say(f"{checkout.relative(checkout.codeowners_file)} is what teams.yaml and the owners say already")


for command in (*cli_edit.COMMANDS, *cli_end.COMMANDS, *cli_live.COMMANDS, *cli_try.COMMANDS):
    service.add_command(command)

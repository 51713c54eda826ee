"""`gitops service try`: parses and prints."""

from __future__ import annotations

from pathlib import Path

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError, NotHealthyError
from gitops.ground.groups import Command
from gitops.ground.options import output_option
from gitops.ground.output import say, say_json
from gitops.ground.progress import Progress


@click.command("try", cls=Command)
@click.argument("image", shell_complete=complete.images)
@click.option("--shape", type=click.Choice(["web", "bot"]), default="web", show_default=True, help="Of base/.")
@click.option("--port", type=click.IntRange(1024, 65535), metavar="PORT", help="As service new takes it.")
@click.option("--health", metavar="PATH", help="As service new takes it.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable that it needs (repeat it).")
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of variables, a line each: for secrets.",
)
@output_option
def try_image(
    image: str,
    shape: str,
    port: int | None,
    health: str | None,
    variables: tuple[str, ...],
    env_file: Path | None,
    output: str,
) -> None:
    """Start IMAGE as base/ would, by podman or docker, and say what of the contract it keeps.

    Its user, read-only root, capabilities, memory, variables, probes and end are those that base/ renders. Exit
    codes: 0 all is kept; 1 something is broken; 3 neither podman nor docker is here; 4 the image cannot be brought.

    Example: gitops service try ghcr.io/ft-platform/shop:1.2.3 --env MENU_URL=https://menu.example.com
    """
    from gitops.clients import containers
    from gitops.service import trial
    from gitops.tools.build import ensure

    trial.check_reference(image)
    if health is not None and not health.startswith("/"):
        raise InputError("--health", expected="a path, such as /status", found=repr(health))
    given = trial.variables(variables)
    engine = containers.engine()
    checkout, progress = Checkout.find(), Progress()
    ensure(checkout, progress, ["kustomize"])
    clauses = trial.run(checkout, engine, progress, image, trial.TrialRequest(shape, port, health, given, env_file))
    if output == "json":
        say_json([clause.as_dict() for clause in clauses])
    else:
        for clause in clauses:
            first, *rest = clause.said.split("\n")
            say(f"{clause.word + ':':<11}{clause.clause}: {first}", *(f"{'':<13}{line}" for line in rest))
            if clause.fix:
                say(f"{'':<11}fix: {clause.fix}")
    if broken := [clause for clause in clauses if clause.kept is False]:
        raise NotHealthyError(f"{image} breaks {len(broken)} of {len(clauses)} clauses of base/{shape}")
    say(f"{image} keeps the contract of base/{shape}", err=True)


COMMANDS = (try_image,)

"""`gitops preview`: parses and prints."""

from __future__ import annotations

from pathlib import Path

import click

from gitops.ground import printable
from gitops.ground.checkout import Checkout
from gitops.ground.errors import NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import base_option, head_option
from gitops.ground.output import hand_on, say, say_styled, summarise_text
from gitops.ground.output import write as write_file
from gitops.ground.progress import Progress

_INSTEAD = "comment.yaml calls this; on a laptop `gitops preview` shows the same"


@click.group(cls=Group, invoke_without_command=True)
@base_option
@head_option
@click.option("--output", type=click.Choice(["text", "markdown", "html", "json"]), default="text", show_default=True)
@click.option(
    "--write",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write Markdown, HTML and JSON into this folder as well.",
)
@click.pass_context
def preview(context: click.Context, base: str | None, head: str | None, output: str, write: Path | None) -> None:
    """Show what a change does to every Application, object by object and field by field.

    Exit code 1: an Application would not render any more.

    Example: gitops preview
    """
    if context.invoked_subcommand:
        return
    say(f"gitops preview: {head or 'the working copy'} against {base or 'origin/main'}", err=True)
    # After the first line: these take a moment to load.
    from gitops.preview import run, text
    from gitops.repository import revision
    from gitops.tools.build import ensure

    checkout, progress = Checkout.find(), Progress()
    ensure(checkout, progress, ["kustomize"])
    with revision.compare(checkout, base, head, for_all=run.FOR_ALL) as change:
        summary = run.run(checkout, change, progress)
    forms = {
        "markdown": text.markdown(summary, artifact="preview"),
        "html": text.page(summary),
        "json": printable.json_text(summary.model_dump(), indent=1),
    }
    if write:
        for name, suffix in (("markdown", "md"), ("html", "html"), ("json", "json")):
            write_file(write / f"preview.{suffix}", forms[name])
    if output == "text":
        say_styled(text.terminal(summary))
    else:
        say(*forms[output].removesuffix("\n").split("\n"))
    summarise_text(forms["markdown"])
    if broken := [app.name for app in summary.applications if app.action == "broken"]:
        raise NotHealthyError(f"does not render: {', '.join(broken)}")


@preview.command()
@click.option(
    "--sarif",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the run's findings here, for GitHub's code scanning.",
)
def comment(sarif: Path | None) -> None:
    """Write the sticky comment of the pull request whose check has ended; nothing where it was ended before it found
    anything, or the pull request has gone on.

    The event of GitHub Actions says which (workflow_run: GITHUB_EVENT_PATH); GITHUB_REPOSITORY, GITHUB_TOKEN and
    GITHUB_API_URL say where. number and sarif become outputs of the step.

    Example: gitops preview comment --sarif findings.sarif
    """
    from gitops.clients.github import Hub, artifacts, workflow_run
    from gitops.ground import settings
    from gitops.preview import artifact
    from gitops.preview import comment as comments

    run = workflow_run.read_run(settings.read().event_file, _INSTEAD)
    hub = Hub.from_environment()
    try:
        pull = workflow_run.pull_request(hub, run)
        archive = artifacts.artifact(hub, run.id, artifact.NAME, limit=artifact.LIMIT)
    except workflow_run.NothingToTellError as error:
        # A cancelled check fails as any other where a job of it could not begin; that is told by itself.
        say(f"nothing to tell: {error}")
        return
    kept = artifact.read(archive)
    comments.check_same_commit(kept.preview, run)
    action = comments.post(hub, pull, kept.preview)
    if sarif and kept.sarif:
        write_file(sarif, kept.sarif.text())
        hand_on("sarif", str(sarif))
    hand_on("number", str(pull.number))
    say(f"#{pull.number}: comment {action}" if action != "nothing" else f"#{pull.number}: nothing changes, no comment")

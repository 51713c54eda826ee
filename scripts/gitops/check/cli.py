"""`gitops check`: parses and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError, NotHealthyError
from gitops.ground.groups import Command
from gitops.ground.options import base_option, head_option, output_option
from gitops.ground.output import say, say_json, summarise, write
from gitops.ground.progress import Progress

if TYPE_CHECKING:
    from gitops.check.outcome import CheckOutcome

# kubernetes, argocd and sealed-secrets offline too: their schemas.
TOOLS = ["kustomize", "gitleaks", "etcd", "kubernetes", "argocd", "sealed-secrets"]


@click.command(cls=Command)
@base_option
@head_option
@click.option("--all", "everything", is_flag=True, help="Every overlay and cluster, not only what the change concerns.")
@click.option("--offline", is_flag=True, help="The quick path: no API server, so no dry run and no policies.")
@click.option(
    "--lab",
    metavar="NAME",
    shell_complete=complete.labs,
    help="Ask this lab's API server, started if need be and left running.",
)
@click.option("--write-baseline", is_flag=True, help="Make what is found now the known findings (baseline.yaml).")
@click.option("--sarif", type=click.Path(dir_okay=False, path_type=Path), help="Write the findings for GitHub as well.")
@output_option
def check(
    base: str | None,
    head: str | None,
    everything: bool,
    offline: bool,
    lab: str | None,
    write_baseline: bool,
    sarif: Path | None,
    output: str,
) -> None:
    """Hold a change against everything that must be true before it merges.

    Renders the overlays that it affects, and asks a real API server (a control plane of its own, gone afterwards) for
    every object and pod, with the cluster's policies in force. Exit code 1: something was found.

    Example: gitops check --offline
    """
    checkout, progress = Checkout.find(), Progress()
    if lab is not None:
        _check_lab(checkout, lab, offline)
    say(
        f"gitops check: {head or 'the working copy'} against "
        f"{'nothing: all of it' if everything else base or 'origin/main'}",
        err=True,
    )
    # After the first line: these take a moment to load, in which the programs that render start.
    from gitops.manifests.kustomize import renderer
    from gitops.tools.build import ensure

    ensure(checkout, progress, TOOLS)
    with renderer(checkout) as renders:
        renders.start()
        from gitops.check import outcome, report
        from gitops.ground.printable import counted

        result, baseline = outcome.check(
            checkout,
            progress,
            base=base,
            head=head,
            everything=everything,
            offline=offline,
            lab=lab,
            renders=renders,
        )
    if write_baseline:
        others = report.not_looked_at(baseline, None if everything else result.units, offline=offline)
        number = report.write_baseline(checkout.root / report.BASELINE, result.findings, others)
        known = counted(number, "finding is", "findings are")
        say(f"{report.BASELINE}: {known} known from now on", err=True)
        return
    verdict = outcome.CheckOutcome.of(result, baseline)
    if sarif:
        write(sarif, report.sarif(verdict.new))
    _show(verdict, output)


def _show(verdict: CheckOutcome, output: str) -> None:
    """Print what is new. Raises NotHealthyError where one of it closes the gate."""
    from gitops.check import report

    if output == "json":
        say_json([report.as_dict(finding) for finding in verdict.new], indent=1)
    else:
        for finding in verdict.new:
            say(*report.as_lines(finding))
    if verdict.new:
        summarise(["where", "rule", "what", "fix"], [report.as_row(finding) for finding in verdict.new])
    if verdict.errors:
        raise NotHealthyError(verdict.sentence)
    say(verdict.sentence, err=True)


def _check_lab(checkout: Checkout, name: str, offline: bool) -> None:
    """Refuse a name that no lab can have, also where this change has nothing to ask of one. Raises InputError."""
    from gitops.lab.layout import Lab

    if offline:
        raise InputError("--offline asks no API server, --lab asks that of a lab", fix="leave one of them out")
    Lab(checkout, name)

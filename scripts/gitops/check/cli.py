"""`gitops check`: parses and prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops.ground.checkout import Checkout
from gitops.ground.errors import NotHealthyError
from gitops.ground.options import base_option, head_option, output_option
from gitops.ground.output import summarise, write
from gitops.ground.progress import Progress

if TYPE_CHECKING:
    from gitops.manifests.findings import Finding

# kubernetes, argocd and sealed-secrets offline too: their schemas.
TOOLS = ["kustomize", "gitleaks", "etcd", "kubernetes", "argocd", "sealed-secrets"]


@click.command()
@base_option
@head_option
@click.option("--all", "everything", is_flag=True, help="Every overlay and cluster, not only what the change concerns.")
@click.option("--offline", is_flag=True, help="The quick path: no API server, so no dry run and no policies.")
@click.option("--lab", metavar="NAME", help="Ask this lab's API server, started if need be and left running.")
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
    """
    click.echo(
        f"gitops check: {head or 'the working copy'} against "
        f"{'nothing: all of it' if everything else base or 'origin/main'}",
        err=True,
    )
    # After the first line: these take a moment to load.
    from gitops.check import report as reports
    from gitops.check import run as runs
    from gitops.repository import revision
    from gitops.tools.build import ensure

    checkout, progress = Checkout.find(), Progress()
    ensure(checkout, progress, TOOLS)
    # The load balancer is merged from all overlays of head.
    for_all = ("",) if everything or head else runs.FOR_ALL
    change = (
        revision.whole(checkout, head)
        if everything and not base
        else revision.compare(checkout, base, head, for_all=for_all)
    )
    with change as found:
        result = runs.run(
            checkout, found, progress, offline=offline, everything=everything, lab=lab, today=datetime.now(UTC).date()
        )
        baseline = {
            known.fingerprint
            for known in reports.read_baseline(found.head, found.head.root / reports.BASELINE).findings
        }
    if write_baseline:
        reports.write_baseline(checkout.root / reports.BASELINE, result.findings)
        click.echo(f"{reports.BASELINE}: {len(result.findings)} findings are known from now on", err=True)
        return
    new = [finding for finding in result.findings if finding.fingerprint not in baseline]
    if sarif:
        write(sarif, reports.sarif(new))
    if output == "json":
        click.echo(json.dumps([reports.as_dict(finding) for finding in new], indent=1))
    else:
        for finding in new:
            click.echo("\n".join(reports.as_lines(finding)))
    _summarise(new)
    errors = sum(finding.severity == "error" for finding in new)
    told = f"{len(result.units)} folders checked: {errors} errors, {len(new) - errors} warnings"
    told += f", {len(result.findings) - len(new)} known (baseline)" if len(result.findings) > len(new) else ""
    told += f", {len(result.excepted)} excepted" if result.excepted else ""
    if errors:
        raise NotHealthyError(told)
    click.echo(told, err=True)


def _summarise(found: list[Finding]) -> None:
    rows = [[f"{f.place.file}:{f.place.line}", f.rule, f.what, f.fix] for f in found]
    if rows:
        summarise(["where", "rule", "what", "fix"], rows)

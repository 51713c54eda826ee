"""The commands of `gitops service` that look at what runs: parses and prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, NotHealthyError
from gitops.ground.groups import Command
from gitops.ground.options import everywhere_option, output_option
from gitops.ground.output import print_table, say, say_json
from gitops.ground.printable import counted

if TYPE_CHECKING:
    from gitops.manifests.overlay import Overlay
    from gitops.service.place import RunningCluster


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which cluster is asked."""
    lab = click.option("--lab", "in_lab", is_flag=True, help="Ask the lab (GITOPS_LAB_NAME) and no kubeconfig.")
    context = click.option(
        "--context",
        metavar="NAME",
        shell_complete=complete.contexts,
        help="Of the kubeconfig (default: its current one).",
    )
    return lab(context(command))


def _asked(
    service: str, environment: str | None, in_lab: bool, context: str | None
) -> tuple[RunningCluster, list[Overlay]]:
    from gitops.repository import services
    from gitops.service import place

    checkout = Checkout.find()
    overlays = services.by_folders(checkout, service, environment)
    return place.of(checkout, lab=in_lab, context=context), overlays


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@everywhere_option
@_where
@output_option
def status(service: str, environment: str | None, in_lab: bool, context: str | None, output: str) -> None:
    """What a SERVICE's Applications and pods are at, with the pods' own reasons.

    The cluster is that of the kubeconfig (KUBECONFIG, ~/.kube/config), which has to run this platform. Exit code 1:
    an Application is not Synced and Healthy, or not there.

    Example: gitops service status mogle --environment prod
    """
    from gitops.clients import argocd
    from gitops.service import running

    place, overlays = _asked(service, environment, in_lab, context)
    apps = [running.application(place.cluster, overlay) for overlay in overlays]
    pods = [running.pods(place.cluster, overlay) for overlay in overlays]
    told = list(zip(overlays, apps, pods, strict=True))
    if output == "json":
        own: list[dict[str, Any]] = []
        for overlay, app, its in told:
            document = {"environment": overlay.environment, "application": app.as_dict() if app else None}
            own.append({**document, "pods": [pod.as_dict() for pod in its]})
        say_json({"cluster": place.name, "simulated": place.simulated, "environments": own})
    else:
        say(place.sentence)
        rows = [[app.name, app.sync, app.health, app.short_revision, app.message] for app in apps if app]
        print_table(["application", "sync", "health", "revision", "why"], rows)
        table: list[list[str]] = []
        for overlay, _, its in told:
            table += [[overlay.environment, pod.name, pod.ready, str(pod.restarts), pod.since, pod.says] for pod in its]
        print_table(["environment", "pod", "ready", "restarts", "since", "says"], table)
        for overlay, _, its in told:
            _say_images(overlay, running.by_images(its))
    missing = [
        Fault(f"{one.application}: no such Application; it is not merged yet") for one, app, _ in told if not app
    ]
    late = [Fault(f"{app.name}: {argocd.describe(app)}") for app in apps if app and not app.good]
    if faults := [*missing, *late]:
        raise NotHealthyError.several(faults)


def _say_images(overlay: Overlay, runs: Mapping[str, Sequence[str]]) -> None:
    """What an environment runs: once, as its pods most often run the same, and by the pods' names where not."""
    for images, names in runs.items():
        who = counted(len(names), "pod") if len(runs) == 1 else ", ".join(names)
        say(f"{overlay.environment} runs {images} ({who})")


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@everywhere_option
@_where
@output_option
def events(service: str, environment: str | None, in_lab: bool, context: str | None, output: str) -> None:
    """What happened to a SERVICE's objects in the cluster in the last hour, the newest last.

    Example: gitops service events mogle --environment prod
    """
    from gitops.service import running

    place, overlays = _asked(service, environment, in_lab, context)
    told = [(overlay, running.events(place.cluster, overlay)) for overlay in overlays]
    if output == "json":
        documents: list[dict[str, Any]] = []
        for overlay, happened in told:
            documents += [{"environment": overlay.environment, **event.as_dict()} for event in happened]
        say_json(documents)
        return
    say(place.sentence)
    rows: list[list[str]] = []
    for overlay, happened in told:
        rows += [
            [
                overlay.environment,
                f"{event.when:%Y-%m-%d %H:%M:%S}",
                event.kind,
                event.about,
                event.reason,
                str(event.count),
                event.message,
            ]
            for event in happened
        ]
    print_table(["environment", "when (UTC)", "type", "object", "reason", "times", "message"], rows)
    if not rows:
        say("nothing: the cluster keeps events for an hour")


@click.command(cls=Command)
@click.argument("service", shell_complete=complete.services)
@everywhere_option
@_where
@click.option("--lines", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Of each container.")
@click.option("--previous", is_flag=True, help="What a container printed before it was started again.")
def logs(service: str, environment: str | None, in_lab: bool, context: str | None, lines: int, previous: bool) -> None:
    """The end of what a SERVICE's containers printed.

    A lab has none: its pods are simulated, and no image was run. To follow them: kubectl --namespace NAMESPACE logs
    --follow. Exit code 1: no container has any.

    Example: gitops service logs mogle --environment prod --lines 200
    """
    from gitops.service import running

    place, overlays = _asked(service, environment, in_lab, context)
    if place.simulated:
        words = f"gitops service status {service}{' --lab' if in_lab else ''}"
        raise NotHealthyError(place.sentence, fix=f"what its pods say: {words}")
    say(place.sentence, err=True)
    some = False
    for overlay in overlays:
        for log in running.logs(place.cluster, overlay, lines=lines, previous=previous):
            some = some or not log.why
            say(f"==> {overlay.namespace}/{log.pod} {log.container}{f': {log.why}' if log.why else ''}", *log.lines)
    if not some:
        names = ", ".join(overlay.namespace for overlay in overlays)
        raise NotHealthyError(f"no container of {names} has printed anything", fix=f"gitops service events {service}")


COMMANDS = (status, events, logs)

"""`gitops lab`: parses and prints."""

from __future__ import annotations

import shlex
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gitops.ground import complete, printable
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError, NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import output_option
from gitops.ground.output import print_table, say, say_json
from gitops.ground.printable import counted
from gitops.ground.progress import Progress, Step
from gitops.ground.suggest import unknown
from gitops.lab import process
from gitops.lab.layout import default_name
from gitops.manifests.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitops.clients import argocd
    from gitops.lab.layout import Lab

# The columns of a status where no terminal says how many it has: a reason may be long.
WIDEST = 160
# The overlay that the demo changes.
DEMO = Overlay("mogle", "staging")

name_option = click.option(
    "--name",
    default=default_name,
    show_default="default",
    shell_complete=complete.labs,
    help="Which lab (GITOPS_LAB_NAME).",
)


@click.group(cls=Group)
def lab() -> None:
    """The platform's real components on this machine: etcd, Kubernetes, Argo CD, on loopback.

    Example: gitops lab up
    """


def _parts(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """For a shell: the parts of a lab."""
    from gitops.lab.parts import PARTS

    return complete.fitting(PARTS, incomplete)


def _lab(name: str) -> Lab:
    from gitops.lab.layout import Lab

    return Lab(Checkout.find(), name)


def _existing(name: str) -> Lab:
    """Raises InputError for a lab that left nothing to end or to forget."""
    from gitops.lab.layout import find_labs

    target = _lab(name)
    if not target.folder.is_dir():
        raise unknown("lab", name, [lab.name for lab in find_labs(target.checkout)])
    return target


@lab.command()
@name_option
@click.option(
    "--nodes",
    type=click.IntRange(1, 50),
    show_default="2",
    help="Nodes in each of the three zones (a new lab only).",
)
@click.option("--api-port", type=click.IntRange(1024, 65535), help="The API server's port (a new lab only).")
def up(name: str, nodes: int | None, api_port: int | None) -> None:
    """Start what is not running; wait until every Application is Synced and Healthy.

    Example: gitops lab up
    """
    from gitops.lab import lab as labs
    from gitops.tools.build import ensure

    target, progress = _lab(name), Progress()
    _say_simulated(target)
    ensure(target.checkout, progress)
    _warn_dirty(target)
    with _interrupted(target, _started(target)):
        new = labs.up(target, progress, nodes_per_zone=nodes, api_port=api_port)
    if not new:
        say(f"lab {name!r} is already up")
    _print_addresses(target)
    _say_simulated(target)


@lab.command()
@name_option
@output_option
def status(name: str, output: str) -> None:
    """Every process and every Application; exit code 1 where one is dead or not Healthy.

    Example: gitops lab status
    """
    from gitops.clients import argocd
    from gitops.clients.kubernetes import ClusterError
    from gitops.lab import lab as labs

    target = _lab(name)
    parts = labs.status(target)
    dead = [part.name for part in parts if not part.alive]
    apps, lacking, silence = None, list[Fault](), None
    if not {process.NETWORK, "etcd", "kube-apiserver"} & set(dead):
        try:
            apps = labs.applications(target)
            lacking = [] if apps is None else labs.lacking(target, apps)
        except ClusterError as error:
            silence = labs.unanswered(target, error)
    memory = process.memory(target)
    if output == "json":
        say_json(
            {
                "lab": name,
                "simulated": True,
                "memory_bytes": memory,
                "parts": [vars(part) for part in parts],
                "applications": [app.as_dict() for app in apps or []],
                "lacking": [fault.what for fault in lacking],
            }
        )
    else:
        _say_simulated(target)
        running = [part.name for part in parts if part.alive]
        say(f"{len(running)} of {len(parts)} processes run, with {memory / 2**20:.0f} MiB ({target.command('logs')})")
        print_applications(apps or [])
        if len(dead) < len(parts):
            _print_addresses(target)
    if dead and len(dead) == len(parts):
        raise process.is_down(target)
    if dead:
        ended = [part for part in dead if target.log(part).exists()]
        raise NotHealthyError.several(process.dead_part(target, part).fault for part in ended or dead[:1])
    if silence:
        raise silence
    if apps is None:
        what = f"lab {name!r}: Argo CD has no Applications yet"
        raise NotHealthyError(what, fix=f"let it come to its end: {target.command('up')}")
    late = [Fault(f"{app.name}: {argocd.describe(app)}") for app in apps if not app.good]
    if faults := [*lacking, *late]:
        raise NotHealthyError.several(faults)


@lab.command()
@name_option
@click.option("--all", "every", is_flag=True, help="Every lab of this checkout.")
@click.pass_context
def down(context: click.Context, name: str, every: bool) -> None:
    """End every process of the lab; its state stays for the next `up`.

    Example: gitops lab down
    """
    from gitops.lab import lab as labs
    from gitops.lab.layout import find_labs

    if every and context.get_parameter_source("name") is click.core.ParameterSource.COMMANDLINE:
        expected = "one of them, as all are every lab of this checkout"
        raise InputError(f"--all and --name {name}", expected=expected)
    for target in find_labs(Checkout.find()) if every else [_existing(name)]:
        count = labs.down(target)
        say(
            f"lab {target.name!r}: {counted(count, 'process', 'processes')} ended"
            if count
            else f"lab {target.name!r}: nothing runs"
        )


@lab.command()
@name_option
def reset(name: str) -> None:
    """End the lab and forget its state: ports, certificates, origin and cluster.

    Example: gitops lab reset
    """
    from gitops.lab import lab as labs

    labs.reset(_existing(name))
    say(f"lab {name!r}: forgotten")


@lab.command()
@click.argument("part", required=False, shell_complete=_parts)
@name_option
@click.option("--lines", type=click.IntRange(min=1), default=process.TAIL_LINES, show_default=True)
def logs(part: str | None, name: str, lines: int) -> None:
    """The end of one PART's log, or of all of them.

    Example: gitops lab logs argocd-server --lines 20
    """
    from gitops.lab import lab as labs

    target, names = _lab(name), labs.select_parts(part)
    target.settings()
    for part_name in names:
        say(f"==> {target.log(part_name)}", *process.tail(target, part_name, lines).split("\n"))


@lab.command()
@name_option
def push(name: str) -> None:
    """Bring this checkout's commit into the lab and wait until every Application has it.

    Example: gitops lab push
    """
    from gitops.lab import lab as labs

    target, progress = _lab(name), Progress()
    target.settings()
    _say_simulated(target)
    _warn_dirty(target)
    rest = f"what was pushed goes on; how far it is: {target.command('status')}; to wait: {target.command('push')}"
    with _interrupted(target, rest):
        pushed = labs.push(target, progress)
    say(f"{'the lab runs' if pushed.new else 'nothing new: the lab already runs'} {pushed.commit[:12]}")


@lab.command()
@name_option
def demo(name: str) -> None:
    """The main job: a push to git that Argo CD syncs until every service is Healthy (what `make demo` runs).

    Example: gitops lab demo
    """
    from gitops.clients import argocd
    from gitops.clients.kubernetes import Cluster
    from gitops.lab import lab as labs
    from gitops.tools.build import ensure

    target, progress = _lab(name), Progress()
    _say_simulated(target)
    ensure(target.checkout, progress)
    _warn_dirty(target)
    with _interrupted(target, _started(target)):
        if not labs.up(target, progress):
            labs.wait_synced(target, progress)
    gain = f"you deployed: one line was pushed to git, and {DEMO.namespace} runs it"
    with progress.step(f"a one-line change pushed to {DEMO}: Synced and Healthy", gain=gain):
        labs.push_one_line(target, DEMO, f"demo-{int(time.time())}")
    print_applications(argocd.applications(Cluster(target.kubeconfig)))
    print_gains(progress.steps)
    say_next(target)


def print_applications(apps: list[argocd.AppStatus]) -> None:
    """The table that an operator reads."""
    rows = [[app.name, app.sync, app.health, app.short_revision, app.message] for app in apps]
    print_table(["application", "sync", "health", "revision", "why"], rows, widest=WIDEST)


def print_gains(steps: Sequence[Step]) -> None:
    """What a person has by each step that is over, in one sentence."""
    rows = [[f"{step.seconds:.1f}", step.gain or step.name] for step in steps]
    print_table(["seconds", "what you have by it"], rows, widest=WIDEST)


def say_next(target: Lab) -> None:
    """Where to look at what runs, and how it ends."""
    _print_addresses(target)
    _say_simulated(target)
    say(
        "",
        f"where to look next (in .venv/bin): {target.command('status')} says what runs, and why where it does not",
        "gitops service list says whose it is; README, Daily tasks: add a service of your own",
        f"it stays up; end it: {target.command('down')}",
    )


def _say_simulated(target: Lab) -> None:
    from gitops.clients.workloads import SIMULATED

    say(f"lab {target.name!r}: {SIMULATED}")


def _print_addresses(target: Lab) -> None:
    address = target.url("argocd").removeprefix("https://").rstrip("/")
    kubeconfig, ca = (shlex.quote(str(path)) for path in (target.kubeconfig, target.ca))
    rows = [
        ("kubectl", f"export KUBECONFIG={kubeconfig}"),
        ("  then", ".tools/bin/kubectl get pods --all-namespaces"),
        ("Argo CD", f"{target.url('argocd')} (a bare listing: its web pages are in no Go module)"),
        ("  sign in", f".tools/bin/argocd login {address} --server-crt {ca} --username admin"),
        (
            "  password",
            f".tools/bin/kubectl --kubeconfig {kubeconfig} -n argocd get secret argocd-initial-admin-secret "
            "-o jsonpath='{.data.password}' | base64 -d",
        ),
        ("  then", ".tools/bin/argocd app list"),
        ("its CA", str(target.ca)),
        ("git origin", str(target.origin)),
        ("Slack", str(target.slack_file)),
        ("deployments", f"{target.deployments_file} (what Argo CD tells GitHub)"),
    ]
    for what, value in rows:
        say(f"{what + ':':<13}{value}")


@contextmanager
def _interrupted(target: Lab, rest: str) -> Iterator[None]:
    """Say of an interrupt what goes on, and what to type."""
    try:
        yield
    except KeyboardInterrupt:
        if target.exists:
            say(rest, err=True)
        raise


def _started(target: Lab) -> str:
    return f"what was started runs on; the rest: {target.command('up')}; its end: {target.command('down')}"


def _warn_dirty(target: Lab) -> None:
    from gitops.lab import origin

    sha, _, changed = origin.source_commit(target)
    if changed:
        files = printable.counted(len(changed), "uncommitted file is", "uncommitted files are")
        say(f"note: the lab runs commit {sha[:12]}; {files} not in it: commit first", err=True)

"""`gitops cluster`: parses and prints."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gitops.ground import complete
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, GitopsError, InputError, NotHealthyError
from gitops.ground.groups import Group
from gitops.ground.options import output_option
from gitops.ground.output import Table, present, print_table, say
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.service.cli_edit import say_written

if TYPE_CHECKING:
    from gitops.clients.aws import ResourceChange
    from gitops.cluster.make import Confirm, PlannedStack
    from gitops.cluster.scale import SizedArgo
    from gitops.cluster.stacks import Stack

_MERGED = "and open a pull request"
_HEAD = ["stack", "do", "resource", "type", "replaced"]


@click.group(cls=Group)
def cluster() -> None:
    """A cluster on AWS, from an empty account and back.

    Example: gitops cluster plan seoul
    """


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
def adopt(name: str) -> None:
    """Make every file name the account, registry and organisation that cluster.yaml of CLUSTER has.

    A cluster.yaml that still has the account of documentation gets the one that you are signed in to. Run again it
    changes nothing. Exit codes: 0 done; 2 cluster.yaml or the credentials cannot be used; 4 AWS could not be asked.

    Example: gitops cluster adopt seoul
    """
    from gitops.cluster import run

    checkout = Checkout.find()
    if changed := run.adopt(checkout, name):
        say_written(checkout, changed, f"{name}-adopt", f"{name}: its account, registry and organisation", then=_MERGED)
    else:
        say("every file says so already", err=True)


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
@click.option(
    "--head",
    shell_complete=complete.revisions,
    help="A revision instead of the working copy; told of only where its stacks are not main's.",
)
@click.option("--comment", is_flag=True, help="Tell the pull request of the event `workflow_run` (in Actions).")
@output_option
def plan(name: str, head: str | None, comment: bool, output: str) -> None:
    """Say what `up` would do, resource by resource, and leave nothing at AWS.

    Exit codes: 0 said; 2 what must be true first is not (wrong account, expired credentials, an overlapping range ...);
    4 AWS could not be asked, or refuses.

    Example: gitops cluster plan seoul
    """
    from gitops.cluster import run

    checkout = Checkout.find()
    if comment and head is None:
        raise InputError("--comment tells of a revision", fix="name it: --head")
    try:
        planned = run.plan_of(checkout, name, head) if head else run.plan(checkout, name)
    except GitopsError as error:
        if comment:
            _tell(name, error)
        raise
    rows = list(itertools.chain.from_iterable(_rows(item.stack, item.changes) for item in planned))
    documents = [
        {"stack": item.stack.name, "status": item.status, "waits": item.waits, "changes": len(item.changes)}
        for item in planned
    ]
    present(output, Table(_HEAD, rows), documents)
    for item in planned:
        say(_summary(item), err=True)
    say(*_argo_size(run.argo_size(checkout, name)), err=True)
    if comment:
        _tell(name, planned)


def _tell(name: str, planned: Sequence[PlannedStack] | GitopsError) -> None:
    from gitops.clients.github import Hub
    from gitops.clients.github.workflow_run import read_run
    from gitops.cluster import run
    from gitops.ground import settings

    event = read_run(settings.read().event_file, "cluster.yaml calls this; without --comment it only says the plan")
    say(f"comment: {run.tell(Hub.from_environment(), event, name, planned)}", err=True)


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
@click.option("--yes", is_flag=True, help="Do what the change sets say without asking.")
def apply(name: str, yes: bool) -> None:
    """Make what follows from the overlays and no more: repositories, the roles that push to them, and certificates.

    It is what the workflow `cluster` may do. Exit codes: as those of `up`.

    Example: gitops cluster apply seoul --yes
    """
    from gitops.cluster import run

    for path in run.apply(Checkout.find(), name, _confirm(yes), Progress()):
        say(f"differs from main: {path}; a person's `gitops cluster up {name}` writes it, to be committed")


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
@click.option("--yes", is_flag=True, help="Do what the change sets say without asking.")
@click.option("--aws-only", is_flag=True, help="Stop behind the stacks: nothing is asked of the cluster itself.")
def up(name: str, yes: bool, aws_only: bool) -> None:
    """Make the cluster, stack by stack; each change set is shown and asked about before it runs. Then bring Argo CD
    into it, which brings all else from git, and wait until every Application is Healthy.

    It may be stopped at any point and run again: it goes on where AWS and the cluster are. What AWS gives is written
    into clusters/CLUSTER, to be committed. Exit codes: 0 all is as the files say; 1 a change set was not agreed to, or
    an Application is not Healthy; 2 what must be true first is not; 4 AWS or the cluster refused or was not done in
    time: what was made before it stays, and both are said.

    Example: gitops cluster up seoul
    """
    from gitops.cluster import run

    checkout, progress = Checkout.find(), Progress()
    if written := [checkout.root / path for path in run.up(checkout, name, _confirm(yes), progress)]:
        say_written(checkout, written, f"{name}-outputs", f"{name}: what AWS gave", then=_MERGED)
    else:
        say("nothing new to commit", err=True)
    if not aws_only:
        run.hand_over(checkout, name, progress)


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
def kubeconfig(name: str) -> None:
    """Print a kubeconfig for CLUSTER. It holds no secret: kubectl asks `gitops cluster token` each time.

    Exit codes: 0 printed; 1 there is no cluster yet; 2 wrong account, region or credentials; 4 AWS could not be asked.

    Example: gitops cluster kubeconfig seoul > seoul.kubeconfig
    """
    from gitops.cluster import run

    say(*run.kubeconfig(Checkout.find(), name).splitlines())


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
@click.option("--region", required=True, metavar="REGION")
@click.option("--role", required=True, metavar="ARN", help="The role that the cluster knows.")
def token(name: str, region: str, role: str) -> None:
    """Print a token for CLUSTER, as kubectl asks for it. It is good for 14 minutes.

    Exit codes: 0 printed; 2 the credentials cannot be used; 4 AWS denies the role, or could not be asked.

    Example: gitops cluster token seoul --region ap-northeast-2 --role arn:aws:iam::111122223333:role/seoul-admin
    """
    from gitops.cluster import access

    say(access.credential(name, region, role))


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
@click.option("--yes", metavar="CLUSTER", help="The cluster's name once more, in place of the question.")
def down(name: str, yes: str | None) -> None:
    """Delete what can be made anew, and say what stays.

    Keys, logs, backups, images, zones and certificates stay. Exit codes: 0 it is gone; 1 not agreed to; 2 wrong
    account, region or credentials; 4 AWS refused or was not done in time: run it again.

    Example: gitops cluster down seoul
    """
    from gitops.cluster import run

    checkout = Checkout.find()
    checkout.cluster(name)
    if (yes or click.prompt("Its name, to delete it and all that runs there", err=True)) != name:
        raise NotHealthyError("another name was given, so nothing was deleted", expected=name)
    kept = run.down(checkout, name, Progress())
    print_table(["stays", "holds"], [[stack.name, _kinds(stack)] for stack in kept] or [["-", "-"]])
    say(f"what stays costs about {run.kept_costs(kept):.2f} USD a month (gitops cluster cost {name})", err=True)


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
@output_option
def status(name: str, output: str) -> None:
    """Show every stack as AWS has it, and the cluster.

    Exit codes: 0 all is there and whole; 1 something is missing, moving or stuck; 2 wrong account, region or
    credentials; 4 AWS could not be asked.

    Example: gitops cluster status seoul
    """
    from gitops.cluster import run

    reports = run.status(Checkout.find(), name)
    rows = [[item.name, item.status, item.changed, item.reason or "-"] for item in reports]
    documents = [{"name": item.name, "status": item.status, "ready": item.ready} for item in reports]
    present(output, Table(["what", "status", "since", "why"], rows), documents)
    if waiting := [item.name for item in reports if not item.ready]:
        raise NotHealthyError(f"not ready: {', '.join(waiting)}", fix=f"gitops cluster up {name}")


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
@output_option
def cost(name: str, output: str) -> None:
    """Say what the cluster costs a month, from its templates and scripts/gitops/cluster/prices.yaml.

    Exit codes: 0 said; 2 cluster.yaml cannot be read, or something has no price.

    Example: gitops cluster cost seoul
    """
    from gitops.cluster import run

    table = run.costs(Checkout.find(), name)
    rows = [
        [line.stack, line.what, f"{line.quantity:g}", f"{line.monthly:.2f}", "assumed" if line.assumed else "-"]
        for line in table
    ]
    head = Table(["stack", "what", "quantity", "USD a month", "quantity is"], rows)
    present(output, head, [asdict(line) for line in table])
    say(f"in all: {sum(line.monthly for line in table):.2f} USD a month", err=True)


@cluster.command()
@click.argument("name", metavar="CLUSTER", shell_complete=complete.clusters)
def doctor(name: str) -> None:
    """Look at everything that must be true, and say all that is not.

    Exit codes: 0 all is right; 1 something is not; 2 cluster.yaml cannot be read.

    Example: gitops cluster doctor seoul
    """
    from gitops.cluster import run

    faults: list[Fault] = []
    for examination in run.doctor(Checkout.find(), name):
        faults += examination.faults
        say(f"{'no' if examination.faults else 'ok'}  {examination.name}  {examination.note}".rstrip())
    if faults:
        raise NotHealthyError.several(faults)


def _confirm(yes: bool) -> Confirm:
    def confirm(stack: Stack, changes: Sequence[ResourceChange]) -> bool:
        print_table(_HEAD, _rows(stack, changes))
        return yes or _agreed(stack)

    return confirm


def _agreed(stack: Stack) -> bool:
    try:
        return click.confirm(f"Do this to {stack.name}?", err=True)
    except click.Abort:  # nobody is there to answer
        return False


def _rows(stack: Stack, changes: Sequence[ResourceChange]) -> list[list[str]]:
    return [[stack.name, item.verb, item.name, item.kind, item.replaces] for item in changes]


def _argo_size(size: SizedArgo) -> list[str]:
    """What Argo CD needs for its Applications, and what of it is not so."""
    if size.step is None:
        return [
            f"Argo CD: {size.applications} Applications are more than one has been tried with: make a second cluster"
        ]
    step = size.step
    lines = [
        f"Argo CD: {counted(size.applications, 'Application')} (settings for up to {step.applications}): "
        f"{counted(step.repo_servers, 'repo-server')}, {counted(step.shards, 'shard')} at most, one for each cluster"
    ]
    for key, value in step.settings.items():
        stands = f", and not {size.unset[key] or 'unset'}: set it in apps/argocd" if key in size.unset else ""
        lines.append(f"  {key}: {value}{stands}")
    return lines


def _summary(item: PlannedStack) -> str:
    after = ", once the stacks before it are there" if item.waits else ""
    return f"{item.stack.name}: {item.status}, {counted(len(item.changes), 'change')}{after}"


def _kinds(stack: Stack) -> str:
    kinds = [item["Type"].removeprefix("AWS::") for item in stack.resources.values()]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))

"""The commands of `gitops secrets` for the keys themselves: lost, backed up, restored."""

from __future__ import annotations

from pathlib import Path

import click

from gitops.ground import credentials
from gitops.ground.checkout import Checkout
from gitops.ground.groups import Command
from gitops.ground.options import cluster_option, output_option
from gitops.ground.output import Table, present, say
from gitops.ground.printable import counted
from gitops.service.cli_edit import say_written


@click.command(cls=Command)
@click.option("--backup", required=True, type=click.Path(path_type=Path), help="The controller's keys: PEM or Secrets.")
@cluster_option
def recover(backup: Path, cluster: str) -> None:
    """When the controller lost its keys: open every seal with a backup of them and seal it for the pinned certificate.

    Values stay in memory.

    Example: gitops secrets recover --backup keys.pem
    """
    from gitops.secrets import manage
    from gitops.service.change import check_clean

    credentials.harden()
    checkout = Checkout.find()
    check_clean(checkout)
    paths = manage.recover(checkout, manage.backup_keys(backup), cluster)
    then = "and open a pull request; once it is merged: gitops secrets verify"
    say_written(checkout, paths, f"{cluster}-seals", f"Seal anew for {cluster}'s new key", then=then)


@click.command(cls=Command)
@cluster_option
@output_option
def backups(cluster: str, output: str) -> None:
    """Open every key of the backup in memory, and say which there are.

    Exit codes: 0 the key of what is sealed against is among them; 2 there is no bucket yet, or no credentials; 4 one
    cannot be opened, or that key is not there.

    Example: gitops secrets backups
    """
    from gitops.secrets import backup

    credentials.harden()
    where = backup.bucket_of(Checkout.find(), cluster)
    keys = backup.read(where)
    rows = [[key.fingerprint[:12], key.secret, key.label, f"{key.stored:%Y-%m-%d %H:%M}"] for key in keys]
    documents = [
        {"fingerprint": key.fingerprint, "secret": key.secret, "stored": key.stored.isoformat()} for key in keys
    ]
    present(output, Table(["certificate", "secret", "label", "stored"], rows), documents)
    backup.check_pinned(where, keys)


@click.command(cls=Command)
@cluster_option
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Of the cluster that gets the keys, as `gitops cluster kubeconfig` prints it.",
)
@click.option("--namespace", default="kube-system", show_default=True, help="Where its controller is.")
def restore(cluster: str, kubeconfig: Path, namespace: str) -> None:
    """Give a new cluster's controller the keys of the backup: then it opens every seal that is in git.

    Keys stay in memory. Exit codes: 0 they are there; 2 no bucket, no credentials or no kubeconfig; 4 AWS or the
    cluster refused, or a key cannot be opened, and then none is given.

    Example: gitops secrets restore --kubeconfig seoul.kubeconfig
    """
    from gitops.clients.kubernetes import Cluster
    from gitops.secrets import backup

    credentials.harden()
    keys = backup.read(backup.bucket_of(Checkout.find(), cluster))
    restored = backup.restore(Cluster(kubeconfig), keys, namespace)
    for name in restored:
        say(f"restored: {namespace}/{name}")
    say(f"{counted(len(keys), 'key')} in the backup, {len(restored)} of them were not in the cluster")
    if restored:
        say(
            "",
            "next: the controller reads its keys when it starts:",
            f"kubectl -n {namespace} rollout restart deployment sealed-secrets-controller",
            "then: gitops secrets verify",
        )

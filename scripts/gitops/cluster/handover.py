"""The last step of `gitops cluster up`: Argo CD in the empty cluster, and everything from git.

Only what Argo CD cannot bring itself is applied from here, the root last. So a run that was killed finds no root and
begins this step again, and one that finds it leaves all to Argo CD and waits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from gitops.clients import argocd
from gitops.clients.kubernetes import Cluster, apply, wait_established
from gitops.cluster import access
from gitops.cluster.world import ClusterWorld
from gitops.ground.errors import InputError, NotHealthyError
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.manifests import installation
from gitops.repository.git import Repo
from gitops.repository.history import History
from gitops.secrets import backup, certificate

# What Argo CD reads of the repository.
_READ = ("apps", "base", "clusters", "overlays", "policies")
_ROOT = f"{argocd.APPLICATIONS}/root"
# Nodes start, images are pulled, a load balancer and its targets are made.
_MINUTES = 20
_APPLY_SECONDS = 300.0
_CERTIFICATE = "/api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:8080/proxy/v1/cert.pem"


def run(world: ClusterWorld, progress: Progress) -> None:
    """Hand the cluster to Argo CD, and wait until every Application is Synced and Healthy.

    Raises NotHealthyError that names each one that is not, and why; ExternalError where the cluster does not answer.
    """
    with progress.step("what Argo CD will read is merged"):
        _check_merged(world)
    with access.kubeconfig_file(world) as kubeconfig:
        cluster = Cluster(kubeconfig)
        if not _in_charge(cluster):
            with progress.step("Argo CD"):
                _install(world, cluster, kubeconfig)
        argocd.refresh(cluster)
        platform = installation.platform(world.checkout, world.definition.name)
        with progress.step(f"{counted(len(platform), 'Application')} of the platform"):
            argocd.wait_for(cluster, platform, seconds=_MINUTES * 60)
        _check_certificate(world, cluster)
        services = installation.services(world.checkout)
        with progress.step(f"{counted(len(services), 'Application')} of services"):
            argocd.wait_for(cluster, [*platform, *services], seconds=_MINUTES * 60)


def _check_merged(world: ClusterWorld) -> None:
    """Raise InputError where main on GitHub is not what stands here: Argo CD would bring the cluster something else."""
    fix = "open a pull request with it; once it is merged: git switch main, git pull, and run this again"
    history = History(world.checkout.root)
    history.fetch(None)
    with Repo(world.checkout.root) as repo:
        if changed := repo.git.status("--porcelain", "--", *_READ).splitlines():
            raise InputError(
                f"{counted(len(changed), 'file is', 'files are')} not committed", found=changed[0][3:], fix=fix
            )
        if others := repo.git.diff("--name-only", history.main(), "HEAD", "--", *_READ).splitlines():
            raise InputError(
                f"{counted(len(others), 'file is', 'files are')} not as main has them", found=others[0], fix=fix
            )


def _in_charge(cluster: Cluster) -> bool:
    """Whether Argo CD has its root."""
    return cluster.find(_ROOT) is not None


def _install(world: ClusterWorld, cluster: Cluster, kubeconfig: Path) -> None:
    kubectl = world.checkout.tool("kubectl")
    objects = installation.objects(world.checkout, world.definition.name)
    apply(kubectl, kubeconfig, objects, timeout=_APPLY_SECONDS)
    wait_established(cluster, objects)
    apply(kubectl, kubeconfig, installation.root(world.checkout, world.definition.name), timeout=_APPLY_SECONDS)


def _check_certificate(world: ClusterWorld, cluster: Cluster) -> None:
    """Raise NotHealthyError where the controller has not the key that is pinned: nothing that is committed opens."""
    newest = certificate.load(cluster.text(_CERTIFICATE).encode(), "the cluster's controller", datetime.now(UTC))
    pinned = world.data.get(certificate.FIELD)
    if newest.fingerprint != pinned and pinned not in backup.held(cluster, "kube-system"):
        raise NotHealthyError(
            "the cluster's sealing key is new: what is committed was sealed for another",
            expected=str(pinned),
            found=newest.fingerprint,
            fix=f"with a backup: gitops secrets restore (docs/runbooks/loss.md); without: gitops secrets pin --cluster "
            f"{world.definition.name}, and what it says, merged; then run this again",
        )

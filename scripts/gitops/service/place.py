"""Which cluster is asked what runs: a person's own by the kubeconfig, or the lab's by its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gitops.clients import argocd, kubernetes, workloads
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.ground import settings
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, InputError
from gitops.manifests import yamlfile

IN_LAB = "in the lab: --lab"


@dataclass(frozen=True)
class RunningCluster:
    """A cluster that runs this platform. `name`: as a person knows it; `simulated`: no image is run there."""

    cluster: Cluster
    name: str
    simulated: bool

    @property
    def sentence(self) -> str:
        """What is said first of all that comes from it."""
        return f"{self.name}: {workloads.SIMULATED}" if self.simulated else self.name


def of(
    checkout: Checkout, *, lab: bool, context: str | None, seconds: float = kubernetes.REQUEST_SECONDS
) -> RunningCluster:
    """The lab that GITOPS_LAB_NAME names, or the cluster of the kubeconfig. `seconds`: what an answer may take.

    Raises InputError where there is none or it is none of this platform's, ExternalError where it does not answer.
    """
    if lab and context is not None:
        raise InputError("--lab and --context", expected="one of them, as a lab is asked by its own kubeconfig")
    if lab:
        return RunningCluster(_of_lab(checkout, seconds), f"lab {settings.read().lab_name!r}", True)
    files = kubeconfig()
    if not files:
        fix = f"aws eks update-kubeconfig --name CLUSTER, or set KUBECONFIG; {IN_LAB}"
        named = settings.read().kubeconfig
        lacks = (
            f"no file is at {named} (KUBECONFIG)" if named else "KUBECONFIG is not set, and ~/.kube/config not there"
        )
        raise InputError(f"no kubeconfig names a cluster: {lacks}", fix=fix)
    cluster, name = kubernetes.of_person(files, context, seconds=seconds)
    try:
        simulated = workloads.are_simulated(cluster)
        repositories = _repositories(cluster)
    except ClusterError as error:
        raise _refused(name, error) from None
    if not simulated and not repositories & _declared(checkout):
        expected = f"Applications of {', '.join(sorted(_declared(checkout)))}"
        runs = ", ".join(sorted(repositories)) or "none"
        raise InputError(
            f"context {name!r} is no cluster of this platform",
            expected=expected,
            found=runs,
            fix=f"--context; {IN_LAB}",
        )
    return RunningCluster(cluster, f"context {name!r}", simulated)


def kubeconfig() -> str:
    """The files that kubectl would read; empty where there is none of them."""
    files = settings.read().kubeconfig or str(Path("~/.kube/config").expanduser())
    return files if any(Path(file).expanduser().is_file() for file in files.split(os.pathsep) if file) else ""


def lab_kubeconfig(checkout: Checkout) -> Path:
    """Of the lab that GITOPS_LAB_NAME names. Raises InputError where it was never started."""
    name = settings.read().lab_name
    file = checkout.lab_kubeconfig(name)
    if not file.is_file():
        raise InputError(f"lab {name!r}: never started", fix="run: gitops lab up")
    return file


def _of_lab(checkout: Checkout, seconds: float) -> Cluster:
    cluster = Cluster(lab_kubeconfig(checkout), seconds=seconds)
    try:
        cluster.get("/version")
    except ClusterError as error:
        what = f"lab {settings.read().lab_name!r} does not answer: {error.reason or str(error)}"
        raise ExternalError(what, fix="run: gitops lab up") from None
    return cluster


def _repositories(cluster: Cluster) -> set[str]:
    """The repositories that Argo CD reads there; none where it has no Applications, or is not there."""
    try:
        items = cluster.items(argocd.APPLICATIONS)
    except ClusterError as error:
        if error.status == 404:
            return set()
        raise
    return {_plain(str(item["spec"].get("source", {}).get("repoURL", ""))) for item in items}


def _declared(checkout: Checkout) -> set[str]:
    """The repository of each cluster of this platform. Raises InputError."""
    files = sorted(checkout.root.glob("clusters/[!.]*/cluster.yaml"))
    addresses = [str((yamlfile.read(checkout, file).get("data") or {}).get("repoURL", "")) for file in files]
    return {_plain(address) for address in addresses if "://" in address}


def _plain(address: str) -> str:
    return address.lower().removesuffix("/").removesuffix(".git")


def _refused(name: str, error: ClusterError) -> ExternalError:
    """Why a cluster tells nothing: nobody is there, or it knows not who asks."""
    if error.status in (401, 403):
        fix = "sign in again (aws sso login), or ask for access"
        return ExternalError(f"context {name!r} refuses you: {error.reason or error.status}", fix=fix)
    return ExternalError(f"context {name!r} does not answer: {error.reason or error}", fix=IN_LAB)

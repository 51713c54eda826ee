"""A simulated account of AWS whose cluster is real: a lab's control plane, empty, and what EKS would start in it.

Where the cluster is told of Argo CD and of the sealed-secrets controller, their programs start, as nodes would do.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from git import Repo

from gitops.check.schema import definitions
from gitops.clients.kubernetes import Cluster, ClusterError, apply
from gitops.ground.errors import NotHealthyError
from gitops.lab import bootstrap, control
from gitops.lab import lab as labs
from gitops.lab.layout import Lab
from gitops.lab.parts import PARTS
from gitops.manifests import yamlfile
from tests.cluster_world import AwsWorld
from tests.conftest import Ran, gitops
from tests.fakes.eks_api import EksApi

NODES = 2
# What Auto Mode's nodes are known by, and its disks ask for.
AUTO = {"eks.amazonaws.com/compute-type": "auto"}
# The programs that EKS does not bring, and what in the cluster says that they run.
_STARTED = {
    "/apis/apps/v1/namespaces/argocd/statefulsets/argocd-application-controller": [
        part for part in PARTS if part.startswith("argocd-")
    ],
    "/apis/apps/v1/namespaces/kube-system/deployments/sealed-secrets-controller": ["sealed-secrets"],
}
_LATER = set[str]().union(*_STARTED.values())
_OF_EKS = ("eks.amazonaws.com", "karpenter.sh")


class EksWorld(AwsWorld):
    """`lab` is what stands behind the cluster's endpoint; `merge` brings the checkout's branch to GitHub's main."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "clone", written=False)
        self._github = folder / "github.git"
        Repo.init(self._github, bare=True, initial_branch="main").close()
        with Repo(self.checkout.root) as repo:
            repo.remotes.origin.set_url(str(self._github))
        self.merge()
        self.lab = Lab(self.checkout, "eks")
        self._begin()

    def close(self) -> None:
        self._end()
        super().close()

    def run_with(self, environment: dict[str, str], *words: str) -> Ran:
        # It waits until all is Healthy.
        return gitops(self.checkout, "cluster", *words, timeout=500, **environment)

    def lose_the_cluster(self) -> None:
        """All of it is gone, with every key. What `gitops cluster up` makes next is empty."""
        self._end()
        self._begin()

    def merge(self) -> None:
        with Repo(self.checkout.root) as repo:
            repo.git.push("--quiet", "origin", "HEAD:refs/heads/main")

    def _begin(self) -> None:
        self.lab.create(NODES)
        labs.prepare(self.lab)
        file = self.checkout.root / "clusters/seoul/cluster.yaml"
        url = str(yamlfile.read(self.checkout, file)["data"]["repoURL"])
        served = self.lab.upstream / url.removeprefix("https://github.com/")
        served.parent.mkdir()
        served.symlink_to(self._github)
        control.start(self.lab, [part for part in PARTS if part not in _LATER])
        self.cluster = Cluster(self.lab.kubeconfig)
        bootstrap.create_nodes(self.cluster, NODES)
        for node in self.cluster.items("/api/v1/nodes"):
            self.cluster.patch(f"/api/v1/nodes/{node['metadata']['name']}", {"metadata": {"labels": AUTO}})
        self._bring_what_eks_has()
        self.account.api = EksApi(self.lab, "seoul", self.account.roles.get, set())
        self._ended = Event()
        self._nodes = Thread(target=self._run_nodes, daemon=True)
        self._nodes.start()

    def _end(self) -> None:
        self._ended.set()
        self._nodes.join(timeout=60)
        if self.account.api:
            self.account.api.close()
        labs.down(self.lab)
        shutil.rmtree(self.lab.folder, ignore_errors=True)

    def _bring_what_eks_has(self) -> None:
        """Auto Mode's kinds and metrics, and the Secrets that pods of Argo CD make as they start."""
        kinds = [item for item in definitions(self.checkout) if item["spec"]["group"] in _OF_EKS]
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}
        objects = [namespace, *kinds, *bootstrap.beside_argo_cd(self.lab)]
        apply(self.checkout.tool("kubectl"), self.lab.kubeconfig, objects)

    def _accept_pools(self) -> None:
        """What Auto Mode's Karpenter says of each pool that it can use."""
        path = "/apis/karpenter.sh/v1/nodepools"
        for pool in self.cluster.items(path):
            if not (pool.get("status") or {}).get("conditions"):
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                ready = {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": now, "message": ""}
                status = {"status": {"conditions": [ready]}}
                self.cluster.patch(f"{path}/{pool['metadata']['name']}/status", status)

    def _run_nodes(self) -> None:
        left = dict(_STARTED)
        while not self._ended.wait(0.5):
            with suppress(ClusterError):
                self._accept_pools()
            for path, parts in list(left.items()):
                try:
                    item = self.cluster.find(path)
                except ClusterError:
                    continue
                if not item:
                    continue
                # What died for something that is not there yet is started again.
                with suppress(NotHealthyError):
                    control.start(self.lab, parts)
                    del left[path]


@contextmanager
def eks_world(folder: Path) -> Iterator[EksWorld]:
    world = EksWorld(folder)
    try:
        yield world
    finally:
        world.close()

"""What EKS does and the lab has not, simulated openly and in this one place.

Run as a process: `python -m gitops.lab.simulation CHECKOUT LAB`.

- The kubelet's wait for what a pod names: kwok starts every pod at once, so its stage for a ready pod waits for the
  annotation that is set here when each Secret and ConfigMap (and key) that the pod names exists. Until then the
  container waits with the kubelet's own reason and message.
- The driver of disks: a volume for each claim of the class `retained`, in the zone of the node that the scheduler
  chose. Nothing is ever written to it.
- The load balancer's address: a status for each Ingress of the class `platform`; without one Argo CD would call it
  Progressing for ever.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.ground.checkout import Checkout
from gitops.ground.output import say
from gitops.lab.layout import Lab
from gitops.manifests.objects import Object
from gitops.manifests.pods import Template

REFERENCES_EXIST = "lab.gitops/references"
ADDRESS = "lab-load-balancer.example.net"
INGRESS_CLASS = "platform"
# The lab's own driver, and Auto Mode's, for a lab that stands in for its cluster.
DISKS = ("lab.gitops/disk", "ebs.csi.eks.amazonaws.com")
ZONE = "topology.kubernetes.io/zone"
# What the scheduler and the controller of volumes write on a claim for the driver.
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"


class Kubelet:
    """Knows which Secrets and ConfigMaps exist, with which keys, and which pods wait for one."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._keys: dict[tuple[str, str, str], set[str]] = {}
        self._waiting: dict[tuple[str, str], Object] = {}
        self._lock = threading.Lock()

    def follow_sources(self, kind: str) -> None:
        """Follow `secrets` or `configmaps`, and look again at the namespace's waiting pods at each change."""
        for event, item in self._cluster.watch(f"/api/v1/{kind}"):
            meta = item["metadata"]
            key = (kind, meta["namespace"], meta["name"])
            with self._lock:
                if event == "DELETED":
                    self._keys.pop(key, None)
                    continue
                self._keys[key] = {*(item.get("data") or {}), *(item.get("binaryData") or {})}
                waiting = [pod for (namespace, _), pod in self._waiting.items() if namespace == meta["namespace"]]
            for pod in waiting:
                self._look(pod)

    def follow_pods(self) -> None:
        """Follow the pods that have a node and did not start yet."""
        for event, pod in self._cluster.watch("/api/v1/pods"):
            key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
            pending = pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") == "Pending"
            started = REFERENCES_EXIST in (pod["metadata"].get("annotations") or {})
            if event == "DELETED" or not pending or started:
                with self._lock:
                    self._waiting.pop(key, None)
                continue
            with self._lock:
                self._waiting[key] = pod
            self._look(pod)

    def missing(self, pod: Object) -> str | None:
        """The kubelet's message for the first thing that the pod names and that is not there."""
        namespace = pod["metadata"]["namespace"]
        for reference in Template(pod, (), pod).references():
            keys = self._keys.get((f"{reference.kind.lower()}s", namespace, reference.name))
            if keys is None:
                return f'{reference.kind.lower()} "{reference.name}" not found'
            if reference.key is not None and reference.key not in keys:
                return f"couldn't find key {reference.key} in {reference.kind} {namespace}/{reference.name}"
        return None

    def _look(self, pod: Object) -> None:
        meta = pod["metadata"]
        key = (meta["namespace"], meta["name"])
        path = f"/api/v1/namespaces/{key[0]}/pods/{key[1]}"
        with self._lock:
            message = self.missing(pod)
        status = pod.get("status", {})
        if message and ("podIP" not in status or message in _told(status)):
            # Not yet created by kwok, which would write over it, or told already.
            return
        try:
            if message is None:
                self._cluster.patch(path, {"metadata": {"annotations": {REFERENCES_EXIST: "found"}}})
                return
            waiting = {"reason": "CreateContainerConfigError", "message": message}
            statuses = [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"waiting": waiting},
                }
                for container in pod["spec"]["containers"]
            ]
            self._cluster.patch(f"{path}/status", {"status": {"containerStatuses": statuses}}, kind="strategic")
            say(f"pod {key[0]}/{key[1]} waits: {message}")
        except ClusterError as error:
            # Gone or changed meanwhile: its next event comes here again.
            if error.status != 404:
                say(f"pod {key[0]}/{key[1]}: {error}")


def _told(status: Object) -> set[str]:
    waiting = [container.get("state", {}).get("waiting", {}) for container in status.get("containerStatuses", [])]
    return {state.get("message", "") for state in waiting}


def follow_ingresses(cluster: Cluster) -> None:
    """Give every Ingress of the platform's class an address."""
    for event, item in cluster.watch("/apis/networking.k8s.io/v1/ingresses"):
        if event == "DELETED" or item["spec"].get("ingressClassName") != INGRESS_CLASS:
            continue
        if (item.get("status") or {}).get("loadBalancer", {}).get("ingress"):
            continue
        meta = item["metadata"]
        path = f"/apis/networking.k8s.io/v1/namespaces/{meta['namespace']}/ingresses/{meta['name']}/status"
        try:
            cluster.patch(path, {"status": {"loadBalancer": {"ingress": [{"hostname": ADDRESS}]}}})
        except ClusterError as error:
            say(f"ingress {meta['namespace']}/{meta['name']}: {error}")


def follow_claims(cluster: Cluster) -> None:
    """Give every claim whose pod has a node a disk in that node's zone; the controller of volumes binds the two."""
    for event, claim in cluster.watch("/api/v1/persistentvolumeclaims"):
        annotations = claim["metadata"].get("annotations") or {}
        node, driver = annotations.get(SELECTED_NODE), annotations.get(PROVISIONER)
        if event == "DELETED" or not node or driver not in DISKS or claim["spec"].get("volumeName"):
            continue
        try:
            zone = cluster.get(f"/api/v1/nodes/{node}")["metadata"]["labels"][ZONE]
            cluster.create("/api/v1/persistentvolumes", _disk(claim, driver, zone))
        except ClusterError as error:
            if error.status != 409:  # made already
                say(f"claim {claim['metadata']['namespace']}/{claim['metadata']['name']}: {error}")


def _disk(claim: Object, driver: str, zone: str) -> Object:
    meta, spec = claim["metadata"], claim["spec"]
    terms = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{meta['uid']}", "annotations": {"pv.kubernetes.io/provisioned-by": driver}},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": spec["storageClassName"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "hostPath": {"path": f"/nowhere/{meta['uid']}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        },
    }


class Liveness(BaseHTTPRequestHandler):
    """Answers 200 while every thread lives."""

    threads: tuple[threading.Thread, ...] = ()

    def do_GET(self) -> None:  # noqa: D102
        alive = all(thread.is_alive() for thread in self.threads)
        self.send_response(200 if alive else 500)
        self.end_headers()

    def log_message(self, *args: Any) -> None:  # noqa: D102
        return


def main() -> None:
    """Play until ended."""
    lab = Lab(Checkout(Path(sys.argv[1])), sys.argv[2])
    cluster = Cluster(lab.kubeconfig)
    kubelet = Kubelet(cluster)
    jobs: list[tuple[Callable[..., None], tuple[str, ...]]] = [
        (kubelet.follow_sources, ("secrets",)),
        (kubelet.follow_sources, ("configmaps",)),
        (kubelet.follow_pods, ()),
    ]
    threads = [threading.Thread(target=target, args=args, daemon=True) for target, args in jobs]
    threads += [
        threading.Thread(target=target, args=(cluster,), daemon=True) for target in (follow_ingresses, follow_claims)
    ]
    for thread in threads:
        thread.start()
    Liveness.threads = tuple(threads)
    ThreadingHTTPServer(("127.0.0.1", lab.settings().ports["simulation"]), Liveness).serve_forever()


if __name__ == "__main__":
    main()

"""What is in a lab's cluster before Argo CD takes over: custom resource definitions, nodes, Argo CD's own settings."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import yaml

from gitops.clients.kubernetes import Cluster, apply, wait_established
from gitops.ground.checkout import Checkout
from gitops.lab import deployments
from gitops.lab.layout import Lab, LabSettings
from gitops.lab.simulation import REFERENCES_EXIST
from gitops.manifests import installation, yamlfile
from gitops.manifests.objects import Object

REGION = "ap-northeast-2"
ZONES = ("a", "b", "c")
# A simulated pod is ready this long after it has a node and its Secrets, and gone this long after its deletion.
START_UP_MS, SHUT_DOWN_MS = 1500, 1000
# Set on a Node, kwok reports it NotReady (kwok's own stage).
NODE_DOWN = "node-not-ready.stage.kwok.x-k8s.io"


def write_kwok_config(lab: Lab) -> None:
    """Write kwok.yaml: kwok's own stages and metrics, with our delays and the wait for what a pod names."""
    share = lab.checkout.tools / "share/kwok/kustomize"
    files = [
        *(share / "stage/pod/general").glob("pod-*.yaml"),
        share / "stage/node/fast/node-initialize.yaml",
        share / "stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
        share / "stage/node/chaos/node-not-ready.yaml",
        share / "metrics/resource/metrics-resource.yaml",
        share / "metrics/usage/usage-from-annotation.yaml",
    ]
    delays = {"pod-create": 0, "pod-ready": START_UP_MS, "pod-delete": SHUT_DOWN_MS}
    documents = []
    for file in files:
        document = yamlfile.read(lab.checkout, file)
        name = document["metadata"]["name"]
        if name in delays:
            # A deletion's jitter is a deadline of its own (the grace period's end): it would hold the pod as long as
            # the preStop sleep. The lab does not simulate time in which nothing happens.
            document["spec"]["delay"] = {"durationMilliseconds": delays[name]}
        if name == "pod-ready":
            document["spec"]["selector"]["matchExpressions"].append(
                {"key": f'.metadata.annotations["{REFERENCES_EXIST}"]', "operator": "Exists"}
            )
        documents.append(document)
    (lab.folder / "kwok.yaml").write_text(yaml.safe_dump_all(documents))


def write_in_cluster_settings(lab: Lab, settings: LabSettings) -> None:
    """Write what a pod would find of its service account: the sealed-secrets controller reads nothing else."""
    folder = lab.folder / "in-cluster"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(lab.ca, folder / "ca.crt")
    (folder / "token").write_text(settings.token)
    (folder / "namespace").write_text("kube-system")


def apply_foundations(lab: Lab) -> None:
    """What stands in a cluster before Argo CD reads anything, as `gitops cluster up` brings it: Argo CD itself and its
    settings. And what is there on EKS without anybody's doing, or is no pod here.
    """
    kubectl, kubeconfig = lab.checkout.tool("kubectl"), lab.kubeconfig
    objects = installation.objects(lab.checkout, "lab") + beside_argo_cd(lab)
    apply(kubectl, kubeconfig, objects)
    wait_established(Cluster(kubeconfig), objects)


def beside_argo_cd(lab: Lab) -> list[Object]:
    """What Argo CD finds of its Secrets, and what is no pod here. Its namespace has to be there."""
    settings = lab.settings()

    def secret(name: str, values: dict[str, str], kind: str = "Opaque") -> Object:
        labels = {"app.kubernetes.io/part-of": "argocd"}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": kind,
            "metadata": {"name": name, "namespace": "argocd", "labels": labels},
            "stringData": values,
        }

    certificate, key = ((lab.folder / f"pki/argocd-server.{end}").read_text() for end in ("crt", "key"))

    metrics = {"name": "metrics-server", "namespace": "kube-system"}
    return [
        secret("argocd-secret", {"server.secretkey": settings.token, "webhook.github.secret": settings.webhook_secret}),
        secret("argocd-server-tls", {"tls.crt": certificate, "tls.key": key}, "kubernetes.io/tls"),
        secret("argocd-notifications-secret", _notifications(lab)),
        # Pods of Argo CD make it before they start; simulated ones make nothing.
        secret("argocd-redis", {"auth": settings.redis_password}),
        # metrics-server is a process on loopback and not a pod.
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metrics,
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "service": {**metrics, "port": settings.ports["metrics-server"]},
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "caBundle": base64.b64encode(lab.ca.read_bytes()).decode(),
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]


def _notifications(lab: Lab) -> dict[str, str]:
    """What Argo CD's notifications take for Slack and for GitHub, and where both are."""
    outside = lab.url("externals")
    return {
        "slack-token": "lab",
        "slack-api-url": f"{outside}/slack/api/",
        "github-api-url": f"{outside}{deployments.PREFIX}",
        "github-app-id": "1",
        "github-installation-id": "1",
        "github-private-key": (lab.folder / "pki/github-app.key").read_text(),
    }


def create_nodes(cluster: Cluster, per_zone: int) -> None:
    """Create the nodes that are missing: `per_zone` in each of three zones, and one of another processor."""
    for name, (zone, processor) in missing_nodes(cluster, per_zone).items():
        cluster.create("/api/v1/nodes", _node(name, f"{REGION}{zone}", processor))


def missing_nodes(cluster: Cluster, per_zone: int) -> dict[str, tuple[str, str]]:
    """The zone and the processor of each node that is not there, by its name."""
    nodes: dict[str, tuple[str, str]] = {}
    for zone in ZONES:
        nodes |= {f"lab-{zone}-{number}": (zone, "amd64") for number in range(1, per_zone + 1)}
        nodes[f"lab-{zone}-arm64"] = (zone, "arm64")
    existing = {node["metadata"]["name"] for node in cluster.items("/api/v1/nodes")}
    return {name: kind for name, kind in nodes.items() if name not in existing}


def _node(name: str, zone: str, processor: str) -> Object:
    size: dict[str, Any] = {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": processor,
                # Staging asks for nodes of its own (base/components/staging); here all nodes take everything.
                "environment": "staging",
                "topology.kubernetes.io/region": REGION,
                "topology.kubernetes.io/zone": zone,
            },
            "annotations": {
                "kwok.x-k8s.io/node": "fake",
                "metrics.k8s.io/resource-metrics-path": f"/metrics/nodes/{name}/metrics/resource",
            },
        },
        "status": {
            "allocatable": size,
            "capacity": size,
            # Both, from the beginning: where one is missing kwok's stage empties the list when a lost node comes back,
            # and metrics-server then asks that node no more.
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
        },
    }


def apply_root(lab: Lab, source: Path) -> None:
    """Apply what a person applies once on EKS too: the platform's AppProject and the root Application.

    `source`: a working copy of the origin, whose clusters/lab names the origin.
    """
    root = installation.root(Checkout(source), "lab", tools=lab.checkout)
    apply(lab.checkout.tool("kubectl"), lab.kubeconfig, root)

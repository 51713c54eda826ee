"""A member's overlay takes more of the nodes than its namespace's share. The cluster's own guard is the quota of
base/workload, at which each pod is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gitops.check import quota, references
from gitops.check.dry_run import Server
from gitops.clients.kubernetes import ClusterError
from gitops.ground.checkout import Checkout
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.objects import Object, name
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import build
from tests.attacks import Door, Guard, attack, sample
from tests.attacks.gate_world import cluster, refusal, write
from tests.frozen import clone

pytestmark = pytest.mark.bots

PROD, UNGUARDED = Overlay("mogle", "prod"), Overlay("benefit", "prod")
WEB = "{kind: Deployment, name: web}"
SCALE = "{kind: HorizontalPodAutoscaler, name: web}"
CRON = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: miner}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      parallelism: 60
      template: %s
"""
ATTACKS = {
    "60 pods of an autoscaler": (SCALE, "{op: replace, path: /spec/maxReplicas, value: 60}"),
    "five times its pods while new ones start": (
        WEB,
        "{op: add, path: /spec/strategy/rollingUpdate/maxSurge, value: 400%}",
    ),
    "a CPU for each pod": (
        WEB,
        "{op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: '1'}",
    ),
    "60 pods of a CronJob": None,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two namespaces of services, of which one is given its quota."""
    with cluster(clone(tmp_path_factory.mktemp("quota") / "clone"), PROD, UNGUARDED) as made:
        yield made


@attack(Door.MEMBER, "its overlay takes {what}", Guard.GATE, Guard.CLUSTER)
@pytest.mark.parametrize("what", sample(ATTACKS, "60 pods of a CronJob"))
def test_more_than_its_share(
    scratch: Checkout, server: Server, what: str, guard: Guard | None, monkeypatch: pytest.MonkeyPatch
) -> str | None:
    _edit(scratch, what)
    if guard is Guard.GATE:
        return refusal(scratch)
    if guard is None:
        monkeypatch.setattr(quota, "check", lambda *_: iter(()))
        assert refusal(scratch) is None
    graph = Graph(scratch)
    unit = Unit.of(graph, build(scratch, scratch.root, PROD.path))
    return _run(server, unit, PROD if guard else UNGUARDED)


def _edit(checkout: Checkout, what: str) -> None:
    file = checkout.root / PROD.kustomization
    text, patch = file.read_text(), ATTACKS[what]
    if patch:
        target, operation = patch
        new = text.replace("patches:\n", f"patches:\n  - target: {target}\n    patch: |\n      - {operation}\n")
    else:
        web = next(item for item in build(checkout, checkout.root, PROD.path).objects() if item["kind"] == "Deployment")
        pods = {**web["spec"]["template"]}
        pods["spec"] = {**pods["spec"], "restartPolicy": "Never", "topologySpreadConstraints": []}
        container = pods["spec"]["containers"][0]
        for field in ("readinessProbe", "livenessProbe", "startupProbe", "lifecycle"):
            container.pop(field, None)
        write(checkout, {f"{PROD.path}/miner.yaml": CRON % json.dumps(pods)})
        new = text.replace("  - oauth-42.yaml\n", "  - oauth-42.yaml\n  - miner.yaml\n")
    assert new != text
    file.write_text(new)


def _run(server: Server, unit: Unit, overlay: Overlay) -> str | None:
    """Make the pods that the controllers would make, one after the other; why one of them is refused."""
    path = f"/api/v1/namespaces/{overlay.namespace}"
    for item in unit.kind("ServiceAccount", "LimitRange", *(["ResourceQuota"] if overlay == PROD else [])):
        server.apply(_moved(item, overlay))
        if item["kind"] == "ResourceQuota":  # which in a cluster a controller counts first
            hard = item["spec"]["hard"]
            status = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
            server.cluster.patch(f"{path}/resourcequotas/{name(item)}/status", status)
    try:
        for pod in _pods(unit):
            server.cluster.create(f"{path}/pods", pod)
    except ClusterError as error:
        return error.reason.partition(": ")[2]
    finally:
        server.cluster.delete(f"{path}/pods")
    return None


def _pods(unit: Unit) -> Iterator[Object]:
    """All pods of the overlay's workloads at their largest."""
    for scale in references.scales(unit, references.workloads(unit)):
        metadata = {**scale.pods.body["metadata"], "generateName": f"{name(scale.item)}-"}
        for _ in range(scale.with_surge):
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": scale.pods.spec}


def _moved(item: Object, overlay: Overlay) -> Object:
    return {**item, "metadata": {**item["metadata"], "namespace": overlay.namespace}}

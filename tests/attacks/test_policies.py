"""A member of a service's team reaches for power over others: what its overlay renders is asked of the gate, and sent
to the API server as if there were no gate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from gitops.check.dry_run import Server
from gitops.clients.kubernetes import Cluster
from gitops.ground.checkout import Checkout
from gitops.lab import lab as labs
from gitops.lab.layout import Lab
from gitops.manifests.objects import Object
from gitops.manifests.render import build
from tests import catalogue
from tests.attacks import Door, Guard, attack, sample
from tests.policy_server import DIGEST, SERVICE, PolicyServer

pytestmark = pytest.mark.bots

STRANGER = f"evil.example.com/miner:1.0@{DIGEST}"
# A namespace where no policy is in force.
NOWHERE = "argocd"


@dataclass(frozen=True)
class Member:
    """The gate, its API server, and the overlay that the member writes to."""

    gate: catalogue.Gate
    policies: PolicyServer

    def tries(self, files: dict[str, Any], guard: Guard | None) -> str | None:
        """Add documents to the overlay: patches of what is there, and new objects. Returns what stopped it."""
        clean = self._rendered()
        with self.gate.with_edits(_edits(self.gate.checkout, files)):
            if guard is Guard.GATE:
                findings = self.gate.check()
                return ", ".join(sorted({finding.policy or finding.rule for finding in findings})) or None
            changed = [item for item in self._rendered() if item not in clean]
        assert changed
        namespace = SERVICE.namespace if guard is Guard.CLUSTER else NOWHERE
        refusals = [refusal for item in changed if (refusal := self.policies.refusal(item, namespace))]
        return ", ".join(sorted(f"{refusal.policy}: {refusal.text}"[:80] for refusal in refusals)) or None

    def _rendered(self) -> list[Object]:
        rendered = build(self.gate.checkout, self.gate.checkout.root, SERVICE.path)
        assert rendered.error is None, rendered.error
        return rendered.objects()


def _edits(checkout: Checkout, documents: dict[str, Any]) -> list[catalogue.Edit]:
    """The documents as files of the overlay; one named for its kind alone is a patch."""
    file = f"{SERVICE.path}/kustomization.yaml"
    content = yaml.safe_load((checkout.root / file).read_text())
    edits = []
    for number, (name, document) in enumerate(documents.items()):
        path = f"attack-{number}.yaml"
        edits.append(catalogue.Edit(file=f"{SERVICE.path}/{path}", content=json.dumps(document)))
        if name.startswith("new"):
            content["resources"].append(path)
        else:
            content["patches"].append({"path": path})
    return [catalogue.Edit(file=file, content=yaml.safe_dump(content)), *edits]


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    gate = catalogue.Gate(tmp_path_factory.mktemp("member"))
    assert gate.check(everything=True) == []
    lab = Lab(gate.checkout, catalogue.LAB)
    yield Member(gate, PolicyServer(Server(gate.checkout, Cluster(lab.kubeconfig)), ()))
    labs.reset(lab)


def _deployment(**spec: Any) -> dict[str, Any]:
    item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    return {"patch": {**item, "spec": {"template": {"spec": spec}}}}


def _container(**fields: Any) -> dict[str, Any]:
    return _deployment(containers=[{"name": "app", **fields}])


def _object(how: str, api: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {how: {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **fields}}


def _service(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    selector = {"app.kubernetes.io/component": "web"}
    return _object("new", "v1", "Service", "mine", spec={"ports": ports, "selector": selector, **spec})


def _annotated(api: str, kind: str, name: str, **annotations: str) -> dict[str, Any]:
    [item] = _object("patch", api, kind, name).values()
    return {"patch": {**item, "metadata": {"name": name, "annotations": annotations}}}


_ANTI = {"labelSelector": {}, "namespaceSelector": {}, "topologyKey": "topology.kubernetes.io/zone"}
_POD: dict[str, Any] = {
    "metadata": {"labels": {"app": "old"}},
    "spec": {"containers": [{"name": "app", "image": STRANGER}]},
}
ATTACKS: dict[str, dict[str, Any]] = {
    "an image volume of a stranger": _deployment(volumes=[{"name": "x", "image": {"reference": STRANGER}}]),
    "an image of a stranger's account at ghcr.io": _container(image=f"ghcr.io/stranger/app:1.0@{DIGEST}"),
    "the tag LATEST": _container(image=f"ghcr.io/ft-platform/app:LATEST@{DIGEST}"),
    "a registry in capitals": _container(image=f"GHCR.IO/stranger/app:1.0@{DIGEST}"),
    "the priority of the system": _deployment(priorityClassName="system-node-critical"),
    "a node of its own choice": _deployment(nodeName="node-1"),
    "to tolerate everything": _deployment(tolerations=[{"operator": "Exists"}]),
    "to tolerate the control plane": _deployment(
        tolerations=[{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]
    ),
    "to keep others out of a zone": _deployment(
        affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_ANTI]}}
    ),
    "a grace of a day": _deployment(terminationGracePeriodSeconds=86400),
    "an unmasked /proc in a user namespace": {
        **_deployment(hostUsers=False, containers=[{"name": "app", "securityContext": {"procMount": "Unmasked"}}])
    },
    "requests of 0": _container(resources={"requests": {"cpu": "0", "memory": "0"}}),
    "requests of next to nothing": _container(resources={"requests": {"cpu": "1m", "memory": "1"}}),
    "a token for another audience": _deployment(
        volumes=[{"name": "x", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "x"}}]}}]
    ),
    "a token of the API server": _deployment(automountServiceAccountToken=True),
    "a volume of a node's driver": _deployment(volumes=[{"name": "x", "csi": {"driver": "secrets-store.csi.k8s.io"}}]),
    "a probe of the node's metadata": _container(
        livenessProbe={"httpGet": {"host": "169.254.169.254", "path": "/", "port": 80}}
    ),
    "a role in AWS": _annotated(
        "v1", "ServiceAccount", "workload", **{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/admin"}
    ),
    "the traffic of an address": _service(externalIPs=["203.0.113.7"]),
    "a name that leads elsewhere": _service(type="ExternalName", externalName="evil.example.com"),
    "a load balancer": _service(type="LoadBalancer"),
    "a port of every node": _service(type="NodePort"),
    "an address without pods": _service(selector=None),
    "a target group's settings by the Service": _annotated(
        "v1", "Service", "web", **{"alb.ingress.kubernetes.io/success-codes": "200-599"}
    ),
    "the first place among rules": _annotated(
        "networking.k8s.io/v1", "Ingress", "web", **{"alb.ingress.kubernetes.io/group.order": "-1000"}
    ),
    "a snippet for the proxy": _annotated(
        "networking.k8s.io/v1", "Ingress", "web", **{"nginx.ingress.kubernetes.io/configuration-snippet": "return 200;"}
    ),
    "every host": _object(
        "patch",
        "networking.k8s.io/v1",
        "Ingress",
        "web",
        spec={"defaultBackend": {"service": {"name": "web", "port": {"name": "http"}}}},
    ),
    "a budget that lets nobody go": _object(
        "patch", "policy/v1", "PodDisruptionBudget", "web", spec={"maxUnavailable": 0}
    ),
    "a budget of 99 percent": _object(
        "patch",
        "policy/v1",
        "PodDisruptionBudget",
        "web",
        spec={"maxUnavailable": None, "minAvailable": "99%"},
    ),
    "a ReplicationController": _object(
        "new", "v1", "ReplicationController", "old", spec={"selector": {"app": "old"}, "template": _POD}
    ),
    "a bare Pod": {"new": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "old"}, "spec": _POD["spec"]}},
    "a Job": _object(
        "new",
        "batch/v1",
        "Job",
        "old",
        spec={"template": {"spec": {**_POD["spec"], "restartPolicy": "Never"}}},
    ),
    "a DaemonSet": _object(
        "new", "apps/v1", "DaemonSet", "old", spec={"selector": {"matchLabels": {"app": "old"}}, "template": _POD}
    ),
    "rights in its namespace": _object(
        "new",
        "rbac.authorization.k8s.io/v1",
        "Role",
        "mine",
        rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}],
    ),
    "endpoints of its own": _object(
        "new",
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "mine",
        addressType="IPv4",
        endpoints=[{"addresses": ["10.0.0.1"]}],
        ports=[],
    ),
}
CASES = sample(
    ATTACKS,
    "an image volume of a stranger",
    "to tolerate everything",
    "requests of 0",
    "a role in AWS",
    "the traffic of an address",
    "a budget of 99 percent",
    "a ReplicationController",
)


@attack(Door.MEMBER, "its overlay renders {what}", Guard.GATE, Guard.CLUSTER)
@pytest.mark.parametrize("what", CASES)
def test_power_over_others(member: Member, what: str, guard: Guard | None) -> str | None:
    return member.tries(ATTACKS[what], guard)

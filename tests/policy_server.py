"""A real API server with the platform's policies: all of them in a service's namespace, each alone in one of its own,
and none in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from gitops.check import answers, control_plane
from gitops.check.argo import Platform
from gitops.check.dry_run import POLICY_KINDS, Server
from gitops.check.known_bad import DIGEST as DIGEST
from gitops.check.known_bad import IMAGE as IMAGE
from gitops.check.known_bad import WORKLOADS as WORKLOADS
from gitops.check.known_bad import pod as pod
from gitops.check.known_bad import workload as workload
from gitops.clients.kubernetes import ClusterError
from gitops.ground.checkout import Checkout
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.objects import Object, name
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import build
from tests.frozen import CLUSTER

SERVICE = Overlay("mogle", "prod")
OPEN = "open"
# What admission itself refuses, by the label that a service's namespace has.
POD_SECURITY = "pod-security"


def alone(policy: str) -> str:
    """The namespace where one policy is in force and no other."""
    return f"only-{policy}"


@dataclass(frozen=True)
class Refusal:
    """What refused an object: a policy's name, or the API's own validation (`api`). `text`: its words."""

    policy: str
    text: str


@dataclass(frozen=True)
class PolicyServer:
    """The server, and the names of the policies."""

    server: Server
    policies: tuple[str, ...]

    def refusal(self, item: Object, namespace: str = SERVICE.namespace) -> Refusal | None:
        """What refuses an object that is new in a namespace; None where nothing does."""
        item = {**item, "metadata": {**item["metadata"], "namespace": namespace}}
        return self._ask("POST", self.server.path(item).rpartition("/")[0], item)

    def refusal_of_change(
        self, item: Object, namespace: str, patch: Object, *, kind: str = "merge", part: str = ""
    ) -> Refusal | None:
        """What refuses a patch of an object that is there, or of a part of it (`/status`, `/scale`)."""
        item = {**item, "metadata": {**item["metadata"], "namespace": namespace}}
        return self._ask("PATCH", f"{self.server.path(item)}{part}", patch, kind=kind)

    def pod_policies(self) -> set[str]:
        """The policies that look at pods."""
        path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
        items = [item for item in self.server.cluster.items(path) if name(item) in self.policies]
        return {name(item) for item in items if "pods" in str(item["spec"]["matchConstraints"])}

    def debugged(self, item: Object, namespace: str) -> Refusal | None:
        """What refuses the containers for debugging that a pod of a namespace is given while it runs."""
        [added] = item["spec"].pop("ephemeralContainers")
        running = {**item, "metadata": {"name": "running", "namespace": namespace}}
        path = self.server.path(running)
        self.server.cluster.create(path.rpartition("/")[0], running)
        try:
            patch = {"spec": {"ephemeralContainers": [{"name": "debug", **added}]}}
            return self._ask("PATCH", f"{path}/ephemeralcontainers", patch, kind="strategic")
        finally:
            self.server.cluster.delete(path)

    def _ask(self, method: str, path: str, body: Object, *, kind: str = "json") -> Refusal | None:
        try:
            self.server.cluster.ask(method, path, body, kind=kind)
        except ClusterError as error:
            if denied := answers.denial(error):
                return Refusal(denied.policy, denied.text)
            if "violates PodSecurity" in error.reason:
                return Refusal(POD_SECURITY, error.reason)
            return Refusal("api", error.reason)
        return None


@contextmanager
def policy_server(
    checkout: Checkout, change: Mapping[str, Any] | None = None, lab: str | None = None
) -> Iterator[PolicyServer]:
    """Start it. `change`: variables of policies, by policy and name, that are set otherwise than the files say."""
    graph = Graph(checkout)
    units = [Unit.of(graph, build(checkout, checkout.root, unit)) for unit in (CLUSTER, f"{CLUSTER}/objects")]
    platform = Platform(units[0], (units[1],))
    objects = [deepcopy(item) for item in control_plane.admitting(platform.objects)]
    policies = tuple(name(item) for item in objects if item["kind"] == POLICY_KINDS[0])
    for item in objects:
        for variable in item.get("spec", {}).get("variables") or []:
            variable["expression"] = (change or {}).get(f"{name(item)}.{variable['name']}", variable["expression"])
    listed = [item for item in platform.kind("ConfigMap") if name(item) == "policy-exceptions"]
    namespaces: dict[str, Mapping[str, str]] = {alone(policy): {"only": policy} for policy in policies}
    namespaces |= {SERVICE.namespace: platform.namespace_labels(SERVICE), OPEN: {}}
    namespaces[alone(POD_SECURITY)] = {"pod-security.kubernetes.io/enforce": "restricted"}
    bindings = [_alone(item) for item in objects if item["kind"] == POLICY_KINDS[1]]
    with control_plane.control_plane(checkout, lab) as server:
        control_plane.prepare(server, [*listed, *objects, *bindings], namespaces)
        yield PolicyServer(server, policies)


def _alone(binding: Object) -> Object:
    """A binding, for the namespace where its policy is alone."""
    policy = binding["spec"]["policyName"]
    selector = {"matchLabels": {"only": policy}}
    spec = {**binding["spec"], "matchResources": {"namespaceSelector": selector}}
    return {**binding, "metadata": {"name": alone(policy)}, "spec": spec}

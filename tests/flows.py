"""The table of flows: who may talk to whom on the frozen platform, by AWS's rules (tests/aws_policies.py).

`python -m tests.flows` writes it into docs/network.md. Its lines, each with what is expected, are tests/flows.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gitops.check.argo import Platform
from gitops.manifests import installation
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.objects import Object, name
from gitops.manifests.pods import template
from gitops.manifests.render import build
from tests.aws_policies import Pod, PolicyWorld, ServiceAddress
from tests.figures import with_section
from tests.frozen import CLUSTER, ROOT, platform

FILE = ROOT / "tests/flows.yaml"
DOCUMENT = ROOT / "docs/network.md"
MARKS = ("<!-- flows: written by python -m tests.flows -->\n", "<!-- flows: end -->\n")
_STRICT = ConfigDict(extra="forbid")
# Where pods and Services get their addresses: the private subnets, and the range of the Services.
_PODS, _SERVICES = IPv4Network("10.42.128.0/20"), IPv4Network("172.20.1.0/24")


class Party(BaseModel):
    """Someone who is no pod here: an address."""

    model_config = _STRICT

    address: IPv4Address


class Flow(BaseModel):
    """A line of the table. `why`: what a reader would ask."""

    model_config = _STRICT

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    port: int
    protocol: Literal["TCP", "UDP"] = "TCP"
    allowed: bool
    why: str = ""


class Flows(BaseModel):
    """tests/flows.yaml."""

    model_config = _STRICT

    parties: dict[str, Party]
    flows: list[Flow]


def read() -> Flows:
    """The table with what is expected of each line."""
    return Flows.model_validate(yaml.safe_load(FILE.read_text()))


@dataclass(frozen=True)
class FlowWorld:
    """The pods, Services and policies of the frozen platform and of Argo CD, and the parties beside them."""

    policies: PolicyWorld
    addresses: dict[str, IPv4Address]
    pods: dict[str, Pod]
    services: dict[str, ServiceAddress]

    def passes(self, flow: Flow) -> bool:
        """Whether a flow gets out of where it comes from and into where it goes to."""
        source = self.pods.get(flow.source)
        start = source.address if source else self.addresses[flow.source]
        for target, port, address in self._ends(flow):
            leaves = source is None or self.policies.leaves(source, address, flow.protocol, flow.port)
            enters = target is None or self.policies.enters(target, start, flow.protocol, port)
            if not (leaves and enters):
                return False
        return True

    def _ends(self, flow: Flow) -> Iterator[tuple[Pod | None, int, IPv4Address]]:
        """Each pod that a flow may end at, with its port, and the address that its packets are sent to."""
        service = self.services.get(flow.target.removeprefix("service "))
        if service is None or not flow.target.startswith("service "):
            pod = self.pods.get(flow.target)
            yield pod, flow.port, pod.address if pod else self.addresses[flow.target]
            return
        [port] = [port for port in service.spec["ports"] if port["port"] == flow.port]
        for pod in self.pods.values():
            if pod.namespace == service.namespace and service.spec["selector"].items() <= pod.labels.items():
                yield pod, pod.ports[str(port["targetPort"])], service.address


@cache
def world() -> FlowWorld:
    """Rendered once for the whole process."""
    checkout, parties = platform(), read().parties
    graph = Graph(checkout)
    units = [Unit.of(graph, build(checkout, checkout.root, unit, graph.reach(unit))) for unit in graph.units]
    has = next(Platform(unit) for unit in units if Platform(unit).generator)
    spaces = {space: {"kubernetes.io/metadata.name": space} for space in (installation.NAMESPACE, "kube-system")}
    objects: list[Object] = []
    for unit in units:
        if unit.overlay:
            spaces[unit.namespace] = {"kubernetes.io/metadata.name": unit.namespace}
            spaces[unit.namespace] |= has.namespace_labels(unit.overlay)
        # A cluster's settings name no namespace where it is Argo CD's.
        objects += [_in(item, unit.namespace) for item in unit.objects]
    cluster = CLUSTER.rpartition("/")[2]
    objects += [_in(item, installation.NAMESPACE) for item in installation.objects(checkout, cluster)]
    return _of_objects(objects, spaces, {title: party.address for title, party in parties.items()})


def _of_objects(
    objects: list[Object], spaces: dict[str, dict[str, str]], addresses: dict[str, IPv4Address]
) -> FlowWorld:
    pods: dict[str, Pod] = {}
    services: dict[str, ServiceAddress] = {}
    policies: dict[str, tuple[str, Object]] = {}
    free, clusters = _PODS.hosts(), _SERVICES.hosts()
    for item in objects:
        space, made = str(item["metadata"]["namespace"]), template(item)
        title = f"{space}/{name(item)}"
        if made:
            pods[title] = Pod(space, name(item), next(free), made.labels, made.ports())
        elif item["kind"] == "Service" and item["spec"].get("clusterIP") != "None":
            services[title] = ServiceAddress(space, name(item), next(clusters), item["spec"])
        elif item["kind"] == "NetworkPolicy":
            policies[title] = (space, item)
    rules = PolicyWorld(spaces, list(pods.values()), list(services.values()), list(policies.values()))
    return FlowWorld(rules, addresses, pods, services)


def _in(item: Object, space: str) -> Object:
    return {**item, "metadata": {"namespace": space, **item["metadata"]}}


def document() -> str:
    """docs/network.md with the table as it is."""
    rows = [
        [flow.source, flow.target, f"{flow.protocol} {flow.port}", "yes" if world().passes(flow) else "no", flow.why]
        for flow in read().flows
    ]
    head = ["from", "to", "port", "passes", "why"]
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]
    return with_section(DOCUMENT.read_text(), "\n" + "".join(f"{line}\n" for line in lines) + "\n", MARKS)


if __name__ == "__main__":
    DOCUMENT.write_text(document())

"""Who may talk to whom by AWS's rules: NetworkPolicies as EKS resolves and enforces them, evaluated without a cluster.

Two programs of AWS's decide it, and where they are not what the Kubernetes documentation says, this is as they are:

- The controller (aws/amazon-network-policy-controller-k8s, v1.1.7: pkg/resolvers) turns a policy into addresses and
  ports: of pods, of the Services whose selector the peer's pod selector has, and of the ranges as they stand.
- The agent on the node (aws/aws-network-policy-agent: pkg/fwruleprocessor) puts them into one tree of ranges for a pod
  and direction, in which the longest range decides: a range within a larger one inherits its ports, unless the larger
  one excepts it; an excepted range that no rule names refuses all.

It looks at a packet where the pod's own interface is: on the way out that is before a Service's address is translated.
Written from their sources, as the modules cannot be had here; tests/test_flows.py has what is peculiar to them. What
the controller resolves was compared with the program itself on 2026-11-26: every policy of the frozen platform and of
240 random clusters (2,988 policies and directions), without a difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from gitops.manifests.objects import Object, selects, spec_of

_ANYWHERE = IPv4Network("0.0.0.0/0")
_HOST = 32


@dataclass(frozen=True)
class Port:
    """Ports of a protocol that a rule has: from `first` to `last`; 0: every one. `protocol` ANY: whatever it is."""

    protocol: str = "ANY"
    first: int = 0
    last: int = 0

    def has(self, protocol: str, number: int) -> bool:
        """Whether a packet's port is one of them."""
        right = self.protocol in ("ANY", protocol)
        return right and (self.first == 0 or self.first <= number <= max(self.first, self.last))


@dataclass(frozen=True)
class Pod:
    """A pod with its address; `ports`: the containers' by name, or by the number as text."""

    namespace: str
    name: str
    address: IPv4Address
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceAddress:
    """A Service with an address of its own."""

    namespace: str
    name: str
    address: IPv4Address
    spec: Object


@dataclass(frozen=True)
class _Entry:
    """A line of what the controller resolves a policy to."""

    network: IPv4Network
    ports: tuple[Port, ...] = ()
    excepted: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True)
class PolicyWorld:
    """Namespaces by name with their labels, pods, Services, and policies by namespace."""

    namespaces: Mapping[str, Mapping[str, str]]
    pods: Sequence[Pod]
    services: Sequence[ServiceAddress]
    policies: Sequence[tuple[str, Object]]

    def leaves(self, pod: Pod, address: IPv4Address, protocol: str, port: int) -> bool:
        """Whether a packet of a pod's gets out to an address."""
        return self._passes(pod, "Egress", address, protocol, port)

    def enters(self, pod: Pod, address: IPv4Address, protocol: str, port: int) -> bool:
        """Whether a packet from an address gets in to a pod."""
        return self._passes(pod, "Ingress", address, protocol, port)

    def _passes(self, pod: Pod, direction: str, address: IPv4Address, protocol: str, port: int) -> bool:
        policies = [item for namespace, item in self.policies if namespace == pod.namespace and _has(item, pod)]
        isolating = [item for item in policies if direction in _directions(item)]
        if not isolating:
            return True
        resolve = self._ingress if direction == "Ingress" else self._egress
        entries = list(itertools.chain.from_iterable(resolve(pod.namespace, item) for item in isolating))
        longest = max(
            ((network, ports) for network, ports in tree(entries).items() if address in network),
            key=lambda pair: pair[0].prefixlen,
            default=(_ANYWHERE, ()),
        )
        return any(entry.has(protocol, port) for entry in longest[1])

    def _ingress(self, namespace: str, policy: Object) -> Iterator[_Entry]:
        here = [pod for pod in self.pods if pod.namespace == namespace and _has(policy, pod)]
        for rule in spec_of(policy).get("ingress") or []:
            listed = rule.get("ports") or []
            # Names are looked up in the pods that the policy is for.
            named = any(isinstance(entry.get("port"), str) for entry in listed)
            looked_up = [pod.ports for pod in here] if named else [{}]
            ports = tuple(dict.fromkeys(itertools.chain.from_iterable(_ports(listed, known) for known in looked_up)))
            if listed and not ports:
                continue
            if "from" not in rule:
                yield _Entry(_ANYWHERE, ports)
            for peer in rule.get("from") or []:
                if block := peer.get("ipBlock"):
                    yield _block(block, ports)
                else:
                    yield from (_Entry(IPv4Network(pod.address), ports) for pod in self._peers(namespace, peer))

    def _egress(self, namespace: str, policy: Object) -> Iterator[_Entry]:
        for rule in spec_of(policy).get("egress") or []:
            listed = rule.get("ports") or []
            # A range has no pod in which a name could be looked up: such a port is left out.
            numbered = tuple(_ports(listed, {}))
            if "to" not in rule and (numbered or not listed):
                yield _Entry(_ANYWHERE, numbered)
            for peer in rule.get("to") or []:
                if block := peer.get("ipBlock"):
                    if numbered or not listed:
                        yield _block(block, numbered)
                    continue
                for pod in self._peers(namespace, peer):
                    ports = tuple(_ports(listed, pod.ports))
                    if ports or not listed:
                        yield _Entry(IPv4Network(pod.address), ports)
                yield from self._service_entries(namespace, peer, listed)

    def _peers(self, namespace: str, peer: Object) -> Iterator[Pod]:
        """The pods that a peer means: of its own namespace where it names none."""
        spaces = self._spaces(namespace, peer)
        for pod in self.pods:
            if pod.namespace in spaces and selects(peer.get("podSelector") or {}, pod.labels):
                yield pod

    def _spaces(self, namespace: str, peer: Object) -> set[str]:
        if peer.get("namespaceSelector") is None:
            return {namespace}
        chosen = peer["namespaceSelector"]
        return {name for name, labels in self.namespaces.items() if selects(chosen, labels)}

    def _service_entries(self, namespace: str, peer: Object, listed: Sequence[Object]) -> Iterator[_Entry]:
        """The addresses of Services whose own selector the peer's has, with the ports that they listen on."""
        spaces = self._spaces(namespace, peer)
        for service in self.services:
            if service.namespace not in spaces:
                continue
            if not selects(peer.get("podSelector") or {}, service.spec.get("selector") or {}):
                continue
            ports = tuple(itertools.chain.from_iterable(self._listening(service, entry, listed) for entry in listed))
            if ports or not listed:
                yield _Entry(IPv4Network(service.address), ports)

    def _listening(self, service: ServiceAddress, entry: Object, listed: Sequence[Object]) -> Iterator[Port]:
        """The port at which a Service leads to a port of its pods that a policy names."""
        protocol, asked = str(entry.get("protocol") or "TCP"), entry.get("port")
        if asked is None:
            yield Port(protocol)
            return
        selector = {"matchLabels": service.spec.get("selector") or {}}
        behind = [pod for pod in self.pods if pod.namespace == service.namespace and selects(selector, pod.labels)]
        spoken = [port for port in service.spec.get("ports") or [] if str(port.get("protocol") or "TCP") == protocol]
        port = _leading(spoken, asked, behind)
        if port is None or (isinstance(asked, int) and _leads_astray(port, protocol, listed, behind)):
            return
        yield Port(protocol, int(port["port"]))


def _leading(spoken: Sequence[Object], asked: int | str, behind: Sequence[Pod]) -> Object | None:
    """The Service's port that leads to what a policy names: by its own words, or by its first pod's."""
    for port in spoken:
        if _target(port) == asked:
            return port
    for pod in behind:
        number = asked if isinstance(asked, int) else pod.ports.get(asked)
        names = {name for name, known in pod.ports.items() if known == number} if isinstance(asked, int) else {asked}
        for port in spoken:
            if number is not None and (_target(port) == number or _target(port) in names):
                return port
    return None


def _leads_astray(port: Object, protocol: str, listed: Sequence[Object], behind: Sequence[Pod]) -> bool:
    """Whether a name in the Service leads to another number in one of its pods than a policy's numbers allow."""
    target = _target(port)
    numbers = {pod.ports[target] for pod in behind if isinstance(target, str) and target in pod.ports}
    allowed = list(_ports(listed, {}))

    def is_allowed(number: int) -> bool:
        return any(entry.has(protocol, number) for entry in allowed)

    return not all(map(is_allowed, numbers))


def _target(port: Object) -> int | str:
    target: int | str = port["targetPort"] if "targetPort" in port else port["port"]
    return target


def tree(entries: Sequence[_Entry]) -> dict[IPv4Network, tuple[Port, ...]]:
    """The agent's ranges with what is allowed from or to each; a range with nothing refuses all."""
    ranges: dict[IPv4Network, _Entry] = {}
    excepted: set[IPv4Network] = set()
    for entry in sorted(entries, key=lambda entry: entry.network.prefixlen):
        excepted.update(entry.excepted)
        ports = entry.ports or (Port(),)
        if entry.network in ranges:
            known = ranges[entry.network]
            ranges[entry.network] = _Entry(entry.network, (*ports, *known.ports), (*entry.excepted, *known.excepted))
            continue
        around = [wider for wider in ranges.values() if _inherits(entry.network, wider)]
        inherited = itertools.chain.from_iterable(wider.ports for wider in around)
        ranges[entry.network] = _Entry(entry.network, (*ports, *inherited), entry.excepted)
    allowed = {network: entry.ports for network, entry in ranges.items()}
    return {**dict.fromkeys(excepted, ()), **allowed}


def _inherits(network: IPv4Network, wider: _Entry) -> bool:
    inside = wider.network.prefixlen < _HOST and network.network_address in wider.network
    return inside and not any(network.network_address in hole for hole in wider.excepted)


def _has(policy: Object, pod: Pod) -> bool:
    return selects(spec_of(policy).get("podSelector") or {}, pod.labels)


def _directions(policy: Object) -> Sequence[str]:
    spec = spec_of(policy)
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _ports(listed: Sequence[Object], named: Mapping[str, int]) -> Iterator[Port]:
    """The ports of a rule, names looked up; one that nobody has is left out."""
    for entry in listed:
        protocol, asked = str(entry.get("protocol") or "TCP"), entry.get("port")
        number: Any = 0 if asked is None else asked if isinstance(asked, int) else named.get(str(asked))
        if number is not None:
            yield Port(protocol, number, int(entry.get("endPort") or 0))


def _block(block: Object, ports: tuple[Port, ...]) -> _Entry:
    excepted = tuple(IPv4Network(text, strict=False) for text in block.get("except") or [])
    return _Entry(IPv4Network(block["cidr"], strict=False), ports, excepted)

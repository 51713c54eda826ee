"""All Ingresses of a cluster merged into one load balancer, in the way of the AWS Load Balancer Controller (v3.5.0).

EKS Auto Mode runs it. Ingresses by `group.order`, then by the text namespace/name; in an Ingress its rules as they
stand; in a rule Exact paths first, then Prefix by length, the longest first, then the others as they stand. (Its
pkg/ingress: group_loader.go, model_builder.go, model_build_listener.go.) tests/builder holds this to what its own
builder made of many groups.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from gitops.lb import values
from gitops.lb.backends import Backends
from gitops.lb.names import CLASS as CLASS
from gitops.lb.names import LISTEN as LISTEN
from gitops.lb.names import ORDER as ORDER
from gitops.lb.names import PREFIX as PREFIX
from gitops.lb.names import REDIRECT as REDIRECT
from gitops.lb.rules import Answer, ListenerRule, effective
from gitops.lb.sources import Crowd, GroupObject, Inventory, in_group, pods_of, setting
from gitops.lb.targets import TargetGroup
from gitops.manifests import certificates
from gitops.manifests.certificates import Certificate as Certificate
from gitops.manifests.certificates import Certificates as Certificates
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object, spec_of

# Quotas of an Application Load Balancer: target groups are fixed, the others can be raised.
QUOTAS = {"rules": 100, "certificates": 25, "target groups": 100, "targets": 1000}
# Fixed, of one rule. AWS's guide says five wildcards where it explains conditions, and six where it lists quotas.
VALUES_PER_RULE, WILDCARDS_PER_RULE = 5, 5
_SECURE = {443: "HTTPS"}
_NOT_FOUND = Answer(("404",))


@dataclass(frozen=True)
class Listener:
    """A port that the load balancer listens on. `default`: what answers where no rule does."""

    protocol: str
    default: Answer
    rules: tuple[ListenerRule, ...] = ()


@dataclass
class LoadBalancer:
    """The merged group. `faults`: what the controller or AWS would refuse of it, for all of its Ingresses."""

    listeners: dict[int, Listener] = field(default_factory=dict)
    target_groups: dict[str, TargetGroup] = field(default_factory=dict)
    hosts: dict[str, tuple[Unit, Object, FieldPath]] = field(default_factory=dict)
    certificates: list[Certificate] | None = None
    services: int = 0
    redirects: tuple[GroupObject, ...] = ()
    faults: tuple[Finding, ...] = ()

    @property
    def _main(self) -> Listener:
        """The listener that people meet: HTTPS where there is one."""
        secure = [port for port, listener in self.listeners.items() if listener.protocol == "HTTPS"]
        ports = secure or list(self.listeners)
        return self.listeners[443 if 443 in ports else min(ports)] if ports else Listener("HTTPS", _NOT_FOUND)

    @property
    def rules(self) -> tuple[ListenerRule, ...]:
        """The rules of that listener, in their order."""
        return self._main.rules

    @property
    def default(self) -> Answer:
        """What that listener answers where no rule does."""
        return self._main.default

    @property
    def targets(self) -> int:
        """How many pods there are at most in all target groups."""
        return sum(crowd.most for crowd in self.crowds)

    @property
    def crowds(self) -> list[Crowd]:
        """The pods of each target group."""
        return list(itertools.chain.from_iterable(pods_of(group.service) for group in self.target_groups.values()))

    @property
    def used(self) -> dict[str, int]:
        """How much of each quota. The default rules and the default certificate do not count."""
        return {
            "rules": sum(len(listener.rules) for listener in self.listeners.values()),
            "certificates": max(0, len(self.certificates or []) - 1),
            "target groups": len(self.target_groups),
            "targets": self.targets,
        }

    def remaining_services(self) -> int | None:
        """How many more services like today's fit before the first quota is full; None while there is none."""
        if not self.services or not self.rules:
            return None
        used = {what: count for what, count in self.used.items() if what != "certificates" and count}
        return max(0, int(min((QUOTAS[what] - count) / (count / self.services) for what, count in used.items())))

    def route(self, host: str, path: str) -> tuple[ListenerRule | None, tuple[ListenerRule, ...]]:
        """Which rule answers, None for the default answer; and those before it that do where their conditions hold."""
        conditional: list[ListenerRule] = []
        for rule in self.rules:
            if rule.matches(host, path):
                if not rule.is_asked_for_more:
                    return rule, tuple(conditional)
                conditional.append(rule)
        return None, tuple(conditional)

    def accepts_tls(self, host: str) -> bool:
        """Whether a browser accepts the host: a certificate covers it, or nobody says which certificates there are."""
        return self.certificates is None or self.covers(host)

    def covers(self, host: str) -> bool:
        """Whether a certificate covers a host: a wildcard stands for one label."""
        return certificates.covers(self.certificates or [], host)


def group_order(source: GroupObject) -> tuple[int, Finding | None]:
    """An Ingress' place in the group, and what is wrong with it; what cannot be read counts as the default."""
    said = setting("group.order", source)
    if said is None:
        return 0, None
    try:
        order = values.integer(said.text)
    except ValueError:
        order = 1001
    if abs(order) <= 1000:
        return order, None
    fault = said.finding("lb-annotation", f"group.order: {said.text!r}", "write a number from -1000 to 1000")
    return 0, fault


def merge(units: Iterable[Unit], known: list[Certificate] | None) -> LoadBalancer:
    """The load balancer of all overlays. Ingresses of other classes are not its own."""
    units = list(units)
    sources: list[GroupObject] = []
    for unit in units:
        sources += (GroupObject(unit, item) for item in unit.kind("Ingress") if in_group(item))
    orders = {source.full_name: group_order(source) for source in sources}
    # By the text, as the controller does: a-b/web is before a/web.
    sources.sort(key=lambda source: (orders[source.full_name][0], source.full_name))
    backends = Backends(Inventory.of(units))
    backends.faults += [fault for _, fault in orders.values() if fault]
    balancer = LoadBalancer(certificates=known)
    balancer.services = len({source.unit.overlay.service for source in sources if source.unit.overlay})
    balancer.redirects = tuple(source for source in sources if "ssl-redirect" in source.annotations)
    members = _members(sources, backends.faults)
    redirect = _redirect(units, balancer.redirects, members, backends.faults)
    for port, (protocol, listening) in sorted(members.items()):
        if redirect and protocol == "HTTP":
            balancer.listeners[port] = Listener(protocol, Answer((f"redirect HTTPS {redirect}",)))
            continue
        rules = list(itertools.chain.from_iterable(map(backends.rules, listening)))
        balancer.listeners[port] = Listener(
            protocol, _default(listening, backends), tuple(effective(rules, port, protocol, backends.leave_out))
        )
    backends.check_annotations(sources)
    balancer.target_groups, balancer.hosts = backends.groups, backends.hosts
    balancer.faults = tuple(dict.fromkeys(backends.faults))
    return balancer


def _members(sources: Iterable[GroupObject], faults: list[Finding]) -> dict[int, tuple[str, list[GroupObject]]]:
    """By port its protocol, and the Ingresses that are served there. One that names no ports is served on 443."""
    members: dict[int, tuple[str, list[GroupObject]]] = {}
    for source in sources:
        said, ports = setting("listen-ports", source), _SECURE
        if said:
            try:
                ports = values.listen_ports(said.text)
            except ValueError as error:
                faults.append(said.finding("lb-redirect", f"{LISTEN} cannot be read: {said.text!r}", f"write {error}"))
        for port, protocol in ports.items():
            first, listening = members.setdefault(port, (protocol, []))
            listening.append(source)
            if first == protocol:
                continue
            speaker = said or setting("listen-ports", *listening)
            if speaker:
                what = f"port {port} is {protocol} here and {first} for {listening[0].full_name}"
                faults.append(speaker.finding("lb-redirect", what, "write one protocol for each port of the group"))
    return members


def _redirect(
    units: Iterable[Unit],
    sources: Iterable[GroupObject],
    members: dict[int, tuple[str, list[GroupObject]]],
    faults: list[Finding],
) -> int | None:
    """To which port of the group http:// is sent, None where it is not."""
    ports: dict[int, str] = {}
    for unit in units:
        for item in unit.kind("IngressClassParams"):
            text = str(spec_of(item).get("sslRedirectPort") or "")
            ports |= {int(text): GroupObject(unit, item).full_name} if text.isascii() and text.isdigit() else {}
    # The class' word is the only one.
    for source in sources if not ports else ():
        said = setting("ssl-redirect", source)
        if said is None:
            continue
        try:
            port = values.integer(said.text)
        except ValueError as error:
            faults.append(said.finding("lb-redirect", f"{REDIRECT}: {said.text!r}", f"write {error}: 443"))
            continue
        problem = None
        if ports and port not in ports:
            problem = f"sends to port {port}, {next(iter(ports.values()))} to {next(iter(ports))}"
        elif port not in members:
            problem = f"sends to port {port}, on which nothing listens"
        elif members[port][0] != "HTTPS":
            problem = f"sends to port {port}, which is {members[port][0]}"
        if problem:
            faults.append(said.finding("lb-redirect", problem, "write 443"))
        else:
            ports[port] = source.full_name
    return next(iter(ports), None)


def _default(sources: Iterable[GroupObject], backends: Backends) -> Answer:
    """What answers where no rule does. A second Ingress that says it stops the controller."""
    saying = [source for source in sources if spec_of(source.item).get("defaultBackend") is not None]
    # The platform's own comes first: a service is the one too many.
    saying.sort(key=lambda source: source.unit.overlay is not None)
    for source in saying[1:]:
        place = saying[0].unit.places.of(saying[0].item, ("spec", "defaultBackend"))
        what = f"a second default backend: the group has that of {saying[0].full_name} ({place.file}:{place.line})"
        fix = "remove it, and name a host: the controller stops for the whole group"
        backends.faults.append(source.finding("lb-default", ("spec", "defaultBackend"), what, fix))
    if not saying:
        return _NOT_FOUND
    return backends.answer(saying[0], spec_of(saying[0].item)["defaultBackend"], ("spec", "defaultBackend"))

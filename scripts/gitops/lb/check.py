"""What is wrong with the merged load balancer."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from gitops.ground.printable import counted
from gitops.lb.health import check_health
from gitops.lb.model import QUOTAS, VALUES_PER_RULE, WILDCARDS_PER_RULE, LoadBalancer
from gitops.lb.names import LISTEN, REDIRECT
from gitops.lb.rules import ListenerRule
from gitops.lb.sources import Setting, setting
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place

# From here on the operator hears of it.
_NEARLY = 0.8
# As the API server takes one (RFC 1123), a wildcard too.
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


def check(balancer: LoadBalancer, *, merged: bool = True) -> list[Finding]:
    """Everything that the controller or AWS would stop at, or that no request could ever meet. Each once.

    `merged`: whether it is the whole group, of which alone quotas can be told.
    """
    # What cannot be used as it is written is not compared with anything.
    unusable = {fault.place for fault in balancer.faults}
    health = [finding for finding in check_health(balancer) if finding.place not in unusable]
    findings = [*balancer.faults, *health, *_rules(balancer)]
    findings += _quotas(balancer) if merged else ()
    if balancer.certificates is not None:
        findings += _certificates(balancer)
    return list(dict.fromkeys(findings))


def _certificates(balancer: LoadBalancer) -> Iterator[Finding]:
    covered = itertools.chain.from_iterable(certificate.names for certificate in balancer.certificates or [])
    listed = ", ".join(covered) or "none"
    fix = f"covered are: {listed}; ask the platform team for another, or take a host below one of these"
    for host, (unit, item, path) in balancer.hosts.items():
        if _HOST.fullmatch(host) and not balancer.covers(host):
            yield unit.finding("lb-certificate", item, path, f"no certificate covers {host}", fix)


def check_listeners(balancer: LoadBalancer, units: Iterable[Unit]) -> Iterator[Finding]:
    """Whether a person who types a host without https:// is sent there. `units`: the folders of the platform."""
    sources = [source for source in balancer.redirects if not source.unit.overlay]
    if not sources:
        for unit in units:
            for item in unit.kind("IngressClassParams"):
                what = "nothing listens on port 80: http:// of every host is refused"
                fix = f"an Ingress of the platform's own with {REDIRECT}, as clusters/seoul/objects/ingress.yaml"
                yield unit.finding("lb-redirect", item, ("spec",), what, fix)
        return
    # What the controller stops at is told of it already.
    if any(fault.rule == "lb-redirect" for fault in balancer.faults):
        return
    for said in filter(None, (setting("ssl-redirect", source) for source in sources)):
        if said.text != "443":
            yield said.finding("lb-redirect", f"sends to port {said.text}", "write 443")
    ports = {port: listener.protocol for port, listener in balancer.listeners.items()}
    if (ports.get(80), ports.get(443)) != ("HTTP", "HTTPS"):
        said = setting("listen-ports", *sources) or Setting("listen-ports", "", sources[0])
        fix = 'write [{"HTTP": 80}, {"HTTPS": 443}]: the redirect has one port, and leads to the other'
        yield said.finding("lb-redirect", f"{LISTEN} does not listen on both 80 and 443", fix)


class _Earlier:
    """The rules before one, by their hosts: a rule without wildcards is held to those alone that may meet it."""

    def __init__(self) -> None:
        self._by_host: dict[str, list[tuple[int, ListenerRule]]] = {}
        self._others: list[tuple[int, ListenerRule]] = []
        self._all: list[tuple[int, ListenerRule]] = []

    def add(self, rule: ListenerRule) -> None:
        entry = (len(self._all), rule)
        self._all.append(entry)
        if _is_plain(rule):
            for host in rule.hosts:
                self._by_host.setdefault(host.lower(), []).append(entry)
        else:
            self._others.append(entry)

    def of(self, rule: ListenerRule) -> list[ListenerRule]:
        """Those that may have a host of the rule, in their order."""
        if not _is_plain(rule):
            return [earlier for _, earlier in self._all]
        named = itertools.chain.from_iterable(self._by_host.get(host.lower(), []) for host in rule.hosts)
        entries = dict((*named, *self._others))
        return [entries[number] for number in sorted(entries)]


def _is_plain(rule: ListenerRule) -> bool:
    return bool(rule.hosts) and not any("*" in host or "?" in host for host in rule.hosts)


def _rules(balancer: LoadBalancer) -> Iterator[Finding]:
    before, told = _Earlier(), set[tuple[str, str]]()
    for rule in balancer.rules:
        if not rule.host:
            yield rule.source.finding("lb-host", rule.location[:3], "a rule without a host", "name the host")
        elif not _HOST.fullmatch(rule.host):
            fix = "write the name alone, in small letters: no https://, port, path or _"
            yield rule.source.finding("lb-host", rule.host_location, f"{rule.host} is no host's name", fix)
        yield from _limits(rule)
        earlier = before.of(rule)
        before.add(rule)
        first = next((hiding for hiding in earlier if hiding.shadows(rule)), None)
        if first:
            yield _hidden(rule, first)
            continue
        # What no request meets is said of the path.
        owner = next((foreign for foreign in earlier if _is_anothers(foreign, rule)), None)
        if owner and (rule.ingress, rule.host) not in told:
            told.add((rule.ingress, rule.host))
            yield from _shared(rule, owner)


def _limits(rule: ListenerRule) -> Iterator[Finding]:
    for used, limit, what in (
        (rule.condition_values, VALUES_PER_RULE, "values"),
        (rule.wildcards, WILDCARDS_PER_RULE, "wildcards"),
    ):
        if used > limit:
            problem = f"{used} {what} in one rule; a rule takes {limit}"
            fix = f"use fewer {'conditions' if what == 'values' else '* and ?'}, or several paths"
            yield rule.source.finding("lb-quota", rule.path_location, problem, fix)


def _hidden(rule: ListenerRule, first: ListenerRule) -> Finding:
    if (first.host, first.path, first.path_type) == (rule.host, rule.path, rule.path_type):
        what = f"{rule.address} belongs to {first.ingress} ({_where(first)})"
        return rule.source.finding("lb-duplicate", rule.host_location, what, "take another host or path")
    what = f"{rule.address} never answers: {first.address} of {first.ingress} ({_where(first)}) comes before it"
    if rule.ingress == first.ingress:
        fix = "put it before, or write it as Exact or as a longer Prefix: these come first"
    elif rule.source.unit.overlay:
        fix = "take another host or path"
    else:
        fix = "give its Ingress a lower alb.ingress.kubernetes.io/group.order"
    return rule.source.finding("lb-shadowed", rule.path_location, what, fix)


def _shared(rule: ListenerRule, owner: ListenerRule) -> Iterator[Finding]:
    """A host, a wildcard's too, for which two services answer: a part of an address is not another's to take."""
    what = f"{owner.host} is a host of {owner.ingress} ({_where(owner)})"
    fix = "take another host; one of the two services answers for all of it"
    yield rule.source.finding("lb-host-shared", rule.host_location, what, fix)


def _is_anothers(owner: ListenerRule, rule: ListenerRule) -> bool:
    """Whether two rules are of different services, or one is the platform's own, and a request may meet both."""
    first, second = (of.service if of else None for of in (owner.unit.overlay, rule.unit.overlay))
    return first != second and owner.shares_host(rule)


def _where(rule: ListenerRule) -> str:
    place: Place = rule.unit.places.of(rule.item, rule.host_location)
    return f"{place.file}:{place.line}"


def _quotas(balancer: LoadBalancer) -> Iterator[Finding]:
    if not balancer.rules:
        return
    # Nobody's in particular; the one that uses most can help most.
    most = Counter(rule.ingress for rule in balancer.rules).most_common(1)[0][0]
    largest = next(rule for rule in balancer.rules if rule.ingress == most)
    for what, used in balancer.used.items():
        quota = QUOTAS[what]
        rule, fix = "lb-quota", "use fewer hosts and paths, or plan a second load balancer"
        source, path = largest.source, largest.host_location
        if used <= _NEARLY * quota:
            continue
        message = f"{used} of {quota} {what} are used, {most} uses most"
        if what == "targets":
            crowd = max(balancer.crowds, key=lambda crowd: crowd.most)
            source, path = crowd.source, crowd.path
            message = f"{used} of {quota} {what} are used, {crowd.most} of them here"
            fix = "lower it where fewer do, have AWS raise the quota, or plan a second load balancer"
        if used <= quota:
            rule, message = (
                "lb-forecast",
                f"{message}; room for {counted(balancer.remaining_services() or 0, 'more service')}",
            )
        yield source.finding(rule, path, message, fix)

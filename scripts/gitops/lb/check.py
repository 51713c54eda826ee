"""What is wrong with the merged load balancer."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gitops.ground import jsontext
from gitops.lb.model import (
    LISTEN,
    ORDER,
    PREFIX,
    QUOTAS,
    REDIRECT,
    VALUES_PER_RULE,
    ListenerRule,
    LoadBalancer,
    Redirect,
    in_group,
    ingress_rules,
    rule_paths,
)
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place
from gitops.manifests.objects import Object
from gitops.manifests.pods import template

# The whole group must say the same, or the controller stops (its documentation: "Exclusive").
_EXCLUSIVE = {
    "load-balancer-name",
    "scheme",
    "ip-address-type",
    "subnets",
    "security-groups",
    "customer-owned-ipv4-pool",
    "load-balancer-attributes",
    "wafv2-acl-arn",
    "waf-acl-id",
    "shield-advanced-protection",
    "ssl-redirect",
    "ssl-policy",
    "group.name",
    "inbound-cidrs",
    "listen-ports",
    "tags",
    "certificate-arn",
    "target-type",
}
_OWN = {
    "healthcheck-path",
    "healthcheck-port",
    "healthcheck-protocol",
    "healthcheck-interval-seconds",
    "group.order",
    "healthcheck-timeout-seconds",
    "healthy-threshold-count",
    "unhealthy-threshold-count",
    "success-codes",
    "target-group-attributes",
    "backend-protocol",
    "backend-protocol-version",
}
_NUMBERS = {
    "healthcheck-interval-seconds": (5, 300),
    "healthcheck-timeout-seconds": (2, 120),
    "healthy-threshold-count": (2, 10),
    "unhealthy-threshold-count": (2, 10),
    "group.order": (-1000, 1000),
}
_CODES = re.compile(r"\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*")
# From here on the operator hears of it.
_NEARLY = 0.8


def check(balancer: LoadBalancer, units: Sequence[Unit]) -> Iterator[Finding]:
    """Everything that the controller would stop at, or that no request could ever meet."""
    for unit in units:
        for item in unit.kind("Ingress"):
            if in_group(item):
                yield from _annotations(unit, item)
                yield from _health(unit, item)
                yield from _paths(unit, item)
    yield from _rules(balancer)
    yield from _shared(balancer)
    yield from _quotas(balancer)
    if balancer.certificates is not None:
        for host, (unit, item, path) in balancer.hosts.items():
            if not balancer.covers(host):
                covered = itertools.chain.from_iterable(certificate.names for certificate in balancer.certificates)
                names = ", ".join(covered) or "none"
                yield unit.finding(
                    "lb-certificate",
                    item,
                    path,
                    f"no certificate covers {host}",
                    f"covered are: {names}; ask the platform team for another, or take a host below one of these",
                )


def check_listeners(redirect: Redirect | None, units: Iterable[Unit]) -> Iterator[Finding]:
    """Whether a person who types a host without https:// is sent there. `units`: the folders of the platform."""
    if redirect is None:
        for unit in units:
            for item in unit.kind("IngressClassParams"):
                what = "nothing listens on port 80: http:// of every host is refused"
                fix = f"an Ingress of the platform's own with {REDIRECT}, as clusters/seoul/objects/ingress.yaml"
                yield unit.finding("lb-redirect", item, ("spec",), what, fix)
        return
    path = ("metadata", "annotations", REDIRECT)
    listeners = redirect.listeners
    if redirect.port != "443":
        yield redirect.unit.finding("lb-redirect", redirect.item, path, f"sends to port {redirect.port}", "443")
    if listeners is None or 80 not in listeners.get("HTTP", set()) or 443 not in listeners.get("HTTPS", set()):
        what = f"{LISTEN} does not listen on both 80 and 443"
        path = ("metadata", "annotations", LISTEN)
        fix = '[{"HTTP": 80}, {"HTTPS": 443}]: the redirect has one port, and leads to the other'
        yield redirect.unit.finding("lb-redirect", redirect.item, path, what, fix)


def _rules(balancer: LoadBalancer) -> Iterator[Finding]:
    for number, rule in enumerate(balancer.rules):
        if not rule.host:
            yield rule.unit.finding("lb-host", rule.item, rule.location[:3], "a rule without a host", "name the host")
        if rule.condition_values > VALUES_PER_RULE:
            yield rule.unit.finding(
                "lb-quota",
                rule.item,
                rule.path_location,
                f"{rule.condition_values} values in one rule; a rule takes {VALUES_PER_RULE}",
                "use fewer conditions",
            )
        first = next((earlier for earlier in balancer.rules[:number] if earlier.shadows(rule)), None)
        if first is None:
            continue
        address = f"{rule.host or '*'}{rule.path}"
        if (first.host, first.path) == (rule.host, rule.path):
            yield rule.unit.finding(
                "lb-duplicate",
                rule.item,
                rule.host_location,
                f"{address} belongs to {first.ingress} ({_where(first)})",
                "take another host or path",
            )
        else:
            yield rule.unit.finding(
                "lb-shadowed",
                rule.item,
                rule.path_location,
                f"{address} never answers: {first.host or '*'}{first.path} of {first.ingress} "
                f"({_where(first)}) comes before it",
                f"put it before, or give its Ingress a lower {ORDER}",
            )


def _shared(balancer: LoadBalancer) -> Iterator[Finding]:
    """Hosts, wildcards too, for which two services answer: a part of an address is not another's to take."""
    told = set[tuple[str, str]]()
    for number, rule in enumerate(balancer.rules):
        earlier = balancer.rules[:number]
        first = next((owner for owner in earlier if _is_anothers(owner, rule)), None)
        # What no request meets is said of the path.
        if first is None or (rule.ingress, rule.host) in told or any(owner.shadows(rule) for owner in earlier):
            continue
        told.add((rule.ingress, rule.host))
        what = f"{first.host} is a host of {first.ingress} ({_where(first)})"
        fix = "take another host; one of the two services answers for all of it"
        yield rule.unit.finding("lb-host-shared", rule.item, rule.host_location, what, fix)


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
        if used <= _NEARLY * quota:
            continue
        message = f"{used} of {quota} {what} are used, {most} uses most"
        if used <= quota:
            rule, message = "lb-forecast", f"{message}; room for {balancer.remaining_services()} more services"
        yield largest.unit.finding(rule, largest.item, largest.host_location, message, fix)


def _annotations(unit: Unit, item: Object) -> Iterator[Finding]:
    for key, value in (item["metadata"].get("annotations") or {}).items():
        if not key.startswith(PREFIX):
            continue
        short, path = key.removeprefix(PREFIX), ("metadata", "annotations", key)
        if short in _EXCLUSIVE:
            yield unit.finding(
                "lb-annotation",
                item,
                path,
                f"{short} is the whole group's: one Ingress that says otherwise freezes all",
                "remove it; the class says it (clusters/*/objects/ingressclassparams.yaml)",
            )
        elif short.startswith(("actions.", "conditions.", "transforms.")):
            if not _is_json(value):
                yield unit.finding(
                    "lb-annotation",
                    item,
                    path,
                    f"{short} is not JSON",
                    "write JSON as the controller's documentation shows",
                )
        elif short in _NUMBERS:
            low, high = _NUMBERS[short]
            if not re.fullmatch(r"-?\d+", str(value)) or not low <= int(value) <= high:
                yield unit.finding("lb-annotation", item, path, f"{short}: {value!r}", f"a number from {low} to {high}")
        elif short == "success-codes" and not _CODES.fullmatch(str(value)):
            yield unit.finding("lb-annotation", item, path, f"{short}: {value!r}", "codes such as 200 or 200-299,301")
        elif short not in _OWN:
            yield unit.finding(
                "lb-annotation",
                item,
                path,
                f"{short} is no annotation of the controller",
                f"it knows: {', '.join(sorted(_OWN))}",
            )


def _is_json(text: object) -> bool:
    try:
        jsontext.parse(str(text))
    except ValueError:
        return False
    return True


def _health(unit: Unit, item: Object) -> Iterator[Finding]:
    annotations = item["metadata"].get("annotations") or {}
    ports, readiness = _pods(unit)
    key = f"{PREFIX}healthcheck-path"
    if key in annotations and readiness and annotations[key] not in readiness:
        yield unit.finding(
            "lb-health",
            item,
            ("metadata", "annotations", key),
            f"asks {annotations[key]}; the pods' readiness is {', '.join(sorted(readiness))}",
            "ask the path of the readinessProbe",
        )
    key = f"{PREFIX}healthcheck-port"
    if key in annotations and annotations[key] != "traffic-port" and str(annotations[key]) not in ports:
        yield unit.finding(
            "lb-health",
            item,
            ("metadata", "annotations", key),
            f"asks port {annotations[key]}; the pods have: {', '.join(sorted(ports)) or 'none'}",
            "traffic-port, or a port of the pods",
        )


def _pods(unit: Unit) -> tuple[set[str], set[str]]:
    """What the pods of a unit's workloads answer on: names and numbers of their ports, paths of their readiness."""
    ports, readiness = set[str](), set[str]()
    for item in unit.objects:
        pods = template(item)
        if not pods or pods.path != ("spec", "template"):
            continue
        for name, number in pods.ports().items():
            ports |= {name, str(number)}
        for _, container in pods.containers():
            probe = (container.get("readinessProbe") or {}).get("httpGet") or {}
            if "path" in probe:
                readiness.add(str(probe["path"]))
    return ports, readiness


def _paths(unit: Unit, item: Object) -> Iterator[Finding]:
    for rule_location, rule in ingress_rules(item):
        for location, path in rule_paths(rule_location, rule):
            text, kind = str(path.get("path") or "/"), path.get("pathType")
            if kind in ("Exact", "Prefix") and re.search(r"[*?]", text):
                yield unit.finding(
                    "lb-path",
                    item,
                    (*location, "path"),
                    f"{text}: {kind} takes no * or ?",
                    "pathType: ImplementationSpecific",
                )
            if len(text) > 128:
                yield unit.finding(
                    "lb-path",
                    item,
                    (*location, "path"),
                    f"{len(text)} characters; a rule takes 128",
                    "shorten it",
                )

"""All Ingresses of a cluster merged into one load balancer, in the order of the AWS Load Balancer Controller (v3),
which EKS Auto Mode runs.

Ingresses by `group.order`, then by namespace/name; in an Ingress its rules as they stand; in a rule Exact paths first,
then Prefix by length, the longest first, then the others as they stand. (Its documentation: guide/ingress/annotations
and spec; pkg/ingress/model_build_listener_rules.go.)
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gitops.ground import jsontext
from gitops.ground.checkout import Checkout
from gitops.manifests import certificates
from gitops.manifests.certificates import Certificate as Certificate
from gitops.manifests.certificates import Certificates as Certificates
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place
from gitops.manifests.objects import FieldPath, Object, name

CLASS = "platform"
PREFIX = "alb.ingress.kubernetes.io/"
ORDER = f"{PREFIX}group.order"
# Quotas of an Application Load Balancer: rules and certificates can be raised, the others not.
QUOTAS = {"rules": 100, "certificates": 25, "target groups": 100}
VALUES_PER_RULE = 5
REDIRECT, LISTEN = f"{PREFIX}ssl-redirect", f"{PREFIX}listen-ports"


@dataclass(frozen=True)
class ListenerRule:
    """One rule of the listener: the first that matches answers.

    `conditions`: how many values annotations add to it; `location`: where its path entry stands in the Ingress.
    """

    host: str
    path: str
    path_type: str
    conditions: int
    namespace: str
    service: str
    port: str
    ingress: str
    unit: Unit
    item: Object
    location: FieldPath

    @property
    def condition_values(self) -> int:
        """How many condition values it has, of which the load balancer takes five."""
        return (1 if self.host else 0) + len(self.patterns) + self.conditions

    @property
    def patterns(self) -> tuple[str, ...]:
        """The path patterns that the controller writes for it."""
        if self.path_type == "Prefix":
            return ("/*",) if self.path == "/" else (self.path.rstrip("/"), f"{self.path.rstrip('/')}/*")
        return (self.path,)

    @property
    def host_location(self) -> FieldPath:
        """Where its host stands in the Ingress."""
        return (*self.location[:3], "host")

    @property
    def path_location(self) -> FieldPath:
        """Where its path stands in the Ingress."""
        return (*self.location, "path")

    def matches(self, host: str, path: str) -> bool:
        """Whether a request for host and path meets this rule."""
        return (not self.host or fnmatch.fnmatchcase(host, self.host)) and self._matches_path(path)

    def shadows(self, later: ListenerRule) -> bool:
        """Whether every request of `later` meets this rule first."""
        host = (
            not self.host
            or self.host == later.host
            or (later.host != "" and fnmatch.fnmatchcase(later.host, self.host))
        )
        return host and all(map(self._matches_path, later.patterns))

    def shares_host(self, rule: ListenerRule) -> bool:
        """Whether a host meets both rules. Without one a rule has every host, which is said of it alone."""
        if not self.host or not rule.host:
            return False
        return fnmatch.fnmatchcase(self.host, rule.host) or fnmatch.fnmatchcase(rule.host, self.host)

    def _matches_path(self, path: str) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.patterns)


@dataclass(frozen=True)
class Redirect:
    """That port 80 sends everybody to HTTPS: one Ingress of the platform's own says it for the whole group."""

    unit: Unit
    item: Object

    @property
    def place(self) -> Place:
        """The line that says it."""
        return self.unit.places.of(self.item, ("metadata", "annotations", REDIRECT))

    @property
    def port(self) -> str:
        """To which port."""
        return str(self.item["metadata"]["annotations"][REDIRECT])

    @property
    def listeners(self) -> dict[str, set[int]] | None:
        """The ports that the group listens on for it, by protocol; None for what the controller cannot read."""
        text = self.item["metadata"]["annotations"].get(LISTEN)
        try:
            entries = [dict(entry).items() for entry in jsontext.parse(str(text))]
        except (ValueError, TypeError):
            return None
        listed: dict[str, set[int]] = {}
        for protocol, port in itertools.chain.from_iterable(entries):
            listed.setdefault(str(protocol), set()).add(port)
        return listed


@dataclass
class LoadBalancer:
    """The merged group."""

    rules: list[ListenerRule] = field(default_factory=list)
    hosts: dict[str, tuple[Unit, Object, FieldPath]] = field(default_factory=dict)
    certificates: list[Certificate] | None = None
    services: int = 0
    redirect: Redirect | None = None

    @property
    def target_groups(self) -> set[tuple[str, str, str]]:
        """One for each port of each Service that a rule sends to."""
        return {(rule.namespace, rule.service, rule.port) for rule in self.rules}

    @property
    def used(self) -> dict[str, int]:
        """How much of each quota. The default rule and the default certificate do not count."""
        certificates = max(0, len(self.certificates or []) - 1)
        return {"rules": len(self.rules), "certificates": certificates, "target groups": len(self.target_groups)}

    def remaining_services(self) -> int | None:
        """How many more services like today's fit before the first quota is full; None while there is none."""
        if not self.services or not self.rules:
            return None
        left = (QUOTAS[what] - count for what, count in self.used.items() if what != "certificates")
        shares = (count / self.services for what, count in self.used.items() if what != "certificates")
        return max(0, int(min(free / one for free, one in zip(left, shares, strict=True))))

    def route(self, host: str, path: str) -> ListenerRule | None:
        """Which rule answers, None for the default answer (404)."""
        return next((rule for rule in self.rules if rule.matches(host.lower(), path)), None)

    def accepts_tls(self, host: str) -> bool:
        """Whether a browser accepts the host: a certificate covers it, or nobody says which certificates there are."""
        return self.certificates is None or self.covers(host)

    def covers(self, host: str) -> bool:
        """Whether a certificate covers a host: a wildcard stands for one label."""
        return certificates.covers(self.certificates or [], host)


def in_group(item: Object) -> bool:
    """Whether an Ingress belongs to the one load balancer."""
    return bool((item.get("spec") or {}).get("ingressClassName") == CLASS)


def merge(units: Iterable[Unit], known: list[Certificate] | None) -> LoadBalancer:
    """The load balancer of all overlays. Ingresses of other classes are not its own."""
    balancer = LoadBalancer(certificates=known)
    ingresses: list[tuple[Unit, Object]] = []
    for unit in units:
        ingresses += ((unit, item) for item in unit.kind("Ingress") if in_group(item))
    # By the text, as the controller does: a-b/web is before a/web.
    ingresses.sort(key=lambda ingress: (group_order(ingress[1]), full_name(*ingress)))
    balancer.services = len({unit.overlay.service for unit, _ in ingresses if unit.overlay})
    for unit, item in ingresses:
        for location, rule in ingress_rules(item):
            host = str(rule.get("host") or "")
            if host:
                balancer.hosts.setdefault(host, (unit, item, (*location, "host")))
            for path_location, path in sorted(rule_paths(location, rule), key=lambda entry: _rank(entry[1])):
                balancer.rules.append(_rule(unit, item, host, path, path_location))
    return balancer


def read_redirect(units: Iterable[Unit]) -> Redirect | None:
    """The platform's own Ingress that redirects; `units`: the folders of the platform. None: port 80 is closed."""
    for unit in units:
        for item in unit.kind("Ingress"):
            if in_group(item) and REDIRECT in (item["metadata"].get("annotations") or {}):
                return Redirect(unit, item)
    return None


def ingress_rules(item: Object) -> Iterator[tuple[FieldPath, Object]]:
    """The rules of an Ingress, each with where it stands."""
    for number, rule in enumerate((item.get("spec") or {}).get("rules") or []):
        yield ("spec", "rules", number), rule


def rule_paths(location: FieldPath, rule: Object) -> Iterator[tuple[FieldPath, Object]]:
    """The path entries of a rule that stands at `location`, each with where it stands."""
    for number, path in enumerate((rule.get("http") or {}).get("paths") or []):
        yield (*location, "http", "paths", number), path


def group_order(item: Object) -> int:
    """The Ingress' place in the group; what cannot be read counts as the default (check.py says so)."""
    text = str((item["metadata"].get("annotations") or {}).get(ORDER, "0"))
    return int(text) if text.lstrip("-").isdigit() else 0


def full_name(unit: Unit, item: Object) -> str:
    """An Ingress as namespace/name."""
    return f"{item['metadata'].get('namespace') or unit.namespace}/{name(item)}"


def _rank(path: Object) -> tuple[int, int]:
    kind = path.get("pathType")
    return (0, 0) if kind == "Exact" else (1, -len(str(path.get("path", "/")))) if kind == "Prefix" else (2, 0)


def _rule(unit: Unit, item: Object, host: str, path: Object, location: FieldPath) -> ListenerRule:
    service = (path.get("backend") or {}).get("service") or {}
    port = service.get("port") or {}
    return ListenerRule(
        host=host,
        path=str(path.get("path") or "/"),
        path_type=str(path.get("pathType")),
        conditions=_conditions(item, str(service.get("name"))),
        namespace=full_name(unit, item).partition("/")[0],
        service=str(service.get("name")),
        port=str(port.get("name") or port.get("number")),
        ingress=full_name(unit, item),
        unit=unit,
        item=item,
        location=location,
    )


def _conditions(item: Object, service: str) -> int:
    """How many more values an annotation `conditions.<service>` asks for."""
    text = (item["metadata"].get("annotations") or {}).get(f"{PREFIX}conditions.{service}")
    try:
        listed: Any = jsontext.parse(text) if text else []
        return sum(map(_count_values, listed))
    except (ValueError, AttributeError, TypeError):
        return 0


def _count_values(condition: Object) -> int:
    """The values of one condition: they are the lists of its configuration."""
    count = 0
    for config in condition.values():
        if isinstance(config, dict):
            count += sum(len(values) for values in config.values() if isinstance(values, list))
    return count


def read_certificates(platform: Unit, cluster: str) -> tuple[list[Certificate] | None, list[Finding]]:
    """What a cluster's IngressClassParams name, with the names from certificates.yaml. None: the cluster has none.

    `platform`: the folder that has them; `cluster`: the cluster's, such as clusters/seoul.
    """
    params = platform.kind("IngressClassParams")
    if not params:
        return None, []
    file = platform.places.root / cluster / certificates.FILE
    path = f"{cluster}/{certificates.FILE}"
    known = certificates.read(Checkout(platform.places.root), file.parent)
    named = list((params[0].get("spec") or {}).get("certificateARNs") or [])
    described = {certificate.arn for certificate in known}
    findings = [
        platform.finding(
            "lb-certificate",
            params[0],
            ("spec", "certificateARNs", number),
            f"{path} does not say which names {arn} covers",
            f"add it to {path}",
        )
        for number, arn in enumerate(named)
        if arn not in described
    ]
    lines = file.read_text().splitlines() if file.exists() else []
    for certificate in known:
        if certificate.arn not in named:
            line = next((number for number, text in enumerate(lines, 1) if certificate.arn in text), 1)
            findings.append(
                Finding(
                    "lb-certificate",
                    Place(path, line),
                    f"{certificate.arn} is not the load balancer's",
                    "add it to certificateARNs in objects/ingressclassparams.yaml",
                    platform.name,
                )
            )
    return [certificate for certificate in known if certificate.arn in named], findings

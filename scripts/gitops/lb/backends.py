"""Where the rules of an Ingress lead, and what the controller would refuse on the way.

Source: the controller's pkg/ingress/enhanced_backend_builder.go and model_build_actions.go.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gitops.lb import actions, conditions, names, values
from gitops.lb.actions import ForwardTarget, IngressAction
from gitops.lb.conditions import Condition
from gitops.lb.names import BY_ANNOTATION
from gitops.lb.rules import Answer, ListenerRule, path_patterns, rank
from gitops.lb.sources import GroupObject, Inventory, Setting, ingress_rules, mapping, mappings, rule_paths, setting
from gitops.lb.targets import TargetGroup, build, identity, service_port
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object, spec_of

Parsed = TypeVar("Parsed")
_UNAVAILABLE = Answer(("503",))
# What the load balancer takes in a path (AWS's guide, "Path conditions").
_PATH = re.compile(r"""[A-Za-z0-9_\-.$/~"'@:+&*?]*""")
_LONGEST_PATH = 128


class Backends:
    """Builds the rules of one Ingress after the other, and keeps what is wrong with them.

    `groups`: the target groups by the controller's names; `hosts`: where each host stands first.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._read = set[tuple[str, str]]()
        self.groups: dict[str, TargetGroup] = {}
        self.hosts: dict[str, tuple[Unit, Object, FieldPath]] = {}
        self.faults: list[Finding] = []

    def rules(self, source: GroupObject) -> Iterator[ListenerRule]:
        """The rules of an Ingress, in their order."""
        expressions = self._is_by_expression(source)
        for location, rule in ingress_rules(source.item):
            host = str(rule.get("host") or "")
            if host:
                self.hosts.setdefault(host, (source.unit, source.item, (*location, "host")))
            paths = sorted(rule_paths(location, rule), key=lambda entry: rank(entry[1]))
            if host and not paths:
                fix = "write http.paths as base/web's users do, or remove the host"
                self._fault(source, "lb-host", (*location, "host"), f"{host} has no path: nobody answers for it", fix)
            for path_location, path in paths:
                yield self._rule(source, host, path, path_location, by_expression=expressions)

    def _rule(
        self, source: GroupObject, host: str, path: Object, location: FieldPath, *, by_expression: bool
    ) -> ListenerRule:
        text, kind = str(path.get("path") or ""), str(path.get("pathType") or "ImplementationSpecific")
        backend = mapping(path.get("backend"))
        service = mapping(backend.get("service"))
        asked = self._conditions(source, str(service.get("name")))
        answer = self.answer(source, backend, (*location, "backend"))
        own_expression = (text[1:],) if by_expression and text and kind == "ImplementationSpecific" else ()
        if not own_expression:
            self._check_path(source, text, kind, location)
        patterns = () if own_expression else path_patterns(text, kind)
        hosts = (*((host,) if host else ()), *_of(asked, "host-header"))
        paths = (*patterns, *_of(asked, "path-pattern"))
        by_host, by_path = _expressions(asked, "host-header"), (*own_expression, *_expressions(asked, "path-pattern"))
        if (hosts and by_host) or (paths and by_path):
            said = setting(f"conditions.{service.get('name')}", source)
            self._both(source, said, location)
        others = tuple(condition for condition in asked if condition.field not in ("host-header", "path-pattern"))
        if not any((hosts, paths, by_host, by_path, others)):
            paths = ("/*",)
        return ListenerRule(
            source=source,
            host=host,
            path=text,
            path_type=kind,
            service=str(service.get("name")),
            port=_port(service),
            location=location,
            answer=answer,
            hosts=hosts,
            paths=paths,
            host_expressions=by_host,
            path_expressions=by_path,
            others=others,
        )

    def answer(self, source: GroupObject, backend: Object, location: FieldPath) -> Answer:
        """What happens with a request for a backend that stands at `location` of an Ingress."""
        service = mapping(backend.get("service"))
        if not service:
            fix = "write service: {name, port}: the controller stops at this for the whole group"
            self._fault(source, "ingress-service", location, "sends to what is no Service", fix)
            return Answer()
        named, port = str(service.get("name")), _port(service)
        if mapping(service.get("port")).get("name") == BY_ANNOTATION:
            return self._by_annotation(source, named, (*location, "service", "name"))
        at_name = (*location, "service", "name")
        by = "name" if mapping(service.get("port")).get("name") else "number"
        at_port = (*location, "service", "port", by)
        return self._forward(source, named, port, (at_name, at_port))

    def _forward(self, source: GroupObject, named: str, port: str, locations: tuple[FieldPath, FieldPath]) -> Answer:
        """One target group. `locations`: where the Service's name and its port stand in the Ingress."""
        service = self._inventory.services.get(f"{source.namespace}/{named}")
        if service is None and self._inventory.knows(source.namespace):
            what = f"sends to Service {named}, which this overlay does not have: the answer is 503"
            there = self._inventory.names(source.namespace)
            self._fault(source, "ingress-service", locations[0], what, f"the overlay has: {there}")
            return _UNAVAILABLE
        if service is None:
            # A part of the platform that is installed from elsewhere.
            metadata = {"name": named, "namespace": source.namespace}
            service = GroupObject(source.unit, {"kind": "Service", "metadata": metadata})
        elif service_port(service, port) is None:
            ports = ", ".join(sorted(_ports(service)))
            what = f"sends to port {port} of Service {named}"
            self._fault(source, "ingress-service", locations[1], what, f"the Service has: {ports}")
            return Answer()
        key = identity(source, named, port)
        if key not in self.groups:
            self.groups[key], faults = build(source, service, port)
            self.faults += faults
        return Answer((key,), (self.groups[key],))

    def _by_annotation(self, source: GroupObject, named: str, location: FieldPath) -> Answer:
        short = f"actions.{named}"
        said = setting(short, source)
        if said is None:
            what = f"sends to what the annotation {short} says, which is not there: the answer is 503"
            fix = f"write a port of Service {named}, or the annotation"
            self._fault(source, "ingress-service", location, what, fix)
            return _UNAVAILABLE
        action = self._parsed(said, actions.read)
        if action is None:
            return Answer()
        if action.type == "fixed-response" and action.fixedresponseconfig:
            return Answer((action.fixedresponseconfig.statuscode,))
        if action.type == "redirect" and (to := action.redirectconfig):
            text = f"redirect {to.protocol or ''} {to.port or ''} {to.host or ''}{to.path or ''}"
            return Answer((re.sub(r" +$", "", text),), redirect=to)
        return self._to_targets(said, action)

    def _to_targets(self, said: Setting, action: IngressAction) -> Answer:
        """A forward to several: one Service of them that is not there stops the controller."""
        answers = [self._to_target(said, target) for target in action.targets]
        if len(answers) > 1 and _UNAVAILABLE in answers:
            return Answer()
        to = itertools.chain.from_iterable(answer.to for answer in answers)
        groups = itertools.chain.from_iterable(answer.groups for answer in answers)
        return Answer(tuple(to), tuple(groups))

    def _to_target(self, said: Setting, target: ForwardTarget) -> Answer:
        if target.own:
            return Answer((target.own,))
        return self._forward(said.source, str(target.servicename), str(target.serviceport), (said.path, said.path))

    def _parsed(self, said: Setting, parse: Callable[[str], Parsed]) -> Parsed | None:
        """What an annotation of JSON says; None where it cannot be read."""
        self._read.add((said.source.full_name, said.short))
        try:
            return parse(said.text)
        except ValueError as error:
            self.faults.append(said.finding("lb-annotation", f"{said.short} cannot be used", _fix(said, str(error))))
            return None

    def _conditions(self, source: GroupObject, service: str) -> tuple[Condition, ...]:
        if said := setting(f"transforms.{service}", source):
            self._parsed(said, conditions.check_transforms)
        said = setting(f"conditions.{service}", source)
        return (self._parsed(said, conditions.read) if said else None) or ()

    def _is_by_expression(self, source: GroupObject) -> bool:
        said = setting("use-regex-path-match", source)
        return bool(said and self._parsed(said, values.boolean))

    def _both(self, source: GroupObject, said: Setting | None, location: FieldPath) -> None:
        what = "has patterns and regular expressions for one part of the address; the controller takes one of the two"
        path = said.path if said else location
        self._fault(source, "lb-annotation", path, what, "write all of them as values, or all as regexValues")

    def _check_path(self, source: GroupObject, text: str, kind: str, location: FieldPath) -> None:
        at_path, patterns = (*location, "path"), path_patterns(text, kind)
        if kind in ("Exact", "Prefix") and re.search(r"[*?]", text):
            self._fault(
                source, "lb-path", at_path, f"{text}: {kind} takes no * or ?", "pathType: ImplementationSpecific"
            )
        elif not _PATH.fullmatch(text):
            signs = "".join(sorted({sign for sign in text if not _PATH.fullmatch(sign)}))
            fix = "write letters, digits and _ - . $ / ~ \" ' @ : + & alone, and * for what is none of these"
            self._fault(source, "lb-path", at_path, f"{text}: the load balancer takes no {signs!r} in a path", fix)
        elif any(len(pattern) > _LONGEST_PATH for pattern in patterns):
            longest = max(map(len, patterns))
            what = f"{longest} characters as the controller writes it; a rule takes {_LONGEST_PATH}"
            self._fault(source, "lb-path", at_path, what, "shorten it")

    def leave_out(self, rule: ListenerRule, hiding: ListenerRule | None) -> None:
        """Keep that the controller leaves a rule out, which a redirect hides, or which leads to itself."""
        if hiding:
            what = f"{rule.address} never answers: {hiding.address} of {hiding.ingress} redirects it before"
        else:
            what = f"{rule.address} redirects to itself; the controller leaves it out"
        self._fault(rule.source, "lb-shadowed", rule.path_location, what, "remove one of the two, or lead it elsewhere")

    def check_annotations(self, sources: Iterable[GroupObject]) -> None:
        """What nobody reads, or the controller does not know, in the annotations of Ingresses and Services."""
        for source in sources:
            for short, text in source.annotations.items():
                if problem := self._unread(source, short):
                    self.faults.append(Setting(short, text, source).finding("lb-annotation", *problem))
        for service in self._inventory.services.values():
            for short, text in service.annotations.items():
                if problem := _unread_of_a_service(short):
                    self.faults.append(Setting(short, text, service).finding("lb-annotation", *problem))

    def _unread(self, source: GroupObject, short: str) -> tuple[str, str] | None:
        if not names.is_known(short):
            return _unknown(short)
        if names.is_whole_groups(short) or (short in names.LISTENERS and source.unit.overlay):
            what = f"{short} is the whole group's: one Ingress that says otherwise freezes all"
            return what, "remove it; the class says it (clusters/*/objects/ingressclassparams.yaml)"
        if short.startswith(names.BY_SERVICE) and (source.full_name, short) not in self._read:
            kind, _, service = short.partition(".")
            port = f" with the port {BY_ANNOTATION}" if kind == "actions" else ""
            return f"nothing reads {short}: no backend is Service {service}{port}", "remove it"
        return None

    def _fault(self, source: GroupObject, rule: str, path: FieldPath, problem: str, fix: str) -> None:
        self.faults.append(source.finding(rule, path, problem, fix))


def _unknown(short: str) -> tuple[str, str]:
    near = difflib.get_close_matches(short, sorted(names.OWN), 1)
    fix = f"write {near[0]}" if near else f"a service may write: {', '.join(sorted(names.OWN))}"
    return f"{short} is no annotation of the controller", fix


def _unread_of_a_service(short: str) -> tuple[str, str] | None:
    if not names.is_known(short):
        return _unknown(short)
    further = ("backend-protocol", "multi-cluster-target-group", "target-node-labels", "target-control-port.", "auth-")
    if short in names.OWN or short.startswith(further):
        return None
    return f"nothing reads {short} on a Service", "remove it"


def _fix(said: Setting, expected: str) -> str:
    """What to write; a service's own Ingress may not have it at all (policies/ingress-class.yaml)."""
    return "remove it: it is the platform's to say" if said.source.unit.overlay else f"write {expected}"


def _of(asked: Iterable[Condition], kind: str) -> tuple[str, ...]:
    return tuple(itertools.chain.from_iterable(condition.values for condition in asked if condition.field == kind))


def _expressions(asked: Iterable[Condition], kind: str) -> tuple[str, ...]:
    return tuple(itertools.chain.from_iterable(condition.expressions for condition in asked if condition.field == kind))


def _port(service: Object) -> str:
    port = mapping(service.get("port"))
    return str(port.get("name") or port.get("number"))


def _ports(service: GroupObject) -> set[str]:
    """The names and the numbers of a Service's ports."""
    ports = [port for _, port in mappings(spec_of(service.item).get("ports"))]
    return {str(port[key]) for port, key in itertools.product(ports, ("name", "port")) if key in port}

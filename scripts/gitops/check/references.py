"""Whether what an object names is there, among the rendered objects of one overlay."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gitops.check import quota
from gitops.check.availability import scaled
from gitops.check.quota import Scale
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object, label, name, selects, spec_of, value_at
from gitops.manifests.pods import Reference, Template, template

# Kubernetes puts it into every namespace.
_GIVEN = {"kube-root-ca.crt"}
_BY_LABEL = ("selector", "service-selector", "network-policy-selector", "pdb-selector")
_BY_PORT = ("service-port", "probe-port")
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def check(unit: Unit) -> Iterator[Finding]:
    """Every reference of an overlay that leads nowhere in it."""
    templates = workloads(unit)
    for finding in itertools.chain(_pods(unit, templates), _services(unit, templates), _selectors(unit, templates)):
        yield _by_cause(unit, templates, finding)
    yield from _budgets(unit, templates)
    yield from _scaling(unit, templates)


def _by_cause(unit: Unit, templates: Sequence[Template], finding: Finding) -> Finding:
    """What the base asks of its pods, and an overlay has taken from them, is said once: where the overlay does."""
    if not finding.place.of_base:
        return finding
    if finding.rule in _BY_LABEL:
        for pods, key in itertools.chain.from_iterable(map(_labels, templates)):
            place = unit.places.of(pods.item, (*pods.path, "metadata", "labels", key))
            if f"{key}=" in finding.problem and not place.of_base:
                what = f"gives its pods {key}={pods.labels[key]}, by which nothing of the base knows them"
                return replace(finding, rule="selector", place=place, problem=what, fix=f"leave {key} to the base")
    if finding.rule in _BY_PORT:
        written = itertools.chain.from_iterable(map(_written_ports, templates))
        for item, path in written:
            place = unit.places.of(item, path)
            if not place.of_base:
                what = "changes the ports of the base, whose Service and probes ask for one that is not there now"
                return replace(
                    finding, rule="service-port", place=place, problem=what, fix="leave the base's port http"
                )
    return finding


def _labels(pods: Template) -> Iterator[tuple[Template, str]]:
    yield from ((pods, key) for key in pods.labels)


def _written_ports(pods: Template) -> Iterator[tuple[Object, FieldPath]]:
    """Where the ports of pods may be written: all of a container's, and each one's name."""
    for path, container in pods.containers():
        yield pods.item, (*path, "ports")
        numbers = range(len(container.get("ports") or []))
        yield from ((pods.item, (*path, "ports", number, "name")) for number in numbers)


def workloads(unit: Unit) -> list[Template]:
    """The pod template of every object that has one."""
    return [pods for item in unit.objects if (pods := template(item))]


# -- what pods name


def _pods(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    keys = contents(unit)
    accounts = {name(item) for item in unit.kind("ServiceAccount")} | {"default"}
    for pods in templates:
        for reference in [*pods.references(), *pods.pull_secrets()]:
            yield from _reference(unit, pods, reference, keys)
        account = pods.spec.get("serviceAccountName")
        if account and account not in accounts:
            yield unit.finding(
                "service-account",
                pods.item,
                (*pods.path, "spec", "serviceAccountName"),
                f"runs as ServiceAccount {account}, which this overlay does not have",
                f"use one of: {', '.join(sorted(accounts))}",
            )
        yield from _own_selector(unit, pods)
        yield from _probes(unit, pods)


def contents(unit: Unit) -> dict[tuple[str, str], set[str]]:
    """The keys of each Secret and ConfigMap of an overlay, by kind and name."""
    keys: dict[tuple[str, str], set[str]] = {}
    for item in unit.kind("ConfigMap"):
        keys["ConfigMap", name(item)] = {*(item.get("data") or {}), *(item.get("binaryData") or {})}
    for item in unit.kind("SealedSecret"):
        made = spec_of(item).get("template") or {}
        secret = (made.get("metadata") or {}).get("name") or name(item)
        keys["Secret", secret] = {*(spec_of(item).get("encryptedData") or {}), *(made.get("data") or {})}
    return keys


def _reference(
    unit: Unit, pods: Template, reference: Reference, keys: Mapping[tuple[str, str], set[str]]
) -> Iterator[Finding]:
    kind, rule = reference.kind, f"{reference.kind.lower()}-key"
    known = keys.get((kind, reference.name))
    if known is None and reference.name not in _GIVEN:
        there = ", ".join(sorted(key_name for key_kind, key_name in keys if key_kind == kind)) or "none"
        what = f"names {kind} {reference.name}, which this overlay does not have"
        seal = "; for a new one: gitops secrets seal" if kind == "Secret" else ""
        yield unit.finding(rule, pods.item, reference.name_path, what, f"the overlay has: {there}{seal}")
    elif known is not None and reference.key is not None and reference.key not in known:
        what = f"names key {reference.key!r} of {kind} {reference.name}, which has: {', '.join(sorted(known))}"
        yield unit.finding(rule, pods.item, reference.key_path, what, "name a key that is there, or add it")


def _own_selector(unit: Unit, pods: Template) -> Iterator[Finding]:
    """A workload selects the pods that it makes."""
    selector = ((pods.item.get("spec") or {}).get("selector") or {}).get("matchLabels")
    if pods.path != ("spec", "template") or not isinstance(selector, dict):
        return
    if not selector.items() <= pods.labels.items():
        yield unit.finding(
            "selector",
            pods.item,
            ("spec", "selector", "matchLabels", *_unmet(selector, [pods])),
            f"selects {_text(selector)}, its pods have {_text(pods.labels)}",
            "give the pod template these labels",
        )


def _probes(unit: Unit, pods: Template) -> Iterator[Finding]:
    for path, container in pods.containers():
        ports = {str(port["name"]) for port in container.get("ports") or [] if port.get("name")}
        numbers = set(pods.ports().values())
        for probe, action in itertools.product(_PROBES, ("httpGet", "tcpSocket", "grpc")):
            port = ((container.get(probe) or {}).get(action) or {}).get("port")
            if isinstance(port, int) and numbers and port not in numbers:
                what = f"{probe} asks port {port}; the pod has: {', '.join(map(str, sorted(numbers)))}"
                fix = "name a port of the container; what it listens on besides stands in its ports too"
                yield unit.finding("probe-port", pods.item, (*path, probe, action, "port"), what, fix)
            elif isinstance(port, str) and port not in ports:
                yield unit.finding(
                    "probe-port",
                    pods.item,
                    (*path, probe, action, "port"),
                    f"{probe} asks port {port!r}; the container has: {', '.join(sorted(ports)) or 'none with a name'}",
                    "name a port of the container",
                )


# -- what traffic meets


def _services(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    for item in unit.kind("Service"):
        spec = item.get("spec") or {}
        yield from _addressed(unit, item, spec)
        selector = spec.get("selector")
        if not selector:
            continue
        chosen = [pods for pods in templates if selector.items() <= pods.labels.items()]
        if not chosen:
            yield _selects_nothing(unit, "service-selector", item, ("spec", "selector"), templates)
            continue
        ports = set[str]().union(*(pods.ports() for pods in chosen))
        for position, port in enumerate(spec.get("ports") or []):
            target = str(port.get("targetPort", port.get("port")))
            if target not in ports:
                yield unit.finding(
                    "service-port",
                    item,
                    ("spec", "ports", position, "targetPort" if "targetPort" in port else "port"),
                    f"sends to port {target}, which no container of its pods has",
                    f"the containers have: {', '.join(sorted(ports)) or 'none'}",
                )


def _addressed(unit: Unit, item: Object, spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Addresses that are chosen. What the API server gives is there before any policy looks, so none could tell."""
    for field in ("clusterIP", "clusterIPs"):
        addresses = spec.get(field) or []
        chosen = [address for address in ([addresses] if field == "clusterIP" else addresses) if address != "None"]
        if any(chosen):
            what = f"has the address {chosen[0]}"
            yield unit.finding("service-address", item, ("spec", field), what, f"leave {field} to the cluster")


def _selectors(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    """Budgets and network policies that meet no pod. One without labels meets every pod."""
    for rule, kind, field in (
        ("pdb-selector", "PodDisruptionBudget", "selector"),
        ("network-policy-selector", "NetworkPolicy", "podSelector"),
    ):
        for item in unit.kind(kind):
            selector = spec_of(item).get(field) or {}
            if not any(selector.values()) or any(selects(selector, pods.labels) for pods in templates):
                continue
            if selector.get("matchExpressions"):
                what = "selects by matchExpressions what no pod of this overlay is"
                where = ("spec", field, "matchExpressions")
                yield unit.finding(rule, item, where, what, "write matchLabels, as base/ has them")
            else:
                yield _selects_nothing(unit, rule, item, ("spec", field, "matchLabels"), templates)


def _budgets(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    """A second budget for the same pods: the eviction API then refuses all of them."""
    for pods in templates:
        budgets = [
            item for item in unit.kind("PodDisruptionBudget") if selects(spec_of(item).get("selector"), pods.labels)
        ]
        # What base/ brings is not the one too many.
        budgets.sort(key=lambda item: not unit.places.of(item, ("spec", "selector")).of_base)
        for item in budgets[1:]:
            what = f"selects the pods of {label(pods.item)}, which {label(budgets[0])} selects too"
            yield unit.finding("pdb-overlap", item, ("spec", "selector"), what, "keep one of the two")


# -- scale


def _scaling(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    known = {(str(pods.item.get("kind")), name(pods.item)) for pods in templates}
    for item in unit.kind("HorizontalPodAutoscaler"):
        workload = scaled(item)
        if workload not in known:
            yield unit.finding(
                "hpa-target",
                item,
                ("spec", "scaleTargetRef", "name"),
                f"scales {' '.join(workload)}, which this overlay does not have",
                f"it has: {', '.join(' '.join(pair) for pair in sorted(known)) or 'none'}",
            )
        for pods in templates:
            if (str(pods.item.get("kind")), name(pods.item)) == workload:
                yield from _scaled_by(unit, item, pods)
    yield from quota.check(unit, scales(unit, templates))


def _scaled_by(unit: Unit, scaler: Object, pods: Template) -> Iterator[Finding]:
    """What an autoscaler says of the workload that it scales: its API, and the container that is looked at."""
    api, path = pods.item.get("apiVersion"), ("spec", "scaleTargetRef", "apiVersion")
    if value_at(scaler, path) != api:
        what = f"scales a {pods.item.get('kind')} of {value_at(scaler, path) or 'no API'}; it is of {api}"
        yield unit.finding("hpa-target", scaler, path, what, f"apiVersion: {api}")
    names = [str(container.get("name")) for _, container in pods.containers()]
    for number, metric in enumerate(spec_of(scaler).get("metrics") or []):
        named = value_at(metric, ("containerResource", "container"))
        if named is not None and named not in names:
            what = f"counts by container {named}, which {label(pods.item)} does not have"
            where = ("spec", "metrics", number, "containerResource", "container")
            yield unit.finding("hpa-target", scaler, where, what, f"it has: {', '.join(names)}")


def scales(unit: Unit, templates: Iterable[Template]) -> list[Scale]:
    """Every workload at its largest."""
    largest = {(str(pods.item.get("kind")), name(pods.item)): quota.largest(pods) for pods in templates}
    for item in unit.kind("HorizontalPodAutoscaler"):
        if scale := largest.get(scaled(item)):
            most = int(spec_of(item).get("maxReplicas") or 1)
            largest[scaled(item)] = Scale(scale.pods, most, item, ("spec", "maxReplicas"))
    return list(largest.values())


# -- labels


def _selects_nothing(
    unit: Unit, rule: str, item: Object, path: tuple[str, ...], templates: Sequence[Template]
) -> Finding:
    selector = value_at(item, path)
    what = f"selects {_text(selector)}, which no pod of this overlay has"
    fix = f"the pods have: {'; '.join(_text(pods.labels) for pods in templates) or 'none'}"
    return unit.finding(rule, item, (*path, *_unmet(selector, templates)), what, fix)


def _unmet(selector: Mapping[str, Any], templates: Sequence[Template]) -> tuple[str, ...]:
    """The first label of a selector that no pod has."""
    for key, value in selector.items():
        if all(pods.labels.get(key) != value for pods in templates):
            return (key,)
    return ()


def _text(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"

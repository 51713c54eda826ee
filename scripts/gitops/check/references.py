"""Whether what an object names is there: rendered objects of one overlay, and the Services of the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import Object, name
from gitops.manifests.places import Path, value_at
from gitops.manifests.pods import Template, template
from gitops.manifests.quantity import number

_INTERNAL = re.compile(r"\b(?:https?://)?([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.cluster\.local)?(?::(\d+))?\b")
# Kubernetes puts it into every namespace.
_GIVEN = {"kube-root-ca.crt"}


def check(unit: Unit, services: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Every reference of an overlay that leads nowhere. `services`: the Services of each namespace of the change."""
    templates = [found for item in unit.objects if (found := template(item))]
    yield from _pods(unit, templates)
    yield from _services(unit, templates)
    yield from _ingresses(unit)
    yield from _scaling(unit, templates)
    yield from _network(unit, templates)
    yield from _addresses(unit, templates, services)


def _pods(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    keys: dict[tuple[str, str], set[str]] = {}
    for item in unit.objects:
        if item.get("kind") == "ConfigMap":
            keys["configmap", name(item)] = {*(item.get("data") or {}), *(item.get("binaryData") or {})}
        elif item.get("kind") == "SealedSecret":
            spec = item["spec"]
            made = ((spec.get("template") or {}).get("metadata") or {}).get("name") or name(item)
            keys["secret", made] = {
                *(spec.get("encryptedData") or {}),
                *((spec.get("template") or {}).get("data") or {}),
            }
    accounts = {name(item) for item in unit.kind("ServiceAccount")} | {"default"}
    for each in templates:
        for kind, wanted, key, path in _named(each):
            known = keys.get((kind, wanted))
            rule = f"{kind}-key"
            word = "Secret" if kind == "secret" else "ConfigMap"
            if known is None and wanted not in _GIVEN:
                there = ", ".join(sorted(n for k, n in keys if k == kind)) or "none"
                yield unit.finding(
                    rule,
                    each.item,
                    path,
                    f"names {word} {wanted}, which this overlay does not have",
                    f"the overlay has: {there}; for a new one: gitops secrets seal"
                    if kind == "secret"
                    else f"the overlay has: {there}",
                )
            elif known is not None and key is not None and key not in known:
                yield unit.finding(
                    rule,
                    each.item,
                    (*path[:-1], "key"),
                    f"names key {key!r} of {word} {wanted}, which has: {', '.join(sorted(known))}",
                    "name a key that is there, or add it",
                )
        account = each.spec.get("serviceAccountName")
        if account and account not in accounts:
            yield unit.finding(
                "service-account",
                each.item,
                (*each.path, "spec", "serviceAccountName"),
                f"runs as ServiceAccount {account}, which this overlay does not have",
                f"use one of: {', '.join(sorted(accounts))}",
            )
        selector = ((each.item.get("spec") or {}).get("selector") or {}).get("matchLabels")
        if (
            each.path == ("spec", "template")
            and isinstance(selector, dict)
            and not selector.items() <= each.labels.items()
        ):
            yield unit.finding(
                "selector",
                each.item,
                ("spec", "selector", "matchLabels", *_odd(selector, [each])),
                f"selects {_text(selector)}, its pods have {_text(each.labels)}",
                "give the pod template these labels",
            )
        yield from _probes(unit, each)


def _named(each: Template) -> Iterator[tuple[str, str, str | None, Path]]:
    """What must exist before a pod can start: (secret | configmap, name, key, path)."""
    for path, container in each.containers():
        for n, variable in enumerate(container.get("env") or []):
            source = variable.get("valueFrom") or {}
            for field, kind in (("secretKeyRef", "secret"), ("configMapKeyRef", "configmap")):
                if (ref := source.get(field)) and not ref.get("optional"):
                    yield kind, str(ref.get("name")), ref.get("key"), (*path, "env", n, "valueFrom", field, "name")
        for n, source in enumerate(container.get("envFrom") or []):
            for field, kind in (("secretRef", "secret"), ("configMapRef", "configmap")):
                if (ref := source.get(field)) and not ref.get("optional"):
                    yield kind, str(ref.get("name")), None, (*path, "envFrom", n, field, "name")
    for n, volume in enumerate(each.spec.get("volumes") or []):
        at: Path = (*each.path, "spec", "volumes", n)
        yield from _volume(volume, at)
        for m, source in enumerate((volume.get("projected") or {}).get("sources") or []):
            yield from _volume(source, (*at, "projected", "sources", m))
    for n, ref in enumerate(each.spec.get("imagePullSecrets") or []):
        yield "secret", str(ref.get("name")), None, (*each.path, "spec", "imagePullSecrets", n, "name")


def _volume(source: Object, at: Path) -> Iterator[tuple[str, str, str | None, Path]]:
    for field, kind, key in (("secret", "secret", "secretName"), ("configMap", "configmap", "name")):
        ref = source.get(field)
        if ref and not ref.get("optional"):
            named = key if key in ref else "name"
            items = ref.get("items") or [{}]
            for n, item in enumerate(items):
                path = (*at, field, "items", n, "key") if item else (*at, field, named)
                yield kind, str(ref.get(named)), item.get("key"), path


def _probes(unit: Unit, each: Template) -> Iterator[Finding]:
    for path, container in each.containers():
        ports = {str(p.get("name")) for p in container.get("ports") or [] if p.get("name")}
        for field in ("startupProbe", "readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket"):
                port = ((container.get(field) or {}).get(how) or {}).get("port")
                if isinstance(port, str) and port not in ports:
                    yield unit.finding(
                        "probe-port",
                        each.item,
                        (*path, field, how, "port"),
                        f"{field} asks port {port!r}; the container has: "
                        f"{', '.join(sorted(ports)) or 'none with a name'}",
                        "name a port of the container",
                    )


def _services(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    for item in unit.kind("Service"):
        spec = item.get("spec") or {}
        selector = spec.get("selector")
        if not selector:
            continue
        chosen = [each for each in templates if selector.items() <= each.labels.items()]
        if not chosen:
            yield _selects_nothing(unit, "service-selector", item, ("spec", "selector"), templates)
            continue
        ports = {key for each in chosen for key in each.ports()}
        for n, port in enumerate(spec.get("ports") or []):
            wanted = str(port.get("targetPort", port.get("port")))
            if wanted not in ports:
                yield unit.finding(
                    "service-port",
                    item,
                    ("spec", "ports", n, "targetPort" if "targetPort" in port else "port"),
                    f"sends to port {wanted}, which no container of its pods has",
                    f"the containers have: {', '.join(sorted(ports)) or 'none'}",
                )


def _ingresses(unit: Unit) -> Iterator[Finding]:
    services = {name(item): item for item in unit.kind("Service")}
    for item, path, backend in backends(unit):
        service = backend.get("service") or {}
        found = services.get(str(service.get("name")))
        if found is None:
            yield unit.finding(
                "ingress-service",
                item,
                (*path, "service", "name"),
                f"sends to Service {service.get('name')}, which this overlay does not have",
                f"the overlay has: {', '.join(sorted(services)) or 'none'}",
            )
            continue
        ports = {
            str(p.get(key))
            for p in (found.get("spec") or {}).get("ports") or []
            for key in ("name", "port")
            if key in p
        }
        wanted = service.get("port") or {}
        port = str(wanted.get("name") or wanted.get("number"))
        if port not in ports:
            yield unit.finding(
                "ingress-service",
                item,
                (*path, "service", "port", "name" if "name" in wanted else "number"),
                f"sends to port {port} of Service {name(found)}",
                f"the Service has: {', '.join(sorted(ports))}",
            )


def backends(unit: Unit) -> Iterator[tuple[Object, Path, Object]]:
    """Every backend of every Ingress, with its path."""
    for item in unit.kind("Ingress"):
        spec = item.get("spec") or {}
        if spec.get("defaultBackend"):
            yield item, ("spec", "defaultBackend"), spec["defaultBackend"]
        for n, rule in enumerate(spec.get("rules") or []):
            for m, path in enumerate((rule.get("http") or {}).get("paths") or []):
                yield item, ("spec", "rules", n, "http", "paths", m, "backend"), path.get("backend") or {}


def _scaling(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    workloads = {(str(each.item.get("kind")), name(each.item)): each for each in templates}
    most = {at: int((each.item.get("spec") or {}).get("replicas", 1)) for at, each in workloads.items()}
    for item in unit.kind("HorizontalPodAutoscaler"):
        target = item["spec"].get("scaleTargetRef") or {}
        at = (str(target.get("kind")), str(target.get("name")))
        if at not in workloads:
            yield unit.finding(
                "hpa-target",
                item,
                ("spec", "scaleTargetRef", "name"),
                f"scales {' '.join(at)}, which this overlay does not have",
                f"it has: {', '.join(' '.join(key) for key in sorted(workloads)) or 'none'}",
            )
        else:
            most[at] = int(item["spec"].get("maxReplicas", 1))
    for item in unit.kind("PodDisruptionBudget"):
        selector = (item["spec"].get("selector") or {}).get("matchLabels") or {}
        if selector and not any(selector.items() <= each.labels.items() for each in templates):
            yield _selects_nothing(unit, "pdb-selector", item, ("spec", "selector", "matchLabels"), templates)
    yield from _quota(unit, workloads, most)


def _quota(
    unit: Unit, workloads: Mapping[tuple[str, str], Template], most: dict[tuple[str, str], int]
) -> Iterator[Finding]:
    """The largest scale and one surge must fit: the API server sees each pod alone."""
    for quota in unit.kind("ResourceQuota"):
        hard = (quota.get("spec") or {}).get("hard") or {}
        for at, each in workloads.items():
            pods = most[at] + (1 if at[0] == "Deployment" else 0)
            needs: dict[str, Any] = {"pods": pods}
            for _, container in each.containers():
                for side in ("requests", "limits"):
                    for what, value in ((container.get("resources") or {}).get(side) or {}).items():
                        needs[f"{side}.{what}"] = needs.get(f"{side}.{what}", 0) + pods * number(value)
            for what, needed in needs.items():
                if what in hard and needed > number(hard[what]):
                    scale = next(
                        (
                            i
                            for i in unit.kind("HorizontalPodAutoscaler")
                            if i["spec"]["scaleTargetRef"].get("name") == at[1]
                        ),
                        None,
                    )
                    first = next(each.containers())[0]
                    side, _, part = what.partition(".")
                    item, path = (
                        (each.item, (*first, "resources", side, part))
                        if part
                        else (scale or each.item, ("spec", "maxReplicas" if scale else "replicas"))
                    )
                    yield unit.finding(
                        "quota-room",
                        item,
                        path,
                        f"needs {needed:g} {what} at its largest scale and a surge; the quota gives {hard[what]}",
                        "ask for less, or scale to fewer",
                    )


def _network(unit: Unit, templates: list[Template]) -> Iterator[Finding]:
    for item in unit.kind("NetworkPolicy"):
        wanted = (item["spec"].get("podSelector") or {}).get("matchLabels") or {}
        if wanted and not any(wanted.items() <= each.labels.items() for each in templates):
            at = ("spec", "podSelector", "matchLabels")
            yield _selects_nothing(unit, "network-policy-selector", item, at, templates)


def _addresses(unit: Unit, templates: list[Template], services: Mapping[str, set[str]]) -> Iterator[Finding]:
    environment = unit.name.rpartition("/")[2]
    opened = any(name(item) == "allow-internal-services" for item in unit.kind("NetworkPolicy"))
    for each in templates:
        for path, container in each.containers():
            for n, variable in enumerate(container.get("env") or []):
                for service, namespace, _ in _INTERNAL.findall(str(variable.get("value", ""))):
                    at: Path = (*path, "env", n, "value")
                    if service not in services.get(namespace, set()):
                        what, fix = (
                            f"calls {service}.{namespace}, which is no Service here",
                            "spell it as gitops service list does: web.<service>-<environment>",
                        )
                    elif namespace != unit.namespace and not namespace.endswith(f"-{environment}"):
                        what, fix = (
                            f"calls {namespace} from {environment}; the network is closed between environments",
                            f"call the one of {environment}",
                        )
                    elif namespace != unit.namespace and not opened:
                        what, fix = (
                            f"calls {service}.{namespace}; its own network policy lets it call nobody",
                            "add ../../../base/components/internal-client to components",
                        )
                    else:
                        continue
                    yield unit.finding("internal-address", each.item, at, what, fix)


def _selects_nothing(
    unit: Unit, rule: str, item: Object, path: tuple[str, ...], templates: Sequence[Template]
) -> Finding:
    selector = value_at(item, path)
    what = f"selects {_text(selector)}, which no pod of this overlay has"
    fix = f"the pods have: {'; '.join(_text(each.labels) for each in templates) or 'none'}"
    return unit.finding(rule, item, (*path, *_odd(selector, templates)), what, fix)


def _odd(selector: Mapping[str, Any], templates: Sequence[Template]) -> tuple[str, ...]:
    """The first label of a selector that no pod has."""
    labels = [each.labels for each in templates]
    return next(((key,) for key, value in selector.items() if not any(each.get(key) == value for each in labels)), ())


def _text(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"

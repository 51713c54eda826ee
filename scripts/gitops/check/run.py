"""One check from beginning to end: what is affected, rendered, and held against every rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date

from gitops.check import apis, argo, exceptions, guards, leaks, references, schema, server, sources
from gitops.check.argo import Platform
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.progress import Progress
from gitops.lb import check as lb_check
from gitops.lb import model as lb
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit, in_order
from gitops.manifests.graph import CLUSTER, Graph
from gitops.manifests.objects import Object, name
from gitops.manifests.render import Rendered, build, differing, in_parallel
from gitops.repository.revision import Change

# What every overlay is held against: a change here concerns all of them.
FOR_ALL = (
    "apps/",
    "clusters/",
    "policies/",
    ".github/teams.yaml",
    "scripts/gitops/check/",
    "scripts/gitops/lb/",
    "scripts/gitops/manifests/",
)


@dataclass(frozen=True)
class Report:
    """What was looked at, and what was found."""

    units: list[str]
    findings: list[Finding]
    excepted: list[Finding]


@dataclass
class _Scope:
    """The units that are held against the rules, as they are rendered on both sides."""

    graph: Graph
    base: Graph | None
    units: dict[str, Unit]
    before: dict[str, Rendered]
    after: dict[str, Rendered]


def affected(change: Change, *, everything: bool = False) -> tuple[Graph, Graph | None, list[str]]:
    """Both graphs, and the units that a change concerns."""
    graph = Graph(change.head, change.overviews[1])
    base = Graph(change.base, change.overviews[0]) if change.base else None
    if everything or base is None or any(path.startswith(FOR_ALL) for path in change.files):
        return graph, base, graph.units
    return graph, base, graph.affected(change.files)


def run(
    checkout: Checkout,
    change: Change,
    progress: Progress,
    *,
    offline: bool,
    everything: bool,
    lab: str | None,
    today: date,
) -> Report:
    """Check a change. `offline`: no API server, so no policies; `lab`: use that lab's control plane and leave it.

    Raises InputError where the change cannot be read at all, MachineError and ExternalError where a tool fails.
    """
    graph, base, checked = affected(change, everything=everything)
    with ExitStack() as stack:
        boot: Future[server.Server] | None = None
        if not offline and checked:
            # Its start takes about as long as the rendering.
            pool = stack.enter_context(ThreadPoolExecutor(1))
            boot = pool.submit(stack.enter_context, server.control_plane(checkout, lab))
        with progress.step(f"rendering {len(checked)} of {len(graph.units)} folders"):
            scope, found = _render(checkout, graph, base, checked)
        with progress.step("schemas, references, Argo CD's rules, the load balancer"):
            platform = Platform(_platform(checkout, scope))
            schemas = schema.Schemas(checkout)
            found += _offline(checkout, scope, platform, schemas)
        with progress.step("gitleaks"):
            found += list(leaks.check(checkout, change))
        policies = [item for item in platform.unit.objects if item["kind"] in server.POLICY_KINDS]
        names = {name(item) for item in policies if item["kind"] == server.POLICY_KINDS[0]}
        allowed, complaints = exceptions.read(change.head, names, today)
        found += complaints
        if boot:
            with progress.step("the API server's answer"):
                found += _online(boot.result(), scope, platform, policies)
    kept: list[Finding] = []
    excepted: list[Finding] = []
    for finding in found:
        (excepted if any(each.covers(finding) for each in allowed) else kept).append(finding)
    return Report(checked, in_order(kept), in_order(excepted))


def _render(checkout: Checkout, graph: Graph, base: Graph | None, checked: list[str]) -> tuple[_Scope, list[Finding]]:
    found: list[Finding] = []
    good = []
    for unit in checked:
        problems = list(sources.sources(graph, unit))
        found += problems
        if not problems:
            good.append(unit)
    there = set(base.units) if base else set()
    known = [unit for unit in good if unit in there]
    rendered = dict(zip(good, in_parallel(lambda unit: build(checkout, graph.checkout.root, unit), good), strict=True))
    before: dict[str, Rendered] = {}
    if base:
        old = in_parallel(lambda unit: build(checkout, base.checkout.root, unit), known)
        before = dict(zip(known, old, strict=True))
    units: dict[str, Unit] = {}
    for unit, result in rendered.items():
        if result.error is None:
            try:
                units[unit] = Unit.of(graph, result)
                continue
            except InputError as error:
                result = Rendered(unit, error=str(error))
        rule = "render-hangs" if "gave no result" in str(result.error) else "render"
        found.append(
            Finding(
                rule,
                sources.where(graph, unit, str(result.error)),
                sources.one_line(str(result.error)),
                f"try it: .tools/bin/kustomize build {unit}",
                unit,
            )
        )
    return _Scope(graph, base, units, before, rendered), found


def _platform(checkout: Checkout, scope: _Scope) -> Unit:
    """What the overlays come under; rendered here where the change does not concern it. Raises InputError."""
    if CLUSTER in scope.units:
        return scope.units[CLUSTER]
    rendered = build(checkout, scope.graph.checkout.root, CLUSTER)
    if rendered.error:
        raise InputError(f"{CLUSTER}: does not render: {sources.one_line(rendered.error)}")
    return Unit.of(scope.graph, rendered)


def kubernetes_version(checkout: Checkout, cluster: str = CLUSTER) -> tuple[int, int]:
    """The cluster's version of Kubernetes, as its cluster.yaml says. Raises InputError."""
    file = checkout.root / cluster / "cluster.yaml"
    text = str(yamlfile.read(checkout, file)["data"].get("kubernetesVersion"))
    major, dot, minor = text.partition(".")
    if not (dot and major.isdigit() and minor.isdigit()):
        raise InputError(f"{checkout.relative(file)}: kubernetesVersion: expected one such as 1.36, found {text}")
    return int(major), int(minor)


def _offline(checkout: Checkout, scope: _Scope, platform: Platform, schemas: schema.Schemas) -> list[Finding]:
    graph = scope.graph
    found = list(argo.folders(graph, scope.base))
    found += guards.plain_secrets(graph)
    version = kubernetes_version(graph.checkout)
    for unit, whole in scope.units.items():
        found += apis.check(whole, schemas, version)
        valid = []
        for item, problems in schema.check(whole, schemas):
            found += problems
            if not problems and schemas.validator(str(item.get("apiVersion")), str(item.get("kind"))):
                valid.append(item)
        # What the schema refuses has no shape that the other rules could read.
        scope.units[unit] = Unit(unit, tuple(valid), whole.places, partial=len(valid) < len(whole.objects))
    bases = guards.Bases(checkout, graph)
    services = _services(scope, graph)
    for unit, rules in scope.units.items():
        if rules.is_overlay:
            found += argo.overlay(rules, platform)
            found += argo.paths(graph, unit, platform)
            found += guards.check(rules, bases)
            if not rules.partial:
                found += references.check(rules, services)
        else:
            url = str(yamlfile.read(graph.checkout, graph.checkout.root / unit / "cluster.yaml")["data"]["repoURL"])
            found += argo.cluster(Platform(rules), url)
    return found + _load_balancer(checkout, scope, platform)


def _services(scope: _Scope, graph: Graph) -> dict[str, set[str]]:
    """The Services of every namespace. Those of overlays that were not rendered are taken from their bases' names."""
    found: dict[str, set[str]] = {}
    for unit in graph.units:
        if unit in scope.units:
            whole = scope.units[unit]
            found[whole.namespace] = {name(item) for item in whole.kind("Service")}
        elif unit.startswith("overlays/"):
            parts = unit.split("/")
            web = any(folder == "base/web" for folder in graph.reach(unit).folders)
            found[f"{parts[1]}-{parts[2]}"] = {"web"} if web else set()
    return found


def _load_balancer(checkout: Checkout, scope: _Scope, platform: Platform) -> list[Finding]:
    """The merged group, where the change touches an Ingress or the load balancer itself."""
    ingress = any(
        item["kind"] == "Ingress" for unit in scope.units.values() for side in _differing(scope, unit) for item in side
    )
    if not ingress and CLUSTER not in scope.units:
        return []
    missing = [unit for unit in scope.graph.units if unit.startswith("overlays/") and unit not in scope.after]
    rendered = in_parallel(lambda unit: build(checkout, scope.graph.checkout.root, unit), missing)
    others = [Unit.of(scope.graph, each) for each in rendered if each.error is None]
    units = sorted([*(unit for unit in scope.units.values() if unit.is_overlay), *others], key=lambda unit: unit.name)
    certificates, found = lb.read_certificates(platform.unit)
    return found + list(lb_check.check(lb.merge(units, certificates), units))


def _online(api: server.Server, scope: _Scope, platform: Platform, policies: Sequence[Object]) -> list[Finding]:
    spaces: dict[str, Mapping[str, str]] = {}
    for unit in scope.units.values():
        if unit.is_overlay:
            _, service, environment = unit.name.split("/")
            spaces[unit.namespace] = platform.namespace_labels(environment, service)
    exceptions_map = [item for item in platform.unit.kind("ConfigMap") if name(item) == "policy-exceptions"]
    api.prepare([*exceptions_map, *policies], spaces)
    first = ("ServiceAccount", "LimitRange")
    in_parallel(lambda unit: api.stand(unit.kind(*first)), scope.units.values())
    found = [finding for each in in_parallel(api.check, scope.units.values()) for finding in each]
    changed = [(unit, pairs) for unit in scope.units.values() if (pairs := _changed(scope, unit))]
    found += [finding for each in in_parallel(lambda at: api.transition(*at), changed) for finding in each]
    return found


def _changed(scope: _Scope, unit: Unit) -> list[tuple[Object, Object]]:
    """The objects that are on both sides and not the same, and that the schema has not refused."""
    left, right = _differing(scope, unit)
    old = {(item["apiVersion"], item["kind"], name(item)): item for item in left}
    pairs = [(old.get((item["apiVersion"], item["kind"], name(item))), item) for item in right if item in unit.objects]
    return [(before, after) for before, after in pairs if before is not None]


def _differing(scope: _Scope, unit: Unit) -> tuple[list[Object], list[Object]]:
    """(before, after); everything is new where there was nothing before."""
    before = scope.before.get(unit.name)
    if before is None or before.error:
        return [], list(unit.objects)
    return differing(before, scope.after[unit.name])

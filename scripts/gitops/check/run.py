"""One check from beginning to end: what is affected, rendered, and held against every rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date

from gitops.check import (
    addresses,
    amounts,
    apis,
    applications,
    architecture,
    argo,
    availability,
    beside,
    causes,
    conflicts,
    control_plane,
    dropped,
    guards,
    holding,
    identities,
    kept,
    known_bad,
    leaks,
    network,
    pins,
    plaintext,
    programs,
    readable,
    references,
    schema,
    seals,
    sizes,
    tree,
    unmatched,
)
from gitops.check import scope as scopes
from gitops.check.argo import Platform
from gitops.check.dry_run import POLICY_KINDS, Server
from gitops.check.scope import CheckScope
from gitops.exceptions import files as exceptions
from gitops.exceptions.files import Exceptions
from gitops.ground.checkout import Checkout
from gitops.ground.progress import Progress
from gitops.lb import check as lb_check
from gitops.lb import covered
from gitops.lb import model as lb
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit, in_order
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import Renderer, renderer
from gitops.manifests.lines import Place
from gitops.manifests.objects import Object, name, spec_of
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import in_parallel
from gitops.repository.revision import Change

# What every overlay is held against: a change here concerns all of them.
FOR_ALL = (
    "apps/",
    "clusters/",
    "policies/",
    ".github/teams.yaml",
    "scripts/gitops/check/",
    "scripts/gitops/exceptions/",
    "scripts/gitops/lb/",
    "scripts/gitops/manifests/",
)


@dataclass(frozen=True)
class CheckResult:
    """What was checked: the units; what is wrong; and what would be, but is allowed by an exception."""

    units: list[str]
    findings: list[Finding]
    excepted: list[Finding]


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
    renders: Renderer | None = None,
) -> CheckResult:
    """Check a change. `offline`: no API server, so no policies; `lab`: use that lab's control plane and leave it.
    `renders`: what renders, where it has been started ahead.

    Raises InputError where the change cannot be read at all, MachineError and ExternalError where a tool fails.
    """
    graph, base, checked = affected(change, everything=everything)
    with ExitStack() as stack:
        # These wait for other programs, while what renders is held against the rules.
        pool = stack.enter_context(ThreadPoolExecutor(2))
        leaked = pool.submit(lambda: list(leaks.check(checkout, change)))
        if unfinished := list(conflicts.check(change)):
            # All else that would be found is what the markers break.
            return CheckResult(checked, in_order([*unfinished, *leaked.result()]), [])
        renders = renders or stack.enter_context(renderer(checkout))
        boot: Future[Server] | None = None
        if not offline and checked:
            boot = pool.submit(stack.enter_context, control_plane.control_plane(checkout, lab))
        with progress.step(f"rendering {len(checked)} of {len(graph.units)} folders"):
            scope, findings = scopes.render(checkout, renders, graph, base, checked, change.files)
        if broken := [finding for finding in findings if finding.unit.startswith(("clusters/", "apps/"))]:
            # Of what all come under nothing is known.
            better = list(applications.check_files(graph))
            rest = [finding for finding in findings if finding not in broken] if better else findings
            return CheckResult(checked, in_order([*better, *rest]), [])
        with progress.step("schemas, references, Argo CD's rules, the load balancer"):
            findings += [*tree.check(change), *_by_schema(scope)]
            platforms = scope.platforms()
            findings += [*_offline(scope, platforms), *beside.check(change, scope.graph)]
            findings += pins.moved(change, ((unit, scope.changed(unit)) for unit in scope.both_sides))
        with progress.step("gitleaks"):
            findings += leaked.result()
        # Every cluster has those of policies/.
        platform = platforms[0]
        policies = control_plane.admitting(platform.objects)
        in_force = {name(item) for item in policies if item["kind"] == POLICY_KINDS[0]}
        allowed = _exceptions(change, graph, in_force, today, everything=everything)
        findings += allowed.findings
        if boot and not platform.partial:
            with progress.step("the API server's answer"):
                told = {finding.place for finding in findings if finding.rule == holding.RULE}
                findings += _online(boot.result(), scope, platform, policies, allowed, told)
        findings += list(allowed.overdue(findings))
    kept: list[Finding] = []
    excepted: list[Finding] = []
    for finding in findings:
        (excepted if any(exception.covers(finding) for exception in allowed.allowed) else kept).append(finding)
    overlays = sum(Overlay.of_path(unit) is not None for unit in checked)
    return CheckResult(checked, in_order(causes.joined(kept, overlays)), in_order(excepted))


def _exceptions(change: Change, graph: Graph, policies: set[str], today: date, *, everything: bool) -> Exceptions:
    """The exceptions for a change: those that have ended hold on where the change itself touches nothing of theirs."""
    if everything or change.base is None:
        return exceptions.read(change.head, policies, today)
    # What is checked for another reason than its own files is as it was.
    touched = {overlay for path in (*change.files, *graph.affected(change.files)) if (overlay := Overlay.of_path(path))}
    namespaces = {overlay.namespace for overlay in touched}
    return exceptions.read(
        change.head,
        policies,
        today,
        concerns=lambda namespace, file: namespace in namespaces or file in change.files,
        judged=any(path.startswith(FOR_ALL) for path in change.files),
    )


def _offline(scope: CheckScope, platforms: Sequence[Platform]) -> list[Finding]:
    graph = scope.graph
    findings = [*argo.check_folders(graph, scope.base)]
    bases, networks = guards.Bases(scope.tools, graph), network.read(graph)
    services = addresses.lookup(graph, scope.units, lambda path: scope.render([path])[0])
    read = unmatched.SourceFiles(graph)
    # What the others are held to is what is wrong already.
    sound = [platform for platform in platforms if not platform.partial]
    pools = [amounts.pools(platform.kind("NodePool")) for platform in sound]
    for overlay, unit in scope.overlays:
        for platform, nodes in zip(sound, pools, strict=True):
            findings += argo.check_overlay(unit, overlay, platform)
            findings += argo.check_paths(graph, unit.name, platform)
            if not unit.partial:
                findings += amounts.check(unit, nodes)
        findings += [*guards.check(unit, bases), *architecture.check(unit, graph.checkout), *identities.check(unit)]
        if not unit.partial:
            findings += [*references.check(unit), *kept.check(unit), *availability.check(unit)]
            findings += [*addresses.check(unit, services), *unmatched.check(unit, read), *programs.check(unit)]
    for unit in scope.units.values():
        findings += [*plaintext.check(unit), *readable.check(unit), *seals.check(unit), *network.check(unit, networks)]
        findings += applications.check_waits(unit)
    findings += dropped.check(scope.units, read)
    for platform in sound:
        cluster = yamlfile.read(graph.checkout, graph.checkout.root / platform.unit.name / "cluster.yaml")
        for unit in platform.units:
            if unit.name in scope.units:
                findings += applications.check_cluster(
                    scope.units[unit.name], platform, str(cluster["data"]["repoURL"])
                )
    # Where the change is not about them, they hold as they did.
    if holding.folder(platforms[0]) in scope.units:
        findings += holding.check(platforms)
    # What is rendered is said of the object.
    told = {finding.place.file for finding in findings if finding.rule == "plain-secret"}
    findings += [finding for finding in plaintext.check_files(graph) if finding.place.file not in told]
    return findings + _load_balancer(scope, platforms)


def _by_schema(scope: CheckScope) -> list[Finding]:
    """What the API does not take. What the schema refuses has no shape that the other rules could read: it is left out.

    Changes the units of `scope`.
    """
    findings: list[Finding] = []
    schemas = schema.Schemas(scope.checkout)
    graph = scope.graph
    versions = {cluster: apis.kubernetes_version(graph.checkout, cluster) for cluster in graph.clusters}
    for unit in list(scope.units.values()):
        findings += unit.malformations
        # What an overlay has is served by every cluster, also by the newest.
        findings += apis.check(
            unit, schemas, versions.get("/".join(unit.name.split("/")[:2])) or max(versions.values())
        )
        valid = []
        for item, problems in schema.check(unit, schemas):
            findings += problems
            if not problems and schemas.validator(str(item.get("apiVersion")), str(item.get("kind"))):
                valid.append(item)
        partial = unit.partial or len(valid) < len(unit.objects)
        scope.units[unit.name] = Unit(unit.name, tuple(valid), unit.places, partial=partial)
        findings += sizes.check(scope.units[unit.name])
    return findings


def _load_balancer(scope: CheckScope, platforms: Sequence[Platform]) -> list[Finding]:
    """The merged group of each cluster, where the change touches what it is made of; else what is checked, alone."""
    own = [unit for _, unit in scope.overlays]
    if not any(not unit.overlay or _changes_group(scope, unit) for unit in scope.units.values()):
        return lb_check.check(lb.merge(own, None), merged=False)
    missing = [unit for unit in scope.graph.units if Overlay.of_path(unit) and unit not in scope.after]
    others = scope.render(missing)
    units = own + [Unit.of(scope.graph, rendered) for rendered in others if rendered.error is None]
    units.sort(key=lambda unit: unit.name)
    findings: list[Finding] = []
    for platform in platforms:
        certificates, problems = covered.read_certificates(platform.holder("IngressClassParams"), platform.unit.name)
        balancer = lb.merge([*platform.units, *units], certificates)
        findings += [*problems, *lb_check.check(balancer), *lb_check.check_listeners(balancer, platform.units)]
    return findings


def _changes_group(scope: CheckScope, unit: Unit) -> bool:
    """Whether a change of an overlay is one of the load balancer: of Ingresses, Services, or the number of pods."""
    before, after = scope.differing(unit)
    if any(item["kind"] in ("Ingress", "Service") for item in [*before, *after]):
        return True
    return _largest(before) != _largest(after)


def _largest(objects: Sequence[Object]) -> dict[tuple[str, str], object]:
    """How many pods there may be, by the object that says it."""
    fields = {"HorizontalPodAutoscaler": "maxReplicas", "Deployment": "replicas", "StatefulSet": "replicas"}
    return {
        (item["kind"], name(item)): spec_of(item).get(fields[item["kind"]])
        for item in objects
        if item["kind"] in fields
    }


def _online(
    api: Server,
    scope: CheckScope,
    platform: Platform,
    policies: Sequence[Object],
    allowed: Exceptions,
    told: set[Place],
) -> list[Finding]:
    """`told`: where a policy is said to be at fault already."""
    namespaces: dict[str, Mapping[str, str]] = {
        overlay.namespace: platform.namespace_labels(overlay) for overlay, _ in scope.overlays
    }
    configured = [item for item in platform.kind("ConfigMap") if name(item) == "policy-exceptions"]
    listed = [allowed.known_to(item) for item in configured]
    findings: list[Finding] = []
    judged = holding.folder(platform) in scope.units
    if judged:
        policies, refusals = holding.taken(api, platform, policies)
        findings += [finding for finding in refusals if finding.place not in told]
        namespaces[known_bad.PLACE.namespace] = argo.expected_labels(known_bad.PLACE)
    refused = control_plane.prepare(api, [*listed, *policies], namespaces)
    findings += holding.asked(api, platform, policies) if judged else []
    units = [unit for unit in scope.units.values() if unit.namespace not in refused]
    taken = in_parallel(lambda unit: api.apply_prerequisites(unit.kind("ServiceAccount", "LimitRange")), units)
    findings += [argo.refused_labels(platform, denied) for denied in set(refused.values())]
    for answer in in_parallel(lambda asked: api.check(asked[0], pods=asked[1]), zip(units, taken, strict=True)):
        findings += answer
    changed = [(unit, pairs) for unit in units if (pairs := scope.changed(unit))]
    for answer in in_parallel(lambda change: api.check_update(*change), changed):
        findings += answer
    return holding.evaluated(platform, findings)

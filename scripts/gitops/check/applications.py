"""The Applications and AppProjects of a cluster's own folders: where they read, and that no sync waits for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitops.check import environments, made, syncing
from gitops.check.argo import LABELS, TEMPLATE, Platform, expected_labels
from gitops.manifests.applicationset import Application
from gitops.manifests.appproject import permits_destination, permits_source
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.names import SERVICES_PROJECT
from gitops.manifests.objects import FieldPath, Object, label, name, spec_of, value_at
from gitops.manifests.overlay import Overlay
from gitops.manifests.upstream import REPOSITORIES

# What the gate renders is a folder of this repository as its kustomization says it, and nothing else.
_SOURCE = {"repoURL", "targetRevision", "path"}
_MAIN = "refs/heads/main"
_TAG = re.compile(r"refs/tags/v\d+\.\d+\.\d+")
# What makes a sync wait for one object before it comes to the next.
_WAITS = ("argocd.argoproj.io/sync-wave", "argocd.argoproj.io/hook")
# Where Applications stand in waves: one that is not Healthy is Degraded after a minute (apps/argocd/argocd-cm.yaml).
_WAVES = re.compile(r"clusters/[^/]+/platform")
_SEGMENTS = Overlay("{{ index .path.segments 1 }}", "{{ index .path.segments 2 }}")


@dataclass(frozen=True)
class _Cluster:
    """What its Applications are held to: its folder, what that brings, its repository, its AppProjects by name."""

    folder: str
    root: Unit
    repo_url: str
    projects: Mapping[str, Object]


def check_cluster(unit: Unit, platform: Platform, repo_url: str) -> Iterator[Finding]:
    """A folder of a cluster. `repo_url`: what its cluster.yaml says."""
    projects = {name(item): spec_of(item) for item in platform.kind("AppProject")}
    cluster = _Cluster(platform.unit.name, platform.unit, repo_url, projects)
    for item in unit.kind("ApplicationSet"):
        yield from _application(unit, item, TEMPLATE, cluster)
        yield from _generated(unit, item)
    for item in unit.kind("Application"):
        yield from _application(unit, item, ("spec",), cluster)
    for item in unit.kind("AppProject"):
        allowed = [repo_url] if name(item) == SERVICES_PROJECT else [repo_url, *REPOSITORIES]
        for number, url in enumerate(spec_of(item).get("sourceRepos") or []):
            if url not in allowed:
                fix = f"allow {repo_url} alone"
                yield unit.finding("source", item, ("spec", "sourceRepos", number), f"allows {url}", fix)
    yield from syncing.check(unit)
    told = list(environments.check(unit))
    yield from told
    if unit.name == platform.unit.name:
        yield from made.check(unit, platform, told=bool(told))


def check_files(graph: Graph) -> Iterator[Finding]:
    """Why a cluster does not render, where that is an Application of another form than kustomize is told to fill in."""
    root = graph.checkout.root
    for file in sorted(root.glob("apps/**/*.yaml")):
        path, text = graph.checkout.relative(file), read_text(file)
        line = line_of(text, " sources:")
        if line and re.search(r"^kind: Application(Set)?$", text, re.MULTILINE):
            what = "sources: Argo CD would render more than the gate looks at"
            yield Finding("source", Place(path, line), what, "name one folder by source")


def check_waits(unit: Unit) -> Iterator[Finding]:
    """Whatever a sync of this folder would wait for, and that may never come."""
    waves = bool(_WAVES.fullmatch(unit.name))
    for item in unit.objects:
        if waves and item.get("kind") != "Application":
            what = f"{label(item)} stands where Applications are in waves: the next wave may wait for it for ever"
            yield unit.finding("waits", item, ("kind",), what, "move it to an Application's folder, such as objects/")
        annotations = item["metadata"].get("annotations") or {}
        for key in (key for key in _WAITS if key in annotations and not waves):
            what = f"{key}: a sync would wait for it, and hold the commit that mends it"
            fix = "take it away; what is not there yet is tried again"
            yield unit.finding("waits", item, ("metadata", "annotations", key), what, fix)


def _generated(unit: Unit, item: Object) -> Iterator[Finding]:
    """What an ApplicationSet does to the Applications that it makes."""
    if not (item["spec"].get("syncPolicy") or {}).get("preserveResourcesOnDeletion"):
        path, what = ("spec", "syncPolicy", "preserveResourcesOnDeletion"), "preserveResourcesOnDeletion is not true"
        yield unit.finding("preserve", item, path, what, "preserveResourcesOnDeletion: true")
    if "templatePatch" in item["spec"]:
        what = "templatePatch: what it makes of an Application is known after the merge"
        yield unit.finding("source", item, ("spec", "templatePatch"), what, "write it into the template")
    for key, value in expected_labels(_SEGMENTS).items():
        label_path = (*LABELS, key)
        actual = value_at(item, label_path)
        if actual != value:
            what = f"{key} is {'not set' if actual is None else actual}"
            yield unit.finding("namespace-labels", item, label_path, what, f"{key}: {value}")


def _application(unit: Unit, item: Object, path: FieldPath, cluster: _Cluster) -> Iterator[Finding]:
    """An Application's spec, that stands at `path`, against the project that it names."""
    spec = value_at(item, path) or {}
    project = str(spec.get("project"))
    if "{{" in project:
        what = f"project is templated ({project})"
        yield unit.finding("project", item, (*path, "project"), what, "write the project's name")
        return
    allowed = cluster.projects.get(project)
    if allowed is None:
        what = f"project {project} is none of: {', '.join(sorted(cluster.projects))}"
        yield unit.finding("project", item, (*path, "project"), what, "name one of these")
        return
    yield from _sources(unit, item, path, cluster)
    if path == TEMPLATE or permits_destination(allowed, spec.get("destination") or {}):
        return  # what a template makes is looked at one by one (made.py)
    destination = spec.get("destination") or {}
    yield made.denied(unit, item, (*path, "destination"), destination, cluster.root, project)


def _sources(unit: Unit, item: Object, path: FieldPath, cluster: _Cluster) -> Iterator[Finding]:
    """Each source of an Application; of a template's there is one, a folder that the gate has rendered."""
    spec = value_at(item, path) or {}
    several = [key for key in ("sources", "sourceHydrator") if key in spec]
    if several and (path == TEMPLATE or "sourceHydrator" in several):
        what = f"{several[-1]}: Argo CD would render more than the gate looks at"
        yield unit.finding("source", item, (*path, several[-1]), what, "name one folder by source")
        return
    sources = Application({"spec": spec}, item).sources
    if not sources:
        fix = f"repoURL: {cluster.repo_url}, and a path of this repository"
        yield unit.finding("source", item, path, "has no source", fix)
    for place, source in sources:
        yield from _source(unit, item, (*path, *place), source, cluster)


def _source(unit: Unit, item: Object, path: FieldPath, source: Object, cluster: _Cluster) -> Iterator[Finding]:
    """Where an Application reads: this repository's main, or what a pinned tool is built from, at a version's tag."""
    ours = source.get("repoURL") == cluster.repo_url
    for key in sorted(source.keys() - (_SOURCE if ours else {*_SOURCE, "kustomize"})):
        what = f"source.{key}: Argo CD would render otherwise than the gate"
        yield unit.finding("source", item, (*path, key), what, "say it in the kustomization")
    spec = value_at(item, TEMPLATE if item.get("kind") == "ApplicationSet" else ("spec",))
    project = str(spec.get("project"))
    allowed = cluster.projects[project]
    if not permits_source(allowed, str(source.get("repoURL"))):
        what = f"reads {source.get('repoURL')}, which project {project} does not allow"
        fix = f"it allows: {', '.join(map(str, allowed.get('sourceRepos') or []))}"
        yield unit.finding("source", item, (*path, "repoURL"), what, fix)
    folder = str(source.get("path"))
    if ours and folder.startswith("clusters/") and not f"{folder}/".startswith(f"{cluster.folder}/"):
        what, fix = (
            f"reads {folder}, which is another cluster's",
            f"data.path: {cluster.folder}, where this cluster says it",
        )
        yield unit.finding("source", item, (*path, "path"), what, fix)
    revision = str(source.get("targetRevision") or None)
    if ours and revision != _MAIN:
        whole = revision.startswith("refs/heads/")
        what = f"targetRevision {revision} {'is not what is merged into' if whole else 'may be a tag or a branch'}"
        yield unit.finding("source", item, (*path, "targetRevision"), what, f"targetRevision: {_MAIN}")
    if not ours and not _TAG.fullmatch(revision):
        what, fix = f"targetRevision {revision} is no version's tag", "one such as refs/tags/v1.2.3"
        yield unit.finding("source", item, (*path, "targetRevision"), what, fix)

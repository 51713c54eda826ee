"""What Argo CD would make of the folders and of its own objects."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitops.check import environments
from gitops.check.answers import Denial
from gitops.manifests import names
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.objects import Object, label, name, value_at
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.manifests.reach import kustomization

PATHS = "argocd.argoproj.io/manifest-generate-paths"
_SCOPES = ("sealedsecrets.bitnami.com/cluster-wide", "sealedsecrets.bitnami.com/namespace-wide")
# What the policies and the closed network know a service's namespace by, as the ApplicationSet has to set it.
_NAMESPACE_LABELS = {
    "environment": "{{ index .path.segments 2 }}",
    "service": "{{ index .path.segments 1 }}",
    "pod-security.kubernetes.io/enforce": "restricted",
}
# What the gate renders is a folder of this repository as its kustomization says it, and nothing else.
_SOURCE = {"repoURL", "targetRevision", "path"}
_OTHER_SOURCES = {"sources", "sourceHydrator"}
# Where an ApplicationSet has the spec of its Applications.
_TEMPLATE = ("spec", "template", "spec")
_LABELS = (*_TEMPLATE, "syncPolicy", "managedNamespaceMetadata", "labels")


@dataclass(frozen=True)
class Platform:
    """What a cluster's own folder says of all overlays."""

    unit: Unit

    @property
    def generator(self) -> Object:
        """The one ApplicationSet, empty where there is none."""
        return next((item for item in self.unit.kind("ApplicationSet") if name(item) == "services"), {})

    @property
    def template(self) -> Object:
        """What each Application is made from."""
        spec = self.generator.get("spec")
        template = spec.get("template") if isinstance(spec, dict) else None
        return template if isinstance(template, dict) else {}

    def project(self, project: str) -> Object | None:
        """An AppProject's spec."""
        return next((item["spec"] for item in self.unit.kind("AppProject") if name(item) == project), None)

    def namespace_labels(self, overlay: Overlay) -> dict[str, str]:
        """What the ApplicationSet puts on an overlay's namespace."""
        policy = (self.template.get("spec") or {}).get("syncPolicy") or {}
        labels = (policy.get("managedNamespaceMetadata") or {}).get("labels") or {}
        return {key: _filled(str(value), overlay) for key, value in labels.items()}


def refused_labels(platform: Platform, denied: Denial) -> Finding:
    """That a policy refuses what the ApplicationSet puts on an overlay's namespace."""
    fix = "give each service's namespace the labels that policies/namespaces asks for"
    return platform.unit.finding("policy", platform.generator, _LABELS, denied.text, fix, policy=denied.policy)


def _filled(text: str, overlay: Overlay) -> str:
    """A text of the ApplicationSet's template, for an overlay."""
    for segment, value in ((1, overlay.service), (2, overlay.environment)):
        text = text.replace(f"{{{{ index .path.segments {segment} }}}}", value)
    return text


def check_folders(graph: Graph, before: Graph | None) -> Iterator[Finding]:
    """Folders that the ApplicationSet would overlook or mistake, and those that are gone since `before`."""
    root = graph.checkout.root
    # A component of an overlay may be deeper: then an overlay reads it.
    inner = set[str]().union(*(graph.reach(unit).folders for unit in graph.units))
    for depth, pattern in ((2, "overlays/*"), (4, "overlays/*/*/*")):
        for folder in sorted(root.glob(pattern)):
            path, file = graph.checkout.relative(folder), kustomization(folder)
            if file and "/." not in path and path not in inner:
                yield Finding(
                    "orphan-folder",
                    Place(f"{path}/{file.name}", 1),
                    f"{path} is {depth} folders deep; no Application looks there",
                    "move it to overlays/<service>/<environment>",
                )
    for folder in sorted(root.glob("overlays/*/*")):
        path = graph.checkout.relative(folder)
        # Of JSON and whatever else Argo CD takes, where it looks; where no environment is, YAML alone is suspect.
        pattern = "*" if folder.name in ENVIRONMENTS else "*.y*ml"
        files = sorted(file for file in folder.glob(pattern) if file.is_file()) if folder.is_dir() else []
        if files and "/." not in path and not kustomization(folder):
            yield Finding(
                "orphan-folder",
                Place(f"{path}/{files[0].name}", 1),
                f"{path} has no kustomization.yaml; Argo CD would apply its files as they are",
                "add a kustomization.yaml, or move the files elsewhere",
            )
    if before:
        yield from _removed(graph, before)


def _removed(graph: Graph, before: Graph) -> Iterator[Finding]:
    there, known = set(graph.units), set(before.units)
    created = [overlay for unit in graph.units if unit not in known and (overlay := Overlay.of_path(unit))]
    for unit in before.units:
        overlay = Overlay.of_path(unit)
        if unit in there or overlay is None:
            continue
        renamed = next((heir for heir in created if heir.environment == overlay.environment), None)
        gone = f"{unit} is gone (renamed to {renamed.path}?)" if renamed else f"{unit} is gone"
        name = overlay.application
        yield Finding(
            "removed-folder",
            Place(overlay.kustomization, 1),
            f"{gone}: Argo CD deletes the Application, and what it runs stays behind unwatched",
            "keep the folder; to end the service for good add "
            f"policies/exceptions/removed-folder.{overlay.namespace}.Application.{name}.yaml",
            unit,
            "Application",
            name,
        )


def check_overlay(unit: Unit, overlay: Overlay, platform: Platform) -> Iterator[Finding]:
    """An overlay's name against the platform's, and its objects against the AppProject that they come under."""
    if taken := names.platforms(overlay, platform.unit.objects):
        what = f"{overlay.path} has the name {overlay.namespace}, which is {taken}"
        yield Finding("names", unit.places.top, what, "name the service otherwise", unit.name)
    project = platform.project(names.SERVICES_PROJECT) or {}
    allowed = {(entry["group"], entry["kind"]) for entry in project.get("namespaceResourceWhitelist") or []}
    for item in unit.objects:
        group, _, _ = str(item.get("apiVersion", "")).rpartition("/")
        kind = str(item.get("kind"))
        if kind == "Namespace":
            what = "an overlay brings no Namespace: the ApplicationSet makes it, with its labels"
            yield unit.finding("namespace-labels", item, ("metadata", "name"), what, "remove it from resources")
        elif kind == "Secret" and not group:
            continue  # plain-secret says it better
        elif allowed and (group, kind) not in allowed:
            what = f"AppProject services does not allow {kind}"
            fix = f"it allows: {', '.join(sorted(name for _, name in allowed))}"
            yield unit.finding("project-kind", item, ("kind",), what, fix)
        else:
            yield from _in_its_namespace(unit, overlay, item)


def _in_its_namespace(unit: Unit, overlay: Overlay, item: Object) -> Iterator[Finding]:
    namespace = item["metadata"].get("namespace")
    if namespace != overlay.namespace:
        what = f"namespace {namespace or 'not set'}; this folder's is {overlay.namespace}"
        fix = f"namespace: {overlay.namespace} in {overlay.kustomization}"
        # Nothing of it is any object's own fault.
        place = unit.places.of(item, ("metadata", "namespace")) if namespace else unit.places.top
        yield Finding("namespace", place, what, fix, unit.name)
    scope = next((key for key in _SCOPES if key in (item["metadata"].get("annotations") or {})), None)
    if item.get("kind") == "SealedSecret" and scope:
        fix = "seal it with gitops secrets seal, which seals for one name"
        yield unit.finding("sealed-scope", item, ("metadata", "annotations", scope), f"has {scope}", fix)


def check_paths(graph: Graph, unit: str, platform: Platform) -> Iterator[Finding]:
    """Whether the static manifest-generate-paths name every file that the overlay is made of."""
    annotation = str((platform.template.get("metadata") or {}).get("annotations", {}).get(PATHS, "."))
    watched = [
        posixpath.normpath(path[1:] if path.startswith("/") else posixpath.join(unit, path))
        for path in annotation.split(";")
    ]
    reach = graph.reach(unit)
    own = [layer.file for layer in reach.layers if layer.role == "kustomization" and layer.file.startswith(unit)]
    for path in sorted(reach.files):
        if any(path == folder or path.startswith(f"{folder}/") for folder in watched):
            continue
        source = own[0] if own else path
        text, (above, file) = read_text(graph.checkout.root / source), posixpath.split(path)
        line = line_of(text, file) or line_of(text, posixpath.basename(above)) or 1
        what = f"reads {path}, which is outside of {annotation}: a change there would not be rendered"
        yield Finding("manifest-paths", Place(source, line), what, f"move it into {unit} or base/", unit)


def check_cluster(platform: Platform, repo_url: str) -> Iterator[Finding]:
    """A cluster's Argo CD objects. `repo_url`: what its cluster.yaml says."""
    unit = platform.unit
    projects = {name(item): item["spec"] for item in unit.kind("AppProject")}
    for item in unit.kind("ApplicationSet"):
        yield from _application(unit, item, _TEMPLATE, projects)
        yield from _generated(unit, item)
    for item in unit.kind("Application"):
        yield from _application(unit, item, ("spec",), projects)
    for item in unit.kind("AppProject"):
        for number, url in enumerate(item["spec"].get("sourceRepos") or []):
            if url != repo_url:
                fix = f"allow {repo_url} alone"
                yield unit.finding("source", item, ("spec", "sourceRepos", number), f"allows {url}", fix)
    yield from environments.check(unit)


def _generated(unit: Unit, item: Object) -> Iterator[Finding]:
    """What an ApplicationSet does to the Applications that it makes."""
    if not (item["spec"].get("syncPolicy") or {}).get("preserveResourcesOnDeletion"):
        path, what = ("spec", "syncPolicy", "preserveResourcesOnDeletion"), "preserveResourcesOnDeletion is not true"
        yield unit.finding("preserve", item, path, what, "preserveResourcesOnDeletion: true")
    if "templatePatch" in item["spec"]:
        what = "templatePatch: what it makes of an Application is known after the merge"
        yield unit.finding("source", item, ("spec", "templatePatch"), what, "write it into the template")
    for key, value in _NAMESPACE_LABELS.items():
        label_path = (*_LABELS, key)
        actual = value_at(item, label_path)
        if actual != value:
            what = f"{key} is {'not set' if actual is None else actual}"
            yield unit.finding("namespace-labels", item, label_path, what, f"{key}: {value}")


def _application(unit: Unit, item: Object, path: tuple[str, ...], projects: Mapping[str, Object]) -> Iterator[Finding]:
    """An Application's spec, that stands at `path`, against the project that it names."""
    spec = value_at(item, path) or {}
    project = str(spec.get("project"))
    if "{{" in project:
        what = f"project is templated ({project})"
        yield unit.finding("project", item, (*path, "project"), what, "write the project's name")
        return
    allowed = projects.get(project)
    if allowed is None:
        what = f"project {project} is none of: {', '.join(sorted(projects))}"
        yield unit.finding("project", item, (*path, "project"), what, "name one of these")
        return
    source, repositories = spec.get("source") or {}, allowed.get("sourceRepos") or []
    for key in sorted(_OTHER_SOURCES & spec.keys()):
        what = f"{key}: Argo CD would render more than the gate looks at"
        yield unit.finding("source", item, (*path, key), what, "name one folder by source")
    for key in sorted(source.keys() - _SOURCE):
        what = f"source.{key}: Argo CD would render otherwise than the gate"
        yield unit.finding("source", item, (*path, "source", key), what, "say it in the kustomization")
    if source.get("repoURL") not in repositories:
        what = f"reads {source.get('repoURL')}, which project {project} does not allow"
        fix = f"it allows: {', '.join(repositories)}"
        yield unit.finding("source", item, (*path, "source", "repoURL"), what, fix)
    revision = source.get("targetRevision")
    if not str(revision or "").startswith("refs/heads/"):
        what = f"targetRevision {revision} may be a tag or a branch"
        fix = "targetRevision: refs/heads/main"
        yield unit.finding("source", item, (*path, "source", "targetRevision"), what, fix)
    destination = spec.get("destination") or {}
    namespace = _filled(str(destination.get("namespace")), Overlay("service", "prod"))
    if not any(
        fnmatch.fnmatch(namespace, str(entry.get("namespace"))) and entry.get("server") == destination.get("server")
        for entry in allowed.get("destinations") or []
    ):
        server = destination.get("server")
        what = f"{label(item)} goes to {namespace} on {server}, which project {project} does not allow"
        fix = "name a destination of the project"
        yield unit.finding("project", item, (*path, "destination", "namespace"), what, fix)

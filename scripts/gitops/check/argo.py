"""What Argo CD would make of the folders and of its own objects."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph, kustomization
from gitops.manifests.objects import Object, label, name
from gitops.manifests.places import Place, line_of, read_text

PATHS = "argocd.argoproj.io/manifest-generate-paths"
_SCOPES = ("sealedsecrets.bitnami.com/cluster-wide", "sealedsecrets.bitnami.com/namespace-wide")
_LABEL = "pod-security.kubernetes.io/enforce"


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
        found = spec.get("template") if isinstance(spec, dict) else None
        return found if isinstance(found, dict) else {}

    def project(self, wanted: str) -> Object | None:
        """An AppProject's spec."""
        return next((item["spec"] for item in self.unit.kind("AppProject") if name(item) == wanted), None)

    def namespace_labels(self, environment: str, service: str) -> dict[str, str]:
        """What the ApplicationSet puts on an overlay's namespace."""
        policy = (self.template.get("spec") or {}).get("syncPolicy") or {}
        labels = (policy.get("managedNamespaceMetadata") or {}).get("labels") or {}
        return {key: _filled(str(value), service, environment) for key, value in labels.items()}


def _filled(text: str, service: str, environment: str) -> str:
    for number, value in ((1, service), (2, environment)):
        text = text.replace(f"{{{{ index .path.segments {number} }}}}", value)
    return text


def folders(graph: Graph, base: Graph | None) -> Iterator[Finding]:
    """Folders that the ApplicationSet would overlook or mistake, and those that are gone."""
    root = graph.checkout.root
    for depth, pattern in ((2, "overlays/*"), (4, "overlays/*/*/*")):
        for folder in sorted(root.glob(pattern)):
            if folder.is_dir() and (found := kustomization(folder)) and "/." not in str(folder.relative_to(root)):
                path = str(found.relative_to(root))
                inner = any(posixpath.dirname(path) in graph.reach(unit).folders for unit in graph.units)
                if not inner:
                    yield Finding(
                        "orphan-folder",
                        Place(path, 1),
                        f"{posixpath.dirname(path)} is {depth} folders deep; no Application looks there",
                        "move it to overlays/<service>/<environment>",
                    )
    for folder in sorted(root.glob("overlays/*/*")):
        path = str(folder.relative_to(root))
        files = sorted(folder.glob("*.y*ml")) if folder.is_dir() else []
        if files and "/." not in path and not kustomization(folder):
            yield Finding(
                "orphan-folder",
                Place(str(files[0].relative_to(root)), 1),
                f"{path} has no kustomization.yaml; Argo CD would apply its files as they are",
                "add a kustomization.yaml, or move the files elsewhere",
            )
    if base:
        yield from _removed(graph, base)


def _removed(graph: Graph, base: Graph) -> Iterator[Finding]:
    there = set(graph.units)
    new = [unit for unit in graph.units if unit not in set(base.units)]
    for unit in base.units:
        if unit in there or not unit.startswith("overlays/"):
            continue
        service, environment = unit.split("/")[1:]
        moved = [other for other in new if other.split("/")[2] == environment]
        what = f"{unit} is gone" + (f" (renamed to {moved[0]}?)" if moved else "")
        yield Finding(
            "removed-folder",
            Place(f"{unit}/kustomization.yaml", 1),
            f"{what}: Argo CD deletes the Application {service}-{environment}, and what it runs stays behind unwatched",
            "keep the folder; to end the service for good add policies/exceptions/"
            f"removed-folder.{service}-{environment}.Application.{service}-{environment}.yaml",
            unit,
        )


def overlay(unit: Unit, platform: Platform) -> Iterator[Finding]:
    """An overlay's objects against the AppProject that they come under."""
    project = platform.project("services") or {}
    allowed = {(entry["group"], entry["kind"]) for entry in project.get("namespaceResourceWhitelist") or []}
    for item in unit.objects:
        group, _, _ = str(item.get("apiVersion", "")).rpartition("/")
        kind = str(item.get("kind"))
        if kind == "Namespace":
            yield unit.finding(
                "namespace-labels",
                item,
                ("metadata", "name"),
                "an overlay brings no Namespace: the ApplicationSet makes it, with its labels",
                "remove it from resources",
            )
            continue
        if kind == "Secret" and not group:
            continue  # plain-secret says it better
        if allowed and (group, kind) not in allowed:
            names = ", ".join(sorted(k for _, k in allowed))
            yield unit.finding(
                "project-kind", item, ("kind",), f"AppProject services does not allow {kind}", f"it allows: {names}"
            )
            continue
        found = item["metadata"].get("namespace")
        if found != unit.namespace:
            what, fix = (
                f"namespace {found or 'not set'}; this folder's is {unit.namespace}",
                f"namespace: {unit.namespace}",
            )
            # Nothing of it is any object's own fault.
            place = unit.places.of(item, ("metadata", "namespace")) if found else unit.places.top
            yield Finding("namespace", place, what, f"{fix} in {unit.name}/kustomization.yaml", unit.name)
        scope = next((key for key in _SCOPES if key in (item["metadata"].get("annotations") or {})), None)
        if kind == "SealedSecret" and scope:
            yield unit.finding(
                "sealed-scope",
                item,
                ("metadata", "annotations", scope),
                f"has {scope}",
                "seal it with gitops secrets seal, which seals for one name",
            )


def paths(graph: Graph, unit: str, platform: Platform) -> Iterator[Finding]:
    """Whether the static manifest-generate-paths name every file that the overlay is made of."""
    said = str((platform.template.get("metadata") or {}).get("annotations", {}).get(PATHS, "."))
    watched = [posixpath.normpath(p[1:] if p.startswith("/") else posixpath.join(unit, p)) for p in said.split(";")]
    reach = graph.reach(unit)
    for path in sorted(reach.files):
        if not any(path == folder or path.startswith(f"{folder}/") for folder in watched):
            source = next(
                (layer.file for layer in reach.layers if layer.role == "kustomization" and layer.file.startswith(unit)),
                path,
            )
            text, (above, file) = read_text(graph.checkout.root / source), posixpath.split(path)
            line = line_of(text, file) or line_of(text, posixpath.basename(above)) or 1
            yield Finding(
                "manifest-paths",
                Place(source, line),
                f"reads {path}, which is outside of {said}: a change there would not be rendered",
                f"move it into {unit} or base/",
                unit,
            )


def cluster(platform: Platform, repo_url: str) -> Iterator[Finding]:
    """A cluster's Argo CD objects. `repo_url`: what its cluster.yaml says."""
    unit = platform.unit
    projects = {name(item): item["spec"] for item in unit.kind("AppProject")}
    for item in unit.kind("ApplicationSet"):
        spec = item["spec"]
        yield from _application(
            unit, item, spec.get("template", {}).get("spec", {}), ("spec", "template", "spec"), projects
        )
        if not (spec.get("syncPolicy") or {}).get("preserveResourcesOnDeletion"):
            yield unit.finding(
                "preserve",
                item,
                ("spec", "syncPolicy", "preserveResourcesOnDeletion"),
                "preserveResourcesOnDeletion is not true",
                "preserveResourcesOnDeletion: true",
            )
        labels = ((spec["template"]["spec"].get("syncPolicy") or {}).get("managedNamespaceMetadata") or {}).get(
            "labels"
        ) or {}
        if labels.get(_LABEL) != "restricted":
            path = ("spec", "template", "spec", "syncPolicy", "managedNamespaceMetadata", "labels", _LABEL)
            yield unit.finding(
                "namespace-labels", item, path, f"{_LABEL} is {labels.get(_LABEL, 'not set')}", f"{_LABEL}: restricted"
            )
    for item in unit.kind("Application"):
        yield from _application(unit, item, item["spec"], ("spec",), projects)
    for item in unit.kind("AppProject"):
        for n, url in enumerate(item["spec"].get("sourceRepos") or []):
            if url != repo_url:
                yield unit.finding(
                    "source", item, ("spec", "sourceRepos", n), f"allows {url}", f"allow {repo_url} alone"
                )


def _application(
    unit: Unit, item: Object, spec: Object, at: tuple[str, ...], projects: Mapping[str, Object]
) -> Iterator[Finding]:
    project = str(spec.get("project"))
    if "{{" in project:
        yield unit.finding(
            "project", item, (*at, "project"), f"project is templated ({project})", "write the project's name"
        )
        return
    allowed = projects.get(project)
    if allowed is None:
        yield unit.finding(
            "project",
            item,
            (*at, "project"),
            f"project {project} is none of: {', '.join(sorted(projects))}",
            "name one of these",
        )
        return
    source = spec.get("source") or {}
    if source.get("repoURL") not in (allowed.get("sourceRepos") or []):
        yield unit.finding(
            "source",
            item,
            (*at, "source", "repoURL"),
            f"reads {source.get('repoURL')}, which project {project} does not allow",
            f"it allows: {', '.join(allowed.get('sourceRepos') or [])}",
        )
    if not str(source.get("targetRevision", "")).startswith("refs/heads/"):
        yield unit.finding(
            "source",
            item,
            (*at, "source", "targetRevision"),
            f"targetRevision {source.get('targetRevision')} may be a tag or a branch",
            "targetRevision: refs/heads/main",
        )
    destination = spec.get("destination") or {}
    wanted = _filled(str(destination.get("namespace")), "service", "prod")
    if not any(
        fnmatch.fnmatch(wanted, str(each.get("namespace"))) and each.get("server") == destination.get("server")
        for each in allowed.get("destinations") or []
    ):
        yield unit.finding(
            "project",
            item,
            (*at, "destination", "namespace"),
            f"{label(item)} goes to {wanted} on {destination.get('server')}, which project {project} does not allow",
            "name a destination of the project",
        )

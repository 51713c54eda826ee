"""What Argo CD would make of the folders and of its own objects."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from gitops.check.answers import Denial
from gitops.ground.printable import counted
from gitops.manifests import applicationset, names
from gitops.manifests.applicationset import Application, Generated
from gitops.manifests.appproject import permits_kind
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.objects import Object, name, spec_of, value_at
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.manifests.reach import kustomization

PATHS = "argocd.argoproj.io/manifest-generate-paths"
_SCOPES = ("sealedsecrets.bitnami.com/cluster-wide", "sealedsecrets.bitnami.com/namespace-wide")
# Kinds that are in no namespace, so that a project allows them by another list.
_OF_THE_CLUSTER = frozenset(
    {
        "APIService", "CertificateSigningRequest", "ClusterRole", "ClusterRoleBinding", "ClusterTrustBundle",
        "CSIDriver", "CSINode", "CustomResourceDefinition", "DeviceClass", "FlowSchema", "IngressClass",
        "IngressClassParams", "IPAddress", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration", "Node", "NodeClass", "NodePool", "PersistentVolume", "PriorityClass",
        "PriorityLevelConfiguration", "ResourceSlice", "RuntimeClass", "ServiceCIDR", "StorageClass",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)  # fmt: skip
# Where an ApplicationSet has the spec of its Applications.
TEMPLATE = (*applicationset.TEMPLATE, "spec")
_NAMESPACE = ("syncPolicy", "managedNamespaceMetadata", "labels")
LABELS = (*TEMPLATE, *_NAMESPACE)


@dataclass(frozen=True)
class Platform:
    """What a cluster's own folders say of all overlays: `unit`, its root, and what the root brings."""

    unit: Unit
    others: tuple[Unit, ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        """All its folders."""
        return (self.unit, *self.others)

    @property
    def partial(self) -> bool:
        """Whether some of its objects were refused already."""
        return any(unit.partial for unit in self.units)

    @property
    def objects(self) -> list[Object]:
        """Those of all its folders."""
        return list(itertools.chain.from_iterable(unit.objects for unit in self.units))

    def kind(self, *kinds: str) -> list[Object]:
        """The objects of these kinds, of all its folders."""
        return [item for item in self.objects if item.get("kind") in kinds]

    def holder(self, kind: str) -> Unit:
        """The folder that has an object of this kind; the root where none has."""
        return next((unit for unit in self.others if unit.kind(kind)), self.unit)

    @property
    def generator(self) -> Object:
        """The one ApplicationSet, empty where there is none."""
        return next(iter(self.unit.kind("ApplicationSet")), {})

    @cached_property
    def generated(self) -> Generated:
        """What Argo CD makes of its ApplicationSet in this revision's folders."""
        if not self.generator:
            return Generated()
        top = applicationset.top_of(self.generator)
        return applicationset.generate(self.generator, applicationset.directories(self.unit.places.root, top))

    @cached_property
    def applications(self) -> tuple[Application, ...]:
        """All that it runs: those that its folders bring, and those that are made."""
        own = (Application(item, item) for item in self.kind("Application"))
        return (*own, *self.generated.applications)

    def project(self, project: str) -> Object | None:
        """An AppProject's spec."""
        return next((spec_of(item) for item in self.unit.kind("AppProject") if name(item) == project), None)

    def namespace_labels(self, overlay: Overlay) -> dict[str, str]:
        """What the ApplicationSet puts on an overlay's namespace; where it makes no Application, what it should."""
        made = next((one for one in self.generated.applications if one.folder == overlay.path), None)
        if made is None:
            return expected_labels(overlay)
        labels = value_at(made.spec, _NAMESPACE)
        return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def expected_labels(overlay: Overlay) -> dict[str, str]:
    """What the policies and the closed network know a service's namespace by."""
    return {
        "environment": overlay.environment,
        "service": overlay.service,
        "pod-security.kubernetes.io/enforce": "restricted",
    }


def refused_labels(platform: Platform, denied: Denial) -> Finding:
    """That a policy refuses what the ApplicationSet puts on an overlay's namespace."""
    fix = "give each service's namespace the labels that policies/namespaces asks for"
    return platform.unit.finding("policy", platform.generator, LABELS, denied.text, fix, policy=denied.policy)


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
                    f"{path} is {counted(depth, 'folder')} deep; no Application looks there",
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
    if taken := names.platforms(overlay, platform.objects):
        what = f"{overlay.path} has the name {overlay.namespace}, which is {taken}"
        yield Finding("names", unit.places.top, what, "name the service otherwise", unit.name)
    project = platform.project(names.SERVICES_PROJECT)
    for item in unit.objects:
        group, _, _ = str(item.get("apiVersion", "")).rpartition("/")
        kind = str(item.get("kind"))
        namespaced = kind not in _OF_THE_CLUSTER
        if kind == "Namespace":
            what = "an overlay brings no Namespace: the ApplicationSet makes it, with its labels"
            yield unit.finding("namespace-labels", item, ("metadata", "name"), what, "remove it from resources")
        elif kind == "Secret" and not group:
            continue  # plain-secret says it better
        elif project is not None and not permits_kind(project, group, kind, name(item), namespaced=namespaced):
            yield _denied_kind(unit, item, platform, project)
        elif namespaced:
            yield from _in_its_namespace(unit, overlay, item)


def _denied_kind(unit: Unit, item: Object, platform: Platform, project: Object) -> Finding:
    """That the project does not allow an object: said of the project where base/ itself brings such ones."""
    group, _, _ = str(item.get("apiVersion", "")).rpartition("/")
    kind = str(item.get("kind"))
    bases = [path for path in unit.places.files if path.startswith("base/") and "/components/" not in path]
    if any(f"\nkind: {kind}\n" in read_text(unit.places.root / path) for path in bases):
        owner = next(one for one in platform.unit.kind("AppProject") if name(one) == names.SERVICES_PROJECT)
        what, fix = f"does not allow {kind}, which base/ brings", f'- {{group: "{group}", kind: {kind}}}'
        return platform.unit.finding("project-kind", owner, ("spec", "namespaceResourceWhitelist"), what, fix)
    listed = {str(entry.get("kind")) for entry in project.get("namespaceResourceWhitelist") or []}
    fix = f"it allows: {', '.join(sorted(listed))}"
    return unit.finding("project-kind", item, ("kind",), f"AppProject services does not allow {kind}", fix)


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
    made = next((one for one in platform.generated.applications if one.folder == unit), None)
    if made is None:
        return  # said once, of what should make it
    annotation = str((made.item["metadata"].get("annotations") or {}).get(PATHS, "."))
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

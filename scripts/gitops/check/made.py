"""What Argo CD makes of a cluster's folders as a whole: every overlay its Application, and every folder its reader."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Sequence

from gitops.check.argo import TEMPLATE, Platform
from gitops.ground.printable import counted
from gitops.manifests import applicationset
from gitops.manifests.appproject import Spec, permits_destination
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.names import SERVICES_PROJECT
from gitops.manifests.objects import FieldPath, Object, label, name, spec_of
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.manifests.reach import kustomization

_NAMED = 3
# A service that is not there, in each environment: what is made of the next one that is added.
_NEXT = tuple(Overlay("next", environment).path for environment in ENVIRONMENTS)


def check(unit: Unit, platform: Platform, *, told: bool) -> Iterator[Finding]:
    """A cluster's root. `told`: that environments are missing somewhere was said already."""
    root = unit.places.root
    overlays = [path for path in _overlays(platform) if kustomization(root / path)]
    if not platform.generator:
        place = _listed(platform, "apps/kustomization.yaml", "apps/services.yaml")
        what = f"no ApplicationSet is there: Argo CD takes away the Applications of {counted(len(overlays), 'overlay')}"
        yield Finding("applications", place, what, "list services.yaml, the ApplicationSet, in resources", unit.name)
        return
    sets = unit.kind("ApplicationSet")
    for second in sets[1:]:
        what = f"{label(second)} is a second one, and the gate follows one"
        yield unit.finding("applications", second, ("metadata", "name"), what, "make all of one ApplicationSet")
    if not sets:
        return  # the schema has refused it
    faults = platform.generated.faults
    for fault in faults if not told else ():
        yield unit.finding("applications", sets[0], fault.path, fault.problem, fault.fix)
    if not faults and not told:
        yield from _unmade(unit, sets[0], platform, overlays)
        yield from _renamed(unit, sets[0], platform)
        yield from _denied(unit, sets[0], platform)
    yield from _unread(platform)


def _overlays(platform: Platform) -> list[str]:
    folders = applicationset.directories(platform.unit.places.root, "overlays")
    return [folder for folder in folders if folder.count("/") == 2]


def _unmade(unit: Unit, item: Object, platform: Platform, overlays: Sequence[str]) -> Iterator[Finding]:
    """Overlays that the generator passes by."""
    made = {one.folder for one in platform.generated.applications}
    # A folder of another name is refused for its name.
    passed = [path for path in overlays if path not in made and path.rpartition("/")[2] in ENVIRONMENTS]
    if passed:
        what = f"makes no Application of {_some(passed)}: Argo CD would take away what there is"
        path = ("spec", "generators", 0, "git", "directories")
        yield unit.finding("applications", item, path, what, "name every environment, and exclude none")


def _renamed(unit: Unit, item: Object, platform: Platform) -> Iterator[Finding]:
    """Applications that are not named for their folder, and those that go elsewhere."""
    pairs = [(one, overlay) for one in platform.generated.applications if (overlay := Overlay.of_path(one.folder))]
    renamed = [f"{one.name} for {overlay.path}" for one, overlay in pairs if one.name != overlay.application]
    fix = "'{{ index .path.segments 1 }}-{{ index .path.segments 2 }}'"
    if renamed:
        what = f"names {_some(renamed)}: an Application is named for its service and environment, as its namespace is"
        yield unit.finding("applications", item, (*applicationset.TEMPLATE, "metadata", "name"), what, f"name: {fix}")
    project = platform.project(SERVICES_PROJECT) or {}
    elsewhere = [
        f"{overlay.path} to {one.namespace or 'no namespace'}"
        for one, overlay in pairs
        if one.namespace != overlay.namespace and permits_destination(project, one.spec.get("destination") or {})
    ]
    if elsewhere:
        what = f"brings {_some(elsewhere)}: every service's namespace is its own"
        yield unit.finding("applications", item, (*TEMPLATE, "destination", "namespace"), what, f"namespace: {fix}")
    # Several sources are refused whatever they read.
    single = [one for one in platform.generated.applications if one.sources and "sources" not in one.spec]
    folders = [f"{one.sources[0][1].get('path')} for {one.folder}" for one in single if not one.reads(one.folder)]
    if folders:
        what = f"reads {_some(folders)}: the gate looks at an overlay's own folder"
        yield unit.finding("applications", item, (*TEMPLATE, "source", "path"), what, "path: '{{ .path.path }}'")


def _denied(unit: Unit, item: Object, platform: Platform) -> Iterator[Finding]:
    """Destinations that the project does not allow, of what there is and of the next service."""
    top = applicationset.top_of(item)
    folders = [*applicationset.directories(unit.places.root, top), *_NEXT]
    for one in applicationset.generate(item, folders).applications:
        project = str(one.spec.get("project"))
        allowed = platform.project(project)
        destination = one.spec.get("destination") or {}
        if allowed is not None and not permits_destination(allowed, destination):
            yield denied(unit, item, (*TEMPLATE, "destination"), destination, platform.unit, project)
            return


def denied(unit: Unit, item: Object, path: FieldPath, destination: Object, projects: Unit, project: str) -> Finding:
    """That a project does not allow a destination: said of the project's entry where it seems to be mistyped there.

    `projects`: the folder that has the project.
    """
    namespace, server = (str(destination.get(key)) for key in ("namespace", "server"))
    if destination.get("server") is None and destination.get("name") is not None:
        server = str(destination["name"])
    allowed: Spec = {}
    for owner in (one for one in projects.kind("AppProject") if name(one) == project):
        allowed = spec_of(owner)
        entries = allowed.get("destinations") or []
        for number, key in itertools.product(range(len(entries)), ("namespace", "server")):
            entry = entries[number]
            mended = {**allowed, "destinations": [{**entry, key: destination.get(key)}]}
            close = difflib.SequenceMatcher(None, str(entry.get(key)), str(destination.get(key))).ratio() > 0.8
            if close and permits_destination(mended, destination):
                what = f"{entry.get(key)} is where nothing goes, and {destination.get(key)} is not allowed"
                where = ("spec", "destinations", number, key)
                return projects.finding("project", owner, where, what, f"{key}: {destination.get(key)}")
    what = f"{label(item)} goes to {namespace} on {server}, which project {project} does not allow"
    spaces = {str(entry.get("namespace")) for entry in allowed.get("destinations") or []}
    fix = f"name a destination of the project; its namespaces are {', '.join(sorted(spaces)) or 'none'}"
    return unit.finding("project", item, (*path, "namespace"), what, fix)


def _unread(platform: Platform) -> Iterator[Finding]:
    """Folders of the cluster that no Application reads."""
    for unit in platform.units:
        if any(one.reads(unit.name) for one in platform.applications):
            continue
        root = unit.name == platform.unit.name or unit.name == f"{platform.unit.name}/platform"
        file = "apps/kustomization.yaml" if root else "apps/platform/kustomization.yaml"
        # The same for each cluster, and so said once.
        folder = unit.name.replace(platform.unit.name, "clusters/*")
        what = f"no Application reads {folder}: nothing of it would be in the cluster"
        fix = "list the Application that reads it in resources"
        yield Finding("applications", _listed(platform, file, "resources:"), what, fix, unit.name)


def _listed(platform: Platform, file: str, word: str) -> Place:
    """Where an object would be listed."""
    text = read_text(platform.unit.places.root / file)
    return Place(file, line_of(text, word) or line_of(text, "resources:") or 1)


def _some(words: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f" and {more} more" if more > 0 else "")

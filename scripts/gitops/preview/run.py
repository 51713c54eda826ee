"""Rendering both sides of a change and saying what differs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.manifests import sourced
from gitops.manifests.applicationset import Application
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import Renderer, renderer
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay
from gitops.manifests.places import Places
from gitops.manifests.render import Rendered, differing, in_parallel
from gitops.manifests.shape import MalformedError
from gitops.preview import cost, diff, restarts
from gitops.preview.model import ApplicationChange, Preview, Resources
from gitops.preview.notable import notable
from gitops.preview.sides import ApplicationPair, Sides, ignored
from gitops.repository.git import Repo
from gitops.repository.revision import WORKING_COPY, Change

# What Argo CD is told concerns every overlay: then all are laid out.
FOR_ALL = ("apps/", "clusters/")
# What the requests of an Application are read from; where none of these changed they did not either.
_SCALED = {"Deployment", "StatefulSet", "DaemonSet", "Rollout", "HorizontalPodAutoscaler"}


def run(checkout: Checkout, change: Change, progress: Progress) -> Preview:
    """What `change` does to every Application. An overlay that does not render is said so, and stops nothing.

    Raises InputError, MachineError and ExternalError as the parts do.
    """
    if change.base is None:
        raise InputError("nothing to compare with", fix="name a revision with --base")
    before, after = Graph(change.base, change.overviews[0]), Graph(change.head, change.overviews[1])
    left, right = set(before.affected(change.files)), set(after.affected(change.files))
    # An overlay costs the same in each cluster of a kind: the first that has a price is shown.
    node = next(filter(None, (cost.read_node(change.head, cluster) for cluster in after.clusters)), None)
    with renderer(checkout) as renders:
        sides = Sides(renders, before, after, known=any(path.startswith(FOR_ALL) for path in change.files))
        touched = sides.changing & {*before.units, *after.units}
        units = sorted(left | right | touched | (set(before.units) ^ set(after.units)))
        work = _Work(checkout, renders, before, after, node)
        pairs: list[tuple[str, ApplicationPair]] = []
        for unit in units:
            pairs += [(unit, pair) for pair in sides.of(unit)]
        with progress.step(f"rendering {len(units)} of {len(after.units)} Applications on both sides"):
            apps = in_parallel(lambda pair: _application(work, *pair, known=sides.known), pairs)
    refused = tuple(ApplicationChange(name="all Applications", action="broken", error=text) for text in sides.faults)
    with Repo(checkout.root) as repo:
        sha = repo.commit("HEAD" if change.head_name == WORKING_COPY else change.head_name).hexsha
    return Preview(
        base=change.base_name,
        head=change.head_name,
        head_sha=sha,
        looked=len(units),
        applications=(*refused, *_said_once(zip((unit for unit, _ in pairs), apps, strict=True))),
    )


# The Applications of a cluster's own folders, where they have another name than the folder.
_BY_FOLDER = {"": "root", "objects": "cluster"}


def _of_platform(unit: str) -> tuple[str, str]:
    """What a folder of the platform is called, and the cluster where it is one's own, empty where it is not."""
    first, second, *rest = unit.split("/")
    if first == "apps":  # apps/platform/<add-on>/objects, the same in every cluster
        return rest[0], ""
    folder = rest[0] if rest else ""
    return _BY_FOLDER.get(folder, folder), second


def _said_once(changes: Iterable[tuple[str, ApplicationChange | None]]) -> tuple[ApplicationChange, ...]:
    """The Applications that change. One of several clusters that changes alike in them is one."""
    alike: dict[ApplicationChange, list[str]] = {}
    for unit, app in changes:
        if app:
            cluster = _of_platform(unit)[1] if Overlay.of_path(unit) is None else ""
            alike.setdefault(app, []).append(cluster)
    return tuple(itertools.starmap(_in_clusters, alike.items()))


def _in_clusters(app: ApplicationChange, clusters: Sequence[str]) -> ApplicationChange:
    named = tuple(filter(None, clusters))
    if not named:
        return app
    return app.model_copy(update={"name": f"{app.name} ({', '.join(named)})", "clusters": named})


@dataclass(frozen=True)
class _Work:
    """What every Application is rendered and judged by."""

    checkout: Checkout
    renders: Renderer
    before: Graph
    after: Graph
    node: cost.Node | None

    def side(self, graph: Graph, unit: str, application: Application | None) -> Rendered | None:
        """One side of a folder as its Application has it; None where it is not there."""
        if unit not in graph.units:
            return None
        return sourced.rendered(self.checkout, self.renders, graph, unit, application)


def _application(work: _Work, unit: str, pair: ApplicationPair, *, known: bool) -> ApplicationChange | None:
    """`known`: whether it is known which Applications there are; else each folder has one."""
    overlay = Overlay.of_path(unit)
    old, new = work.side(work.before, unit, pair.old), work.side(work.after, unit, pair.new)
    if known and overlay:  # one that the generator passes by is not deployed
        old, new = old if pair.old else None, new if pair.new else None
    application = overlay.application if overlay else _of_platform(unit)[0]
    if overlay and pair.clusters:
        application += f" ({', '.join(pair.clusters)})"
    graph = work.after
    places = Places(graph.checkout, unit, graph.reach(unit)) if unit in graph.units else None
    return change_of(application, old, new, work.node, pair, places)


def change_of(
    application: str,
    old: Rendered | None,
    new: Rendered | None,
    node: cost.Node | None = None,
    pair: ApplicationPair = ApplicationPair(None, None),  # noqa: B008 - it is frozen
    places: Places | None = None,
) -> ApplicationChange | None:
    """What an Application's two renders differ in, None where in nothing. A side is None where there is no such folder.

    `node`: what its pods run on, where their cost is asked for; `pair`: the Application itself, where it is known;
    `places`: of the new side's fields.
    """
    if new is not None and new.error:
        return ApplicationChange(name=application, action="broken", error=str(new.error))
    nothing = Rendered(application)
    # A base that does not render is what the change puts right: everything is new.
    left_side, right_side = nothing if old is None or old.error else old, new or nothing
    try:
        left, right = differing(left_side, right_side)
        pairs = list(diff.pairs(left, right))
        objects = tuple(change for one in [*pair.objects, *pairs] if (change := diff.compare(*one)))
        if not objects and (old is None) == (new is None):
            return None
        sides = _resources(left_side, right_side, list(filter(None, itertools.chain.from_iterable(pairs))), node)
    except MalformedError as error:
        faults = [
            f"{places.of(fault.item, fault.path)}: {fault.sentence}" if places else fault.sentence
            for fault in error.malformations
        ]
        return ApplicationChange(name=application, action="broken", error="\n".join(faults))
    except InputError as error:
        return ApplicationChange(name=application, action="broken", error=str(error))
    lines: tuple[str, ...] = ()
    stays = False
    action: Literal["added", "removed", "changed"] = "added" if old is None else "changed"
    if new is None:
        # preserveResourcesOnDeletion (rule `preserve`), and none of the platform's Applications has a finalizer.
        kept = counted(len(pairs), "object stays", "objects stay")
        action, stays = "removed", not pair.deletes
        lines = (f"the Application goes, and Argo CD deletes {counted(len(pairs), 'object')} with it",)
        lines = (
            lines
            if pair.deletes
            else (f"the Application goes: {kept} in the cluster as before, and nobody watches over them (orphaned)",)
        )
    elif old is not None and left_side.text.strip() and not right_side.text.strip():
        kept, stays = counted(len(pairs), "object stays", "objects stay"), True
        lines = (f"renders nothing any more: Argo CD refuses to delete all at once (allowEmpty), so {kept} as before",)
    elif old is not None:
        lines = notable(pairs, right_side.sound() if restarts.changed_values(pairs) else ())
        lines = (*pair.notable(), *lines, *ignored(pair.new, pairs))
    if stays:
        sides = (Resources(), Resources())
    return ApplicationChange(
        name=application, action=action, stays=stays, notable=lines, objects=objects, before=sides[0], after=sides[1]
    )


def _resources(
    old: Rendered, new: Rendered, changed: list[Object], node: cost.Node | None
) -> tuple[Resources, Resources]:
    if not any(item["kind"] in _SCALED for item in changed):
        return Resources(), Resources()
    return cost.resources(old.sound(), node), cost.resources(new.sound(), node)

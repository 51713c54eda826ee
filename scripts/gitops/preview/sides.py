"""The Applications of both sides of a change: which folder each reads, and how a change of Argo CD's objects shows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gitops.manifests import applicationset, sourced
from gitops.manifests.applicationset import FINALIZER, Application
from gitops.manifests.differences import differences
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import Renderer
from gitops.manifests.objects import Object, label, name, value_at
from gitops.manifests.render import build, in_parallel


@dataclass(frozen=True)
class ApplicationPair:
    """One folder's Application on both sides. `clusters`: those where that is so, empty where all are alike."""

    old: Application | None
    new: Application | None
    clusters: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether Argo CD is told anything else of it."""
        return (self.old.item if self.old else None) != (self.new.item if self.new else None)

    @property
    def objects(self) -> list[tuple[Object | None, Object | None]]:
        """The Application itself, as a pair of objects, where it changes."""
        pair = (self.old.item if self.old else None, self.new.item if self.new else None)
        return [pair] if self.old and self.new and self.changes else []

    def notable(self) -> Iterator[str]:
        """What a reviewer must not overlook of it."""
        if self.old is None or self.new is None:
            return
        if self.old.namespace != self.new.namespace:
            yield f"goes to namespace {self.new.namespace}: what runs in {self.old.namespace} is taken away"
        if self.old.spec.get("project") != self.new.spec.get("project"):
            yield f"comes under project {self.new.spec.get('project')}, no longer {self.old.spec.get('project')}"
        automated = [bool(value_at(one.spec, ("syncPolicy", "automated")) is not None) for one in (self.old, self.new)]
        if automated == [True, False]:
            yield "is no longer synced by itself: nothing that is merged comes to the cluster"
        if sourced.options(self.old) != sourced.options(self.new):
            yield "is rendered otherwise than its folder says (source.kustomize)"
        if FINALIZER not in _finalizers(self.old) and FINALIZER in _finalizers(self.new):
            yield "deletes all that it runs when it goes"

    @property
    def deletes(self) -> bool:
        """Whether what it runs goes with it."""
        return self.old is not None and FINALIZER in _finalizers(self.old)


def _finalizers(application: Application) -> list[str]:
    listed = value_at(application.item, ("metadata", "finalizers"))
    return [str(one) for one in listed] if isinstance(listed, list) else []


class Sides:
    """The Applications of each cluster, on both sides; nothing is known where a change does not concern them."""

    def __init__(self, renders: Renderer, before: Graph, after: Graph, *, known: bool) -> None:
        """`known`: whether they are read at all."""
        self._pairs: dict[str, list[ApplicationPair]] = {}
        self.faults: list[str] = []
        self.known = known
        if not self.known:
            return
        left, right = _of_clusters(renders, before), _of_clusters(renders, after)
        self.faults = sorted(set(itertools.chain.from_iterable(cluster.faults for cluster in right.values())))
        if self.faults:
            self.known = False  # Argo CD then leaves all as it is
            return
        nothing = _Cluster({}, ())
        by_folder: dict[str, list[_Of]] = {}
        for cluster in sorted({*left, *right}):
            old, new = left.get(cluster, nothing).readers, right.get(cluster, nothing).readers
            for folder in sorted({*old, *new}):
                by_folder.setdefault(folder, []).append((cluster, old.get(folder), new.get(folder)))
        self._pairs = {folder: list(_grouped(pairs)) for folder, pairs in by_folder.items()}

    @property
    def changing(self) -> set[str]:
        """The folders of which Argo CD is told something else."""
        return {folder for folder in self._pairs if any(map(_changes, self._pairs[folder]))}

    def of(self, folder: str) -> list[ApplicationPair]:
        """A folder's Application on both sides, for each group of clusters that are alike."""
        return self._pairs.get(folder) or [ApplicationPair(None, None)]


# A cluster, and a folder's Application there on both sides.
_Of = tuple[str, Application | None, Application | None]


def _changes(pair: ApplicationPair) -> bool:
    return pair.changes


def _grouped(pairs: Sequence[_Of]) -> Iterator[ApplicationPair]:
    """Clusters where the same changes are one: what differs between them is the address of the repository."""
    groups: dict[str, list[_Of]] = {}
    for pair in pairs:
        groups.setdefault(_signature(pair[1], pair[2]), []).append(pair)
    for group in groups.values():
        clusters = tuple(cluster for cluster, _, _ in group) if len(groups) > 1 else ()
        yield ApplicationPair(group[0][1], group[0][2], clusters)


def _signature(old: Application | None, new: Application | None) -> str:
    if old is None or new is None:
        return f"{old is None} {new is None}"
    changes = [(one.path, one.old, one.new) for one in differences(old.item, new.item) if "repoURL" not in one.path]
    return repr((changes, sourced.options(old), sourced.options(new)))


@dataclass(frozen=True)
class _Cluster:
    """Its Applications by the folder that each reads, and what keeps Argo CD from making any."""

    readers: dict[str, Application]
    faults: tuple[str, ...]


def _of_clusters(renders: Renderer, graph: Graph) -> dict[str, _Cluster]:
    """All clusters of a side, by name."""
    return {cluster.rpartition("/")[2]: _of_cluster(renders, graph, cluster) for cluster in graph.clusters}


def _of_cluster(renders: Renderer, graph: Graph, cluster: str) -> _Cluster:
    units = [unit for unit in graph.units if unit == cluster or unit.startswith(f"{cluster}/")]
    built = in_parallel(lambda unit: build(renders, graph.checkout.root, unit, graph.reach(unit)), units)
    objects = list(itertools.chain.from_iterable(one.objects() for one in built if one.error is None))
    all_of_it, faults = applicationset.applications(objects, graph.checkout.root)
    readers: dict[str, Application] = {}
    for one in all_of_it:
        folder = one.folder or next((str(source.get("path")) for _, source in one.sources), "")
        readers.setdefault(folder, one)
    broken = tuple(f"{one.unit} does not render" for one in built if one.error)
    return _Cluster(readers, (*broken, *(f"ApplicationSet: {fault.problem}" for fault in faults)))


def ignored(application: Application | None, pairs: Sequence[tuple[Object | None, Object | None]]) -> Iterator[str]:
    """Changes that Argo CD does not bring, or not by themselves, as the Application ignores these fields."""
    entries = application.spec.get("ignoreDifferences") if application else None
    synced = value_at(application.spec, ("syncPolicy", "syncOptions")) if application else None
    kept = "RespectIgnoreDifferences=true" in (synced or [])
    for (old, new), entry in itertools.product(pairs, entries or []):
        if old is None or new is None or not _concerns(entry, new):
            continue
        pointers = [str(one).strip("/").replace("/", ".") for one in entry.get("jsonPointers") or []]
        paths = [f"{one.path}." for one in differences(old, new)]
        effect = "is not brought to the cluster" if kept else "alone is no reason for Argo CD to sync"
        for pointer, path in itertools.product(pointers, paths):
            if path.startswith(f"{pointer}."):
                yield f"{pointer} of {label(new)} {effect} (ignoreDifferences)"
        if entry.get("jqPathExpressions") or entry.get("managedFieldsManagers"):
            yield f"some fields of {label(new)} may be ignored by Argo CD (ignoreDifferences)"


def _concerns(entry: Object, item: Object) -> bool:
    group = str(item.get("apiVersion", "")).rpartition("/")[0]
    return (
        (entry.get("group") or "") in (group, "*")
        and entry.get("kind") in (item.get("kind"), "*")
        and entry.get("name") in (None, "", name(item))
    )

"""What a reviewer must not overlook, in the order of its weight."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from gitops.manifests.differences import differences
from gitops.manifests.forms import of
from gitops.manifests.objects import Object, label, spec_of, value_at
from gitops.preview import network
from gitops.preview.diff import Pair, is_replaced
from gitops.preview.restarts import restarts, stale

Pairs = Sequence[Pair]
# What the API server refuses to change on an object that exists, by kind (k8s.io/kubernetes, pkg/apis/*/validation):
# fields of its spec.
_IMMUTABLE = {
    "Deployment": ("selector",),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
    "DaemonSet": ("selector",),
    "Job": ("template", "selector", "completionMode"),
    "Service": ("clusterIP", "ipFamilyPolicy"),
    "PersistentVolumeClaim": ("accessModes", "storageClassName", "volumeName", "selector"),
    "IngressClass": ("controller",),
}
_CONTENT = ("data", "stringData", "binaryData")
_OPTIONS = "argocd.argoproj.io/sync-options"


def notable(pairs: Pairs, objects: Sequence[Object] = ()) -> tuple[str, ...]:
    """One line each; empty where a change does nothing of the kind. `objects`: all of the new side."""
    lines = itertools.chain.from_iterable(itertools.starmap(_lines, pairs))
    return tuple(dict.fromkeys(itertools.chain(lines, stale(pairs, objects))))


def _lines(old: Object | None, new: Object | None) -> Iterator[str]:
    if old is not None and new is not None:
        if is_replaced(old, new):
            yield f"{_goes(old)}, {label(new)} takes its place"
        else:
            yield from _changed(old, new)
        yield from _effects(old, new)
    elif old is not None:
        yield from _removed(old)
    elif new is not None and new.get("kind") == "NetworkPolicy":
        yield from network.opened(new, network.paths(new))


def _goes(item: Object) -> str:
    """What becomes of an object that is no longer in git."""
    annotations = value_at(item, ("metadata", "annotations"))
    options = annotations.get(_OPTIONS) if isinstance(annotations, dict) else None
    if "Prune=false" in str(options).replace(" ", "").split(","):
        return f"leaves {label(item)} in the cluster: it is never pruned (Prune=false)"
    return f"deletes {label(item)}: Argo CD prunes it"


def _removed(item: Object) -> Iterator[str]:
    yield _goes(item)
    yield from (f"removes host {host}" for host in sorted(network.hosts(item)))
    if item.get("kind") == "NetworkPolicy" and network.closes(item):
        yield f"opens a network path: {label(item)}, which closed it, goes"
    elif item.get("kind") == "NetworkPolicy":
        yield f"closes a network path: {label(item)} goes"


def _changed(old: Object, new: Object) -> Iterator[str]:
    kind, changes = str(new.get("kind")), list(differences(old, new, of(new)))
    touched = {str(change.steps[1]) for change in changes if change.within("spec") and len(change.steps) > 1}
    refused = sorted(touched.intersection(_IMMUTABLE.get(kind, ())))
    for field in refused:
        word = "selector" if field == "selector" else "immutable field"
        yield f"changes the {word} spec.{field} of {label(new)}: the API server refuses that on what runs"
    if kind == "Service" and any(change.within("spec", "selector") for change in changes):
        yield f"changes the selector of {label(new)}: it may answer from other pods, or none"
    content = any(change.within(field) for change, field in itertools.product(changes, _CONTENT))
    if old.get("immutable") is True and content:
        yield f"changes {label(new)}, which is immutable"
    if not refused:
        yield from restarts(old, new, changes)


def _effects(old: Object, new: Object) -> Iterator[str]:
    """What another form of an object does, or another object in its place."""
    yield from (f"removes host {host}" for host in sorted(network.hosts(old) - network.hosts(new)))
    if old.get("kind") == new.get("kind"):
        yield from _lowered(old, new)
    if new.get("kind") == "NetworkPolicy":
        yield from network.opened(new, network.paths(new) - network.paths(old))
        if network.closes(old) and not network.closes(new):
            yield f"opens a network path: {label(new)} no longer closes everything"


_LEAST = {"HorizontalPodAutoscaler": "minReplicas", "Deployment": "replicas", "StatefulSet": "replicas"}


def _lowered(old: Object, new: Object) -> Iterator[str]:
    """How many pods there are at least."""
    before, after = spec_of(old), spec_of(new)
    if field := _LEAST.get(str(new.get("kind"))):
        least, most = after.get(field, 1), before.get(field, 1)
        if isinstance(most, int) and isinstance(least, int) and least < most:
            yield f"lowers the replica floor of {label(new)} from {most} to {least}"
    if new.get("kind") == "PodDisruptionBudget":
        fields = ("maxUnavailable", "minAvailable")
        if any(before.get(field) != after.get(field) for field in fields):
            yield f"changes how many pods {label(new)} lets go at once"

"""Which pods a change restarts, and which keep an old value of a ConfigMap or Secret until somebody does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gitops.manifests.differences import Difference, differences
from gitops.manifests.forms import of
from gitops.manifests.objects import FieldPath, Object, label, name, spec_of, value_at
from gitops.manifests.pods import template
from gitops.preview.diff import Pair, is_replaced

RUNS_PODS = {"Deployment", "StatefulSet", "DaemonSet", "Rollout"}
# The fields by which a pod takes a value, by the kind of what it takes it from: as a variable, and as files.
_VARIABLES = {"ConfigMap": ("configMapKeyRef", "configMapRef"), "Secret": ("secretKeyRef", "secretRef")}
_FILES = {"ConfigMap": ("configMap",), "Secret": ("secret",)}
# Where the values of each kind stand. A SealedSecret becomes the Secret of its template's name.
VALUES = {
    "ConfigMap": (("data",), ("binaryData",)),
    "Secret": (("data",), ("stringData",)),
    "SealedSecret": (("spec", "encryptedData"), ("spec", "template", "data")),
}


def restarts(old: Object, new: Object, changes: Sequence[Difference]) -> Iterator[str]:
    """Whether the pods of an object restart, with what is special about it."""
    pods = template(new)
    if new.get("kind") not in RUNS_PODS or pods is None:
        return
    within = [change for change in changes if change.within(*pods.path)]
    if not within:
        return
    line = f"restarts the pods of {label(new)}"
    strategy = value_at(new, ("spec", "updateStrategy", "type"))
    if spec_of(new).get("paused") is True:
        yield f"{line} once it is no longer paused"
    elif strategy == "OnDelete":
        yield f"{line} as each is deleted (OnDelete)"
    elif all(_is_tag_alone(change) for change in within):
        yield f"{line}, though the image is the same: its tag changes and its digest does not"
    else:
        yield line


def _is_tag_alone(change: Difference) -> bool:
    digests = [str(side).partition("@")[2] for side in (change.old, change.new)]
    return change.steps[-1] == "image" and bool(digests[0]) and digests[0] == digests[1]


def changed_values(pairs: Sequence[Pair]) -> list[tuple[Object, frozenset[str]]]:
    """ConfigMaps, Secrets and SealedSecrets that keep their name, each with the keys whose values changed."""
    sources = []
    for old, new in pairs:
        if old is None or new is None or name(old) != name(new) or is_replaced(old, new):
            continue
        keys = set[str]()
        for path in VALUES.get(str(new.get("kind")), ()):
            left, right = _mapping(value_at(old, path)), _mapping(value_at(new, path))
            keys |= {str(key) for key in {*left, *right} if left.get(key) != right.get(key)}
        if keys:
            sources.append((new, frozenset(keys)))
    return sources


def stale(pairs: Sequence[Pair], objects: Sequence[Object]) -> Iterator[str]:
    """Who keeps an old value. `objects`: all of the new side. Pods that restart take the new one by themselves."""
    restarting = {_identity(new) for old, new in pairs if old and new and _restarts(old, new)}
    for source, keys in changed_values(pairs):
        kind = "ConfigMap" if source["kind"] == "ConfigMap" else "Secret"
        named = name(source)
        if source["kind"] == "SealedSecret":
            named = str(value_at(source, ("spec", "template", "metadata", "name")) or named)
        for item in objects:
            pods = template(item)
            # What a Job or CronJob starts next reads what there is then.
            if pods is None or item.get("kind") not in {*RUNS_PODS, "Pod"} or _identity(item) in restarting:
                continue
            uses = list(dict.fromkeys(_uses(pods.spec, kind, named, keys)))
            if "variables" in uses:
                yield f"changes {label(source)}: the pods of {label(item)} keep the old value until they restart"
            elif uses:
                line = f"changes {label(source)}: the pods of {label(item)} get the new file within minutes"
                yield f"{line}, and what has read the old one keeps it until they restart"


def _restarts(old: Object, new: Object) -> bool:
    return any(restarts(old, new, list(differences(old, new, of(new))))) or is_replaced(old, new)


def _identity(item: Object) -> tuple[str, str]:
    return str(item.get("kind")), name(item)


def _uses(spec: Object, kind: str, named: str, keys: frozenset[str]) -> Iterator[str]:
    """How a pod takes one of the keys: as `variables`, which stay as they are, or as `files`, which follow."""
    fixed = {str(mount.get("name")) for mount in _mounts(spec) if mount.get("subPath") or mount.get("subPathExpr")}
    for path, field, source in _mappings(spec):
        if named not in (source.get("name"), source.get("secretName")):
            continue
        if field in _VARIABLES[kind] and (not field.endswith("KeyRef") or source.get("key") in keys):
            yield "variables"
        elif field in _FILES[kind]:
            items = [_mapping(entry).get("key") for entry in source.get("items") or []]
            if not items or keys.intersection(map(str, items)):
                # A file that is mounted by a path of its own is never replaced.
                volume = value_at(spec, path[:2]) if path[:1] == ("volumes",) else None
                yield "variables" if _mapping(volume).get("name") in fixed else "files"


def _mounts(spec: Object) -> Iterator[Object]:
    for _, field, entry in _mappings(spec):
        if field == "volumeMounts":
            yield entry


def _mappings(value: Any, path: FieldPath = (), field: str = "") -> Iterator[tuple[FieldPath, str, Object]]:  # noqa: ANN401
    """Every mapping, with its path and the name of the field that it is, or is an item of."""
    if isinstance(value, dict):
        yield tuple(path), field, value
        for key, below in value.items():
            yield from _mappings(below, (*path, str(key)), str(key))
    elif isinstance(value, list):
        for n, below in enumerate(value):
            yield from _mappings(below, (*path, n), field)


def _mapping(value: object) -> Object:
    return value if isinstance(value, dict) else {}

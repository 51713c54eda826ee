"""Random edits of rendered objects, and what an API server makes of them: what a preview must have said."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gitops.check.dry_run import MANAGER, Server
from gitops.clients.kubernetes import ClusterError
from gitops.manifests.objects import Object, name, value_at
from gitops.manifests.pods import template
from gitops.manifests.render import Rendered
from gitops.preview import run

RUNS_PODS = ("Deployment", "StatefulSet", "DaemonSet")
# What stands in every pod and container that says nothing of it, and once in a while another value.
WRITTEN_OUT: dict[str, tuple[Any, Any]] = {
    "dnsPolicy": ("ClusterFirst", "Default"),
    "restartPolicy": ("Always", "Always"),
    "schedulerName": ("default-scheduler", "other"),
    "hostNetwork": (False, False),
    "nodeSelector": ({}, {"a": "b"}),
    "tolerations": ([], [{"operator": "Exists"}]),
    "subdomain": ("", "web"),
}
WRITTEN_OUT_OF_A_CONTAINER: dict[str, tuple[Any, Any]] = {
    "imagePullPolicy": ("IfNotPresent", "Always"),
    "terminationMessagePath": ("/dev/termination-log", "/tmp/log"),
    "terminationMessagePolicy": ("File", "FallbackToLogsOnError"),
    "command": ([], ["/app"]),
    "stdin": (False, True),
    "tty": (None, True),
    "workingDir": ("", "/srv"),
    "lifecycle": (None, {"preStop": {"sleep": {"seconds": 7}}}),
}
WRITTEN_OUT_OF_A_PROBE: dict[str, tuple[Any, Any]] = {
    "timeoutSeconds": (1, 2),
    "periodSeconds": (10, 11),
    "successThreshold": (1, 1),
    "failureThreshold": (3, 4),
    "initialDelaySeconds": (0, 5),
}
WRITTEN_OUT_OF_A_DEPLOYMENT: dict[str, tuple[Any, Any]] = {
    "progressDeadlineSeconds": (600, 601),
    "minReadySeconds": (0, 3),
    "paused": (False, True),
}


@dataclass(frozen=True)
class Told:
    """What becomes of the pods and objects of an Application. `refused`: the API server takes it for nothing."""

    restarts: frozenset[str]
    deletes: frozenset[str]
    nothing: bool
    refused: str = ""


def edited(objects: Sequence[Object], chance: random.Random) -> tuple[str, list[Object]]:
    """One to three edits, with their names."""
    after = copy.deepcopy(list(objects))
    names = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        edit = chance.choice(EDITS)
        edit(after, chance)
        names.append(edit.__name__.strip("_"))
    return "+".join(names), after


def _object(objects: list[Object], chance: random.Random) -> Object:
    """Mostly one that runs pods."""
    running = [item for item in objects if template(item)]
    return chance.choice(running if running and chance.random() < 0.7 else objects)


def _containers(objects: list[Object]) -> list[Object]:
    containers: list[Object] = []
    for item in objects:
        if pods := template(item):
            containers += [container for _, container in pods.containers()]
    return containers


def _nodes(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every field and item below the object's identity."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in list(pairs):
        if (*path, key) not in (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")):
            if (*path, key) != ("metadata",):
                yield (*path, key), below
            yield from _nodes(below, (*path, key))


def _holder(item: Object, path: tuple[str | int, ...]) -> Any:
    for step in path[:-1]:
        item = item[step]  # type: ignore[index]
    return item


def _swap(objects: list[Object], chance: random.Random) -> None:
    lists = [below for _, below in _nodes(_object(objects, chance)) if isinstance(below, list) and len(below) > 1]
    if lists:
        items = chance.choice(lists)
        n = chance.randrange(len(items) - 1)
        items[n], items[n + 1] = items[n + 1], items[n]


def _swap_variables(objects: list[Object], chance: random.Random) -> None:
    for container in _containers(objects):
        container["env"] = [*(container.get("env") or []), {"name": "Z", "value": "1"}, {"name": "Y", "value": "$(Z)"}]
        if chance.random() < 0.5:
            container["env"].reverse()


def _drop(objects: list[Object], chance: random.Random) -> None:
    item = _object(objects, chance)
    if nodes := list(_nodes(item)):
        path, _ = chance.choice(nodes)
        del _holder(item, path)[path[-1]]


def _nothing(objects: list[Object], chance: random.Random) -> None:
    for container in _containers(objects):
        container[chance.choice(("startupProbe", "workingDir", "lifecycle"))] = None
    _object(objects, chance)["metadata"]["annotations"] = None


def _twice(objects: list[Object], chance: random.Random) -> None:
    lists = [below for _, below in _nodes(_object(objects, chance)) if isinstance(below, list) and below]
    if lists:
        items = chance.choice(lists)
        items.append(copy.deepcopy(chance.choice(items)))


def _scalar(objects: list[Object], chance: random.Random) -> None:
    item = _object(objects, chance)
    leaves = [(path, below) for path, below in _nodes(item) if isinstance(below, str | int)]
    if leaves:
        path, value = chance.choice(leaves)
        changed = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}x"
        _holder(item, path)[path[-1]] = changed


def _quantity(objects: list[Object], chance: random.Random) -> None:
    for container in _containers(objects):
        requests = value_at(container, ("resources", "requests"))
        for key, value in (requests or {}).items():
            if match := re.fullmatch(r"(\d+)(m|Mi)", str(value)):
                number = int(match[1]) + (chance.random() < 0.3)
                same = number * 2**20 if match[2] == "Mi" else number / 1000
                requests[key] = chance.choice((str(same), f"{number}{match[2]}"))


def _write(mapping: Object, table: dict[str, tuple[Any, Any]], chance: random.Random) -> None:
    field = chance.choice(sorted(set(table) - set(mapping)) or [""])
    if field:
        mapping[field] = copy.deepcopy(table[field][chance.random() < 0.25])


def _default(objects: list[Object], chance: random.Random) -> None:
    for item in objects:
        if item["kind"] in RUNS_PODS and (pods := template(item)):
            _write(pods.spec, WRITTEN_OUT, chance)


def _default_of_a_container(objects: list[Object], chance: random.Random) -> None:
    for container in _containers(objects):
        _write(container, WRITTEN_OUT_OF_A_CONTAINER, chance)
        for port in container.get("ports") or []:
            port["protocol"] = "TCP"


def _default_of_a_probe(objects: list[Object], chance: random.Random) -> None:
    for container in _containers(objects):
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            if isinstance(container.get(probe), dict):
                _write(container[probe], WRITTEN_OUT_OF_A_PROBE, chance)


def _default_of_a_deployment(objects: list[Object], chance: random.Random) -> None:
    for item in objects:
        if item["kind"] == "Deployment":
            _write(item["spec"], WRITTEN_OUT_OF_A_DEPLOYMENT, chance)


def _tag(objects: list[Object], chance: random.Random) -> None:
    for container in _containers(objects):
        tag, _, digest = str(container.get("image")).partition("@")
        container["image"] = f"{tag}{chance.choice(('', 'x'))}@{digest}"


def _annotation(objects: list[Object], chance: random.Random) -> None:
    item = _object(objects, chance)
    pods = template(item)
    for holder in [item, *([pods.body] if pods and chance.random() < 0.5 else [])]:
        metadata = holder.setdefault("metadata", {})
        metadata["annotations"] = {**(metadata.get("annotations") or {}), "example.com/a": "b"}


def _gone(objects: list[Object], chance: random.Random) -> None:
    objects.remove(chance.choice(objects))


def _rename(objects: list[Object], chance: random.Random) -> None:
    item = chance.choice(objects)
    item["metadata"]["name"] = f"{name(item)}-b"


def _new(objects: list[Object], chance: random.Random) -> None:
    item = copy.deepcopy(chance.choice(objects))
    item["metadata"]["name"] = f"{name(item)}-new"
    objects.append(item)


def _same(objects: list[Object], chance: random.Random) -> None:
    chance.shuffle(objects)


EDITS: tuple[Callable[[list[Object], random.Random], None], ...] = (
    _swap, _swap, _swap_variables, _drop, _drop, _nothing, _twice, _scalar, _scalar, _quantity, _default,
    _default_of_a_container, _default_of_a_probe, _default_of_a_deployment, _tag, _annotation, _gone, _rename, _new,
    _same,
)  # fmt: skip


# -- what the preview says


def rendered(unit: str, objects: Sequence[Object]) -> Rendered:
    return Rendered(unit, yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False).encode())


def said(before: Sequence[Object], after: Sequence[Object]) -> Told:
    change = run.change_of("web", rendered("web", before), rendered("web", after))
    if change is None:
        return Told(frozenset(), frozenset(), nothing=True)
    assert change.error is None, change.error
    notes = change.notable
    restarts = [match[1] for note in notes if (match := re.match(r"restarts the pods of (\S+ [^\s,]+)", note))]
    deletes = [match[1] for note in notes if (match := re.match(r"deletes (\S+ [^\s:]+):", note))]
    return Told(frozenset(restarts), frozenset(deletes), nothing=False)


# -- what the API server does


def happens(server: Server, before: Sequence[Object], after: Sequence[Object]) -> Told:
    """By dry runs on a server that has `before`; nothing but Argo CD's own rule decides what is deleted."""
    old = {_key(item): item for item in before}
    restarts, nothing, refused = set[str](), True, ""
    for item in after:
        if item == old.get(_key(item)) and _same_text(item, old[_key(item)]):
            continue
        path = server.path(item)
        live = server.cluster.find(path)
        try:
            new = server.cluster.patch(path, item, kind="apply", fieldManager=MANAGER, force="true", dryRun="All")
        except ClusterError as error:
            refused = refused or error.reason or str(error)
            continue
        nothing = nothing and live is not None and _state(live) == _state(new)
        if live is not None and item["kind"] in RUNS_PODS and _makes_other_pods(live, new):
            restarts.add(f"{item['kind']} {name(item)}")
    gone = set(old) - {_key(item) for item in after}
    kept = {key for key in gone if "Prune=false" in str(old[key]["metadata"].get("annotations"))}
    deletes = frozenset(f"{kind} {named}" for kind, named in gone - kept)
    return Told(frozenset(restarts), deletes, nothing and not gone, refused)


def _key(item: Object) -> tuple[str, str]:
    return item["kind"], name(item)


def _same_text(left: Object, right: Object) -> bool:
    """True is 1 for Python."""
    return json.dumps(left) == json.dumps(right)


def _makes_other_pods(live: Object, new: Object) -> bool:
    """The generation tells what the API server takes for a change: 134217728 and 128Mi are the same to it."""
    is_changed: bool = live["metadata"]["generation"] != new["metadata"]["generation"]
    return is_changed and live["spec"]["template"] != new["spec"]["template"]


def _state(item: Object) -> Object:
    """All that somebody wrote. Ports of a Service are a map (x-kubernetes-list-type)."""
    metadata = item["metadata"]
    if "generation" in metadata:
        state = {"generation": metadata["generation"]}
    else:
        state = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    state["metadata"] = {key: metadata.get(key) or {} for key in ("labels", "annotations")}
    if item["kind"] == "Service":
        ports = sorted(state["spec"].get("ports") or [], key=lambda port: (port["port"], port.get("protocol", "")))
        state["spec"] = {**state["spec"], "ports": ports}
    return state

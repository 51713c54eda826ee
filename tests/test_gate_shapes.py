"""Every field of an overlay's objects once null, empty or gone: what the schema takes, the rules read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from gitops.check import argo, guards, references, run, schema, seals, sizes
from gitops.check.argo import Platform
from gitops.check.scope import CheckScope
from gitops.lb import check as lb_check
from gitops.lb import covered
from gitops.lb import model as lb
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay
from gitops.manifests.render import build
from tests.frozen import CLUSTER, platform

pytestmark = pytest.mark.bots

OVERLAY = Overlay("mogle", "prod")
GONE = "gone"
VALUES: tuple[object, ...] = (None, {}, [], -1, "", True, 10**30, GONE)


@cache
def graph() -> Graph:
    return Graph(platform())


@cache
def rendered(folder: str) -> Unit:
    return Unit.of(graph(), build(platform(), platform().root, folder))


def steps(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every field."""
    fields = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, field in fields:
        yield (*path, key)
        yield from steps(field, (*path, key))


def changed(item: Object, path: tuple[str | int, ...], value: object) -> Object:
    made: Any = copy.deepcopy(item)
    parent = made
    for step in path[:-1]:
        parent = parent[step]
    if value == GONE:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    whole: Object = made
    return whole


def hold(unit: Unit) -> None:
    """Hold it to the rules that read objects, as a check does."""
    scope = CheckScope(platform(), graph(), None, {unit.name: unit}, {}, {})
    run._by_schema(scope)
    [sound] = scope.units.values()
    has = Platform(rendered(CLUSTER), (rendered(f"{CLUSTER}/objects"),))
    certificates, _ = covered.read_certificates(has.holder("IngressClassParams"), CLUSTER)
    list(argo.check_overlay(sound, OVERLAY, has))
    list(guards.check(sound, guards.Bases(platform(), graph())))
    list(references.check(sound))
    list(seals.check(sound))
    list(sizes.check(sound))
    lb_check.check(lb.merge([sound], certificates))


KINDS = (
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "LimitRange",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ResourceQuota",
    "SealedSecret",
    "Service",
    "ServiceAccount",
)


@pytest.mark.parametrize("kind", KINDS)
def test_no_shape_of_an_object_is_a_traceback(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known_schemas = schema.Schemas(platform())
    monkeypatch.setattr(schema, "Schemas", lambda _: known_schemas)
    known = guards.Bases(platform(), graph())
    monkeypatch.setattr(guards, "Bases", lambda *_: known)
    unit = rendered(OVERLAY.path)
    assert {item["kind"] for item in unit.objects} == set(KINDS)
    number, item = next((n, item) for n, item in enumerate(unit.objects) if item["kind"] == kind)
    tried = 0
    for path in steps(item):
        if path[0] in ("apiVersion", "kind") or path in (("metadata",), ("metadata", "name")):
            continue
        for value in VALUES:
            objects = [*unit.objects]
            objects[number] = changed(item, path, value)
            hold(Unit(unit.name, tuple(objects), unit.places))
            tried += 1
    assert tried >= len(VALUES)

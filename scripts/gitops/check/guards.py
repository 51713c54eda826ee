"""What overlays leave as the base has it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from functools import cache

import yaml

from gitops.ground import temporary
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.differences import differences
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.forms import ABSENT, UNORDERED
from gitops.manifests.graph import Graph
from gitops.manifests.kustomize import Renderer
from gitops.manifests.lines import read_text
from gitops.manifests.objects import Object, name, value_at
from gitops.manifests.pods import template
from gitops.manifests.reach import Reach, kustomization
from gitops.manifests.render import build

# What every overlay has, whether it names it or not: all that this component brings.
FLOOR = "base/workload"
GUARDED = ("ResourceQuota", "LimitRange", "NetworkPolicy")
_ACCOUNT = "ServiceAccount"
_MOUNTED = "automountServiceAccountToken"
# An overlay names and labels what it has.
_OWN_METADATA = ("labels", "annotations", "name", "namespace")
# Annotations by which a program of the cluster treats an object otherwise, as Argo CD's `hook: Skip` leaves it out.
_OBEYED = re.compile(
    r"(^|\.)(argoproj\.io|helm\.sh|kubernetes\.io|k8s\.io|kustomize\.io|amazonaws\.com|bitnami\.com)/", re.IGNORECASE
)
# Fields of a kustomization that give all of its objects other names.
RENAMING = ("namePrefix", "nameSuffix")
_Key = tuple[str, str]


class Bases:
    """What an overlay must have, as base/ alone gives it: the floor, its bases, components that touch such kinds."""

    def __init__(self, tools: Checkout | Renderer, graph: Graph) -> None:
        self._tools, self._graph = tools, graph
        # What several overlays have is rendered and read once.
        self._rendered, self._touches = cache(self._render), cache(self._touches_guarded)

    def objects(self, unit: str) -> dict[_Key, Object]:
        """These objects by kind and name, before the overlay changes anything. Raises InputError: no floor."""
        root = self._graph.checkout.root
        file = kustomization(root / unit)
        content = yamlfile.read(Checkout(root), file) if file else {}
        components = tuple(path for path in self._bases(unit, content.get("components")) if self._touches(path))
        own = self._rendered(self._bases(unit, content.get("resources")), components)
        return {**self._rendered((), (FLOOR,)), **own}

    def _touches_guarded(self, component: str) -> bool:
        """Whether a component touches what is guarded; one that needs the overlay's files cannot be rendered alone."""
        texts = [read_text(file) for file in (self._graph.checkout.root / component).glob("*.yaml")]
        return any(kind in text for text, kind in itertools.product(texts, GUARDED))

    def _bases(self, unit: str, entries: list[object] | None) -> tuple[str, ...]:
        return tuple(path for entry in entries or [] if (path := self._base(unit, entry)))

    def _base(self, unit: str, entry: object) -> str | None:
        root = self._graph.checkout.root
        path = os.path.normpath(os.path.join(unit, str(entry)))  # noqa: PTH118 - as text, links and all
        return path if path.startswith("base/") and (root / path).is_dir() else None

    def _render(self, resources: tuple[str, ...], components: tuple[str, ...]) -> dict[_Key, Object]:
        if not resources and not components:
            return {}
        root = self._graph.checkout.root.resolve()
        with temporary.folder() as target:
            content = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [os.path.relpath(root / path, target) for path in resources],
                "components": [os.path.relpath(root / path, target) for path in components],
            }
            (target / "kustomization.yaml").write_text(yaml.safe_dump(content))
            refusals = [self._graph.reach(path).refusals for path in (*resources, *components)]
            reach = Reach(refusals=list(itertools.chain.from_iterable(refusals)))
            rendered = build(self._tools, target, ".", reach)
        if rendered.error:
            if components == (FLOOR,):
                # Not the place: it is in the folder of our own that stands for the floor.
                raise InputError(rendered.error.fault.what, path=FLOOR, fix=rendered.error.fault.fix)
            return {}
        items = [item for item in rendered.sound() if item["kind"] in (*GUARDED, _ACCOUNT)]
        return {(item["kind"], name(item)): item for item in items}


def check(unit: Unit, bases: Bases) -> Iterator[Finding]:
    """What guards an overlay's namespace and is missing or not the base's, and what opens it."""
    originals = bases.objects(unit.name)
    present = {(str(item["kind"]), name(item)): item for item in unit.kind(*GUARDED, _ACCOUNT)}
    gone = originals.keys() - present.keys()
    if gone and (renaming := _renaming(unit)):
        yield renaming
        return
    for key, item in present.items():
        original = originals.get(key)
        if original is not None:
            yield from _weakened(unit, item, original)
        elif item["kind"] in GUARDED:
            yield unit.finding(
                "guard-rails",
                item,
                ("metadata", "name"),
                "is not the base's",
                "remove it; what all need belongs into base/, reviewed by the platform team",
            )
    for kind, missing in sorted(gone):
        item = originals[kind, missing]
        what = f"the base's {kind} {missing} was taken away, or never there"
        yield unit.finding(
            "guard-rails",
            item,
            (),
            what,
            f"leave it as the base has it; without a base, name ../../../{FLOOR} in components",
        )
    yield from _tokens(unit)
    yield from _environments(unit)


def _renaming(unit: Unit) -> Finding | None:
    """That a kustomization gives all of its objects other names: then nothing is any more what it was."""
    for field in RENAMING:
        if place := unit.places.field(field):
            what = f"{field} renames all objects: guards, seals and Services are known by the names that they have"
            return Finding("guard-rails", place, what, "take it out: the namespace tells services apart", unit.name)
    return None


def _weakened(unit: Unit, item: Object, original: Object) -> Iterator[Finding]:
    """What of a guard is not the base's. What stands there explains more than what is missing."""
    changes = sorted(
        differences(_guarding(original), _guarding(item), UNORDERED), key=lambda change: change.new is ABSENT
    )
    if changes:
        path, fix = changes[0].new_path, "leave it as the base has it"
        what = f"{changes[0].path} is not what the base has"
        if "matchLabels" in path and "kustomization" in unit.places.of(item, path).file:
            what = f"the label {path[-1]} comes into selectors, which then select something else"
            fix = "give labels with includeTemplates: true, without includeSelectors, and no commonLabels"
        yield unit.finding("guard-rails", item, path, what, fix)


def _guarding(item: Object) -> Object:
    """What of an object guards.

    Labels are the overlay's own, and annotations that no program of the cluster obeys.
    """
    metadata = item["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if _OBEYED.search(str(key))}
    kept = {key: value for key, value in metadata.items() if key not in _OWN_METADATA}
    return {**item, "metadata": {**kept, "annotations": annotations}}


def _tokens(unit: Unit) -> Iterator[Finding]:
    """Pods that would be given a token for the API server, by their own word or their ServiceAccount's."""
    accounts = {name(item): item.get(_MOUNTED, True) for item in unit.kind(_ACCOUNT)}
    for item in unit.kind(_ACCOUNT):
        if accounts[name(item)]:
            yield unit.finding("guard-rails", item, (_MOUNTED,), f"{_MOUNTED} is not false", f"{_MOUNTED}: false")
    for item in unit.objects:
        pods = template(item)
        if pods is None:
            continue
        account = str(pods.spec.get("serviceAccountName") or "default")
        if pods.spec.get(_MOUNTED, accounts.get(account, True)):
            path = (*pods.path, "spec", _MOUNTED)
            what = f"its pods are given a token of ServiceAccount {account}"
            yield unit.finding("guard-rails", item, path, what, f"{_MOUNTED}: false in the pod's spec")


def _environments(unit: Unit) -> Iterator[Finding]:
    """Network policies that are open to another environment; base/components/staging and canary close them."""
    for item, path, peer in _peers(unit):
        selected = value_at(peer, ("namespaceSelector", "matchLabels", "environment"))
        if unit.overlay and selected not in (None, unit.overlay.environment):
            where = (*path, "namespaceSelector", "matchLabels", "environment")
            what = f"is open to {selected}, and this is {unit.overlay.environment}"
            yield unit.finding(
                "guard-rails",
                item,
                where,
                what,
                "name base/components/staging or canary in that environment, and only there",
            )


def _peers(unit: Unit) -> Iterator[tuple[Object, tuple[str | int, ...], Object]]:
    """Whom the network policies of an overlay let in and out: the policy, the path, and the peer there."""
    for item in unit.kind("NetworkPolicy"):
        for rules, side in (("ingress", "from"), ("egress", "to")):
            for number, rule in enumerate((item.get("spec") or {}).get(rules) or []):
                for position, peer in enumerate(rule.get(side) or []):
                    yield item, ("spec", rules, number, side, position), peer

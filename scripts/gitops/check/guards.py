"""What overlays leave as the base has it, and what has no place in git."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile
from gitops.manifests.differences import ABSENT, differences
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place, read_text
from gitops.manifests.objects import Object, name
from gitops.manifests.reach import kustomization
from gitops.manifests.render import build

GUARDED = ("ResourceQuota", "LimitRange", "NetworkPolicy")


class Bases:
    """What base/ alone gives, for each set of bases, and of components that touch what is guarded, of an overlay."""

    def __init__(self, checkout: Checkout, graph: Graph) -> None:
        self._checkout, self._graph = checkout, graph
        self._known: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[tuple[str, str], Object]] = {}

    def objects(self, unit: str) -> dict[tuple[str, str], Object]:
        """The guarded objects of an overlay's bases, by kind and name, before the overlay changes anything."""
        root = self._graph.checkout.root
        file = kustomization(root / unit)
        content = yamlfile.read(Checkout(root), file) if file else {}
        components = self._bases(unit, content.get("components"))
        key = (
            self._bases(unit, content.get("resources")),
            tuple(path for path in components if _guards(root / path)),
        )
        if key not in self._known:
            self._known[key] = self._render(root, *key)
        return self._known[key]

    def _bases(self, unit: str, entries: list[object] | None) -> tuple[str, ...]:
        return tuple(path for entry in entries or [] if (path := self._base(unit, entry)))

    def _base(self, unit: str, entry: object) -> str | None:
        root = self._graph.checkout.root
        path = os.path.normpath(os.path.join(unit, str(entry)))  # noqa: PTH118 - as text, links and all
        return path if path.startswith("base/") and (root / path).is_dir() else None

    def _render(
        self, root: Path, resources: tuple[str, ...], components: tuple[str, ...]
    ) -> dict[tuple[str, str], Object]:
        with tempfile.TemporaryDirectory(prefix="gitops-") as folder:
            target = Path(folder).resolve()
            content = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [os.path.relpath(root.resolve() / path, target) for path in resources],
                "components": [os.path.relpath(root.resolve() / path, target) for path in components],
            }
            (target / "kustomization.yaml").write_text(yaml.safe_dump(content))
            rendered = build(self._checkout, target, ".")
        if rendered.error:
            return {}
        return {(item["kind"], name(item)): item for item in rendered.objects() if item["kind"] in GUARDED}


def _guards(component: Path) -> bool:
    """Whether a component touches what is guarded; one that needs the overlay's own files cannot be rendered alone."""
    texts = [file.read_text(errors="replace") for file in component.glob("*.yaml")]
    return any(kind in text for text, kind in itertools.product(texts, GUARDED))


def check(unit: Unit, bases: Bases) -> Iterator[Finding]:
    """Quota, LimitRange and network policies of an overlay that are not the base's, and plain Secrets."""
    for item in unit.kind("Secret"):
        if str(item.get("apiVersion")) == "v1":
            yield unit.finding(
                "plain-secret",
                item,
                ("metadata", "name"),
                "a plain Secret",
                "seal it: gitops secrets seal SERVICE NAME --key KEY",
            )
    originals = bases.objects(unit.name)
    guards = {(str(item["kind"]), name(item)): item for item in unit.kind(*GUARDED)}
    for key, item in guards.items():
        original = originals.get(key)
        if original is None:
            yield unit.finding(
                "guard-rails",
                item,
                ("metadata", "name"),
                "is not the base's",
                "remove it; what all need belongs into base/, reviewed by the platform team",
            )
            continue
        # What stands there explains more than what is missing.
        changes = sorted(differences(original.get("spec"), item.get("spec")), key=lambda change: change.new is ABSENT)
        if changes:
            path = ("spec", *changes[0].new_path)
            what = f"{'.'.join(map(str, path))} is not what the base has"
            yield unit.finding("guard-rails", item, path, what, "leave it as the base has it")
    for kind, missing in sorted(originals.keys() - guards.keys()):
        item = originals[kind, missing]
        yield unit.finding(
            "guard-rails", item, (), f"the base's {kind} {missing} was taken away", "leave it as the base has it"
        )


def plain_secrets(graph: Graph) -> Iterator[Finding]:
    """Secrets in files that no overlay renders: they are in git all the same."""
    rendered = set[str]().union(*(graph.reach(unit).files for unit in graph.units))
    root = graph.checkout.root
    for folder in ("apps", "base", "clusters", "overlays", "policies"):
        for file in sorted((root / folder).rglob("*.y*ml")):
            path = str(file.relative_to(root))
            if path in rendered or not file.is_file():
                continue
            for number, line in enumerate(read_text(file).splitlines(), 1):
                if line.strip() == "kind: Secret":
                    yield Finding(
                        "plain-secret",
                        Place(path, number),
                        "a plain Secret",
                        "seal it: gitops secrets seal SERVICE NAME --key KEY",
                    )

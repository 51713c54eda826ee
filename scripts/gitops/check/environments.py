"""Where a cluster's own folder names the environments: each must name those that are declared, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.names import SERVICES_PROJECT
from gitops.manifests.objects import FieldPath, Object, name, value_at
from gitops.manifests.overlay import ENVIRONMENTS

# The policy that knows a service's namespace by its name (policies/namespaces).
NAMESPACE_POLICY = "namespace-labels"
_NAMESPACES = [f"*-{environment}" for environment in ENVIRONMENTS]


def check(unit: Unit) -> Iterator[Finding]:
    """The ApplicationSet's folders, the AppProject's namespaces and the policy on namespaces."""
    for item in unit.kind("ApplicationSet"):
        folders = [f"overlays/*/{environment}" for environment in ENVIRONMENTS]
        # One generator, or another one would bring folders past it.
        generators = value_at(item, ("spec", "generators"))
        path = ("spec", "generators", 0, "git", "directories")
        only = len(generators) == 1 if isinstance(generators, list) else False
        entries = value_at(item, path) if only else generators
        for number, entry in enumerate(entries if only and isinstance(entries, list) else []):
            if isinstance(entry, dict) and entry.get("exclude"):
                what = f"excludes {entry.get('path')}, whatever else brings it: Argo CD makes no Application of that"
                yield unit.finding("environments", item, (*path, number, "exclude"), what, "take the entry out")
                return
        if only:
            yield from _compared(unit, item, path, _of_each(entries, "path"), folders, "path")
        else:
            what = "has not one generator, and another one would bring folders past the first"
            yield unit.finding("environments", item, path[:2], what, f"name {', '.join(folders)} in one")
    for item in unit.kind("AppProject"):
        if name(item) == SERVICES_PROJECT:
            for field, key in (("destinations", "namespace"), ("clusterResourceWhitelist", "name")):
                actual = _of_each(value_at(item, ("spec", field)), key)
                yield from _compared(unit, item, ("spec", field), actual, _NAMESPACES, key)
    for item in unit.kind("ValidatingAdmissionPolicy"):
        if name(item) == NAMESPACE_POLICY:
            listed, where = _declared(item)
            yield from _compared(unit, item, where, listed, list(ENVIRONMENTS))


def _compared(
    unit: Unit, item: Object, path: FieldPath, actual: object, expected: list[str], key: str = ""
) -> Iterator[Finding]:
    """`key`: of what an entry of the list at `path` names; empty where it is no list in YAML."""
    if not isinstance(actual, list):
        yield unit.finding("environments", item, path, f"names {actual}", f"name {', '.join(expected)}")
        return
    texts = list(map(str, actual))
    others = [number for number, text in enumerate(texts) if text not in expected or text in texts[:number]]
    missing = [text for text in expected if text not in texts]
    fix = f"name {', '.join(expected)}"
    for number in others if key else []:
        what = f"names {texts[number]}, which is no environment's"
        yield unit.finding("environments", item, (*path, number, key), what, fix)
    if (missing or others) and not (others and key):
        yield unit.finding("environments", item, path, f"names {', '.join(texts) or 'none'}", fix)


def _of_each(entries: Any, key: str) -> list[Any]:  # noqa: ANN401 - whatever stands there
    entries = entries if isinstance(entries, list) else []
    return [entry.get(key) if isinstance(entry, dict) else entry for entry in entries]


def _declared(policy: Object) -> tuple[object, FieldPath]:
    """The environments that a policy's variable of that name lists, and where."""
    variables = value_at(policy, ("spec", "variables"))
    for number, variable in enumerate(variables if isinstance(variables, list) else []):
        if variable.get("name") == "environments":
            path = ("spec", "variables", number, "expression")
            return yamlfile.strings(str(variable.get("expression")), NAMESPACE_POLICY), path
    return None, ("spec", "variables")

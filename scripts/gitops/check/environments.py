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
        actual = _of_each(value_at(item, path), "path") if only else generators
        yield from _compared(unit, item, path if only else path[:2], actual, folders)
    for item in unit.kind("AppProject"):
        if name(item) == SERVICES_PROJECT:
            for field, key in (("destinations", "namespace"), ("clusterResourceWhitelist", "name")):
                actual = _of_each(value_at(item, ("spec", field)), key)
                yield from _compared(unit, item, ("spec", field), actual, _NAMESPACES)
    for item in unit.kind("ValidatingAdmissionPolicy"):
        if name(item) == NAMESPACE_POLICY:
            listed, where = _declared(item)
            yield from _compared(unit, item, where, listed, list(ENVIRONMENTS))


def _compared(unit: Unit, item: Object, path: FieldPath, actual: object, expected: list[str]) -> Iterator[Finding]:
    if not isinstance(actual, list) or sorted(map(str, actual)) != sorted(expected):
        listed = ", ".join(map(str, actual)) if isinstance(actual, list) else str(actual)
        yield unit.finding("environments", item, path, f"names {listed or 'none'}", f"name {', '.join(expected)}")


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

"""What a SealedSecret may say in the open: the name of its Secret, and no value."""

from __future__ import annotations

from collections.abc import Iterator

from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object
from gitops.manifests.sealedsecret import KIND

# All else of a template is copied into the Secret as it stands (sealed-secrets, SecretTemplateSpec), or lies in git.
_SPEC = frozenset({"encryptedData", "template"})
_TEMPLATE = frozenset({"metadata", "type", "immutable"})
_METADATA = frozenset({"name", "namespace"})
_TYPES = frozenset(
    {
        "Opaque",
        "kubernetes.io/basic-auth",
        "kubernetes.io/dockerconfigjson",
        "kubernetes.io/ssh-auth",
        "kubernetes.io/tls",
    }
)
_FIX = "seal the value (gitops secrets seal), and take it out here"


def check(unit: Unit) -> Iterator[Finding]:
    """Fields of SealedSecrets that are no part of a seal."""
    for item in unit.kind(KIND):
        spec = item.get("spec") or {}
        template = spec.get("template") or {}
        yield from _beyond(unit, item, ("spec",), spec, _SPEC)
        yield from _beyond(unit, item, ("spec", "template"), template, _TEMPLATE)
        yield from _beyond(unit, item, ("spec", "template", "metadata"), template.get("metadata") or {}, _METADATA)
        if template.get("type", "Opaque") not in _TYPES:
            problem = "spec.template.type is none that a Secret has here"
            fix = f"one of {', '.join(sorted(_TYPES))}"
            yield unit.finding("plain-secret", item, ("spec", "template", "type"), problem, fix)


def _beyond(unit: Unit, item: Object, path: FieldPath, fields: Object, known: frozenset[str]) -> Iterator[Finding]:
    for name in sorted(fields.keys() - known):
        problem = f"{'.'.join(map(str, path))} has a field {name}, which is not sealed"
        yield unit.finding("plain-secret", item, (*path, name), problem, _FIX)

"""What a SealedSecret may say in the open: the name of its Secret, and no value. And that its values are sealed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from gitops.ground.errors import InputError
from gitops.manifests import secret, yamlfile
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.lines import Place
from gitops.manifests.objects import FieldPath, Object
from gitops.manifests.sealedsecret import KIND
from gitops.manifests.yamltext import child, scalar
from gitops.secrets.seal import is_sealed

# All else of a template is copied into the Secret as it stands (sealed-secrets, SecretTemplateSpec), or lies in git.
_SPEC = frozenset({"encryptedData", "template"})
_TEMPLATE = frozenset({"metadata", "type", "immutable"})
_METADATA = frozenset({"name", "namespace"})
_FIX = "seal the value (gitops secrets seal), and take it out here"
_TEXT = "tag:yaml.org,2002:str"
# What .gitleaks.toml takes for a sealed value.
_LIKE_A_SEAL = re.compile(r"\b(Ag|AQ|AY|BA)[A-Za-z0-9+/]{200,}")


def check(unit: Unit) -> Iterator[Finding]:
    """Fields of SealedSecrets that are no part of a seal, and values that are none."""
    for item in unit.kind(KIND):
        spec = item.get("spec") or {}
        for key, value in (spec.get("encryptedData") or {}).items():
            if not is_sealed(str(value)):
                yield unit.finding("plain-secret", item, ("spec", "encryptedData", key), _unsealed(key), _FIX)
        template = spec.get("template") or {}
        yield from _beyond(unit, item, ("spec",), spec, _SPEC)
        yield from _beyond(unit, item, ("spec", "template"), template, _TEMPLATE)
        yield from _beyond(unit, item, ("spec", "template", "metadata"), template.get("metadata") or {}, _METADATA)
        yield from _refused(unit, item)


def _refused(unit: Unit, item: Object) -> Iterator[Finding]:
    """What the controller could make no Secret of: it says so in its log, and there is none."""
    spec = item.get("spec") or {}
    encrypted, kind = spec.get("encryptedData") or {}, (spec.get("template") or {}).get("type", secret.OPAQUE)
    for refusal in secret.refusals((item.get("metadata") or {}).get("name"), encrypted, kind):
        paths: dict[str, FieldPath] = {"key": ("spec", "encryptedData", str(refusal.key)), "name": ("metadata", "name")}
        path = paths.get(refusal.field, ("spec", "template", "type"))
        yield unit.finding("secret-names", item, path, refusal.sentence, "seal it anew: gitops secrets seal")


def check_file(path: str, content: bytes) -> Iterator[Finding]:
    """A file whose name says that it has sealed values: it has one SealedSecret, and no seal but where seals belong."""
    try:
        nodes = yamlfile.compose_all(content, path)
    except InputError as error:
        yield Finding("plain-secret", Place(path, error.fault.line or 1), error.fault.what, error.fault.fix or _FIX)
        return
    if [scalar(node, "kind") for node in nodes] != [KIND]:
        fix = "one to a file; give a file with something else another name"
        yield Finding("plain-secret", Place(path, 1), f"is not one {KIND}", fix)
    for node in nodes:
        data = child(child(node, "spec"), "encryptedData")
        pairs = data.value if isinstance(data, yaml.MappingNode) else []
        for key, value in pairs:
            if not (isinstance(value, yaml.ScalarNode) and is_sealed(value.value)):
                place = Place(path, key.start_mark.line + 1)
                yield Finding("plain-secret", place, f"{KIND} {_unsealed(str(key.value))}", _FIX)
            if isinstance(key, yaml.ScalarNode) and key.tag != _TEXT:
                place = Place(path, key.start_mark.line + 1)
                problem = f"{KIND} spec.encryptedData: the key {key.value} is no text in YAML"
                yield Finding("secret-names", place, problem, f'write it in quotes: "{key.value}"')
        values = {id(value) for _, value in pairs}
        for text in yamlfile.every_node([node], keys=True):
            is_other = isinstance(text, yaml.ScalarNode) and id(text) not in values
            if is_other and _LIKE_A_SEAL.search(text.value):
                place = Place(path, text.start_mark.line + 1)
                yield Finding("plain-secret", place, "a value that looks sealed, where none belongs", _FIX)


def _unsealed(key: str) -> str:
    return f"spec.encryptedData.{key} is not sealed"


def _beyond(unit: Unit, item: Object, path: FieldPath, fields: Object, known: frozenset[str]) -> Iterator[Finding]:
    for name in sorted(fields.keys() - known):
        problem = f"{'.'.join(map(str, path))} has a field {name}, which is not sealed"
        yield unit.finding("plain-secret", item, (*path, name), problem, _FIX)

"""Which lists have no order, as Kubernetes' published schema and the custom resource definitions say it.

Writes scripts/gitops/manifests/lists.yaml, called by python -m tests.lifecycle: the lists that `x-kubernetes-list-type`
calls a set or a map. Left out is what is read in its order all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from gitops.check.schema import definitions
from gitops.ground.checkout import Checkout
from gitops.manifests.forms import ITEM, LISTS
from tests.frozen import ROOT

SCHEMAS = ROOT / ".tools/share/kubernetes/api/openapi-spec/v3"
# A variable of a policy may use those before it; webhooks are called one after the other.
READ_IN_ORDER = {
    ("ValidatingAdmissionPolicy", ("spec", "variables")),
    ("MutatingAdmissionPolicy", ("spec", "variables")),
    ("MutatingWebhookConfiguration", ("webhooks",)),
}
_HEAD = """\
# Lists without an order: x-kubernetes-list-type `set` or `map` of the API server's published schema and of the custom
# resource definitions that the platform brings. Written by python -m tests.lifecycle.
"""

Schema = dict[str, Any]
Path = tuple[str, ...]


def unordered() -> dict[str, list[str]]:
    """Paths by "apiVersion kind"; items of a list are `[]`."""
    listed: dict[str, list[str]] = {}
    for version, kind, schema, components in (*_published(), *_custom()):
        paths = {path for path in _paths(schema, components, (), frozenset()) if not _is_read_in_order(kind, path)}
        if paths:
            listed[f"{version} {kind}"] = sorted(".".join(path) for path in paths)
    return listed


def _is_read_in_order(kind: str, path: Path) -> bool:
    """Whether it is so, or lies below what is; so does all of a pod."""
    is_pod = kind == "Pod" or "template" in path
    return is_pod or any(kind == name and path[: len(top)] == top for name, top in READ_IN_ORDER)


def _published() -> Iterator[tuple[str, str, Schema, Schema]]:
    for file in sorted(SCHEMAS.glob("*.json")):
        components = json.loads(file.read_bytes()).get("components", {}).get("schemas", {})
        for schema in components.values():
            kinds = schema.get("x-kubernetes-group-version-kind", [])
            # What stands in every group is no object of its own (DeleteOptions ...), nor is a list of objects.
            if len(kinds) == 1 and not kinds[0]["kind"].endswith("List"):
                version = "/".join(filter(None, (kinds[0]["group"], kinds[0]["version"])))
                yield version, kinds[0]["kind"], schema, components


def _custom() -> Iterator[tuple[str, str, Schema, Schema]]:
    for spec in (item["spec"] for item in definitions(Checkout(ROOT))):
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            yield f"{spec['group']}/{version['name']}", spec["names"]["kind"], schema, {}


def _paths(schema: Schema, components: Schema, path: Path, above: frozenset[str]) -> Iterator[Path]:
    for part in (schema, *schema.get("allOf", [])):
        if name := part.get("$ref", "").rpartition("/")[2]:
            if name not in above:
                yield from _paths(components[name], components, path, above | {name})
            continue
        if path and part.get("x-kubernetes-list-type") in ("set", "map"):
            yield path
        for field, below in part.get("properties", {}).items():
            # Of every kind alike, or no one's to write.
            if field not in ("status", "metadata"):
                yield from _paths(below, components, (*path, field), above)
        if "items" in part:
            yield from _paths(part["items"], components, (*path, ITEM), above)


def text() -> str:
    return _HEAD + yaml.safe_dump({"lists": unordered()}, width=120)


def renew() -> None:
    LISTS.write_text(text())

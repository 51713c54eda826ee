"""What Kubernetes says of each kind, without asking a server: the quick path.

The schemas are those that kube-apiserver publishes (in its own module) and those of the custom resource definitions.
CEL rules, quantities and admission are the API server's own business (dry_run.py).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from gitops.ground import jsontext, printable
from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import Object, label

OWN = Path(__file__).parent / "crds"
_MAPPING = {"type": "object"}


class Schemas:
    """Every kind's validator, made when it is asked for."""

    def __init__(self, checkout: Checkout) -> None:
        self._built_in = checkout.tools / "share/kubernetes/api/openapi-spec/v3"
        # By their names: what a manifest says may be longer than any name of a file, or lead elsewhere.
        self._published_files = {file.name for file in self._built_in.glob("*.json")}
        self._definitions = definitions(checkout)
        self._made: dict[tuple[str, str], Any] = {}

    def validator(self, api_version: str, kind: str) -> Any:  # noqa: ANN401 - the library's classes are its own business
        """The validator of a kind, or None where Kubernetes and our definitions know no such kind."""
        key = (api_version, kind)
        if key not in self._made:
            schema = self.schema(api_version, kind)
            self._made[key] = jsonschema_rs.validator_for(schema) if schema else None
        return self._made[key]

    def schema(self, api_version: str, kind: str) -> Object | None:
        """The JSON schema of a kind, strict, or None where there is no such kind."""
        return self._custom(api_version, kind) or self._published(api_version, kind)

    def _published(self, api_version: str, kind: str) -> Object | None:
        group, _, version = api_version.rpartition("/")
        file = f"apis__{group}__{version}_openapi.json" if group else f"api__{version}_openapi.json"
        if file not in self._published_files:
            return None
        components = _components(self._built_in / file)
        identity = {"group": group, "version": version, "kind": kind}
        for name, schema in components.items():
            if identity in schema.get("x-kubernetes-group-version-kind", []):
                return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": components}}
        return None

    def _custom(self, api_version: str, kind: str) -> Object | None:
        group, _, version = api_version.rpartition("/")
        for spec in (item["spec"] for item in self._definitions):
            if spec["group"] == group and spec["names"]["kind"] == kind:
                for entry in spec["versions"]:
                    if entry["name"] == version and entry.get("served"):
                        schema: Object = _strict(entry["schema"]["openAPIV3Schema"], top=True)
                        return schema
        return None


def definitions(checkout: Checkout) -> list[Object]:
    """Every custom resource definition of what the platform runs."""
    return _prepared(checkout.tool_cache / "definitions.json", _files(checkout))


def fingerprint(checkout: Checkout) -> str:
    """Of the definitions' bytes."""
    return _digest([file.read_bytes() for file in _files(checkout)])


def _digest(contents: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()


def _files(checkout: Checkout) -> tuple[Path, ...]:
    share = checkout.tools / "share"
    return (
        *sorted((share / "argocd/manifests/crds").glob("*-crd.yaml")),
        *sorted((share / "sealed-secrets/helm/sealed-secrets/crds").glob("*.yaml")),
        *sorted((share / "karpenter/pkg/apis/crds").glob("karpenter.sh_nodepools.yaml")),
        *sorted(OWN.glob("*.yaml")),
    )


@cache
def _prepared(kept: Path, files: tuple[Path, ...]) -> list[Object]:
    """The objects of some files, in megabytes of YAML that take half a second: as JSON once they were read."""
    contents = [file.read_bytes() for file in files]
    digest = _digest(contents)
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = jsontext.parse(kept.read_bytes())
        if content["of"] == digest:
            objects: list[Object] = content["objects"]
            return objects
    parsed = itertools.starmap(yamlfile.parse_all, zip(contents, map(str, files), strict=True))
    objects = list(itertools.chain.from_iterable(parsed))
    with suppress(OSError):  # a cache that cannot be written is none
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=kept.parent, prefix="definitions-", delete=False) as partial:
            json.dump({"of": digest, "objects": objects}, partial)
        Path(partial.name).replace(kept)
    return objects


@cache
def _components(file: Path) -> dict[str, Object]:
    schemas = jsontext.parse(file.read_bytes())["components"]["schemas"]
    return {name: _strict(schema) for name, schema in schemas.items()}


def _strict(schema: Any, *, top: bool = False) -> Any:  # noqa: ANN401
    """The same schema that takes no field which it does not name, as the API server does when asked to be strict."""
    if isinstance(schema, list):
        return [_strict(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    strict: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            strict[key] = {name: _strict(member) for name, member in value.items()}
        elif key in ("items", "additionalProperties", "allOf", "anyOf", "oneOf"):
            strict[key] = _strict(value)
        elif key not in ("default", "format", "description"):
            strict[key] = value
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if "properties" in strict and not open_ended:
        strict.setdefault("additionalProperties", False)
    if top:
        strict["properties"] = {**strict.get("properties", {}), "metadata": _MAPPING}
    if schema.get("nullable") and isinstance(strict.get("type"), str):
        strict["type"] = [strict["type"], "null"]
    return strict


def check(unit: Unit, schemas: Schemas) -> Iterator[tuple[Object, list[Finding]]]:
    """Every object of a unit with what its schema says against it. Kinds that nobody knows are apis.py's business."""
    for item in unit.objects:
        validator = schemas.validator(str(item.get("apiVersion", "")), str(item.get("kind", "")))
        findings = []
        for error in validator.iter_errors(item) if validator else []:
            # kustomize and the API server take a null for a field that is not set; an entry of a list is there.
            if error.instance is None and not (error.instance_path and isinstance(error.instance_path[-1], int)):
                continue
            findings += list(_findings(unit, item, error))
        yield item, findings


def _findings(unit: Unit, item: Object, error: Any) -> Iterator[Finding]:  # noqa: ANN401
    path = tuple(error.instance_path)
    where = ".".join(str(step) for step in path) or "the object"
    unexpected = getattr(error.kind, "unexpected", None) or []
    for name in unexpected:
        known = f"; {label(item)} has no such field"
        yield unit.finding(
            "schema",
            item,
            (*path, name),
            f"{where}: unknown field {name!r}",
            f"remove it, or spell it as the API does{known}",
        )
    if unexpected:
        return
    missing = getattr(error.kind, "property", None)
    if error.kind.name == "required" and missing:
        yield unit.finding("schema", item, path, f"{where}: {missing!r} is missing", f"add {missing}")
        return
    message = printable.elided(error.message)
    yield unit.finding("schema", item, path, f"{where}: {message}", "write what the field's type asks for")

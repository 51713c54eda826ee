"""policies/powerful-fields.yaml, beside the schema of the API that it judges."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gitops.manifests.objects import Object
from tests.frozen import ROOT
from tests.policy_server import pod, workload

FILE = ROOT / "policies/powerful-fields.yaml"
# The types of the API that the walk begins with.
KINDS = {
    "Pod": "io.k8s.api.core.v1.Pod",
    "Service": "io.k8s.api.core.v1.Service",
    "Ingress": "io.k8s.api.networking.v1.Ingress",
    "ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
}
Kind = Literal["Pod", "Service", "Ingress", "ServiceAccount"]


class Row(BaseModel):
    """A field that gives power over others."""

    model_config = ConfigDict(extra="forbid", title="Powerful field")

    field: str
    gives: str
    who: str
    policy: str
    beside: dict[str, Any] = Field(default_factory=dict, alias="with")
    refused: Any
    accepted: Any = None

    @property
    def may_be_set(self) -> bool:
        """Whether some values are accepted, so that the fields below it matter."""
        return "accepted" in self.model_fields_set

    def steps(self) -> list[str]:
        return [step.removesuffix("[]") for step in self.field.split(".")]


class Table(BaseModel):
    """Every field of the kinds, judged."""

    model_config = ConfigDict(extra="forbid", title="Powerful fields")

    powerful: dict[Kind, list[Row]]
    harmless: dict[str, list[str]]

    def rows(self) -> list[tuple[Kind, Row]]:
        """Every row, with its kind."""
        pairs: list[tuple[Kind, Row]] = []
        for kind, rows in self.powerful.items():
            pairs += [(kind, row) for row in rows]
        return pairs

    def harmless_fields(self) -> set[str]:
        """Every field without power, as `Type.field`."""
        fields = set[str]()
        for definition, names in self.harmless.items():
            fields.update(f"{definition}.{name}" for name in names)
        return fields


@cache
def read() -> Table:
    return Table.model_validate(yaml.safe_load(FILE.read_text()))


class Walk:
    """Every field that is reached from the kinds and that the table does not stop at, as `Type.field`."""

    def __init__(self, schemas: dict[str, Object], table: Table) -> None:
        self.schemas = schemas
        self.judged: dict[str, bool] = {}
        for kind, row in table.rows():
            key = self._key(kind, row)
            self.judged[key] = self.judged.get(key, False) or row.may_be_set
        self.fields = set[str]()
        for definition in KINDS.values():
            self._visit(definition)

    def _key(self, kind: Kind, row: Row) -> str:
        current = KINDS[kind]
        *steps, last = row.steps()
        for step in steps:
            current = next(references(self.schemas[current]["properties"][step]))
        assert last in self.schemas[current]["properties"], f"{row.field} is no field of {kind}"
        return f"{short(current)}.{last}"

    def _visit(self, definition: str) -> None:
        for name, schema in (self.schemas[definition].get("properties") or {}).items():
            key = f"{short(definition)}.{name}"
            if key in self.fields:
                continue
            self.fields.add(key)
            if self.judged.get(key, True) and not (name == "status" and definition in KINDS.values()):
                for reference in references(schema):
                    self._visit(reference)


def short(definition: str) -> str:
    return definition.rpartition(".")[2]


def references(schema: Object) -> Iterator[str]:
    """The types that a field is made of."""
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2]
    nested = [
        *schema.get("allOf", []),
        *schema.get("oneOf", []),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    for part in nested:
        if isinstance(part, dict):
            yield from references(part)


# -- objects to ask with


def good(kind: Kind) -> Object:
    """An object of a kind that every policy takes."""
    metadata = {"name": "test"}
    if kind == "Pod":
        return pod()
    if kind == "ServiceAccount":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "automountServiceAccountToken": False}
    if kind == "Service":
        spec: Object = {"selector": {"app": "test"}, "ports": [{"name": "http", "port": 80}]}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    backend = {"service": {"name": "web", "port": {"name": "http"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec = {"ingressClassName": "platform", "rules": [{"host": "test.example.com", "http": {"paths": paths}}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def objects(kind: Kind, row: Row, value: object) -> Iterator[Object]:
    """The good object with a value of a row's field, in each of its containers."""
    lists = ("containers", "initContainers") if "spec.containers[]" in row.field else ("containers",)
    for containers in lists:
        item = good(kind)
        for field, content in {**row.beside, row.field: value}.items():
            if field.startswith("spec.volumes[]") and "volumes" not in item["spec"]:
                item["spec"]["volumes"] = [{"name": "x"}]
            path = field.replace("spec.containers[]", f"spec.{containers}[]").split(".")
            if containers == "initContainers" and "Probe" in field:
                item["spec"]["initContainers"][0]["restartPolicy"] = "Always"
            put(item, path, deepcopy(content))
        # As a service writes it; a pod itself is told of some fields by other admission. Only a pod is debugged.
        yield workload("Deployment", item) if kind == "Pod" and "ephemeralContainers" not in item["spec"] else item


# What takes the place of what stands there, as only one of them may.
_INSTEAD = {"resource": "service", "name": "number"}


def put(item: Object, path: list[str], value: object) -> None:
    """Set a field; a list on the way has one element, made where there is none."""
    *steps, last = path
    for step in steps:
        inner = item.setdefault(step.removesuffix("[]"), [{}] if step.endswith("[]") else {})
        item = inner[0] if step.endswith("[]") else inner
    if last in _INSTEAD:
        item.pop(_INSTEAD[last], None)
    item[last] = value

"""The form that every object has before any rule reads it: what is a mapping, a list or a value where code looks.

kustomize prints what it was given: a null among a list's items, text where a mapping belongs. What Kubernetes says of
each kind is check/schema.py's business; this needs no tool, and so holds for the preview and the load balancer too. An
object of another form is told once, by its field, and no rule sees it; a null field is one that is not set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitops.ground.errors import Fault, InputError
from gitops.manifests.objects import FieldPath, Object, label
from gitops.manifests.structure import FIELDS, MAPPING, METADATA, NUMBER, VALUE, VALUES, Structure


@dataclass(frozen=True)
class Malformation:
    """A field of an object that has another form than all of its kind. `path`: where it stands."""

    item: Object
    path: FieldPath
    problem: str
    fix: str

    @property
    def sentence(self) -> str:
        """The complaint with the object that it is about."""
        return f"{label(self.item)}: {self.problem}"


class MalformedError(InputError):
    """Objects that no rule can read. `malformations`: what is wrong with them; `sound`: the others of the same read."""

    malformations: tuple[Malformation, ...] = ()
    sound: tuple[Object, ...] = ()

    @classmethod
    def of(cls, unit: str, malformations: Iterable[Malformation], sound: Iterable[Object]) -> MalformedError:
        """One fault for each malformation. `unit`: the folder that renders them."""
        made = tuple(malformations)
        error = cls.several(Fault(fault.sentence, unit, fix=fault.fix) for fault in made)
        error.malformations, error.sound = made, tuple(sound)
        return error


def read(items: Iterable[Object], unit: str) -> list[Object]:
    """The objects, without the fields that are null. Raises MalformedError. `unit`: the folder that renders them."""
    malformed: list[Malformation] = []
    sound: list[Object] = []
    for item in items:
        faults = list(malformations(item))
        malformed += faults
        if not faults:
            sound.append(without_nulls(item))
    if malformed:
        raise MalformedError.of(unit, malformed, sound)
    return sound


def sound(items: Iterable[Object]) -> list[Object]:
    """The objects that have the form, without the fields that are null."""
    return [without_nulls(item) for item in items if next(malformations(item), None) is None]


def malformations(item: Object) -> Iterator[Malformation]:
    """What of an object has not the form that code reads."""
    for field in ("apiVersion", "kind"):
        if not (isinstance(item.get(field), str) and item[field]):
            yield Malformation(item, (field,), f"{field}: {_found(item.get(field))}", f"write {field} as a text")
    metadata = item.get("metadata")
    if not (isinstance(metadata, dict) and isinstance(metadata.get("name"), str) and metadata["name"]):
        named = isinstance(metadata, dict) and "name" in metadata
        path: FieldPath = ("metadata", "name") if named else ("metadata",)
        yield Malformation(item, path, "metadata without a name that is a text", "write metadata.name as a text")
    elif not isinstance(metadata.get("namespace"), str | None):
        problem = f"metadata.namespace: {_found(metadata['namespace'])}"
        yield Malformation(item, ("metadata", "namespace"), problem, "write the namespace as a text")
    fields: Mapping[str, Any] = {"metadata": METADATA, **FIELDS.get(str(item.get("kind")), {})}
    faults = list(_in_mapping(item, (), item, fields))
    yield from faults
    told = {fault.path for fault in faults}
    for path in _null_items(item, ()):
        if path not in told:
            yield Malformation(item, path, f"{_words(path)}: null", "write the item, or take its dash out")


def _in_form(item: Object, path: FieldPath, value: Any, form: Structure) -> Iterator[Malformation]:  # noqa: ANN401
    if isinstance(form, list):
        if not isinstance(value, list):
            yield _other(item, path, value, "a list")
            return
        for number, member in enumerate(value):
            # A null item is found in every list.
            if member is not None:
                yield from _in_form(item, (*path, number), member, form[0])
    elif isinstance(form, str):
        yield from _of_word(item, path, value, form)
    elif isinstance(value, dict):
        yield from _in_mapping(item, path, value, form)
    else:
        yield _other(item, path, value, MAPPING)


def _in_mapping(item: Object, path: FieldPath, value: Object, form: Mapping[str, Any]) -> Iterator[Malformation]:
    for field, inner in form.items():
        if value.get(field) is not None:
            yield from _in_form(item, (*path, field), value[field], inner)


def _of_word(item: Object, path: FieldPath, value: Any, word: str) -> Iterator[Malformation]:  # noqa: ANN401
    nested = isinstance(value, dict | list)
    if word == VALUES and isinstance(value, dict):
        for key, inner in value.items():
            if inner is None or isinstance(inner, dict | list):
                yield _other(item, (*path, key), inner, "a value")
    elif word == NUMBER:
        if isinstance(value, bool) or not isinstance(value, int):
            yield _other(item, path, value, NUMBER)
    elif (word == VALUE) == nested or (nested and not isinstance(value, dict)):
        yield _other(item, path, value, word)


def _other(item: Object, path: FieldPath, value: object, expected: str) -> Malformation:
    return Malformation(item, path, f"{_words(path)}: expected {expected}, found {_found(value)}", f"write {expected}")


def _null_items(value: object, path: FieldPath) -> Iterator[FieldPath]:
    """Where a list has a null."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list):
                yield from _null_items(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if inner is None:
                yield (*path, number)
            elif isinstance(inner, dict | list):
                yield from _null_items(inner, (*path, number))


def without_nulls(value: Any) -> Any:  # noqa: ANN401
    """The same without fields that are null: Kubernetes takes one for a field that is not set."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _words(path: FieldPath) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _found(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

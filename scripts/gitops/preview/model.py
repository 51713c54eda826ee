"""What a preview says, in a form that a file can carry from the run that made it to the one that may comment."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# Of what a fork may have written only so much is read.
_TEXT = Field(max_length=20_000)
_APPLICATIONS, _OBJECTS, MOST_FIELDS = 5_000, 20_000, 20_000


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FieldChange(_Frozen):
    """One field: where, and what it was and is. None: it was, or is, not there."""

    path: str = _TEXT
    old: str | None = None
    new: str | None = None


class ObjectChange(_Frozen):
    """One object. `renamed`: the name that it had, where a generated name changed.

    `replaced`: another object takes its place; `renamed` is the name, or kind and name, of the one that goes.
    `content`: of one that comes or goes, as YAML.
    """

    action: Literal["added", "changed", "replaced", "removed"]
    kind: str = _TEXT
    namespace: str = _TEXT
    name: str = _TEXT
    renamed: str | None = None
    fields: Annotated[tuple[FieldChange, ...], Field(max_length=MOST_FIELDS)] = ()
    content: str = Field(default="", max_length=20_000)


class Resources(_Frozen):
    """What an Application asks for at its least and its largest scale: cores, bytes, USD a month."""

    cpu: float = 0
    memory: float = 0
    cost: float | None = None
    most_cpu: float = 0
    most_memory: float = 0
    most_cost: float | None = None


class ApplicationChange(_Frozen):
    """What a change does to one Application.

    `clusters`: those where it is the same, of a cluster's own. `stays`: what is no longer in git stays in the cluster.
    """

    name: str = _TEXT
    action: Literal["added", "changed", "removed", "broken"]
    error: str | None = None
    stays: bool = False
    clusters: Annotated[tuple[str, ...], Field(max_length=_APPLICATIONS)] = ()
    notable: Annotated[tuple[str, ...], Field(max_length=_OBJECTS)] = ()
    objects: Annotated[tuple[ObjectChange, ...], Field(max_length=_OBJECTS)] = ()
    before: Resources = Resources()
    after: Resources = Resources()


class Preview(_Frozen):
    """What a change does. `looked`: how many Applications were rendered; only those that change are listed."""

    base: str = _TEXT
    head: str = _TEXT
    head_sha: str = Field(default="", pattern=r"^[0-9a-f]{0,40}$")
    looked: int
    applications: Annotated[tuple[ApplicationChange, ...], Field(max_length=_APPLICATIONS)] = ()

    def counts(self) -> dict[str, int]:
        """How many objects are added, changed, replaced and removed in the cluster."""
        objects = itertools.chain.from_iterable(app.objects for app in self.applications if not app.stays)
        actions = Counter(item.action for item in objects)
        return {action: actions[action] for action in ("added", "changed", "replaced", "removed")}
